"""The split as a table for people and for `extract --labels`, which takes it back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fc7.classify.kinds import SPLIT, SPLIT_COLUMNS
from fc7.models.outputs.csv_rows import write_table
from fc7.models.outputs.outputs import Destination, claimed


def write_split(
    out: Destination,
    paths: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[str],
    parts: Sequence[str],
    sha256: Sequence[str],
) -> Path:
    """Write ``path,label,group,split,sha256``: one line for each image of a part, in the given order.

    Parameters
    ----------
    out : str, Path or Output
        Such a table that stands there is replaced; the new one appears when it is complete.
    paths, labels, groups : sequence of n str
    parts : sequence of n str
        ``train`` or ``test``; rows of another part are left out, as a label without a split is refused
        when the file is read again.
    sha256 : sequence of n str
        Of the images' contents.

    Raises
    ------
    UsageError
        If something else stands there, a table of labels for instance.
    Fc7Error
        If it cannot be written.
    """
    out = claimed(out, SPLIT, "--split-csv")
    lines = zip(paths, labels, groups, parts, sha256, strict=True)
    return write_table([SPLIT_COLUMNS, *(line for line in lines if line[3])], out)
