"""CSV as we write it: UTF-8, one comma, quotes where needed, and every cell as it is.

Control characters are not changed; only on a terminal are they written out (`models.common.terminal`). Cells
that begin with =, +, - or @ are not changed either, though a spreadsheet that opens the file takes them for
formulas: the cells are paths and class names, and whoever reads the file must find the very names again.
Import columns as text where names come from strangers.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import numpy as np

from fc7.models.common.durable import explained
from fc7.models.outputs.outputs import Output


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


def write_table(rows: Iterable[Iterable[object]], out: Output) -> Path:
    """Write a CSV file: truth as 1 and 0, NaN and None as empty cells.

    Raises
    ------
    Fc7Error
        If it cannot be written.
    """
    stream = io.StringIO(newline="")
    table = CsvRows(stream)
    for row in rows:
        table.write(_number(cell) for cell in row)
    with explained(out.path, out.option):
        # A path may hold bytes that are no UTF-8; they are kept as Python keeps them.
        return out.write(stream.getvalue().encode("utf-8", "surrogateescape"))


def _number(cell: object) -> object:
    if isinstance(cell, bool | np.bool_):
        return int(cell)
    return "" if isinstance(cell, float) and math.isnan(cell) else cell
