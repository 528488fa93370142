"""Read a file that `sealed_writer` made; nothing comes out unchecked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.format import checksums
from fc7.extract.cache.format.checksums import BLOCK_BYTES, Sealed, block_crcs, checksums_of_rows, seal
from fc7.extract.cache.format.hdf5 import Attribute, OpenFile
from fc7.extract.cache.format.raw import ChunkPlaces, RawFile
from fc7.models.common.errors import CacheCorruptError, CacheError


class SealedReader:
    """A sealed file, opened, known to be of the right format, its seal checked; a context manager.

    Parameters
    ----------
    kind : str
        What the file should be, for messages: "a feature cache".
    format_name : str
        What its attribute ``format`` must say.
    version : int
        The newest ``format_version`` that can be read.

    Attributes
    ----------
    attributes : dict
        Of the file.
    seal : str
        Equal files have equal seals.

    Raises
    ------
    CacheError
        If the file does not exist, is no HDF5 file, of another format or of a newer version.
    CacheCorruptError
        If it is damaged, or not as it was sealed.
    """

    def __init__(self, path: Path, kind: str, format_name: str, version: int) -> None:
        self.path = path
        self._file = OpenFile(path, kind)
        try:
            self.attributes = self._file.attributes("/")
            self.format_version = self._checked_version(kind, format_name, version)
            self._datasets = self._check_seal()
        except BaseException:
            self._file.close()
            raise
        self._held: dict[str, tuple[int, NDArray[Any]]] = {}
        self._chunks: dict[str, ChunkPlaces | None] = {}

    def __enter__(self) -> SealedReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close; calling it again does nothing."""
        self._held.clear()
        self._file.close()

    def names(self) -> list[str]:
        """The datasets that the seal covers, sorted."""
        return sorted(self._datasets)

    def __getitem__(self, name: str) -> Sealed:
        """What the seal says of a dataset."""
        try:
            return self._datasets[name]
        except KeyError as exc:
            raise CacheCorruptError(f"{self.path} has no dataset {name}") from exc

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`, checked.

        Raises
        ------
        CacheCorruptError
            If a block that holds some of them fails a checksum.
        """
        block = self[name].block
        first, last = start // block, -(-stop // block)
        whole = self._one_block(name, first) if last - first == 1 else self._checked(name, first, last)
        return whole[start - first * block : stop - first * block]

    def take(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Rows in any order, checked: shape (len(rows), ...). Each block is read once."""
        first = int(rows[0]) if len(rows) else 0
        if np.array_equal(rows, np.arange(first, first + len(rows))):
            return self.read(name, first, first + len(rows))
        sealed = self[name]
        out = np.empty((len(rows), *sealed.shape[1:]), sealed.dtype)
        blocks = rows // sealed.block
        for number in distinct(blocks):
            wanted = blocks == number
            out[wanted] = self._one_block(name, number)[rows[wanted] - number * sealed.block]
        return out

    def row_checksums(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.uint32] | None:
        """What `row_checksums` said of some rows when they were made; None in files of before there were any.

        Raises
        ------
        CacheCorruptError
            If they fail a checksum themselves.
        """
        sums = checksums_of_rows(name)
        return self.take(sums, rows) if sums in self._datasets else None

    def chunks(self, name: str) -> ChunkPlaces | None:
        """Where a dataset's rows lie; None unless they lie there as they are in memory."""
        if name not in self._chunks:
            self._chunks[name] = self._file.chunks(name)
        return self._chunks[name]

    @property
    def raw(self) -> RawFile:
        """The bytes of the file, which nothing checks."""
        return self._file.raw

    def pieces(self, name: str, size: int = 8 * BLOCK_BYTES) -> Iterator[NDArray[Any]]:
        """The whole dataset in order, checked, in pieces of whole blocks of about `size` bytes."""
        sealed = self[name]
        step = sealed.block * max(1, size // BLOCK_BYTES)
        for start in range(0, sealed.shape[0], step):
            yield self.read(name, start, min(start + step, sealed.shape[0]))

    def check(self, names: Iterable[str]) -> None:
        """Read all of those datasets that there are, and keep nothing.

        Raises
        ------
        CacheCorruptError
            If a checksum fails.
        """
        for name in names:
            for _ in self.pieces(name) if name in self._datasets else ():
                pass

    def blocks(self, name: str) -> Iterator[tuple[range, NDArray[Any] | CacheCorruptError]]:
        """Read everything, block by block: each one's rows, or why they cannot be trusted."""
        sealed = self[name]
        for number in range(len(sealed.crcs)):
            rows = range(number * sealed.block, min((number + 1) * sealed.block, sealed.shape[0]))
            try:
                yield rows, self._checked(name, number, number + 1)
            except CacheCorruptError as exc:
                yield rows, exc

    def damaged(self, name: str) -> Iterator[tuple[range, CacheCorruptError]]:
        """Read everything; the rows that cannot be trusted, and why."""
        for rows, found in self.blocks(name):
            if isinstance(found, CacheCorruptError):
                yield rows, found

    def _one_block(self, name: str, number: int) -> NDArray[Any]:
        # The last one is kept: rows are mostly read in order, in pieces smaller than a block.
        held = self._held.get(name)
        if held is None or held[0] != number:
            held = self._held[name] = number, self._checked(name, number, number + 1)
        return held[1]

    def _checked(self, name: str, first: int, last: int) -> NDArray[Any]:
        """Blocks `first` to `last`."""
        sealed = self[name]
        try:
            rows = self._file.read(name, first * sealed.block, min(last * sealed.block, sealed.shape[0]))
        except CacheCorruptError:
            if last - first > 1:
                for number in range(first, last):  # find out which
                    self._checked(name, number, number + 1)
            raise
        wrong = np.flatnonzero(block_crcs(rows, sealed.block) != sealed.crcs[first:last])
        if len(wrong):
            start = (first + int(wrong[0])) * sealed.block
            stop = min(start + sealed.block, sealed.shape[0])
            raise CacheCorruptError(f"{self.path}: dataset {name}, rows {start}-{stop - 1}: wrong CRC-32")
        return rows

    def _checked_version(self, kind: str, format_name: str, version: int) -> int:
        found, number = self.attributes.get("format"), self.attributes.get("format_version")
        if found != format_name:
            raise CacheError(
                f"{self.path} is not {kind}: its attribute 'format' is {found!r}, not {format_name!r}; "
                "choose another file"
            )
        if not isinstance(number, int) or number < 1:
            raise CacheCorruptError(f"{self.path}: format_version is {number!r}, not a whole number from 1")
        if number > version:
            raise CacheError(
                f"{self.path} has format version {number}; this fc7 reads up to {version}: "
                "use the newer fc7 that made it"
            )
        return number

    def _check_seal(self) -> dict[str, Sealed]:
        about = self._file.attributes(checksums.NAME)
        names, blocks = about.get("datasets"), about.get("rows_per_block")
        if not isinstance(names, list) or not isinstance(blocks, list) or len(names) != len(blocks):
            raise CacheCorruptError(f"{self.path} does not say which datasets were sealed")
        crcs = self._file.read(checksums.NAME, 0, self._file.shape(checksums.NAME)[0])
        datasets = {}
        for name, block in zip(names, blocks, strict=True):
            shape = self._file.shape(name)
            count = -(-shape[0] // max(1, int(block)))
            datasets[name] = Sealed(
                shape=shape,
                dtype=self._file.dtype(name),
                block=int(block),
                attributes=_only(self._file.attributes(name), checksums.DATASET_ATTRIBUTES),
                crcs=crcs[:count],
            )
            crcs = crcs[count:]
        self.seal = str(about.get("seal", ""))
        covered = about.get("covered")
        names = covered if isinstance(covered, list) else []
        if seal(_only(self.attributes, names), datasets) != self.seal:
            raise CacheCorruptError(
                f"{self.path}: its attributes or its table of checksums are not as they were sealed"
            )
        return datasets


def _only(attributes: dict[str, Attribute], names: Iterable[str]) -> dict[str, Attribute]:
    return {name: attributes[name] for name in names if name in attributes}


def distinct(numbers: NDArray[np.integer]) -> list[int]:
    """The numbers, none of them negative, that are among these; sorted.

    As ``numpy.unique``, which loads all of ``numpy.ma`` to look for masks.
    """
    found: list[int] = np.flatnonzero(np.bincount(numbers)).tolist()
    return found
