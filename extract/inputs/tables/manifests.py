"""The table of `--labels`: a CSV or TSV of path, label and perhaps group and split, and what it says.

==========  =================================================================================
form        CSV, RFC 4180: fields in double quotes may hold separators and line breaks
text        UTF-8, with or without a byte order mark
separator   tab in ``.tsv`` and ``.tab``; else the one of comma, semicolon and tab with which the
            header names its columns
header      needed; in any case and any order. ``path`` (or ``filename``, ``file_name``,
            ``filepath``, ``file``, ``image``; without any, ``id``, ``image_id``, ``image_name``) and
            ``label`` (or ``class``, ``classid``); of several other names for one column, none is
            guessed. Other columns are left alone
group       images of one group stay on one side of every split; empty for none
split       ``train``, ``val`` or ``test`` (also training, valid, validation, dev, testing); empty
            for none
==========  =================================================================================

An empty label is none. Empty lines count for nothing.

pandas (3.1.1) would be 82 MB and 0.4 s of processor time more. It reads a row that lacks its label as an
empty one, and of two columns ``label`` the first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fc7.extract.inputs.places.addresses import redacted
from fc7.models.common.errors import UsageError

MOST_MISTAKES = 20
"""As many bad lines are named in one message."""

PATH_NAMES = ("path", "filename", "file_name", "filepath", "file", "image")
"""What the column of paths may be called."""
ID_NAMES = ("id", "image_id", "image_name")
"""The same where none of `PATH_NAMES` is there: a table may number its rows and name files too."""
LABEL_NAMES = ("label", "class", "classid")
"""What the column of labels may be called."""
SPLIT_VALUES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What a part of a split may be called, in lower case, and what it is."""

_SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One image as a manifest names it.

    Attributes
    ----------
    line : int
        Where it begins in the file; the first line is 1.
    path : str
        As written.
    label, group, split : str or None
        None where the field is empty, or the table has no such column.
    """

    line: int
    path: str
    label: str | None
    group: str | None
    split: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that was read without a mistake."""

    name: str
    rows: Sequence[ManifestRow]


@dataclass(frozen=True, slots=True)
class _ManifestColumns:
    """Where the fields stand, and how many a line has."""

    path: int
    label: int
    group: int | None
    split: int | None
    count: int


def has_header(text: str, path: Path) -> bool:
    """Whether the first line of a table names the columns of paths and of labels."""
    _, header = next(records(text, separator_of(text, path), []), (1, []))
    return is_header(header)


def manifest_of(text: str, path: Path, name: str) -> Manifest:
    """Read a manifest; see the table at the top.

    Parameters
    ----------
    text : str
        What the file holds.
    path : Path
        ``.tsv`` and ``.tab`` say that tabs separate.
    name : str
        The file, for messages.

    Raises
    ------
    UsageError
        If its header lacks a column, or lines are wrong; these are named with their numbers,
        at most `MOST_MISTAKES` of them.
    """
    rows, mistakes = list[ManifestRow](), list[str]()
    lines = records(text, separator_of(text, path), mistakes)
    _, header = next(lines, (1, []))
    columns = _columns(header, name)
    seen: dict[str, int] = {}
    for line, fields in lines:
        found = _row(line, fields, columns, seen=seen)
        if isinstance(found, str):
            mistakes.append(f"line {line}: {found}")
        else:
            rows.append(found)
            seen[found.path] = line
    if mistakes:
        raise UsageError(list_mistakes(name, mistakes))
    if not rows:
        raise UsageError(f"{name}: has a header and nothing below it; one line an image is needed")
    return Manifest(name, rows)


def list_mistakes(name: str, mistakes: Sequence[str]) -> str:
    """One message for all bad lines of a file."""
    shown = "\n  ".join(mistakes[:MOST_MISTAKES])
    more = len(mistakes) - MOST_MISTAKES
    end = f"\n  and {more} more" if more > 0 else ""
    lines = "line" if len(mistakes) == 1 else "lines"
    return f"{name}: {len(mistakes)} bad {lines}; nothing was done, repair them and run again\n  {shown}{end}"


def is_header(fields: Sequence[str], keys: Sequence[str] = (*PATH_NAMES, *ID_NAMES)) -> bool:
    """Whether a line names a column of `keys`, which images are known by, and one of labels."""
    names = {field.strip().lower() for field in fields}
    return not names.isdisjoint(keys) and not names.isdisjoint(LABEL_NAMES)


def separator_of(text: str, path: Path, keys: Sequence[str] = (*PATH_NAMES, *ID_NAMES)) -> str:
    """What separates the fields of a table; `keys` as `is_header` takes them."""
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    for separator in _SEPARATORS:
        _, header = next(records(text, separator, []), (1, []))
        if is_header(header, keys):
            return separator
    return ","


def records(text: str, separator: str, mistakes: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Every line that is not empty, with the number it begins at; the header is the first.

    Parameters
    ----------
    mistakes : list of str
        Takes in what ends the table early.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as exc:
            # After this the reader is somewhere within a field; what follows would be nonsense.
            mistakes.append(f"line {line}: {exc}; is a quotation mark left open?")
            return
        if fields is None:
            return
        if any(field.strip() for field in fields):
            yield line, fields


def _columns(header: Sequence[str], name: str) -> _ManifestColumns:
    names = [field.strip().lower() for field in header]
    return _ManifestColumns(
        column(names, PATH_NAMES, name, last=ID_NAMES),
        column(names, LABEL_NAMES, name),
        names.index("group") if "group" in names else None,
        split=names.index("split") if "split" in names else None,
        count=len(names),
    )


def column(names: Sequence[str], accepted: Sequence[str], name: str, last: Sequence[str] = ()) -> int:
    """The column of the first accepted name, or of the only other one; then of the only one of `last`.

    Raises
    ------
    UsageError
        If there is none, or it cannot be told which of several it is.
    """
    for candidates in (accepted[:1], accepted[1:], last):
        found = [i for i, column in enumerate(names) if column in candidates]
        if len(found) == 1:
            return found[0]
        if found:
            several = " and ".join(names[i] for i in found)
            raise UsageError(f"{name}: the columns {several} could all be {accepted[0]}; name one so")
    raise UsageError(
        f"{name}: the first line is {', '.join(names[:8]) or 'empty'}; a header with the columns "
        "path,label (and group, split if you have them) is needed. "
        f"Also read as {accepted[0]}: {', '.join([*accepted[1:], *last])}"
    )


def wrong_count(fields: Sequence[str], count: int) -> str | None:
    """What to say of a line that has not as many fields as the header; None if it has."""
    if len(fields) == count:
        return None
    hint = "; quote fields that hold the separator" if len(fields) > count else ""
    return f"{len(fields)} fields, the header has {count}{hint}"


def _row(
    line: int, fields: Sequence[str], columns: _ManifestColumns, seen: dict[str, int]
) -> ManifestRow | str:
    """A row, or what is wrong with it."""
    if (why := wrong_count(fields, columns.count)) is not None:
        return why
    path = fields[columns.path]
    if not path.strip():
        return "no path"
    if path in seen:
        return f"{redacted(path)!r} again, it is also in line {seen[path]}"
    split = _optional(fields, columns.split)
    # A zero byte in any field is that image's failure (`extract.cache.format.storable`), not the table's
    # mistake.
    if split is not None and split.lower() not in SPLIT_VALUES and "\0" not in split:
        return f"split {split!r}; train, val or test is needed, or nothing"
    group = _optional(fields, columns.group)
    label = fields[columns.label].strip()
    return ManifestRow(
        line, path, label or None, group=group, split=split and SPLIT_VALUES.get(split.lower(), split)
    )


def _optional(fields: Sequence[str], column: int | None) -> str | None:
    return None if column is None else fields[column].strip() or None
