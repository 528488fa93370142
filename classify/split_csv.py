"""The split as a table for people and for `extract --labels`, which takes it back."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from classify.tables import CsvRows
from models.durable import explained, write_whole


def write_split(
    out: str | Path,
    paths: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[str],
    parts: Sequence[str],
) -> Path:
    """Write ``path,label,group,split``: one line for each image that is in a part, in the given order.

    Parameters
    ----------
    out : str or Path
        Replaced if it exists; it appears when it is complete.
    paths, labels, groups : sequence of n str
    parts : sequence of n str
        ``train`` or ``test``; rows of another part are left out, as a label without a split is refused
        when the file is read again.

    Raises
    ------
    Fc7Error
        If it cannot be written.
    """
    text = io.StringIO(newline="")
    table = CsvRows(text)
    table.write(["path", "label", "group", "split"])
    for row in zip(paths, labels, groups, parts, strict=True):
        if row[-1]:
            table.write(row)
    with explained(Path(out), "--split-csv"):
        return write_whole(Path(out), text.getvalue().encode("utf-8", "surrogateescape"))
