"""Old rows and segments become one new file, which then takes the old one's place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.commit.row_locations import Record, RowLocations
from fc7.extract.cache.commit.thumbnail_columns import check_thumbnails, copy_thumbnails
from fc7.extract.cache.format.columns import failure_columns, same_columns, write_columns
from fc7.extract.cache.format.header import (
    CacheHeader,
    Run,
    Storage,
    features_name,
    stale_named,
    tool_version,
)
from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.format.sealed_writer import SealedWriter
from fc7.extract.cache.format.sources import Ints, Sources
from fc7.extract.records import Failure
from fc7.models.common.errors import CacheCorruptError, CacheError, DataError
from fc7.models.common.progress import Progress

# Features that are in memory at a time. Large enough that rows in any order are read in few passes.
_PIECE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit did.

    Attributes
    ----------
    rows, failures : int
        That were committed.
    written : bool
        False if the file was not touched: it held just this already, or there was nothing.
    """

    rows: int
    failures: int
    written: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """What a cache is to hold.

    Attributes
    ----------
    records : sequence of Record
        What its rows are about; sorted by path.
    failures : sequence of Failure
        Sorted by path.
    roots : tuple of str
        Where the images lie.
    stale : sequence of Failure
        Why some of the images, whose rows are kept, cannot be looked at.
    """

    records: Sequence[Record]
    failures: Sequence[Failure]
    roots: tuple[str, ...]
    stale: Sequence[Failure] = ()


def header_of(
    identity: CacheIdentity, storage: Storage, contents: Contents, runs: tuple[Run, ...]
) -> CacheHeader:
    """What a new file says of itself: its own counts, and this fc7's version."""
    records = contents.records
    return CacheHeader(
        identity=identity,
        storage=storage,
        rows=len(records),
        failures=len(contents.failures),
        labelled=sum(1 for record in records if record.label),
        classes=len({record.label for record in records if record.label}),
        roots=contents.roots,
        runs=runs,
        tool_version=tool_version(),
        stale=len(contents.stale),
        stale_rows=stale_named(contents.stale),
    )


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
        raise CacheError(f"images are listed twice, as failures or as both: {both[:1] or 'failures'}")


def unchanged(
    sources: Sources,
    found: CacheHeader,
    wanted: CacheHeader,
    locations: RowLocations,
    failures: Sequence[Failure],
) -> bool:
    """Whether the first file holds just these rows and failures already, and so need not be written.

    Which fc7 wrote it does not count.
    """
    same = all(
        getattr(found, name) == getattr(wanted, name)
        for name in ("identity", "storage", "roots", "stale", "stale_rows")
    )
    if not same or not locations.is_all_of(0, found.rows):
        return False
    try:
        old = sources[0]
        check_thumbnails(old)
        return same_columns(old, [*locations.columns(sources), *failure_columns(failures)])
    except CacheCorruptError:
        # A damaged column is written anew: all of it comes from the listing.
        return False


def write_cache(
    path: Path,
    header: CacheHeader,
    locations: RowLocations,
    failures: Sequence[Failure],
    sources: Sources,
    progress: Progress,
) -> None:
    """Write a whole cache; durable when this returns.

    Parameters
    ----------
    path : Path
        Not the cache's own name: that is for the caller to give it.
    failures : sequence of Failure
        Sorted by path.
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
    n = len(locations.records)
    identity = header.identity
    dtype = np.dtype(header.storage).newbyteorder("<")
    progress.start(n * len(identity.layers), "committing")
    with SealedWriter(path, header.to_attributes()) as file:
        for i, layer in enumerate(identity.layers):
            about = {"layer": layer, "fingerprint": identity.fingerprints[layer]}
            shape = (n, identity.dims[layer])
            column = file.add(features_name(layer), shape, dtype, attributes=about)
            for rows in _pieces(sources, layer, locations.source[i], locations.row[i], shape[1]):
                column.append(rounded(rows, header.storage, layer))
                progress.advance(len(rows))
        write_columns(file, locations.columns(sources))
        copy_thumbnails(file, locations, sources)
        write_columns(file, failure_columns(failures))
    progress.finish()


def _pieces(
    sources: Sources, layer: str, source: NDArray[np.int32], row: Ints, dim: int
) -> Iterator[NDArray[Any]]:
    step = max(1, _PIECE_BYTES // (4 * dim))
    for start in range(0, len(row), step):
        yield sources.take(features_name(layer), source[start : start + step], row[start : start + step])


def rounded(rows: NDArray[Any], storage: Storage, layer: str) -> NDArray[Any]:
    """Features as they are stored.

    Raises
    ------
    DataError
        If a finite number would become infinite in float16.

    Examples
    --------
    >>> rounded(np.array([[1 / 3, 65504]], np.float32), "float16", "fc7")
    array([[3.333e-01, 6.550e+04]], dtype=float16)
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
