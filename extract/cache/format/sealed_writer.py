"""Write a file that `sealed_reader` can trust."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from fc7.extract.cache.format import checksums
from fc7.extract.cache.format.checksums import checksums_of_rows, seal
from fc7.extract.cache.format.column import Column
from fc7.extract.cache.format.hdf5 import Attribute, NewFile
from fc7.extract.cache.format.row_checksums import WIDTH
from fc7.extract.cache.format.row_column import RowColumn


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
        self._columns: dict[str, Column | RowColumn] = {}

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
        column = Column(
            self._file,
            name=name,
            shape=shape,
            dtype=np.dtype(dtype),
            attributes=dict(attributes or {}),
            deflate=deflate,
        )
        self._columns[name] = column
        return column

    def add_rows(
        self, name: str, shape: tuple[int, int], dtype: DTypeLike, attributes: Mapping[str, Attribute]
    ) -> RowColumn:
        """Make a dataset of numbers whose rows can be moved later, see `row_checksums`.

        Parameters
        ----------
        shape : tuple of int
            Rows first.
        dtype : dtype
            Of an even number of bytes.
        attributes : mapping
            Of `checksums.DATASET_ATTRIBUTES`.
        """
        sums = self.add(checksums_of_rows(name), (shape[0], WIDTH), "<u4")
        column = RowColumn(
            self._file, name=name, shape=shape, dtype=np.dtype(dtype), attributes=attributes, checksums=sums
        )
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
