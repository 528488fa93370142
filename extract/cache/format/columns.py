"""Records to columns of fixed-length texts and numbers, block by block, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.format.sealed_reader import SealedReader
from fc7.extract.cache.format.sealed_writer import SealedWriter
from fc7.extract.cache.format.sources import Ints, Sources
from fc7.extract.cache.format.storable import storable_failure
from fc7.extract.records import Failure
from fc7.models.common.errors import CacheError

# So many records are turned into one array at a time; fewer where one long text makes all wide.
_STEP = 8192
_STEP_BYTES = 8 << 20
_HEX = np.dtype("S64")


@dataclass(frozen=True, slots=True)
class ColumnData:
    """A column that is made part by part when it is written.

    Attributes
    ----------
    name : str
        Of the dataset.
    step : int
        Rows of one part.
    part : callable
        Gives some rows.
    deflate : bool
        Whether it is compressed: not digests, of which half would stay for most of a commit's own time.
    """

    name: str
    dtype: np.dtype[Any]
    n_rows: int
    step: int
    part: Callable[[slice], NDArray[Any]]
    deflate: bool = True

    def blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """(First row, rows), in order."""
        for start in range(0, self.n_rows, self.step):
            yield start, self.part(slice(start, start + self.step))


def text_column(name: str, records: Sequence[Any], field: str) -> ColumnData:
    """The texts `field` of `records` as fixed-length UTF-8; None is the empty text.

    Raises
    ------
    CacheError
        If one holds a zero byte or is not valid Unicode; HDF5 could not give it back.
    """
    get = attrgetter(field)
    parts = (records[start : start + _STEP] for start in range(0, len(records), _STEP))
    width = max((_width(set(map(get, part)), name) for part in parts), default=0) or 1
    dtype = np.dtype(f"S{width}")

    def part(some: slice) -> NDArray[Any]:
        held = [*map(get, records[some])]
        # Many share a label: each text is encoded once.
        encoded = {text: (text or "").encode() for text in set(held)}
        return np.array([*map(encoded.__getitem__, held)], dtype)

    return ColumnData(name, dtype, len(records), step=max(1, min(_STEP, _STEP_BYTES // width)), part=part)


def number_column(name: str, records: Sequence[Any], field: str) -> ColumnData:
    """The numbers `field` of `records`, int64."""
    get, dtype = attrgetter(field), np.dtype("<i8")

    def part(some: slice) -> NDArray[Any]:
        return np.array([get(record) for record in records[some]], dtype)

    return ColumnData(name, dtype, len(records), step=_STEP, part=part)


def digest_column(name: str, digests: NDArray[np.uint8]) -> ColumnData:
    """Digests of shape (n, 32) as 64 hex digits."""

    def part(some: slice) -> NDArray[Any]:
        return np.frombuffer(digests[some].tobytes().hex().encode(), _HEX)

    return ColumnData(name, _HEX, len(digests), step=_STEP, part=part, deflate=False)


def copied_digests(name: str, sources: Sources, source: NDArray[np.int32], row: Ints) -> ColumnData:
    """The digests of rows in other files, read when they are written."""

    def part(some: slice) -> NDArray[Any]:
        return sources.take(name, source[some], row[some])

    return ColumnData(name, _HEX, len(row), step=_STEP, part=part, deflate=False)


def failure_columns(failures: Sequence[Failure]) -> list[ColumnData]:
    """The four columns of ``/failures``."""
    # A reason may quote what a decoder or a store said.
    kept = [storable_failure(failure) for failure in failures]
    return [
        text_column("failures/path", kept, "path"),
        text_column("failures/reason", kept, "reason"),
        number_column("failures/size", kept, "size"),
        number_column("failures/mtime_ns", kept, "mtime_ns"),
    ]


def write_columns(file: SealedWriter, columns: Iterable[ColumnData]) -> None:
    """Put columns into a file."""
    for column in columns:
        into = file.add(column.name, (column.n_rows,), column.dtype, deflate=column.deflate)
        for _, block in column.blocks():
            into.append(block)


def same_columns(file: SealedReader, columns: Iterable[ColumnData]) -> bool:
    """Whether a file holds just these columns."""
    # What is read fastest, and changes most, comes first.
    for column in sorted(columns, key=lambda column: column.dtype.itemsize):
        if file[column.name].shape != (column.n_rows,):
            return False
        for start, block in column.blocks():
            if not np.array_equal(file.read(column.name, start, start + len(block)), block):
                return False
    return True


def texts(stored: NDArray[np.bytes_]) -> list[str]:
    """Padded UTF-8 to texts; equal texts are one object."""
    seen: dict[bytes, str] = {}
    return [seen.get(item) or seen.setdefault(item, item.decode()) for item in stored.tolist()]


def _width(texts: set[str | None], name: str) -> int:
    """Bytes of the longest."""
    given = [text for text in texts if text]
    try:
        encoded = [*map(str.encode, given)]
    except UnicodeEncodeError as exc:
        text = exc.object
        raise CacheError(f"{name} {text!r} is not valid Unicode; a feature cache cannot keep that") from exc
    for text in given if b"\0" in b"".join(encoded) else ():
        if "\0" in text:
            raise CacheError(f"{name} {text!r} holds a zero byte; a feature cache cannot keep that")
    return max(map(len, encoded), default=0)
