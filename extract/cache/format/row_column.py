"""Features on their way into a new file: whole chunks as they are to lie there, and the checksums of rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.format.checksums import Sealed, rows_per_block
from fc7.extract.cache.format.column import Column
from fc7.extract.cache.format.hdf5 import Attribute, NewFile
from fc7.extract.cache.format.raw import FLETCHER_BYTES, ChunkPlaces, RawFile
from fc7.extract.cache.format.row_checksums import WIDTH, joined_crcs, joined_fletchers, row_checksums
from fc7.extract.cache.format.sources import Ints
from fc7.extract.cache.format.target import Part, Span

# Rows that are in memory at a time. Large enough that rows in any order are read in few passes.
_PIECE_BYTES = 16 << 20


class Piece:
    """The next rows of a `RowColumn`, several chunks of them; each is put or moved.

    Attributes
    ----------
    checksums : ndarray of shape (n_rows, 2), uint32
        Of each row; `row_checksums`.
    chunk_rows, row_bytes : int
        Rows of one chunk, and bytes of one row.
    """

    def __init__(self, n_rows: int, chunk_rows: int, row_bytes: int) -> None:
        self.n_rows = n_rows
        self.chunk_rows = chunk_rows
        self.row_bytes = row_bytes
        self.checksums = np.zeros((n_rows, WIDTH), np.uint32)
        self._held: NDArray[np.uint8] | None = None
        self._moved: list[tuple[int, int, Span]] = []

    def put(self, at: Ints, rows: NDArray[Any]) -> None:
        """Put rows at some positions of the piece, and sum them."""
        contiguous = np.ascontiguousarray(rows)
        if self._held is None:
            self._held = np.empty((self.n_rows, self.row_bytes), np.uint8)
        self._held[at] = contiguous.view(np.uint8)
        self.checksums[at] = row_checksums(contiguous)

    def move(self, at: Ints, rows: Ints, places: ChunkPlaces, raw: RawFile) -> None:
        """Let rows of another file be copied to some positions, in whose order they are given.

        Parameters
        ----------
        rows : ndarray of shape (n,), int64
            Which rows of the dataset that lies at `places`.
        """
        starts = self.run_starts(at, rows, places)
        lengths = np.diff(np.append(starts, len(rows)))
        chunk, first = np.divmod(rows[starts], places.rows)
        offsets = places.starts[chunk] + first * self.row_bytes
        same = places.rows == self.chunk_rows
        for start, length, offset in zip(
            at[starts].tolist(), lengths.tolist(), offsets.tolist(), strict=True
        ):
            # A chunk that stays whole keeps its Fletcher-32.
            more = FLETCHER_BYTES if same and length == self.chunk_rows else 0
            span = Span(raw, offset, length * self.row_bytes + more)
            self._moved.append((start, start + length, span))

    def run_starts(self, at: Ints, rows: Ints, places: ChunkPlaces) -> Ints:
        """Where in `rows` something begins that lies in one piece there, and is to lie so here."""
        follows = (np.diff(rows) == 1) & (np.diff(at) == 1)
        follows &= (rows[1:] % places.rows != 0) & (at[1:] % self.chunk_rows != 0)
        return np.flatnonzero(np.concatenate([[True], ~follows]))

    def crcs(self) -> NDArray[np.uint32]:
        """The CRC-32 of each chunk's rows."""
        return joined_crcs(self.checksums[:, 0], self.chunk_rows, self.row_bytes)

    def chunks(self) -> Iterator[list[Part]]:
        """What each chunk is made of."""
        sums = joined_fletchers(self.checksums[:, 1], self.chunk_rows, self.row_bytes).astype("<u4")
        moved = deque(sorted(self._moved, key=itemgetter(0)))
        for number, fletcher in enumerate(sums):
            at, stop = number * self.chunk_rows, min((number + 1) * self.chunk_rows, self.n_rows)
            parts: list[Part] = []
            while moved and moved[0][0] < stop:
                start, end, span = moved.popleft()
                parts += [*self._own(at, start), span]
                at = end
            parts += self._own(at, stop)
            beyond = (number + 1) * self.chunk_rows - stop
            parts += [memoryview(bytes(beyond * self.row_bytes))] * bool(beyond)
            if not (len(parts) == 1 and isinstance(parts[0], Span) and _is_whole(parts[0], self)):
                parts.append(memoryview(fletcher.tobytes()))
            yield parts

    def close(self) -> None:
        """Close the files that rows were moved from; they open again when they are needed."""
        for _, _, span in self._moved:
            span.raw.close()

    def _own(self, start: int, stop: int) -> list[memoryview]:
        if start == stop or self._held is None:
            return []
        return [self._held[start:stop].reshape(-1).data]


def _is_whole(span: Span, piece: Piece) -> bool:
    return span.size == piece.chunk_rows * piece.row_bytes + FLETCHER_BYTES


class RowColumn:
    """A dataset of numbers on its way into a `SealedWriter`, and another one of the checksums of its rows.

    Attributes
    ----------
    step : int
        Rows of every `Piece`; the last one may be shorter.
    """

    def __init__(
        self,
        file: NewFile,
        name: str,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        attributes: Mapping[str, Attribute],
        checksums: Column,
    ) -> None:
        self.dtype = dtype
        self._file = file
        self._name = name
        self._shape = shape
        self._attributes = attributes
        self._checksums = checksums
        self._block = rows_per_block(shape, dtype)
        self._chunk_rows = max(1, min(self._block, shape[0]))
        self._row_bytes = shape[1] * dtype.itemsize
        self._crcs: list[NDArray[np.uint32]] = []
        self._written = 0
        self.step = self._chunk_rows * max(1, _PIECE_BYTES // (self._chunk_rows * self._row_bytes))
        file.create(name, shape, dtype, chunk_rows=self._block, deflate=False)

    def piece(self) -> Piece:
        """Room for the rows after those that were appended."""
        return Piece(min(self.step, self._shape[0] - self._written), self._chunk_rows, self._row_bytes)

    def append(self, piece: Piece) -> None:
        """Write rows; none may lack."""
        self._crcs.append(piece.crcs())
        for number, parts in enumerate(piece.chunks()):
            self._file.write_chunk(self._name, self._written + number * piece.chunk_rows, parts)
        self._file.settle()
        piece.close()
        self._written += piece.n_rows
        self._checksums.append(piece.checksums)

    def append_rows(self, rows: NDArray[Any]) -> None:
        """Write all rows."""
        for start in range(0, len(rows), self.step):
            piece = self.piece()
            piece.put(np.arange(piece.n_rows), rows[start : start + self.step].astype(self.dtype, copy=False))
            self.append(piece)

    def finish(self) -> Sealed:
        """What there is to seal."""
        if self._written != self._shape[0]:
            raise ValueError(f"{self._name}: {self._written} rows were written, {self._shape[0]} announced")
        crcs = np.concatenate([np.empty(0, "<u4"), *self._crcs])
        return Sealed(self._shape, self.dtype, self._block, attributes=self._attributes, crcs=crcs)
