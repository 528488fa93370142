"""Old rows and segments become one new file, which then takes the old one's place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from extract.cache.columns import (
    AnyColumn,
    DigestColumn,
    NumberColumn,
    TextColumn,
    failure_columns,
    same_columns,
    write_columns,
)
from extract.cache.header import Header, Storage, features_name
from extract.cache.index import Ints, RowIndex
from extract.cache.sealed_reader import SealedReader
from extract.cache.sealed_writer import SealedWriter
from extract.cache.sources import Sources
from extract.stages import Failure
from models.errors import CacheCorruptError, CacheError, DataError
from models.progress import Progress

# Features that are in memory at a time. Large enough that rows in any order are read in few passes.
_PIECE_BYTES = 16 << 20


class Record(Protocol):
    """What a row is about; an `ImageRef` is one."""

    @property
    def path(self) -> str:
        """Unique."""

    @property
    def label(self) -> str | None:
        """None without one."""

    @property
    def group(self) -> str | None:
        """None without one."""

    @property
    def split(self) -> str | None:
        """None without one."""

    @property
    def size(self) -> int:
        """Bytes of the image."""

    @property
    def mtime_ns(self) -> int:
        """Its modification time."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the features of the rows to be written lie.

    Attributes
    ----------
    records : sequence of Record
        Sorted by path.
    sha256 : ndarray of shape (n_rows, 32), uint8
    source, row : ndarray of shape (n_layers, n_rows)
        In the order of the layers to be written.
    """

    records: Sequence[Record]
    sha256: NDArray[np.uint8]
    source: NDArray[np.int32]
    row: Ints

    def columns(self) -> list[AnyColumn]:
        """Everything but the features."""
        texts: list[AnyColumn] = [
            TextColumn.of(name, self.records, name) for name in ("path", "label", "group", "split")
        ]
        return [
            *texts,
            NumberColumn.of("size", self.records, "size"),
            NumberColumn.of("mtime_ns", self.records, "mtime_ns"),
            DigestColumn("sha256", self.sha256),
        ]

    def is_all_of(self, number: int, n_rows: int) -> bool:
        """Whether these are just the rows of one file, in its order."""
        return (
            len(self.records) == n_rows
            and bool((self.source == number).all())
            and bool((self.row == np.arange(n_rows)).all())
        )


def place(
    index: RowIndex,
    known: RowIndex,
    records: Sequence[Record],
    moved: Mapping[str, str],
    layers: Sequence[str],
) -> Placed:
    """Find every record's features.

    Parameters
    ----------
    index : RowIndex
        All rows there are now.
    known : RowIndex
        The rows that were there when `moved` was made up: the name that an image left may mean
        another image by now. Its sources are among those of `index`, under the same numbers.
    records : sequence of Record
        Sorted by path, each path once.
    moved : mapping of str to str
        Path -> path in `known` whose features serve, because the content is the same.
    layers : sequence of str
        All of them are needed.

    Raises
    ------
    CacheError
        If a record has no row, or only one of another size or time: it would get features that are
        not its own.
    """
    n = len(records)
    placed = Placed(
        records,
        np.zeros((n, 32), np.uint8),
        np.full((len(layers), n), -1, np.int32),
        np.zeros((len(layers), n), np.int64),
    )
    stays = (-1 if record.path in moved else index.find(record.path) for record in records)
    own = np.fromiter(stays, np.int64, n)
    _check_own(index, records, own)
    _fill(placed, index, own, layers)
    if moved:
        comes = (known.find(moved[record.path]) if record.path in moved else -1 for record in records)
        _fill(placed, known, np.fromiter(comes, np.int64, n), layers)
        _complete(placed, index, layers)
    lacking = np.flatnonzero((placed.source < 0).any(axis=0))
    if len(lacking):
        raise CacheError(
            f"{len(lacking)} of {n} images have no features yet ({records[int(lacking[0])].path}, ...); "
            "nothing was written, what is finished is kept: run the same command again"
        )
    return placed


def _check_own(index: RowIndex, records: Sequence[Record], positions: Ints) -> None:
    """Nobody gets the features of what a file was before."""
    size = np.fromiter((record.size for record in records), np.int64, len(records))
    mtime_ns = np.fromiter((record.mtime_ns for record in records), np.int64, len(records))
    found = np.flatnonzero(positions >= 0)
    at = positions[found]
    other = found[(index.size[at] != size[found]) | (index.mtime_ns[at] != mtime_ns[found])]
    if len(other):
        i = int(other[0])
        raise CacheError(
            f"{records[i].path} is listed with {size[i]} bytes, mtime_ns {mtime_ns[i]}, and its row was made "
            f"from {index.size[positions[i]]} bytes, mtime_ns {index.mtime_ns[positions[i]]}; "
            "nothing was written: run the same command again"
        )


def _fill(placed: Placed, index: RowIndex, positions: Ints, layers: Sequence[str]) -> None:
    """Enter where the rows of `index` at `positions` (-1: none) lie."""
    found = np.flatnonzero(positions >= 0)
    at = positions[found]
    placed.sha256[found] = index.sha256[at]
    for i, layer in enumerate(layers):
        if layer in index.layers:
            j = index.layers.index(layer)
            placed.source[i, found] = index.source[j, at]
            placed.row[i, found] = index.row[j, at]


def _complete(placed: Placed, index: RowIndex, layers: Sequence[str]) -> None:
    """Layers that a moved row lacks may have been made under its new name."""
    for i in np.flatnonzero((placed.source < 0).any(axis=0)).tolist():
        own = index.find(placed.records[i].path)
        if own >= 0 and np.array_equal(index.sha256[own], placed.sha256[i]):
            for j, layer in enumerate(layers):
                if placed.source[j, i] < 0 and layer in index.layers:
                    k = index.layers.index(layer)
                    placed.source[j, i], placed.row[j, i] = index.source[k, own], index.row[k, own]


def check_records(records: Sequence[Record], failures: Sequence[Failure]) -> None:
    """Rows are the readable images, once each.

    Raises
    ------
    CacheError
        If a path comes twice, out of order, or both as a row and as a failure.
    """
    previous = None
    for record in records:
        if previous is not None and record.path <= previous:
            raise CacheError(f"{record.path} comes after {previous} or twice; a listing is sorted by path")
        previous = record.path
    failed = {failure.path for failure in failures}
    both = [record.path for record in records if record.path in failed]
    if both or len(failed) != len(failures):
        raise CacheError(f"{len(both) or 1} images are listed twice, as failures or as both ({both[:1]})")


def unchanged(
    old: SealedReader, found: Header, wanted: Header, placed: Placed, failures: Sequence[Failure]
) -> bool:
    """Whether the old file holds just these rows and failures already, and so need not be written.

    Which fc7 wrote it does not count.
    """
    same = (found.identity, found.storage, found.roots) == (wanted.identity, wanted.storage, wanted.roots)
    if not same or not placed.is_all_of(0, found.rows):
        return False
    try:
        return same_columns(old, placed.columns(), found.rows) and same_columns(
            old, failure_columns(failures), len(failures)
        )
    except CacheCorruptError:
        # A damaged column is written anew: all of it comes from the listing.
        return False


def write_cache(
    path: Path,
    header: Header,
    placed: Placed,
    failures: Sequence[Failure],
    sources: Sources,
    progress: Progress,
) -> None:
    """Write a whole cache; durable when this returns.

    Parameters
    ----------
    path : Path
        Not the cache's own name: that is for the caller to give it.
    header : Header
    placed : Placed
    failures : sequence of Failure
        Sorted by path.
    sources : Sources
    progress : Progress
        Is told of rows times layers.

    Raises
    ------
    OSError
        If the file system fails.
    CacheCorruptError
        If a row fails its checksum.
    DataError
        If a number is too large for float16.
    """
    n = len(placed.records)
    identity = header.identity
    dtype = np.dtype(header.storage).newbyteorder("<")
    progress.start(n * len(identity.layers), "committing")
    with SealedWriter(path, header.to_attributes()) as file:
        for i, layer in enumerate(identity.layers):
            about = {"layer": layer, "fingerprint": identity.fingerprints[layer]}
            shape = (n, identity.dims[layer])
            column = file.add(features_name(layer), shape, dtype, attributes=about)
            for rows in _pieces(sources, layer, placed.source[i], placed.row[i], shape[1]):
                column.append(rounded(rows, header.storage, layer))
                progress.advance(len(rows))
        write_columns(file, placed.columns(), n)
        write_columns(file, failure_columns(failures), len(failures))
    progress.finish()


def _pieces(
    sources: Sources, layer: str, source: NDArray[np.int32], row: Ints, dim: int
) -> Iterator[NDArray[Any]]:
    step = max(1, _PIECE_BYTES // (4 * dim))
    for start in range(0, len(row), step):
        yield sources.features(layer, source[start : start + step], row[start : start + step])


def rounded(rows: NDArray[Any], storage: Storage, layer: str) -> NDArray[Any]:
    """Features as they are stored.

    Raises
    ------
    DataError
        If a finite number would become infinite in float16.
    """
    if storage == "float32" or rows.dtype == np.float16:
        return rows
    with np.errstate(over="ignore"):
        halves = rows.astype(np.float16)
    if (np.isinf(halves) & np.isfinite(rows)).any():
        largest = float(np.abs(rows[np.isfinite(rows)]).max())
        raise DataError(
            f"layer {layer} has values up to {largest:.6g}, and float16 ends at 65504: keep float32"
        )
    return halves
