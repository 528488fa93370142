"""Where the features of the rows to be written lie, over all files; about 20 bytes a row are in memory.

The listing is what everything is looked up in: a file's paths are read piece by piece and forgotten. What
counts of several rows with one path is as in `joining`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from extract.cache.index import Ints, RowIndex, read_failures
from extract.cache.placed import Held, Placed, Record
from extract.cache.sealed_reader import SealedReader
from extract.cache.sources import Sources
from models.errors import CacheError

# Rows of a file that are looked up at a time.
_STEP = 1 << 16


def place(
    sources: Sources,
    held: Sequence[Held],
    known: RowIndex,
    records: Sequence[Record],
    moved: Mapping[str, str],
    layers: Sequence[str],
) -> Placed:
    """Find every record's features.

    Parameters
    ----------
    sources : Sources
        All files with rows there are now, the oldest first.
    held : sequence of Held
        One for each of them.
    known : RowIndex
        The rows that were there when `moved` was made up: the name that an image left may mean
        another image by now. Its sources are among `sources`, under the same numbers.
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
    CacheCorruptError
        If a file's paths or digests fail a checksum.
    """
    found = _Found(sources, records, layers)
    for number, file in enumerate(held):
        found.take(number, file)
    found.forget_failed()
    found.check(moved)
    if moved:
        found.move(known, moved)
    lacking = np.flatnonzero((found.source < 0).any(axis=0))
    if len(lacking):
        raise CacheError(
            f"{len(lacking)} of {len(records)} images have no features yet "
            f"({records[int(lacking[0])].path}, ...); nothing was written, what is finished is kept: run the "
            "same command again"
        )
    return Placed(records, found.source, found.row)


class _Found:
    """What is known of each record while file after file is read."""

    def __init__(self, sources: Sources, records: Sequence[Record], layers: Sequence[str]) -> None:
        n = len(records)
        self.source = np.full((len(layers), n), -1, np.int32)
        self.row = np.zeros((len(layers), n), np.int64)
        self._sources = sources
        self._records = records
        self._layers = list(layers)
        # A row made from the record's content; it may have none of the layers.
        self._some = np.full(n, -1, np.int32)
        # That of the first layer is one, so one array serves for both.
        self._some_row = self.row[0]
        self._newest = np.full(n, -1, np.int32)
        self._is_other = np.zeros(n, np.bool_)
        self._failed: dict[int, int] = {}
        self._guess = 0

    def take(self, number: int, held: Held) -> None:
        """Take in the rows and failures of one file."""
        file = self._sources[number]
        usable = {layer: held.lost.get(layer, ()) for layer in held.layers if layer in self._layers}
        for rows, at in self._rows(file):
            size = file.read("size", rows.start, rows.stop)
            mtime_ns = file.read("mtime_ns", rows.start, rows.stop)
            file_rows = np.arange(rows.start, rows.stop)
            listed = at >= 0
            at, file_rows = at[listed], file_rows[listed]
            self._is_other[at] = self._differs(at, size[listed], mtime_ns[listed])
            fresh = self._begins_anew(number, at, file_rows)
            self.source[:, at[fresh]] = -1
            self._some[at[fresh]], self._some_row[at[fresh]] = number, file_rows[fresh]
            self._newest[at] = number
            for layer, lost in usable.items():
                i = self._layers.index(layer)
                into = (self.source[i, at] < 0) & ~_inside(lost, file_rows)
                self.source[i, at[into]], self.row[i, at[into]] = number, file_rows[into]
                if i == 0:
                    self._some[at[into]] = number
        for failure in read_failures(file):
            position = self._find(failure.path)
            if position >= 0 and not failure.unseen:
                self._failed[position] = number

    def forget_failed(self) -> None:
        """A path is a row or a failure, whichever came last."""
        for position, number in self._failed.items():
            if self._newest[position] <= number:
                self.source[:, position] = -1
                self._newest[position] = -1

    def check(self, moved: Mapping[str, str]) -> None:
        """Nobody gets the features of what a file was before."""
        for position in np.flatnonzero(self._is_other & (self._newest >= 0)).tolist():
            record = self._records[position]
            if record.path not in moved:
                size, mtime_ns = self._made_from(position)
                raise CacheError(
                    f"{record.path} is listed with {record.size} bytes, mtime_ns {record.mtime_ns}, and its "
                    f"row was made from {size} bytes, mtime_ns {mtime_ns}; nothing was written: run the same "
                    "command again"
                )

    def move(self, known: RowIndex, moved: Mapping[str, str]) -> None:
        """Give moved images the features of the name they had.

        Layers that are lacking there may have been made under the new name.
        """
        at = np.array([i for i, record in enumerate(self._records) if record.path in moved], np.int64)
        old = np.fromiter((known.find(moved[self._records[i].path]) for i in at.tolist()), np.int64, len(at))
        own_source, own_row = self.source[:, at], self.row[:, at]
        has_own = self._newest[at] >= 0
        own_digest = self._digests(np.where(has_own, self._some[at], -1), self._some_row[at])
        source, row = np.full_like(own_source, -1), np.zeros_like(own_row)
        there = old >= 0
        for i, layer in enumerate(self._layers):
            if layer in known.layers:
                j = known.layers.index(layer)
                source[i, there] = known.source[j, old[there]]
                row[i, there] = known.row[j, old[there]]
        digest = np.zeros((len(at), 32), np.uint8)
        digest[there] = known.sha256[old[there]]
        same = has_own & (own_digest == digest).all(axis=1)
        lacking = (source < 0) & same
        source[lacking], row[lacking] = own_source[lacking], own_row[lacking]
        self.source[:, at], self.row[:, at] = source, row

    def _rows(self, file: SealedReader) -> Iterator[tuple[range, Ints]]:
        """Rows of a file, and the position of each in the listing (-1: it is not there)."""
        n = file["path"].shape[0]
        for start in range(0, n, _STEP):
            rows = range(start, min(n, start + _STEP))
            names = file.read("path", rows.start, rows.stop).tolist()
            yield rows, np.fromiter((self._find(name.decode()) for name in names), np.int64, len(rows))

    def _find(self, path: str) -> int:
        # Files are mostly in the order of the listing: the next one is tried first.
        i, records = self._guess, self._records
        if not (i < len(records) and records[i].path == path):
            i = bisect_left(records, path, key=_path)
            if i == len(records) or records[i].path != path:
                self._guess = i
                return -1
        self._guess = i + 1
        return i

    def _differs(self, at: Ints, size: Ints, mtime_ns: Ints) -> NDArray[np.bool_]:
        """Which rows are of another size or time than the listing says."""
        listed = [self._records[i] for i in at.tolist()]
        sizes = np.fromiter((record.size for record in listed), np.int64, len(at))
        times = np.fromiter((record.mtime_ns for record in listed), np.int64, len(at))
        differs: NDArray[np.bool_] = (size != sizes) | (mtime_ns != times)
        return differs

    def _made_from(self, position: int) -> tuple[int, int]:
        """Size and time of a record's newest row."""
        file = self._sources[int(self._newest[position])]
        for rows, at in self._rows(file):
            for row in (rows.start + np.flatnonzero(at == position)).tolist():
                return int(file.read("size", row, row + 1)[0]), int(file.read("mtime_ns", row, row + 1)[0])
        raise AssertionError("the row was there when its file was read before")

    def _begins_anew(self, number: int, at: Ints, rows: Ints) -> NDArray[np.bool_]:
        """Which of a file's rows are the first of their path, or of another content than before."""
        fresh = self._some[at] < 0
        again = np.flatnonzero(~fresh)
        if len(again):
            before = self._digests(self._some[at[again]], self._some_row[at[again]])
            now = self._digests(np.full(len(again), number, np.int32), rows[again])
            fresh[again] = (before != now).any(axis=1)
        return fresh

    def _digests(self, source: NDArray[np.int32], row: Ints) -> NDArray[np.uint8]:
        """Digests of rows anywhere, shape (n, 32); zeros where the source is negative."""
        found = np.zeros((len(row), 32), np.uint8)
        there = np.flatnonzero(source >= 0)
        if len(there):
            hexes = self._sources.take("sha256", source[there], row[there])
            found[there] = np.frombuffer(bytes.fromhex(hexes.tobytes().decode()), np.uint8).reshape(-1, 32)
        return found


_path = attrgetter("path")


def _inside(ranges: Sequence[range], rows: Ints) -> NDArray[np.bool_]:
    inside = np.zeros(len(rows), np.bool_)
    for some in ranges:
        inside |= (rows >= some.start) & (rows < some.stop)
    return inside
