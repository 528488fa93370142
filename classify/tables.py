"""CSV as we write it: UTF-8, one comma, quotes where needed, and every cell as it is.

Control characters are not changed; only on a terminal are they written out (`models.terminal`). Cells that
begin with =, +, - or @ are not changed either, though a spreadsheet that opens the file takes them for
formulas: the cells are paths and class names, and whoever reads the file must find the very names again.
Import columns as text where names come from strangers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TextIO


class CsvRows:
    """Writes rows to a text stream that was opened with ``newline=""``."""

    def __init__(self, stream: TextIO) -> None:
        self._plain = csv.writer(stream, lineterminator="\n")
        self._quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write(self, cells: Iterable[object]) -> None:
        """One row; None is an empty cell."""
        texts = ["" if cell is None else str(cell) for cell in cells]
        # Before Python 3.13 the writer leaves a lone carriage return unquoted, where readers end the row.
        writer = self._quoted if any("\r" in text for text in texts) else self._plain
        writer.writerow(texts)
