"""The files of this disk that the lines of a list or table name: one builder of their listing for both.

`extract.inputs.remote.lists` does the same for addresses.
"""

# Strings, not Path objects, as in `extract.inputs.sources`: a list may name millions.
# ruff: noqa: PTH118, PTH119, PTH120

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Literal

from fc7.extract.inputs.places.folders import (
    NO_IMAGE,
    NOT_FOUND,
    ZERO_BYTE,
    FolderOrigin,
    FolderWalk,
    escape,
    holds_image,
    is_hidden,
    look,
    not_an_image,
)
from fc7.extract.inputs.tables.manifests import Manifest, ManifestRow, list_mistakes
from fc7.extract.records import Failure, ImageRef
from fc7.models.common.errors import UsageError

NamedFile = tuple[ManifestRow, str]
"""A line, and the absolute path of the file that it names."""

Repeated = Literal["dropped", "mistake"]
"""What a second line is that names a file again."""


def named_files(manifest: Manifest, base: str, native: Callable[[str, str], str]) -> list[NamedFile]:
    """What each line names; lines that hold a zero byte name nothing.

    Parameters
    ----------
    base : str
        Absolute folder that relative paths start at.
    native : callable
        Gives a written path and `base` as this system writes the path.
    """
    return [
        (row, os.path.normpath(os.path.join(base, native(row.path, base))))
        for row in manifest.rows
        if "\0" not in row.path
    ]


def nearest_folder(files: Sequence[NamedFile], name: str) -> str:
    """The nearest folder that all files lie in.

    Raises
    ------
    UsageError
        If there is none, as on two drives.
    """
    try:
        return os.path.commonpath([os.path.dirname(path) for _, path in files])
    except ValueError as exc:
        raise UsageError(f"the paths in {name} lie on different drives; make one list for each") from exc


def find_named(
    manifest: Manifest,
    files: Sequence[NamedFile],
    origin: FolderOrigin,
    *,
    repeated: Repeated,
    any_suffix: bool,
) -> FolderWalk:
    """Look at every file that is named.

    Parameters
    ----------
    files : sequence of NamedFile
        Of `manifest`; all lie in the folder of `origin`.
    repeated : {"dropped", "mistake"}
        Of two lines that name one file the first counts, or nothing is done.
    any_suffix : bool
        Whether files are taken for images whatever their name.

    Returns
    -------
    FolderWalk
        What cannot be read, and a line with a zero byte, is a failure with its line.

    Raises
    ------
    UsageError
        If two lines name one file and that is a mistake.
    """
    found = FolderWalk(origin)
    for row in manifest.rows:
        if "\0" in row.path:
            found.failures.append(_failure(escape(row.path), manifest.name, row, why=ZERO_BYTE))
    lines: dict[str, int] = {}
    mistakes: list[str] = []
    for row, path in files:
        if path in lines:
            mistakes.append(f"line {row.line}: {row.path!r} again, it is also in line {lines[path]}")
            continue
        lines[path] = row.line
        _add(found, row, path, name=manifest.name, any_suffix=any_suffix)
    if mistakes and repeated == "mistake":
        raise UsageError(list_mistakes(manifest.name, mistakes))
    return found


def _add(found: FolderWalk, row: ManifestRow, path: str, name: str, *, any_suffix: bool) -> None:
    relative = path[len(found.origin.folder) :].replace(os.sep, "/").lstrip("/")
    other = None if any_suffix else not_an_image(os.path.basename(path))
    if other is None or holds_image(path):
        status = look(path)
    elif is_hidden(os.path.basename(path)):
        found.ignored[other] += 1
        return
    else:
        status = NO_IMAGE if os.path.lexists(path) else NOT_FOUND
    shown = escape(relative)
    if isinstance(status, str):
        found.failures.append(_failure(shown, name, row, why=status))
        return
    # One string for both where nothing had to be escaped: millions of paths are kept.
    locator = shown if shown == relative else relative
    size, mtime_ns = status.st_size, status.st_mtime_ns
    found.images.append(
        ImageRef(
            shown,
            label=row.label,
            group=row.group,
            split=row.split,
            size=size,
            mtime_ns=mtime_ns,
            origin=found.origin,
            locator=locator,
        )
    )


def _failure(shown: str, name: str, row: ManifestRow, why: str) -> Failure:
    return Failure(shown, f"named in {name} line {row.line}, {why}", 0, mtime_ns=0)
