"""A text list of image paths, or the same from stdin: one a line, or with zero bytes between them."""

# Strings, not Path objects, as in `extract.inputs.sources`: a list may name millions.
# ruff: noqa: PTH100, PTH112, PTH119, PTH120

from __future__ import annotations

import os
from pathlib import Path

from fc7.extract.inputs.places.addresses import is_address
from fc7.extract.inputs.places.folders import FolderOrigin, FolderWalk, escape
from fc7.extract.inputs.places.join import ListedSource, join
from fc7.extract.inputs.tables.labelled_lists import labelled_lines
from fc7.extract.inputs.tables.list_lines import FOLDER, paths_of_list
from fc7.extract.inputs.tables.manifests import Manifest, ManifestRow
from fc7.extract.inputs.tables.named_files import find_named, named_files, nearest_folder
from fc7.extract.records import Listing
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
    labelled = labelled_lines(lines, base, name, notify=notify)
    if labelled is not None:
        from fc7.extract.inputs.labels.labelling import list_manifest

        return list_manifest(labelled, Path(base), _shown(base, base))
    remote = {number: line.strip() for number, line in lines.items() if is_address(line.strip())}
    if not remote:
        return _list_files(lines, base, name)
    # fsspec's room takes its time to load, and few lists name addresses.
    from fc7.extract.inputs.remote.lists import list_lines

    sources = list_lines(remote, name)
    local = {number: line for number, line in lines.items() if number not in remote}
    if local:
        listing = _list_files(local, base, name)
        origin = listing.images[0].origin
        sources.append(ListedSource(origin.name, getattr(origin, "folder", base), listing))
    return join(sources)


def _list_files(lines: dict[int, str], base: str, name: str) -> Listing:
    rows = [ManifestRow(number, line, _label(line), group=None, split=None) for number, line in lines.items()]
    manifest = Manifest(name, rows)
    named = named_files(manifest, base, on_disk)
    files = [(row, path) for row, path in named if not os.path.isdir(path)]
    if not files:
        what = f"only folders ({len(named)}); give those as they are" if named else "nothing"
        if spoilt := len(rows) - len(named):
            what = f"no file, and {spoilt} of its lines hold a zero byte"
        raise UsageError(f"{name} names {what}; one image path a line is needed")
    folder = nearest_folder(files, name)
    origin = FolderOrigin(escape(_shown(folder, base)), folder)
    found = find_named(manifest, files, origin, repeated="dropped", any_suffix=False)
    found.ignored[FOLDER] += len(named) - len(files)
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
    return list_paths(data, os.path.abspath(path.parent), name, notify=notify)


def _label(line: str) -> str | None:
    last = os.path.basename(os.path.dirname(line))
    return None if last in ("", ".", "..") else escape(last)


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
