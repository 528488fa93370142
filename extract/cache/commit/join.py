"""Entries of many files become one index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from fc7.extract.cache.commit.index import Entries, MadeFrom, PackedPaths, Places, RowIndex
from fc7.extract.cache.format.sources import Ints
from fc7.extract.records import Failure


def join(files: Sequence[Entries]) -> RowIndex:
    """One index of the rows of all files; what comes later in `files` is newer.

    Of two rows with one path and the same content, the earlier stays and takes from the later
    the layers that it lacks; with different content the later one stays. A path is a row or a
    failure, whichever came last; a failure that says nothing of the content (`Failure.unseen`)
    takes back nothing.

    Returns
    -------
    RowIndex
        Its sources are positions in `files`.
    """
    layers = tuple(dict.fromkeys(layer for entries in files for layer in entries.layers))
    paths = PackedPaths(
        b"".join(entries.paths.blob for entries in files),
        np.concatenate([np.empty(0, np.int64), *(entries.paths.lengths for entries in files)]),
    )
    places = _places(files, layers)
    made_from = MadeFrom.of([entries.made_from for entries in files])
    newest = np.repeat(np.arange(len(files)), [len(entries.paths) for entries in files])

    order, starts = _sorted_groups(paths)
    chosen = order[starts]
    for position, group in _doubles(order, starts):
        kept = group[0]
        for later in group[1:]:
            kept = _kept(made_from, places, kept, later=later)
            newest[kept] = newest[later]
        chosen[position] = kept

    distinct = paths.taken(chosen)
    failures, failed_rows = _last_failures(files, distinct, newest[chosen])
    if failed_rows:
        staying = np.setdiff1d(np.arange(len(chosen)), failed_rows)
        chosen, distinct = chosen[staying], distinct.taken(staying)
    if distinct is not paths:
        made_from, places = made_from.taken(chosen), places.taken(chosen)
    return RowIndex(distinct, made_from, layers, places=places, failures=failures)


def _kept(made_from: MadeFrom, places: Places, earlier: int, later: int) -> int:
    """Which of two rows of one path stays; the earlier one takes what it lacks from an equal later one."""
    if not np.array_equal(made_from.sha256[earlier], made_from.sha256[later]):
        return later
    lacking = places.source[:, earlier] < 0
    for column in (places.source, places.row):
        column[lacking, earlier] = column[lacking, later]
    made_from.size[earlier], made_from.mtime_ns[earlier] = made_from.size[later], made_from.mtime_ns[later]
    return earlier


def _places(files: Sequence[Entries], layers: tuple[str, ...]) -> Places:
    """Which file holds each layer of each entry, and in which row."""
    counts = [len(entries.paths) for entries in files]
    source = np.full((len(layers), sum(counts)), -1, np.int32)
    row = np.zeros((len(layers), sum(counts)), np.int64)
    begin = 0
    for number, (entries, count) in enumerate(zip(files, counts, strict=True)):
        for layer in entries.layers:
            at = layers.index(layer)
            source[at, begin : begin + count] = number
            row[at, begin : begin + count] = np.arange(count)
            for lost in entries.lost.get(layer, ()):
                source[at, begin + lost.start : begin + lost.stop] = -1
        begin += count
    return Places(source, row)


def _sorted_groups(paths: PackedPaths) -> tuple[Ints, Ints]:
    """Positions by path, equal paths in the order of their files; and where a new path begins there."""
    every = np.arange(len(paths))
    if all(before < after for before, after in pairwise(paths)):
        return every, every
    order = sorted(range(len(paths)), key=paths.__getitem__)
    ordered = (paths[i] for i in order)
    is_new = [True, *(before != after for before, after in pairwise(ordered))]
    return np.array(order), np.flatnonzero(is_new)


def _doubles(order: Ints, starts: Ints) -> Iterator[tuple[int, list[int]]]:
    """Paths that occur more than once: (number of the path, its entries)."""
    ends = np.append(starts[1:], len(order))
    for position in np.flatnonzero(ends - starts > 1).tolist():
        yield position, order[starts[position] : ends[position]].tolist()


def _last_failures(
    files: Sequence[Entries], paths: PackedPaths, newest: Ints
) -> tuple[dict[str, Failure], list[int]]:
    """The failures that no later row took back, and the rows that a later failure did."""
    last: dict[str, tuple[int, Failure]] = {}
    for number, entries in enumerate(files):
        for failure in entries.failures:
            if not (failure.unseen and failure.path in last):
                last[failure.path] = number, failure
    failures: dict[str, Failure] = {}
    failed_rows = []
    for path, (number, failure) in sorted(last.items()):
        i = paths.find(path.encode())
        if i >= 0 and (failure.unseen or newest[i] > number):
            continue
        failures[path] = failure
        if i >= 0:
            failed_rows.append(i)
    return failures, failed_rows
