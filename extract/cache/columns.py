"""Records to columns of fixed-length texts and numbers, block by block, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.cache.sealed_reader import SealedReader
from extract.cache.sealed_writer import SealedWriter
from extract.cache.sources import Sources
from extract.stages import Failure
from extract.storable import storable_failure
from models.errors import CacheError

# So many records are turned into one array at a time; fewer where one long text makes all wide.
_STEP = 8192
_STEP_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column of texts in the making; None is the empty text.

    Attributes
    ----------
    name : str
        Of the dataset.
    width : int
        Bytes of the longest text in UTF-8, at least 1.
    """

    name: str
    width: int
    _records: Sequence[Any]
    _get: Callable[[Any], str | None]

    @classmethod
    def of(cls, name: str, records: Sequence[Any], field: str) -> TextColumn:
        """The texts `field` of `records`.

        Raises
        ------
        CacheError
            If one holds a zero byte or is not valid Unicode; HDF5 could not give it back.
        """
        get = attrgetter(field)
        width = 1
        for record in records:
            text = get(record)
            if text:
                width = max(width, len(_encoded(text, name)))
        return cls(name, width, records, get)

    @property
    def dtype(self) -> np.dtype[np.bytes_]:
        """Fixed-length bytes."""
        return np.dtype(f"S{self.width}")

    def blocks(self) -> Iterator[tuple[int, NDArray[np.bytes_]]]:
        """(First record, texts as padded UTF-8), in order."""
        step = max(1, min(_STEP, _STEP_BYTES // self.width))
        for start in range(0, len(self._records), step):
            texts = [self._get(record) or "" for record in self._records[start : start + step]]
            yield start, np.array([text.encode() for text in texts], self.dtype)


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A column of whole numbers in the making."""

    name: str
    _records: Sequence[Any]
    _get: Callable[[Any], int]

    @classmethod
    def of(cls, name: str, records: Sequence[Any], field: str) -> NumberColumn:
        """The numbers `field` of `records`."""
        return cls(name, records, attrgetter(field))

    @property
    def dtype(self) -> np.dtype[np.int64]:
        """Little-endian, eight bytes."""
        return np.dtype("<i8")

    def blocks(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """(First record, numbers), in order."""
        for start in range(0, len(self._records), _STEP):
            numbers = [self._get(record) for record in self._records[start : start + _STEP]]
            yield start, np.array(numbers, self.dtype)


@dataclass(frozen=True, slots=True)
class DigestColumn:
    """sha256 digests, kept as 64 hex digits, from an array of shape (n, 32), uint8."""

    name: str
    _digests: NDArray[np.uint8]

    @property
    def dtype(self) -> np.dtype[np.bytes_]:
        """Hex digits."""
        return np.dtype("S64")

    def blocks(self) -> Iterator[tuple[int, NDArray[np.bytes_]]]:
        """(First record, digits), in order."""
        for start in range(0, len(self._digests), _STEP):
            text = self._digests[start : start + _STEP].tobytes().hex().encode()
            yield start, np.frombuffer(text, self.dtype)


@dataclass(frozen=True, slots=True)
class DigestsOf:
    """The digests of rows in other files, read when they are written."""

    name: str
    _sources: Sources
    _source: NDArray[np.int32]
    _row: NDArray[np.int64]

    @property
    def dtype(self) -> np.dtype[np.bytes_]:
        """Hex digits."""
        return np.dtype("S64")

    def blocks(self) -> Iterator[tuple[int, NDArray[np.bytes_]]]:
        """(First record, digits), in order."""
        for start in range(0, len(self._row), _STEP):
            stop = start + _STEP
            yield start, self._sources.take(self.name, self._source[start:stop], self._row[start:stop])


AnyColumn = TextColumn | NumberColumn | DigestColumn | DigestsOf


def failure_columns(failures: Sequence[Failure]) -> list[AnyColumn]:
    """The four columns of ``/failures``."""
    # A reason may quote what a decoder or a store said.
    kept = [storable_failure(failure) for failure in failures]
    return [
        TextColumn.of("failures/path", kept, "path"),
        TextColumn.of("failures/reason", kept, "reason"),
        NumberColumn.of("failures/size", kept, "size"),
        NumberColumn.of("failures/mtime_ns", kept, "mtime_ns"),
    ]


def write_columns(file: SealedWriter, columns: Iterable[AnyColumn], n_rows: int) -> None:
    """Put columns of `n_rows` into a file."""
    for column in columns:
        into = file.add(column.name, (n_rows,), column.dtype, deflate=True)
        for _, block in column.blocks():
            into.append(block)


def same_columns(file: SealedReader, columns: Iterable[AnyColumn], n_rows: int) -> bool:
    """Whether a file holds just these columns of `n_rows`."""
    for column in columns:
        if file[column.name].shape != (n_rows,):
            return False
        for start, block in column.blocks():
            if not np.array_equal(file.read(column.name, start, start + len(block)), block):
                return False
    return True


def texts(stored: NDArray[np.bytes_]) -> list[str]:
    """Padded UTF-8 to texts; equal texts are one object."""
    seen: dict[bytes, str] = {}
    return [seen.get(item) or seen.setdefault(item, item.decode()) for item in stored.tolist()]


def _encoded(text: str, name: str) -> bytes:
    if "\0" in text:
        raise CacheError(f"{name} {text!r} holds a zero byte; a cache cannot keep that")
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise CacheError(f"{name} {text!r} is not valid Unicode; a cache cannot keep that") from exc
