"""What the user names on the command line, turned into a `Listing`: files, folders, patterns."""

# Strings, not Path objects: a shell may name 100,000 files, and a Path costs as much as a look at the disk.
# ruff: noqa: PTH100, PTH112, PTH117, PTH119, PTH120, PTH207

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from extract.folders import HIDDEN, FolderOrigin, Found, escape, is_litter
from extract.formats import SUFFIXES
from extract.stages import Listing
from models.errors import UsageError


def list_images(inputs: Sequence[str | Path]) -> Listing:
    """Every image in some files and folders, without opening one.

    Parameters
    ----------
    inputs : sequence of str or Path
        Files and folders; folders with all that is below them. An input that lies inside a folder
        which is given too is part of that folder, so no image counts twice. A pattern such as
        ``imgs/*.jpg`` that names no file is expanded, because not every shell does it.

    Returns
    -------
    Listing
        Sorted by path (by code points, the same on every system). Paths are relative to the
        root, with ``/``, and escaped to valid UTF-8 where they are not (`extract.folders.escape`). The
        root is the folder itself if one is given, else the nearest folder that all inputs lie in.
        The label is the name of the folder an image lies in; images directly in a given folder
        have none, and a file named directly has its folder's name if the path given has one.

    Raises
    ------
    UsageError
        If an input does not exist, a given folder cannot be read, or nothing is an image by its
        suffix; then with what was found instead.
    """
    named = _outermost(_resolve(inputs))
    # A shell's imgs/* names them too, which nobody meant.
    given = [one for one in named if not is_litter(os.path.basename(one.path))] or named
    origin = _root(given)
    found = Found(origin)
    found.ignored[HIDDEN] += len(named) - len(given)
    empty: list[str] = []
    for one in given:
        before = len(found.images) + len(found.failures)
        relative = one.path[len(origin.folder) :].replace(os.sep, "/").lstrip("/")
        if one.is_folder:
            found.add_folder(relative)
        else:
            found.add_file(relative, one.label)
        if one.is_folder and len(found.images) + len(found.failures) == before:
            empty.append(escape(one.typed))
    if not found.images and not found.failures:
        raise UsageError(_nothing(given, found.ignored))
    found.images.sort(key=lambda ref: ref.path)
    found.failures.sort(key=lambda failure: failure.path)
    return Listing(found.images, found.failures, dict(+found.ignored), (origin.name,), tuple(empty))


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


def _root(given: Sequence[_Input]) -> FolderOrigin:
    try:
        folder = os.path.commonpath([one.folder for one in given])
    except ValueError as exc:
        raise UsageError("the inputs lie on different drives; run them one drive at a time") from exc
    if len({one.folder for one in given}) == 1:
        name = given[0].typed_folder
    elif any(os.path.isabs(one.typed) for one in given):
        name = folder
    else:
        name = os.path.relpath(folder)
    return FolderOrigin(name.encode("utf-8", "backslashreplace").decode(), folder)


def _nothing(given: Sequence[_Input], ignored: Mapping[str, int]) -> str:
    places = ", ".join(one.typed for one in given[:3]) + (", ..." if len(given) > 3 else "")
    others = sorted((-count, kind) for kind, count in ignored.items() if kind != HIDDEN)
    what = [f"{-count} {kind}" for count, kind in others[:6]]
    if ignored.get(HIDDEN):
        what.append(f"{ignored[HIDDEN]} hidden")
    return (
        f"no images in {places}: found {', '.join(what) or 'nothing at all'}. "
        f"Images are known by their suffix: {' '.join(SUFFIXES)}"
    )
