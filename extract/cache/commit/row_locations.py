"""Rows on their way into a new file: what they are about, and where their features lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.format.columns import ColumnData, copied_digests, number_column, text_column
from fc7.extract.cache.format.sources import Ints, Sources


class Record(Protocol):
    """What a row is about; an `ImageRef` is one."""

    @property
    def path(self) -> str:
        """Unique."""

    @property
    def label(self) -> str | None:
        """None without one."""

    @property
    def group(self) -> str | None:
        """None without one."""

    @property
    def split(self) -> str | None:
        """None without one."""

    @property
    def size(self) -> int:
        """Bytes of the image."""

    @property
    def mtime_ns(self) -> int:
        """Its modification time."""


@dataclass(frozen=True, slots=True)
class RowLocations:
    """Where the features of the rows to be written lie.

    Attributes
    ----------
    records : sequence of Record
        Sorted by path.
    source, row : ndarray of shape (n_layers, n_rows)
        In the order of the layers to be written: number of the file, and the row there.
    """

    records: Sequence[Record]
    source: NDArray[np.int32]
    row: Ints

    def columns(self, sources: Sources) -> list[ColumnData]:
        """Everything but features and thumbnails."""
        return [
            *(text_column(name, self.records, name) for name in ("path", "label", "group", "split")),
            number_column("size", self.records, "size"),
            number_column("mtime_ns", self.records, "mtime_ns"),
            # All layers of a row were made from the same content.
            copied_digests("sha256", sources, self.source[0], row=self.row[0]),
        ]

    def is_all_of(self, number: int, n_rows: int) -> bool:
        """Whether these are just the rows of one file, in its order."""
        return (
            len(self.records) == n_rows
            and bool((self.source == number).all())
            and bool((self.row == np.arange(n_rows)).all())
        )
