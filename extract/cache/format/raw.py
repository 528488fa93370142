"""The bytes of a file that HDF5 has open, as they lie there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.errors import CacheCorruptError, CacheError

FLETCHER_BYTES = 4
"""At the end of a chunk with Fletcher-32, little-endian."""


@dataclass(frozen=True, slots=True)
class ChunkPlaces:
    """Where the rows of a dataset lie.

    Attributes
    ----------
    rows, row_bytes : int
        Rows of one chunk, and bytes of one row.
    starts : ndarray of shape (n_chunks,), int64
        Where in the file each chunk begins.
    """

    rows: int
    row_bytes: int
    starts: NDArray[np.int64]


class RawFile:
    """A file that is open elsewhere, opened once more when it is needed.

    Parameters
    ----------
    status : stat_result
        Of the file that is meant: by now the path may lead to another.
    """

    def __init__(self, path: Path, status: os.stat_result) -> None:
        self._path = path
        self._status = status
        self._file: FileIO | None = None

    def close(self) -> None:
        """Close; calling it again does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def fileno(self) -> int:
        """Its descriptor.

        Raises
        ------
        CacheError
            If the path leads to another file.
        OSError
            If it cannot be opened.
        """
        return self._opened().fileno()

    def read_into(self, offset: int, into: memoryview) -> None:
        """Fill `into` with the bytes from `offset` on; nothing checks them.

        Raises
        ------
        CacheError, OSError
            As `fileno`.
        CacheCorruptError
            If the file ends before.
        """
        file = self._opened()
        file.seek(offset)
        while into:
            count = file.readinto(into)
            if not count:
                raise CacheCorruptError(
                    f"{self._path} is damaged or cut short: it ends at byte {file.tell()}"
                )
            into = into[count:]

    def _opened(self) -> FileIO:
        if self._file is None:
            file = self._path.open("rb", buffering=0)
            if not os.path.samestat(os.fstat(file.fileno()), self._status):
                file.close()
                raise CacheError(f"{self._path} was replaced by someone else: run the same command again")
            self._file = file
        return self._file
