"""A text list of image paths, or the same from stdin: one a line, or with zero bytes between them."""

# Strings, not Path objects, as in `extract.inputs.sources`: a list may name millions.
# ruff: noqa: PTH100, PTH112, PTH118, PTH119, PTH120

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from fc7.extract.inputs.places.addresses import is_address
from fc7.extract.inputs.places.folders import ZERO_BYTE, FolderOrigin, FolderWalk, escape
from fc7.extract.inputs.tables.labelled_lists import labelled_lines
from fc7.extract.inputs.tables.list_lines import FOLDER, paths_of_list
from fc7.extract.records import Failure, Listing
from fc7.models.common.errors import SourceError, UsageError
from fc7.models.common.progress import Notify
from fc7.models.common.unicode_forms import on_disk


def list_paths(data: bytes, base: str, name: str, notify: Notify) -> Listing:
    """The images that a list names, by path or by address (``s3://bucket/cat/1.jpg``).

    Parameters
    ----------
    data : bytes
        Paths in the file system's encoding. If the last byte is zero, or there are zero bytes and no line
        breaks, they end with those (``find -print0``), and may hold anything else; otherwise with line
        breaks, and empty lines count for nothing. A zero byte within a line spoils that line, and no other.
    base : str
        Absolute folder that relative paths start at.
    name : str
        The list, for messages.
    notify : callable
        Is told of lines without a label where others have one.

    Returns
    -------
    Listing
        Paths from the nearest folder that all files lie in; a file named twice is there once.
        The label is the last folder of the path as written, as for files on the command line; or what
        follows the path (`extract.inputs.tables.labelled_lists`).
        A file that is not there is a failure with its line. If it names images at more than one
        place, on the disk and in buckets, paths begin with the places' names (`extract.inputs.places.join`).

    Raises
    ------
    UsageError
        If it names no image.
    """
    lines = paths_of_list(data, name)
    labelled = labelled_lines(lines, base, name, notify)
    if labelled is not None:
        from fc7.extract.inputs.labels.labelling import list_manifest

        return list_manifest(labelled, Path(base), _shown(base, base))
    remote = {number: line.strip() for number, line in lines.items() if is_address(line.strip())}
    if not remote:
        return _list_files(lines, base, name)
    from fc7.extract.inputs.places.join import ListedSource, join
    from fc7.extract.inputs.remote.lists import list_lines

    sources = list_lines(remote, name)
    local = {number: line for number, line in lines.items() if number not in remote}
    if local:
        listing = _list_files(local, base, name)
        origin = listing.images[0].origin
        sources.append(ListedSource(origin.name, getattr(origin, "folder", base), listing))
    return join(sources)


def _list_files(lines: dict[int, str], base: str, name: str) -> Listing:
    spoilt = {number: line for number, line in lines.items() if "\0" in line}
    full = {
        number: os.path.normpath(os.path.join(base, on_disk(line, base)))
        for number, line in lines.items()
        if number not in spoilt
    }
    files = {number: path for number, path in full.items() if not os.path.isdir(path)}
    if not files:
        what = f"only folders ({len(full)}); give those as they are" if full else "nothing"
        if spoilt:
            what = f"no file, and {len(spoilt)} of its lines hold a zero byte"
        raise UsageError(f"{name} names {what}; one image path a line is needed")
    origin = _origin(list(files.values()), base)
    found = FolderWalk(origin)
    found.ignored[FOLDER] += len(full) - len(files)
    found.failures += [
        Failure(escape(line), f"named in {name} line {number}, {ZERO_BYTE}", 0, 0)
        for number, line in spoilt.items()
    ]
    seen: set[str] = set()
    for number, path in files.items():
        if path in seen:
            continue
        seen.add(path)
        before = len(found.failures)
        relative = path[len(origin.folder) :].replace(os.sep, "/").lstrip("/")
        found.add_file(relative, _label(lines[number]), listed=True)
        if len(found.failures) > before:
            failure = found.failures.pop()
            why = failure.reason if os.path.lexists(path) else "not found"
            found.failures.append(replace(failure, reason=f"named in {name} line {number}, {why}"))
    if not found.images:
        _refuse(found, name)
    return found.listing()


def read_list(path: Path, name: str, notify: Notify) -> Listing:
    """`list_paths` of a file; its paths start at its folder.

    Raises
    ------
    SourceError
        If it cannot be read.
    UsageError
        If it names no image.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise SourceError(f"{name}: cannot be read: {exc.strerror or exc}") from exc
    return list_paths(data, os.path.abspath(path.parent), name, notify)


def _label(line: str) -> str | None:
    last = os.path.basename(os.path.dirname(line))
    return None if last in ("", ".", "..") else escape(last)


def _origin(full: list[str], base: str) -> FolderOrigin:
    try:
        folder = os.path.commonpath([os.path.dirname(path) for path in full])
    except ValueError as exc:
        raise UsageError("the listed paths lie on different drives; make one list for each") from exc
    return FolderOrigin(escape(_shown(folder, base)), folder)


def _shown(folder: str, base: str) -> str:
    """As the user would type it: short below the current folder, whole elsewhere."""
    here = str(Path.cwd())
    return os.path.relpath(folder) if folder.startswith(here) and base.startswith(here) else folder


def _refuse(found: FolderWalk, name: str) -> None:
    if found.failures:
        first = found.failures[0]
        raise UsageError(
            f"{name}: none of the {len(found.failures)} images it names can be read; the first is "
            f"{first.path!r} ({first.reason}). Paths start at the list's folder (from stdin: here)"
        )
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.ignored.most_common(6))
    raise UsageError(f"{name} names no image by its suffix: found {kinds}")
