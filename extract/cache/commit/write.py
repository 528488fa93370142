"""Old rows and segments become one new file, which then takes the old one's place.

Why a kill at any instant leaves a whole cache, and a flipped bit stays found (``test_cache_kill`` and
``test_cache_moved`` hold it to that):

1. Files that rows come from are only read. The new file is another one, ``features.h5.tmp``, of which nobody
   reads a byte under that name: a kill before the rename leaves the old file as it was, and the next run
   removes the rest. Where the file system clones, it copies what both files share before either changes it.
2. The rename comes after the new file is complete, sealed and on the disk (fsync), and after every span that
   was to be copied has been (`RowColumn.append` and `Target.close` settle them). It is atomic: there is the
   old file or the new. Segments are removed after that; what a kill leaves of them holds rows that are equal.
3. A row that moves as bytes is not looked at. Its two checksums move with it, read through the old file's
   seal, and those of its new block and chunk are computed of them alone, never of the bytes. So bytes that
   were not as they were sealed, or were damaged on the way, contradict the new file as they did the old:
   HDF5's Fletcher-32 and our CRC-32 name the rows to every reader and to ``cache verify``, and
   ``extract --repair`` redoes them. A commit vouches for nothing that it has not read, and so does not end at
   a damaged row that moves.
4. Rows that do not move (from files without checksums of rows or where these are damaged, into another type,
   in runs too short to be worth it) are decoded, compared with the CRC-32 of their block and summed anew. One
   that fails ends the commit, and the old file stays: new checksums of it would hide the damage.
5. The library is told where a moved chunk lies by writing one that stands for it. If it kept that back, the
   new file would hold that in place of rows; so this ends the commit, too (`Target.check_written`).

Equal rows give equal bytes, whatever the file was before and whichever rows moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fc7.extract.cache.commit.features import LayerRows, write_features
from fc7.extract.cache.commit.row_locations import Record, RowLocations
from fc7.extract.cache.commit.thumbnail_columns import copy_thumbnails, thumbnail_names
from fc7.extract.cache.format.checksums import checksums_of_rows
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
from fc7.extract.cache.format.sources import Sources
from fc7.extract.records import Failure
from fc7.models.common.errors import CacheCorruptError, CacheError
from fc7.models.common.progress import Progress


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

    Examples
    --------
    >>> from fc7.extract.cache.kept import KeptRow
    >>> rows = [KeptRow(path, "cat", None, None, 70, 1) for path in ("cat/1.jpg", "cat/2.jpg")]
    >>> check_records(rows, [Failure("cat/3.jpg", "cut short", 7, 1)])
    >>> check_records(rows, [Failure("cat/2.jpg", "cut short", 7, 1)])
    Traceback (most recent call last):
    ...
    fc7.models.common.errors.CacheError: images are listed twice, as failures or as both: ['cat/2.jpg']
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
        if not same_columns(old, [*locations.columns(sources), *failure_columns(failures)]):
            return False
        sums = [checksums_of_rows(features_name(layer)) for layer in found.identity.layers]
        old.check([*thumbnail_names(old), *sums])
    except CacheCorruptError:
        # A damaged column is written anew: all of it comes from the listing, or is made of features.
        return False
    return True


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
            column = file.add_rows(features_name(layer), (n, identity.dims[layer]), dtype, attributes=about)
            layer_rows = LayerRows(layer, locations.source[i], locations.row[i])
            write_features(column, layer_rows, sources, progress=progress)
        write_columns(file, locations.columns(sources))
        copy_thumbnails(file, locations, sources)
        write_columns(file, failure_columns(failures))
    progress.finish()
