"""What a cache says of itself: its attributes, and the names of its datasets. Format version 1.

::

    /features/<layer>            (n_rows, dim) float32 or float16; blocks of about 1 MiB, Fletcher-32;
                                 attributes: layer, fingerprint
    /checksums_of_rows/<layer>   (n_rows, 2) uint32: CRC-32 and Fletcher-32 of each row, see `row_checksums`;
                                 a commit moves rows by them. Files of before there were any have none,
                                 readers need none
    /path /label /group /split   (n_rows,) UTF-8 of fixed length; path unique, rows sorted by its bytes;
                                 label, group and split are empty where there is none
    /size /mtime_ns /sha256      (n_rows,) int64, int64, 64 hex digits: what the row was made from
    /thumbnail                   (n_rows, 64) uint8: 8 x 8 greys of an image, `extract.images.thumbnails`;
                                 zeros for a row made before there were thumbnails, no dataset if all are
    /colour                      (n_rows, 32) uint8: 4 x 4 Cb, then Cr, 128 where grey; zeros or no
                                 dataset as there
    /failures/path|reason|size|mtime_ns
                                 (n_failures,) images that gave no row, sorted by path
    /checksums                   see `checksums`
    attributes                   format, format_version, fingerprint (of all layers together), network,
                                 layers, preprocessing (JSON), pool, trained (0 or 1), roots, rows,
                                 failures, labelled (rows with a label), classes (different labels),
                                 runs (JSON), tool_version (the fc7 that wrote the file); and, only if
                                 the last run could not look at some images whose rows it kept, stale (how
                                 many) and stale_rows (JSON: path and reason of the first)

``runs`` is a list of records, one for each different way rows were made (engine, precision,
versions), with the number of rows it brought in. There are no times in the file: the same rows
give the same bytes. A layer's name may hold ``/`` or ``%``; in the dataset's name they are
``%2F`` and ``%25``.

To change the format: raise `FORMAT_VERSION`, keep the code that reads the older one, and keep a
file of the older version in ``tests/data`` with a test that loads it. A new attribute or dataset that older
readers may ignore needs no new version: what the seal covers, the file says itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

from fc7.extract.cache.format.hdf5 import Attribute
from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.format.sealed_reader import SealedReader
from fc7.extract.cache.format.storable import storable_failure
from fc7.extract.records import Failure
from fc7.models.common.errors import CacheCorruptError
from fc7.models.network.spec import PreprocessSpec

# An attribute has 64 KiB at most.
_STALE_BYTES = 30_000
_STALE_NAMED = 20

FORMAT = "fc7-features"
FORMAT_VERSION = 1
KIND = "a feature cache"

Storage = Literal["float32", "float16"]
Run = Mapping[str, str | int]


def open_cache(path: Path) -> SealedReader:
    """Open a cache; its attributes are checked, its rows when they are read.

    Raises
    ------
    CacheError, CacheCorruptError
        As `SealedReader`.
    """
    return SealedReader(path, KIND, FORMAT, version=FORMAT_VERSION)


def features_name(layer: str) -> str:
    """Name of the dataset with a layer's features."""
    # "." is what HDF5 calls the group itself.
    return "features/" + ("%2E" if layer == "." else layer.replace("%", "%25").replace("/", "%2F"))


@cache
def tool_version() -> str:
    """The version of fc7 that is running; "unknown" from a checkout that is not installed."""
    try:
        return metadata.version("fc7")
    except metadata.PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True, slots=True)
class CacheHeader:
    """A cache's attributes.

    Attributes
    ----------
    storage : {"float32", "float16"}
        How features are kept.
    stale : int
        Rows whose images the last run of `extract` could not look at; a merge knows of none.
    stale_rows : tuple of (str, str)
        Path and reason of the first of them.
    """

    identity: CacheIdentity
    storage: Storage
    rows: int
    failures: int
    labelled: int
    classes: int
    roots: tuple[str, ...]
    runs: tuple[Run, ...]
    tool_version: str
    stale: int = 0
    stale_rows: tuple[tuple[str, str], ...] = ()

    def to_attributes(self) -> dict[str, Attribute]:
        """As they stand in the file."""
        stale: dict[str, Attribute] = {}
        if self.stale:
            stale = {"stale": self.stale, "stale_rows": json.dumps(self.stale_rows)}
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **identity_attributes(self.identity),
            "rows": self.rows,
            "failures": self.failures,
            "labelled": self.labelled,
            "classes": self.classes,
            "roots": list(self.roots),
            "runs": json.dumps(list(self.runs), sort_keys=True),
            "tool_version": self.tool_version,
            **stale,
        }

    @classmethod
    def read(cls, file: SealedReader) -> CacheHeader:
        """From an open cache.

        Raises
        ------
        CacheCorruptError
            If an attribute is missing or not what it should be.
        """
        found = file.attributes
        try:
            identity = read_identity(file)
            storage = file[features_name(identity.layers[0])].dtype.name
            return cls(
                identity=identity,
                storage="float16" if storage == "float16" else "float32",
                rows=_number(found["rows"]),
                failures=_number(found["failures"]),
                labelled=_number(found["labelled"]),
                classes=_number(found["classes"]),
                roots=_texts(found["roots"]),
                runs=tuple(json.loads(str(found["runs"]))),
                tool_version=str(found["tool_version"]),
                stale=_number(found.get("stale", 0)),
                stale_rows=tuple(
                    (str(path), str(reason))
                    for path, reason in json.loads(str(found.get("stale_rows", "[]")))
                ),
            )
        except (KeyError, ValueError, TypeError) as exc:
            raise CacheCorruptError(f"{file.path}: its attributes are not those of {KIND}: {exc}") from exc


def identity_attributes(identity: CacheIdentity) -> dict[str, Attribute]:
    """The file's attributes that state an identity."""
    return {
        "network": identity.network,
        "fingerprint": identity.fingerprint,
        "layers": list(identity.layers),
        "preprocessing": identity.preprocess.to_json(),
        "pool": identity.pool,
        "trained": int(identity.trained),
    }


def read_identity(file: SealedReader) -> CacheIdentity:
    """The identity that `identity_attributes` and the feature datasets state.

    Raises
    ------
    KeyError, ValueError, TypeError
        If something is missing or of another kind.
    """
    found = file.attributes
    layers = _texts(found["layers"])
    datasets = {layer: file[features_name(layer)] for layer in layers}
    identity = CacheIdentity(
        network=str(found["network"]),
        fingerprints={layer: str(datasets[layer].attributes["fingerprint"]) for layer in layers},
        dims={layer: datasets[layer].shape[1] for layer in layers},
        preprocess=PreprocessSpec.from_json(str(found["preprocessing"])),
        trained=bool(_number(found["trained"])),
        pool=str(found["pool"]),
    )
    if not layers or identity.fingerprint != found["fingerprint"]:
        raise ValueError(f"fingerprint is not that of layers {', '.join(layers)}")
    return identity


def stale_named(stale: Sequence[Failure]) -> tuple[tuple[str, str], ...]:
    """Path and reason of the first stale rows, as many as an attribute holds."""
    named: list[tuple[str, str]] = []
    room = _STALE_BYTES
    for failure in map(storable_failure, stale[:_STALE_NAMED]):
        room -= len(json.dumps((failure.path, failure.reason)))
        if room > 0:
            named.append((failure.path, failure.reason))
    return tuple(named)


def merged_runs(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Records that agree in all but the number of rows become one."""
    merged: dict[str, dict[str, str | int]] = {}
    for run in runs:
        about = {key: value for key, value in run.items() if key != "rows"}
        record = merged.setdefault(json.dumps(about, sort_keys=True), {**about, "rows": 0})
        record["rows"] = int(record["rows"]) + int(run.get("rows", 0))
    return tuple(record for record in merged.values() if record["rows"])


def _number(value: Attribute) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _texts(value: Attribute) -> tuple[str, ...]:
    if isinstance(value, str | int):
        raise TypeError(f"{value!r} is not a list of texts")
    return tuple(str(text) for text in value)
