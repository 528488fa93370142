"""Lists of ``path label`` without a header, as Caffe's convert_imageset and ImageData layer read them.

A list may be given as images and to `--labels`. Between path and label are blanks, a tab, a comma or a
semicolon. A label is one word, or after anything but a blank several.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from fc7.extract.images.codecs.formats import SUFFIXES
from fc7.extract.inputs.places.addresses import redacted
from fc7.extract.inputs.places.folders import escape
from fc7.extract.inputs.tables.manifests import (
    Manifest,
    ManifestRow,
    has_header,
    list_mistakes,
    manifest_of,
)
from fc7.extract.inputs.tables.table_text import text_of
from fc7.models.common.errors import UsageError
from fc7.models.common.label_names import some
from fc7.models.common.progress import Notify
from fc7.models.common.terminal import counted

# The longest beginning of a line that ends as an image does, what parts it from the rest, and the rest.
_PARTED = re.compile(
    rf"(?P<path>.+(?:{'|'.join(map(re.escape, SUFFIXES))}))(?P<between>\s*[,;\t]\s*|\s+)(?P<rest>\S.*)",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(r"[,;\t]")


def read_labels(path: Path, notify: Notify) -> Manifest:
    """The file of `--labels`: a table with a header (`extract.inputs.tables.manifests`), or a list of path
    and label.

    Raises
    ------
    SourceError
        If it cannot be read or is not UTF-8.
    UsageError
        If it is neither, or lines are wrong.
    """
    name = escape(str(path))
    text = text_of(path, name)
    base = os.path.abspath(path.parent)  # noqa: PTH100
    lines = {number: line for number, line in enumerate(text.splitlines(), 1) if line.strip()}
    # A table of other columns has no image in its header.
    if not has_header(text, path) and any(_parted(line, base)[1] for line in list(lines.values())[:1]):
        labelled = labelled_lines(lines, base, name, notify=notify)
        if labelled is not None:
            return labelled
    return manifest_of(text, path, name)


def labelled_lines(lines: Mapping[int, str], base: str | None, name: str, notify: Notify) -> Manifest | None:
    """A list's lines as paths and labels, if one of them is ``path label``; else None.

    It is where the path ends as an image does, or is a file, and the line as a whole does neither: a
    path may hold blanks. A line that is there again counts once, one without a label has none.

    Parameters
    ----------
    lines : mapping of int to str
        Number -> line.
    base : str or None
        Absolute folder that relative paths start at; None looks for no files.
    name : str
        The list, for messages.
    notify : callable
        Is told how many lines have no label.

    Raises
    ------
    UsageError
        If one path has two labels, or a line several.
    """
    parted = {number: _parted(line, base) for number, line in lines.items()}
    if not any(label for _, label in parted.values()):
        return None
    rows: dict[str, ManifestRow] = {}
    mistakes: list[str] = []
    for number, (path, label) in parted.items():
        known = rows.setdefault(
            path, ManifestRow(number, path, escape(label) or None, group=None, split=None)
        )
        if (why := _why_not_one(label, lines[number], path)) is not None:
            mistakes.append(f"line {number}: {label!r} after {redacted(path)!r} {why}")
        elif (known.label or "") != escape(label):
            mistakes.append(
                f"line {number}: {redacted(path)!r} is {escape(label)!r} here, {known.label or ''!r} in line "
                f"{known.line}"
            )
    if mistakes:
        raise UsageError(list_mistakes(name, mistakes))
    without = [f"line {row.line} ({redacted(row.path)})" for row in rows.values() if row.label is None]
    if without:
        what = counted(len(without), "image has", "images have")
        notify(f"{name}: {what} no label, unlike the others: {some(without)}")
    return Manifest(name, list(rows.values()))


def _parted(line: str, base: str | None) -> tuple[str, str]:
    """Path and label of a line; no label where it is a path as a whole."""
    line = line.rstrip()
    if _is_image(line, base):
        return line, ""
    found = _PARTED.fullmatch(line)
    if found is not None:
        return found["path"], found["rest"]
    path, _, label = line.replace("\t", " ").rpartition(" ")
    path = path.rstrip()
    return (path, label) if path and _is_image(path, base) else (line, "")


def _why_not_one(label: str, line: str, path: str) -> str | None:
    """Why what follows a path is no label; None if it is one."""
    parts = _SEPARATORS.split(label)
    if len(parts) == 1 and not _SEPARATORS.match(line[len(path) :].lstrip(" ")):
        parts = label.split()
    if len(parts) < 2:
        return None
    if all(re.fullmatch(r"-?[0-9.]+", part.strip()) for part in parts):
        return f"are {len(parts)} labels; an image has one label here: make a list for each of them"
    return (
        "was found where one word is looked for as the label: join its words (golden_retriever), put a tab "
        "before it, or make a table with the header path,label for --labels"
    )


def _is_image(path: str, base: str | None) -> bool:
    if path.lower().endswith(SUFFIXES):
        return True
    return base is not None and os.path.isfile(os.path.join(base, path))  # noqa: PTH113, PTH118
