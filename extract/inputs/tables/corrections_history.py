"""Corrections that are added one after the other, each on the disk before the next.

A change is a line at the end of the file, and nothing that was written is changed. A kill in the midst of a
line leaves it without an end: whoever reads passes it over, and the next change takes it off.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fc7.extract.inputs.places.folders import escape
from fc7.extract.inputs.tables.corrections import OPTION
from fc7.extract.inputs.tables.corrections_table import CHANGED, UNDONE, half_line_note, whole_lines
from fc7.extract.inputs.tables.manifests import list_mistakes, records, separator_of
from fc7.extract.inputs.tables.table_text import text_in
from fc7.models.common.durable import explained, write_whole
from fc7.models.common.errors import UsageError
from fc7.models.common.files import refuse_pipe
from fc7.models.common.locks import exclusive
from fc7.models.outputs.csv_rows import CsvRows

COLUMNS = ("path", "sha256", "label", CHANGED, UNDONE)
"""Of a history, in this order."""


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody said of an image.

    Attributes
    ----------
    path, sha256 : str
        As the feature cache has them; one of the two may be empty.
    label : str
        The right one; empty takes the image out.
    undone : bool
        Take back all that was said of it before; the label is not looked at then.
    """

    path: str
    sha256: str
    label: str
    undone: bool = False


def append_changes(path: str | Path, changes: Sequence[Change]) -> tuple[str, ...]:
    """Add changes to a history in one write; they are on the disk when this returns.

    After a kill each line counts that is whole. All lines of a call have the same time in ``changed``, UTC in
    ISO 8601 with microseconds.

    Parameters
    ----------
    path : str or Path
        A history, or where one begins; its columns are `COLUMNS`, separated by commas.

    Returns
    -------
    tuple of str
        A sentence where a half line was taken off.

    Raises
    ------
    UsageError
        If the file has other columns, another separator or a quotation mark left open, or a change has
        neither path nor content.
    SourceError
        If the file is not UTF-8.
    Fc7Error
        If it cannot be written; what it held is as it was.

    Examples
    --------
    >>> from fc7.extract.inputs.tables.corrections_table import read_corrections
    >>> image = "star/001.png", "0a" * 32
    >>> append_changes("corrections.csv", [Change(*image, "cross")])
    ()
    >>> append_changes("corrections.csv", [Change(*image, "circle")])
    ()
    >>> read_corrections(Path("corrections.csv")).rows[0].label
    'circle'
    """
    path = Path(path)
    lines = _lines(changes, path)
    refuse_pipe(path)
    if separator_of(",".join(COLUMNS), path) != ",":
        raise UsageError(
            f"{OPTION} {path}: the name is of a table with tabs, and changes are added with commas; "
            "give it a name that ends in .csv"
        )
    # Who waits for this lock waits for one line to be written.
    with explained(path, OPTION), exclusive(path.with_name(f".{path.name}.lock"), wait=True):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""
        if not data.strip():
            # Not by appending: half a header would make it another table.
            write_whole(Path(os.path.realpath(path)), f"{','.join(COLUMNS)}\n".encode() + lines)
            return ()
        whole, half = whole_lines(data)
        _check(whole, path)
        with path.open("ab", buffering=0) as file:
            if half:
                file.truncate(len(whole))
            _write(file, lines if whole.endswith(b"\n") else b"\n" + lines, len(whole))
    return (half_line_note(escape(str(path)), half, "taken off"),) if half else ()


def _lines(changes: Sequence[Change], path: Path) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    stream = io.StringIO(newline="")
    table = CsvRows(stream)
    for change in changes:
        if not change.path.strip() and not change.sha256:
            raise UsageError(f"{OPTION} {path}: a change names no image; a path or a sha256 is needed")
        undone = "yes" if change.undone else ""
        table.write((change.path, change.sha256, "" if undone else change.label, now, undone))
    try:
        return stream.getvalue().encode()
    except UnicodeEncodeError as exc:
        raise UsageError(
            f"{OPTION} {path}: {exc.object[exc.start : exc.end]!r} in a path or label is no text, and "
            "cannot be written as UTF-8; give the label another name"
        ) from exc


def _check(whole: bytes, path: Path) -> None:
    """Refuse what lines with these columns would not belong to."""
    name, mistakes = escape(str(path)), list[str]()
    header, *_ = [fields for _, fields in records(text_in(whole, name), ",", mistakes)]
    if tuple(field.strip().lower() for field in header) != COLUMNS:
        raise UsageError(
            f"{OPTION} {name}: the first line is {', '.join(header[:8])}; changes are added to a table that "
            f"begins with {','.join(COLUMNS)}. Give {OPTION} another name, and this table stays as it is"
        )
    if mistakes:
        raise UsageError(list_mistakes(name, mistakes))


def _write(file: io.FileIO, lines: bytes, before: int) -> None:
    """All or nothing, as far as the disk lets it: a change that was refused must not count later."""
    left = memoryview(lines)
    try:
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(before)
        raise
