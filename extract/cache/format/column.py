"""A dataset on its way into a new file, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.format.checksums import Sealed, block_crcs, rows_per_block
from fc7.extract.cache.format.hdf5 import Attribute, NewFile


class Column:
    """A dataset on its way into a `SealedWriter`."""

    def __init__(
        self,
        file: NewFile,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        attributes: dict[str, Attribute],
        deflate: bool,
    ) -> None:
        self._file = file
        self._name = name
        self._shape = shape
        self._dtype = dtype
        self._attributes = attributes
        self._block = rows_per_block(shape, dtype)
        self._crcs: list[NDArray[np.uint32]] = []
        self._written = 0
        self._waiting: NDArray[Any] = np.empty((0, *shape[1:]), dtype)
        file.create(name, shape, dtype, chunk_rows=self._block, deflate=deflate)

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows, of any number: whole blocks go to the file, the rest waits for more."""
        rows = np.ascontiguousarray(rows, self._dtype)
        if len(self._waiting):
            missing = self._block - len(self._waiting)
            self._waiting = np.concatenate([self._waiting, rows[:missing]])
            rows = rows[missing:]
            if len(self._waiting) < self._block:
                return
            self._write(self._waiting)
        whole = len(rows) // self._block * self._block
        self._write(rows[:whole])
        self._waiting = rows[whole:].copy()

    def finish(self) -> Sealed:
        """Write what waits; what there is to seal."""
        self._write(self._waiting)
        if self._written != self._shape[0]:
            raise ValueError(f"{self._name}: {self._written} rows were written, {self._shape[0]} announced")
        crcs = np.concatenate([np.empty(0, "<u4"), *self._crcs])
        return Sealed(self._shape, self._dtype, self._block, attributes=self._attributes, crcs=crcs)

    def _write(self, rows: NDArray[Any]) -> None:
        self._crcs.append(block_crcs(rows, self._block))
        self._file.write(self._name, self._written, rows)
        self._written += len(rows)
