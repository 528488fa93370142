"""Lists of ``path label``, as Caffe's convert_imageset and ImageData layer read them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from extract.addresses import redacted
from extract.folders import escape
from extract.formats import SUFFIXES
from extract.manifests import Manifest, ManifestRow, list_mistakes
from models.errors import UsageError


def labelled_lines(lines: Mapping[int, str], base: str | None, name: str) -> Manifest | None:
    """A list's lines as paths and labels, if every one of them is ``path label``; else None.

    It is where the path ends as an image does, or is a file, and the line as a whole does neither: a
    path may hold blanks. A line that is there again counts once.

    Parameters
    ----------
    lines : mapping of int to str
        Number -> line.
    base : str or None
        Absolute folder that relative paths start at; None looks for no files.
    name : str
        The list, for messages.

    Raises
    ------
    UsageError
        If one path has two labels.
    """
    rows: dict[str, ManifestRow] = {}
    mistakes: list[str] = []
    for number, line in lines.items():
        path, label = _parted(line, base)
        if not label:
            return None
        label = escape(label)
        known = rows.setdefault(path, ManifestRow(number, path, label, None, None))
        if known.label != label:
            mistakes.append(
                f"line {number}: {redacted(path)!r} is {label!r} here, {known.label!r} in line {known.line}"
            )
    if mistakes:
        raise UsageError(list_mistakes(name, mistakes))
    return Manifest(name, list(rows.values())) if rows else None


def _parted(line: str, base: str | None) -> tuple[str, str]:
    """Path and label of a line; no label where it is a path as a whole."""
    parts = line.rsplit(maxsplit=1)
    if len(parts) < 2 or _is_image(line.rstrip(), base):
        return line, ""
    path, label = parts
    return (path, label) if _is_image(path, base) else (line, "")


def _is_image(path: str, base: str | None) -> bool:
    if path.lower().endswith(SUFFIXES):
        return True
    return base is not None and os.path.isfile(os.path.join(base, path))  # noqa: PTH113, PTH118
