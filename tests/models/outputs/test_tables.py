"""What is written as CSV is read back as it was, whatever the names."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from fc7.models.outputs.csv_rows import CsvRows


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2), min_size=1))
def test_any_text_comes_back(rows: list[list[str]]) -> None:
    stream = io.StringIO(newline="")
    writer = CsvRows(stream)
    for row in rows:
        writer.write(row)
    assert list(csv.reader(io.StringIO(stream.getvalue(), newline=""))) == rows


def test_formulas_are_not_changed_and_none_is_empty() -> None:
    stream = io.StringIO(newline="")
    CsvRows(stream).write(["=1+1", "@a", None, "-b", "a,b", 'say "c"', 3])
    assert stream.getvalue() == '=1+1,@a,,-b,"a,b","say ""c""",3\n'
