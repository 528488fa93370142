"""What the user names on the command line, turned into a `Listing`: files, folders, patterns."""

# Strings, not Path objects: a shell may name 100,000 files, and a Path costs as much as a look at the disk.
# ruff: noqa: PTH100, PTH112, PTH117, PTH119, PTH120, PTH207

from __future__ import annotations

import glob
import os
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from fc7.extract.images.codecs.formats import SUFFIXES
from fc7.extract.inputs.labels.class_folders import label_class_folders
from fc7.extract.inputs.places.folders import (
    HIDDEN,
    LINKED_AGAIN,
    FolderOrigin,
    FolderWalk,
    as_typed,
    escape,
    identity,
    is_litter,
)
from fc7.extract.records import Failure, ImageRef, Listing
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Notify

_FOLDERS_SHOWN = 10


def list_images(
    inputs: Sequence[str | Path], notify: Notify | None = None, *, by_folder: bool = True
) -> Listing:
    """Every image in some files and folders; of files whose name is no image's, the first bytes are read.

    Parameters
    ----------
    inputs : sequence of str or Path
        Files and folders; folders with all that is below them. An input that lies inside a folder
        which is given too is part of that folder, so no image counts twice. A pattern such as
        ``imgs/*.jpg`` that names no file is expanded, because not every shell does it.
    notify : callable or None
        Is told what became of the labels of folders side by side, and which folders hold no image.
    by_folder : bool
        Whether the labels stay: else nothing is said of them.

    Returns
    -------
    Listing
        Sorted by path (by code points, the same on every system). Paths are relative to the root, with ``/``,
        and escaped to valid UTF-8 where they are not (`extract.inputs.places.folders.escape`). The root is
        the folder itself if one is given, else the nearest folder that all inputs lie in. The label is the
        name of the folder an image lies in; images directly in a given folder have none, unless several that
        are classes are given (`extract.inputs.labels.class_folders`), and a file named directly has its
        folder's name if the path given has one.

    Raises
    ------
    UsageError
        If an input does not exist, a given folder cannot be read, or nothing is an image by its
        suffix or first bytes; then with what was found instead.
    """
    named = _outermost(_resolve(inputs))
    # A shell's imgs/* names them too, which nobody meant.
    given = [one for one in named if not is_litter(os.path.basename(one.path))] or named
    origin = _root(given)
    found = FolderWalk(origin)
    found.ignored[HIDDEN] += len(named) - len(given)
    folders = [one.below(origin) for one in given if one.is_folder]
    found.add_folders(folders)
    for one in _once([one for one in given if not one.is_folder], found):
        found.add_file(one.below(origin), one.label)
    if len(folders) > 1:
        label_class_folders(found, folders, notify if by_folder and notify else lambda note: None)
    if not found.images and not found.failures:
        raise UsageError(_nothing(given, found.ignored))
    barren = found.folders_without_images()
    if barren and notify is not None:
        more = f" and {len(barren) - _FOLDERS_SHOWN} more" if len(barren) > _FOLDERS_SHOWN else ""
        notify(f"no image in {', '.join(barren[:_FOLDERS_SHOWN])}{more}")
    listing = found.listing()
    empty = [escape(one.typed) for one in given if one.is_folder and not _holds(listing, one.below(origin))]
    return replace(listing, empty=tuple(empty))


def _holds(listing: Listing, folder: str) -> bool:
    """Whether a folder gave anything."""
    start = f"{escape(folder)}/" if folder else ""

    def first(paths: Sequence[ImageRef] | Sequence[Failure]) -> bool:
        at = bisect_left(paths, start, key=lambda one: one.path)
        return at < len(paths) and paths[at].path.startswith(start)

    return first(listing.images) or first(listing.failures)


@dataclass(frozen=True, slots=True)
class _Input:
    """One input: as typed, its absolute path, and what it is."""

    typed: str
    path: str
    is_folder: bool

    @property
    def folder(self) -> str:
        return self.path if self.is_folder else os.path.dirname(self.path)

    @property
    def typed_folder(self) -> str:
        return self.typed if self.is_folder else os.path.dirname(self.typed) or os.curdir

    def below(self, origin: FolderOrigin) -> str:
        """Its path from there, with ``/``."""
        return self.path[len(origin.folder) :].replace(os.sep, "/").lstrip("/")

    @property
    def label(self) -> str | None:
        """A file's: the last folder in the path as typed."""
        return _last_name(os.path.dirname(self.typed))


def _resolve(inputs: Sequence[str | Path]) -> list[_Input]:
    if not inputs:
        raise UsageError("no images were given; name files or folders")
    missing: list[str] = []
    given: list[_Input] = []
    for typed in map(str, inputs):
        names = [typed]
        if not os.path.lexists(typed):
            names = sorted(glob.glob(typed, recursive=True))
            if not names:
                missing.append(typed)
        given += [_Input(name, _absolute(name), os.path.isdir(name)) for name in names]
    if missing:
        raise UsageError("no such file or folder: " + ", ".join(map(repr, missing)))
    return given


def _absolute(typed: str) -> str:
    # ".." after a link leads elsewhere than its text says; only the file system knows where.
    return os.path.realpath(typed) if ".." in typed else os.path.abspath(typed)


@cache
def _last_name(folder: str) -> str | None:
    name = Path(folder).name
    return None if name in ("", "..") else escape(name)


def _outermost(given: Sequence[_Input]) -> list[_Input]:
    """Without those inside another, and each once."""
    folders = {one.path for one in given if one.is_folder}

    @cache
    def covered(path: str) -> bool:
        around = os.path.dirname(path)
        return around != path and (around in folders or covered(around))

    kept: dict[str, _Input] = {}
    for one in given:
        if not covered(one.path):
            kept.setdefault(one.path, one)
    return list(kept.values())


def _once(files: Sequence[_Input], found: FolderWalk) -> list[_Input]:
    """Files without those that a link makes of one named already, or of one in a folder that was listed."""
    where = cache(_folder_of)
    kept: dict[object, _Input] = {}
    for one in files:
        folder, name = where(os.path.dirname(one.path)), os.path.basename(one.path)
        if found.has_listed(folder) or kept.setdefault((folder, name), one) is not one:
            found.ignored[LINKED_AGAIN] += 1
    return list(kept.values())


def _folder_of(path: str) -> object:
    try:
        return identity(path)
    except OSError:
        return path


def _root(given: Sequence[_Input]) -> FolderOrigin:
    try:
        folder = os.path.commonpath([one.folder for one in given])
    except ValueError as exc:
        raise UsageError("the inputs lie on different drives; run them one drive at a time") from exc
    if len({one.folder for one in given}) == 1:
        # imgs/ and imgs are one root.
        name = given[0].typed_folder.rstrip("/") or "/"
    elif any(os.path.isabs(one.typed) for one in given):
        name = folder
    else:
        name = os.path.relpath(folder)
    return FolderOrigin(as_typed(name), folder)


def _nothing(given: Sequence[_Input], ignored: Mapping[str, int]) -> str:
    places = ", ".join(one.typed for one in given[:3]) + (", ..." if len(given) > 3 else "")
    others = sorted((-count, kind) for kind, count in ignored.items() if kind != HIDDEN)
    what = [f"{-count} {kind}" for count, kind in others[:6]]
    if ignored.get(HIDDEN):
        what.append(f"{ignored[HIDDEN]} hidden")
    return (
        f"no images in {places}: found {', '.join(what) or 'nothing at all'}. "
        f"Images are known by their suffix ({' '.join(SUFFIXES)}), under another name by their first bytes"
    )
