"""Where the features of the rows to be written lie, over all files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.commit.index import Places, RowIndex
from fc7.extract.cache.commit.row_locations import Record, RowLocations
from fc7.extract.cache.format.sources import Ints
from fc7.models.common.errors import CacheError


def locate(
    index: RowIndex,
    known: RowIndex,
    records: Sequence[Record],
    moved: Mapping[str, str],
    layers: Sequence[str],
) -> RowLocations:
    """Find every record's features.

    Parameters
    ----------
    index : RowIndex
        All rows that there are now.
    known : RowIndex
        The rows that were there when `moved` was made up: the name that an image left may mean
        another image by now. Its sources have the numbers that they have in `index`.
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
    at = index.find_all(record.path for record in records)
    _check(index, at, records, moved=moved)
    places = _places(index, at, layers)
    if moved:
        stays = np.array([record.path not in moved for record in records])
        before = np.array([known.find(moved.get(record.path, "")) for record in records], np.int64)
        old = _places(known, before, layers)
        # Layers that are lacking under the old name may have been made under the new one.
        own = stays | ((old.source < 0) & _same_content(index, at, known, before=before))
        places = Places(np.where(own, places.source, old.source), np.where(own, places.row, old.row))
    lacking = np.flatnonzero((places.source < 0).any(axis=0))
    if len(lacking):
        raise CacheError(
            f"{len(lacking)} of {len(records)} images have no features yet "
            f"({records[int(lacking[0])].path}, ...); nothing was written, what is finished is kept: run the "
            "same command again"
        )
    return RowLocations(records, places.source, places.row)


def _check(index: RowIndex, at: Ints, records: Sequence[Record], moved: Mapping[str, str]) -> None:
    """Nobody gets the features of what a file was before."""
    n = len(records)
    size = np.fromiter((record.size for record in records), np.int64, n)
    mtime_ns = np.fromiter((record.mtime_ns for record in records), np.int64, n)
    changed = (at >= 0) & ((index.size[at] != size) | (index.mtime_ns[at] != mtime_ns))
    for i in np.flatnonzero(changed).tolist():
        record = records[i]
        if record.path not in moved:
            size_then, mtime_then = index.size[at[i]], index.mtime_ns[at[i]]
            raise CacheError(
                f"{record.path} is listed with {record.size} bytes, mtime_ns {record.mtime_ns}, and its "
                f"row was made from {size_then} bytes, mtime_ns {mtime_then}; nothing was written: run the "
                "same command again"
            )


def _places(index: RowIndex, at: Ints, layers: Sequence[str]) -> Places:
    """File and row of each layer, shape (n_layers, n); -1 for what is not there."""
    source, row = np.full((len(layers), len(at)), -1, np.int32), np.zeros((len(layers), len(at)), np.int64)
    there = at >= 0
    for i, layer in enumerate(layers):
        if layer in index.layers:
            j = index.layers.index(layer)
            source[i, there], row[i, there] = index.source[j, at[there]], index.row[j, at[there]]
    return Places(source, row)


def _same_content(index: RowIndex, at: Ints, known: RowIndex, before: Ints) -> NDArray[np.bool_]:
    """Whether the rows at two positions are both there, and made from one content."""
    same = (at >= 0) & (before >= 0)
    same[same] = (index.sha256[at[same]] == known.sha256[before[same]]).all(axis=1)
    return same
