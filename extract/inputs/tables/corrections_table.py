"""The file of corrections: what it may look like, and what its lines say.

The form is that of the table of `--labels` (`extract.inputs.tables.manifests`), with these differences:

==========  =================================================================================
columns     ``path`` or ``sha256`` or both, and ``label``. All others are left alone, those of
            `suspects --csv` and `duplicates --csv` too, whose tables are corrections as they are
label       the right one; empty takes the image out. One that the image has already corrects nothing
repeated    an image may be named again with the same label
==========  =================================================================================

With a column ``changed`` it is a history, to which changes are added one after the other
(`extract.inputs.tables.corrections_history`):

==========  =================================================================================
changed     when, for people; what counts is the order of the lines
repeated    the last line of an image counts
label       empty takes an unlabelled image out too: somebody wrote each line by itself
undone      not empty: all earlier lines of that image are taken back
last line   without a line end it is passed over: it may be half of what was being written
==========  =================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fc7.extract.inputs.places.folders import escape
from fc7.extract.inputs.tables.corrections import OPTION, Correction, Corrections, cache_form, contradiction
from fc7.extract.inputs.tables.manifests import (
    ID_NAMES,
    LABEL_NAMES,
    PATH_NAMES,
    column,
    list_mistakes,
    records,
    separator_of,
    wrong_count,
)
from fc7.extract.inputs.tables.table_text import bytes_of, text_in
from fc7.models.common.errors import UsageError
from fc7.models.common.unicode_forms import normal

CHANGED = "changed"
"""The column that makes a table a history."""
UNDONE = "undone"
_CONTENT = "sha256"
_KEYS = (*PATH_NAMES, *ID_NAMES, _CONTENT)
_DIGEST = re.compile("[0-9a-f]{64}")
# Characters of a half line that a note shows.
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class _CorrectionColumns:
    """Where the fields stand, and how many a line has; `undone` is None where nothing is taken back."""

    path: int | None
    sha256: int | None
    label: int
    undone: int | None
    count: int


def corrections_given(given: Corrections | str | Path | None) -> Corrections | None:
    """Corrections in whichever form a caller has them; a file is read.

    Raises
    ------
    SourceError, UsageError
        As `read_corrections`.
    """
    return given if isinstance(given, Corrections | None) else read_corrections(Path(given))


def read_corrections(path: Path) -> Corrections:
    """Read a file of corrections; see the tables at the top. Without a line it corrects nothing.

    Raises
    ------
    SourceError
        If it cannot be read or is not UTF-8.
    UsageError
        If it is not there, its header lacks a column, or lines are wrong; these are named with their numbers.
    """
    name = escape(str(path))
    data = bytes_of(path, name, OPTION)
    is_history = CHANGED in _names(data.partition(b"\n")[0].decode("utf-8-sig", "replace"), path)
    whole, half = whole_lines(data) if is_history else (data, b"")
    text = text_in(whole, name)
    mistakes = list[str]()
    lines = records(text, separator_of(text, path, _KEYS), mistakes)
    columns = _columns(next(lines, (1, []))[1], name, is_history)
    rows = []
    for line, fields in lines:
        row = _row(line, fields, columns)
        if isinstance(row, str):
            mistakes.append(f"line {line}: {row}")
        else:
            rows.append(row)
    if is_history:
        rows, ordered = _standing(rows)
    else:
        mistakes += _contradictions(rows)
        ordered = False
    if mistakes:
        raise UsageError(list_mistakes(name, mistakes))
    notes = (
        ()
        if not half
        else (half_line_note(name, half, "passed over; end it with a line break if it counts"),)
    )
    return Corrections(name, tuple(rows), is_history, ordered=ordered, notes=notes)


def whole_lines(data: bytes) -> tuple[bytes, bytes]:
    r"""A table, and the last line if it has no end; a header counts without one.

    Examples
    --------
    >>> whole_lines(b"path,label\na.png,cat\nb.png,d")
    (b'path,label\na.png,cat\n', b'b.png,d')
    """
    end = data.rfind(b"\n") + 1
    return (data[:end], data[end:]) if end else (data, b"")


def half_line_note(name: str, half: bytes, done: str) -> str:
    """What to say of a last line without an end, and of what was done to it."""
    shown = half.decode("utf-8", "replace")
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return f"the last line of {name} has no line end, as after a kill: {shown!r}; it was {done}"


def _names(header: str, path: Path) -> list[str]:
    _, fields = next(records(header, separator_of(header, path, _KEYS), []), (1, []))
    return [field.strip().lower() for field in fields]


def _columns(header: Sequence[str], name: str, is_history: bool) -> _CorrectionColumns:
    names = [field.strip().lower() for field in header]
    by_path = not set(names).isdisjoint((*PATH_NAMES, *ID_NAMES))
    if not by_path and _CONTENT not in names:
        raise UsageError(
            f"{OPTION} {name}: the first line is {', '.join(names[:8]) or 'empty'}; a header with the "
            "columns path,label or sha256,label is needed, as suspects --csv writes it"
        )
    return _CorrectionColumns(
        column(names, PATH_NAMES, name, last=ID_NAMES) if by_path else None,
        names.index(_CONTENT) if _CONTENT in names else None,
        column(names, LABEL_NAMES, name),
        undone=names.index(UNDONE) if is_history and UNDONE in names else None,
        count=len(names),
    )


def _row(line: int, fields: Sequence[str], columns: _CorrectionColumns) -> Correction | str:
    """A correction, or what is wrong with the line."""
    if (why := wrong_count(fields, columns.count)) is not None:
        return why
    path, content, undone = (
        "" if at is None else fields[at] for at in (columns.path, columns.sha256, columns.undone)
    )
    path, content = path if path.strip() else "", content.strip().lower()
    if not path and not content:
        return "no path and no sha256"
    if content and not _DIGEST.fullmatch(content):
        return f"sha256 {content!r}; 64 hexadecimal digits are needed, or nothing"
    return Correction(
        line, path, content, label=normal(fields[columns.label].strip()), undone=bool(undone.strip())
    )


def _standing(lines: Iterable[Correction]) -> tuple[list[Correction], bool]:
    """The lines of a history that count, and whether their order does.

    Of lines with the same path and content the last one counts, and one that takes back stays only where an
    earlier line may mean the same image by another path or content.
    """
    last: dict[tuple[str, str], Correction] = {}
    for row in lines:
        last.pop((row.path, row.sha256), None)
        last[row.path, row.sha256] = row
    rows, ordered = list[Correction](), False
    forms, paths, contents = set[tuple[bool, bool]](), set[str](), set[str]()
    for row in last.values():
        form, path = (bool(row.path), bool(row.sha256)), cache_form(row.path)
        may_be_named = not forms <= {form} or (form[0] and path in paths) or row.sha256 in contents
        if row.undone and not may_be_named:
            continue
        ordered |= may_be_named
        rows.append(row)
        if not row.undone:
            forms.add(form)
            paths.add(path)
            contents.update({row.sha256} - {""})
    return rows, ordered


def _contradictions(rows: Iterable[Correction]) -> list[str]:
    """Of lines that name one image and give it different labels."""
    first: dict[str, Correction] = {}
    return [
        contradiction(row, known)
        for row in rows
        if (known := first.setdefault(row.path or row.sha256, row)).label != row.label
    ]
