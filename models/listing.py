"""What `models list` and `models show` say, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import CatalogEntry
from fc7.models.catalog.published import published_facts
from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.common.program import pip_install
from fc7.models.common.progress import Notify
from fc7.models.common.text_table import text_table
from fc7.models.network.spec import LayerSpec
from fc7.models.store import store
from fc7.models.store.default import default_network
from fc7.models.store.installed import is_installed
from fc7.models.store.integrity import is_damaged
from fc7.models.store.measured import Measured, measured_here
from fc7.models.store.pins import pins_of
from fc7.models.store.store import StoredNetwork

Row = Mapping[str, Any]
_UNLISTED = "not made of the file that the catalogue knows by this name; what is said is this file's own"


def network_rows(notify: Notify | None = None) -> list[Row]:
    """Every network of the catalogue and then every other one of the store, ready for JSON.

    Parameters
    ----------
    notify : callable or None
        Is told in one line of a default that is no network, and of damaged measurements.

    Returns
    -------
    list of mapping
        name : str; default, in_store, damaged (in the store, but cannot be used), installed (in a
        package) : bool; trained : bool; top1, top5 (per cent) : float; bytes (to fetch, or in the store),
        params, macs, dim : int; layer, licence, about, package (that pip installs) : str; measured : the
        fields of `Measured`, if `models bench` ran it on this machine. None where it is not known. Of a
        network in the store the catalogue's facts are told only if it was made from the catalogue's file.
    """
    say = notify or (lambda note: None)
    here = store.names()
    measured = measured_here(notify)
    try:
        default = default_network().name
    except UsageError as exc:
        default = ""
        say(str(exc))
    names = [*catalog.names(), *(name for name in here if name not in catalog.names())]
    return [
        {
            "name": name,
            "default": name == default,
            **(_stored_row(name) if name in here else _catalogue_row(catalog.entry(name))),
            **_package(name),
            "measured": asdict(measured[name]) if name in measured else None,
        }
        for name in names
    ]


def _catalogue_row(entry: CatalogEntry) -> dict[str, Any]:
    return {
        "in_store": False,
        "damaged": False,
        "trained": entry.trained,
        "bytes": entry.size,
        "layer": entry.default_layer,
        "dim": entry.dim,
        "licence": entry.licence,
        "about": entry.about,
        **_counted(entry),
    }


def _stored_row(name: str) -> dict[str, Any]:
    try:
        network = store.load(name)
    except WeightsError:
        unknown = dict.fromkeys(("trained", "bytes", "layer", "dim", "licence", "about"))
        return {"in_store": True, "damaged": True, **unknown, **_counted(None)}
    spec = network.spec
    facts = published_facts(spec)
    return {
        "in_store": True,
        "damaged": is_damaged(network.folder),
        "trained": spec.trained,
        "bytes": network.size,
        "layer": spec.default_layer,
        "dim": spec.layer(spec.default_layer).dim(spec.pool),
        "licence": spec.licence or None,
        "about": facts.about if facts is not None else f"imported from {spec.source}",
        **_counted(facts),
    }


def _counted(entry: CatalogEntry | None) -> dict[str, Any]:
    return {key: getattr(entry, key, None) for key in ("top1", "top5", "params", "macs")}


def _package(name: str) -> dict[str, Any]:
    """Which package brings the network, and whether it is installed."""
    sources = catalog.entry(name).sources if name in catalog.names() else ()
    source = next((source for source in sources if source.package), None)
    return {
        "package": source.package if source is not None else None,
        "installed": source is not None and is_installed(source),
    }


def stored_facts(network: StoredNetwork, notify: Notify | None = None) -> dict[str, Any]:
    """Everything about a network that is here, ready for JSON; `layers` is left to `layer_rows`."""
    spec = network.spec
    measured = measured_here(notify).get(spec.name)
    chosen = spec.layer(spec.default_layer)
    facts = published_facts(spec)
    return {
        "name": spec.name,
        "about": facts.about if facts is not None else _UNLISTED if spec.name in catalog.names() else "",
        "in_store": True,
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
        **_package(spec.name),
        "pins": {file: asdict(pin) for file, pin in pins_of(spec.name, notify).items()},
        **_published(facts),
    }


def catalogue_facts(entry: CatalogEntry, notify: Notify | None = None) -> dict[str, Any]:
    """Everything about a network that is not here yet."""
    return {
        "name": entry.name,
        "about": entry.about,
        "in_store": False,
        "architecture": entry.arch,
        "trained": entry.trained,
        "preprocessing": asdict(entry.preprocess) if entry.preprocess is not None else None,
        "preprocessing_text": entry.preprocess.describe() if entry.preprocess is not None else None,
        "features": entry.default_layer,
        "dim": entry.dim,
        "pool": entry.pool,
        "licence": entry.licence,
        **_package(entry.name),
        **_published(entry),
        "pins": {file: asdict(pin) for file, pin in pins_of(entry.name, notify).items()},
        "sources": [asdict(source) for source in entry.sources],
    }


def _published(entry: CatalogEntry | None) -> dict[str, Any]:
    return {**_counted(entry), "accuracy_source": (entry.accuracy_source if entry else None) or None}


def facts_text(facts: Mapping[str, Any]) -> str:
    """`stored_facts` or `catalogue_facts` for people."""
    lines = [f"{facts['name']}{': ' if facts['about'] else ''}{facts['about']}"]

    def line(label: str, value: object) -> None:
        if value not in (None, ""):
            lines.append(f"  {label + ':' if label else '':<16}{value}")

    if not facts["trained"]:
        line("weights", "RANDOM: to try the tool, not for results")
    line("in the network store", "yes" if facts["in_store"] else "no")
    line("architecture", facts["architecture"])
    line("preprocessing", facts["preprocessing_text"] or "never published; say it with --preprocess")
    ways = {
        "avg": ", maps pooled: avg",
        "max": ", maps pooled: max",
        "token": ", the first token of each image",
    }
    pooled = ways.get(facts["pool"], "")
    line("features", f"{facts['features']}, {facts['dim']} numbers an image{pooled}")
    line("fingerprint", facts.get("fingerprint"))
    tops = (("top-1", facts.get("top1")), ("top-5", facts.get("top5")))
    accuracy = ", ".join(f"{top} {value}%" for top, value in tops if value is not None)
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
        line("file", f"{source['filename']}{size}, {_hash_text(source)}")
        for url in source["urls"]:
            line("", url)
        if source["package"]:
            line("", pip_install(source["package"]))
    for file, pin in facts["pins"].items():
        line("pinned here", f"{file} on {pin['date']}, sha256 {pin['sha256']}")
    return "\n".join(lines)


def _hash_text(source: Mapping[str, Any]) -> str:
    """What is known of a file's hash."""
    for kind in ("sha256", "sha1"):
        if source[kind]:
            return f"{kind} {source[kind]}"
    if source["sha256_prefix"]:
        return f"sha256 begins with {source['sha256_prefix']}, no more is published: trusted on first use"
    return "sha256 not published: trusted on first use"


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
            "pooled": layer.dim("token" if len(layer.shape) == 2 else "avg"),
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
