"""Corrections as a history: what somebody decided, one line after another, as `fc7 app` writes it.

========  ==========================================================================================
changed   when, UTC, ISO 8601. A table that has this column is a history: of several lines for one
          image the last one counts, and every line is meant, an empty label of an unlabelled image too
undone    not empty: all earlier lines for that image count no longer, nor does this one
========  ==========================================================================================

A decision is one line at the end of the file, on the disk before it is answered for. A kill in the midst of
that leaves a part of a line, which never counts.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fc7.models.common.durable import flush_folder
from fc7.models.common.errors import Fc7Error, UsageError

CHANGED, UNDONE = "changed", "undone"
COLUMNS = ("path", "sha256", "label", CHANGED, UNDONE)
_HEADER = ",".join(COLUMNS)


@dataclass(frozen=True, slots=True)
class Change:
    """A decision about an image.

    Attributes
    ----------
    path, sha256 : str
        As the feature cache has them.
    label : str
        The right one; empty takes the image out.
    undone : bool
        What was decided of the image before counts no longer; `label` is empty.
    """

    path: str
    sha256: str
    label: str
    undone: bool = False


def append_changes(file: Path, changes: Sequence[Change]) -> None:
    """Add lines to a history, which is made if it is not there; they are on the disk then.

    Raises
    ------
    UsageError
        If another table stands there.
    Fc7Error
        If it cannot be written.

    Examples
    --------
    >>> history = Path("history.csv")
    >>> append_changes(history, [Change("a.png", "", "dog"), Change("b.png", "", "cat")])
    >>> append_changes(history, [Change("b.png", "", "", undone=True)])
    >>> from fc7.extract.inputs.tables.corrections import read_corrections
    >>> [(row.path, row.label) for row in read_corrections(history).rows]
    [('a.png', 'dog')]
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        is_new = not file.exists()
        with file.open("a+b") as stream:
            stream.seek(0)
            data = stream.read()
            text = data.decode("utf-8", "surrogateescape")
            head = text.partition("\n")[0].strip("\ufeff\r")
            if text and head != _HEADER:
                raise UsageError(
                    f"{file}: its first line is {head[:80]!r}, and {_HEADER!r} is needed to add "
                    "corrections to it; name another file"
                )
            if (whole := without_torn_line(text)) != text:
                stream.truncate(len(data) - len(text[len(whole) :].encode("utf-8", "surrogateescape")))
            elif text and not text.endswith("\n"):
                stream.write(b"\n")
            lines = [] if text else [_HEADER]
            lines += [
                _line([each.path, each.sha256, each.label, now, "x" if each.undone else ""])
                for each in changes
            ]
            stream.write("".join(f"{line}\n" for line in lines).encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
        if is_new:
            flush_folder(file.parent)
    except OSError as exc:
        raise Fc7Error(f"{file}: cannot be written: {exc.strerror or exc}; the label was not kept") from exc


def without_torn_line(text: str) -> str:
    """A history without what a kill left of its last line."""
    start = text.rfind("\n") + 1
    last = text[start:]
    if not last or start == 0:
        return text
    try:
        fields = next(csv.reader(io.StringIO(last, newline=""), strict=True), [])
    except csv.Error:
        return text[:start]
    return text if len(fields) == len(COLUMNS) else text[:start]


def _line(fields: Sequence[str]) -> str:
    out = io.StringIO(newline="")
    # The writer quotes what its own line ends are made of, and nothing else that ends a line.
    csv.writer(out, lineterminator="\r\n").writerow(fields)
    return out.getvalue().removesuffix("\r\n")
