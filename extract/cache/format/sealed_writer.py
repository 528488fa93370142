"""Write a file that `sealed_reader` can trust."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fc7.extract.cache.format import checksums
from fc7.extract.cache.format.checksums import Sealed, block_crcs, rows_per_block, seal
from fc7.extract.cache.format.hdf5 import Attribute, NewFile


class SealedWriter:
    """A file whose datasets are written front to back; a context manager.

    On leaving normally the file is sealed and on the disk (fsync). After an exception it is
    closed as it is, and removing it is the caller's.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    attributes : mapping of str to str, int or list of str
        Of the file.

    Raises
    ------
    OSError
        From any call, if the file system fails (full, read-only, gone).
    """

    def __init__(self, path: Path, attributes: Mapping[str, Attribute]) -> None:
        self._file = NewFile(path)
        self._attributes = dict(attributes)
        self._columns: dict[str, Column] = {}

    def __enter__(self) -> SealedWriter:
        return self

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        try:
            if exc is None:
                self._seal()
                self._file.close()
        finally:
            self._file.abandon()  # does nothing after close

    def add(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        *,
        deflate: bool = False,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> Column:
        """Make a dataset; fill it with `Column.append`.

        Parameters
        ----------
        shape : tuple of int
            Rows first.
        dtype : dtype
            ``S<n>`` is fixed-length UTF-8.
        deflate : bool
            Compress. Worth it for texts and counters, not for features.
        attributes : mapping or None
            Of `checksums.DATASET_ATTRIBUTES`.
        """
        column = Column(self._file, name, shape, np.dtype(dtype), dict(attributes or {}), deflate)
        self._columns[name] = column
        return column

    def _seal(self) -> None:
        self._file.set_attributes("/", self._attributes)
        datasets = {name: column.finish() for name, column in self._columns.items()}
        for name, sealed in datasets.items():
            self._file.set_attributes(name, sealed.attributes)
        crcs = np.concatenate([np.empty(0, "<u4"), *(sealed.crcs for sealed in datasets.values())])
        self._file.create(checksums.NAME, crcs.shape, crcs.dtype, chunk_rows=0, deflate=False)
        self._file.write(checksums.NAME, 0, crcs)
        about: dict[str, Attribute] = {
            "datasets": list(datasets),
            "rows_per_block": [sealed.block for sealed in datasets.values()],
            "covered": sorted(self._attributes),
            "seal": seal(self._attributes, datasets),
        }
        self._file.set_attributes(checksums.NAME, about)


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
        return Sealed(self._shape, self._dtype, self._block, self._attributes, crcs)

    def _write(self, rows: NDArray[Any]) -> None:
        self._crcs.append(block_crcs(rows, self._block))
        self._file.write(self._name, self._written, rows)
        self._written += len(rows)
