"""The lines of a text list of image paths, and what such a list is called."""

from __future__ import annotations

import codecs
import os

from fc7.models.common.errors import SourceError

SUFFIXES = (".txt", ".lst", ".list")
STDIN = "-"

FOLDER = "folder"
"""Key of `Listing.ignored`: a line that names a folder; `find` prints those too."""


def paths_of_list(data: bytes, name: str) -> dict[int, str]:
    """Number -> path of every line that is not empty; `data` and `name` as for
    `extract.inputs.lists.list_paths`.

    Raises
    ------
    SourceError
        If it is in UTF-16.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(f"{name}: is in UTF-16; save it as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    # `find -print0` ends every path so, the last one too; xargs also takes a list whose last one is open.
    zeros = data.endswith(b"\0") or (b"\0" in data and b"\n" not in data)
    parts = data.split(b"\0") if zeros else (line.removesuffix(b"\r") for line in data.split(b"\n"))
    return {
        number: os.fsdecode(part) for number, part in enumerate(parts, 1) if (part if zeros else part.strip())
    }
