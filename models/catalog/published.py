"""Which of the catalogue's facts hold for a network: those of the file it was made from, not of its name."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import CatalogEntry
from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.network.spec import NetworkSpec

# `NetworkSpec.source`. Only the end tells the hashes: before it stands an address or a file's name.
_HASHES = re.compile(r"(.*), sha256 ([0-9a-f]{64})(?:, sha1 ([0-9a-f]{40}))?", re.DOTALL)


def known_file(path: Path, name: str) -> tuple[str, CatalogEntry | None]:
    """A file's hashes, and what the catalogue knows it as.

    Parameters
    ----------
    name : str
        What the network will be called: the catalogue's network of that name goes before others.

    Returns
    -------
    hashes : str
        What `NetworkSpec.source` ends with: ``sha256 <64 hex digits>``, and ``, sha1 <40>`` where the
        file is known by that alone.
    entry : CatalogEntry or None
        None for a file nobody listed.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    sha256 = file_hash(path, "sha256")
    hashes, entries = f"sha256 {sha256}", catalog.by_file(sha256=sha256)
    if not entries:
        sha1 = file_hash(path, "sha1")
        entries = catalog.by_file(sha1=sha1)
        if entries:
            hashes = f"{hashes}, sha1 {sha1}"
    return hashes, next(iter(_named_first(entries, name)), None)


def published_facts(spec: NetworkSpec) -> CatalogEntry | None:
    """What the catalogue says of the very file that a network was made from, or None.

    The accuracy is left out where the network's images are prepared in another way than the published
    one, and nothing holds if the weights were put into another graph. Random weights are always ours.
    """
    made_here = [known for known in catalog.NETWORKS if not known.trained] if not spec.trained else []
    entry = next((found for found in (*_made_of(spec), *made_here) if found.arch == spec.arch), None)
    if entry is None or spec.preprocess == entry.preprocess:
        return entry
    return dataclasses.replace(entry, top1=None, top5=None, accuracy_source="")


def check_is_the_catalogues(spec: NetworkSpec, file: str) -> None:
    """See that a network about to be stored may bear its name, if that is one of the catalogue's.

    The same weights from another file cannot be told from other weights, as nobody published a hash of
    the weights alone; so they pass, and `published_facts` says nothing of them.

    Parameters
    ----------
    spec : NetworkSpec
        With its `source`.
    file : str
        For the message.

    Raises
    ------
    UsageError
        If the file provably holds another network.
    """
    # In other letters too: on some file systems AlexNet and alexnet are one folder.
    entry = next((known for known in catalog.NETWORKS if known.name == spec.name.lower()), None)
    difference = None if entry is None else _difference(spec, entry)
    if entry is not None and difference is not None:
        files = " or ".join(source.filename for source in entry.sources)
        raise UsageError(
            f"{file}: {difference}, and {entry.name!r} is the catalogue's name of another network, "
            f"{entry.about}{f' ({files})' if files else ''}; give yours a name of its own with --as"
        )


def _difference(spec: NetworkSpec, entry: CatalogEntry) -> str | None:
    """What proves that a network is not the one of `entry`, if anything does."""
    if not entry.trained:
        return "it is a file of weights"
    if spec.arch != entry.arch:
        return "its graph is none of ours" if spec.arch == "onnx" else f"its graph is {spec.arch}'s"
    files = _made_of(spec)
    if any(known.name == entry.name for known in files):
        return None
    other = next((known for known in files if known in catalog.NETWORKS and known.arch == "onnx"), None)
    if other is not None:
        return f"it is the catalogue's {other.name!r}"
    lengths = {layer.dim(pool) for layer in spec.layers for pool in ("flatten", entry.pool)}
    for layer, length in entry.layers:
        if length not in lengths:
            return f"none of its layers gives {length} numbers, as {layer} does"
    return None


def _made_of(spec: NetworkSpec) -> list[CatalogEntry]:
    """Every network that the file of `spec` is published as; the one of its own name first."""
    found = _HASHES.fullmatch(spec.source)
    if found is None:
        return []
    address, sha256, sha1 = found.groups()
    return _named_first(catalog.by_file(sha256=sha256, sha1=sha1, address=address), spec.name)


def _named_first(entries: Iterable[CatalogEntry], name: str) -> list[CatalogEntry]:
    return sorted(entries, key=lambda entry: entry.name != name)


def file_hash(path: Path, kind: str) -> str:
    """Hex digest of a file, by `hashlib`'s name of the hash."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, kind).hexdigest()
    except OSError as exc:
        raise WeightsError(
            f"{path}: cannot be read ({exc.strerror or exc}); give the path of a file"
        ) from exc
