"""Walk folders for images, and read the files that were found."""

# Strings, not Path objects: there may be millions, and a Path costs as much as a look at the disk.
# ruff: noqa: PTH114, PTH115, PTH116, PTH123

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from dataclasses import dataclass, field

from extract.formats import SUFFIXES
from extract.stages import Failure, ImageRef
from models.errors import ImageError, UsageError

HIDDEN, NO_SUFFIX, LINK_LOOP = "hidden", "no suffix", "link loop"
"""Keys of `Listing.ignored` beside suffixes, which all begin with a dot."""

MAX_FILE_BYTES = 1 << 30
"""A larger file is refused unread: decoding takes several times its size in memory."""

_IMAGES = frozenset(SUFFIXES)
# What operating systems and archivers leave beside people's pictures.
_LITTER = frozenset(
    {
        "__macosx",
        "thumbs.db",
        "desktop.ini",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
    }
)


@dataclass(frozen=True, slots=True)
class FolderOrigin:
    """Files under one folder.

    Attributes
    ----------
    name : str
        The folder as the user gave it.
    folder : str
        Its absolute path, so that a later change of the working folder does no harm.
    """

    name: str
    folder: str

    def path(self, relative: str) -> str:
        """Where a path from this folder lies, with ``/`` on every system."""
        return f"{self.folder.rstrip('/')}/{relative}" if relative else self.folder

    def changed_ns(self, ref: ImageRef) -> int:
        """As `extract.stages.changed_ns_of`; of a file that cannot be looked at, the end of time."""
        try:
            status = os.stat(self.path(str(ref.locator)))
        except OSError:
            return sys.maxsize
        # Elsewhere st_ctime is when a file was made, and tells nothing of a rename.
        return status.st_ctime_ns if os.name == "posix" else sys.maxsize

    def read(self, ref: ImageRef) -> bytes:
        """The whole file, read once.

        Raises
        ------
        ImageError
            If it has vanished, cannot be opened, is too large, or is not of the size that was listed.
        """
        if ref.size > MAX_FILE_BYTES:
            raise ImageError(f"the file has {ref.size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        try:
            with open(self.path(str(ref.locator)), "rb") as file:
                # One byte more than listed shows growth without following it.
                data = file.read(ref.size + 1)
                now = os.fstat(file.fileno()).st_size if len(data) > ref.size else len(data)
        except FileNotFoundError as exc:
            raise ImageError("vanished after it was listed") from exc
        except OSError as exc:
            raise ImageError(f"cannot be read: {exc.strerror or exc}") from exc
        if len(data) != ref.size:
            raise ImageError(f"changed while it was read: listed with {ref.size} bytes, read {now}")
        return data


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder still to be listed: its path, real and escaped; its images' label; the folders around it."""

    relative: str
    shown: str
    label: str | None
    inside: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Found:
    """What a walk has met so far."""

    origin: FolderOrigin
    images: list[ImageRef] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def add_folder(self, relative: str) -> None:
        """List a folder and all below it.

        An image's label is the name of the folder it lies in; one that lies directly in
        `relative` has none. Links are followed, except to a folder that the walk is inside of.

        Parameters
        ----------
        relative : str
            From the origin's folder, with ``/``; "" for that folder itself.

        Raises
        ------
        UsageError
            If this folder cannot be read. Folders below that cannot are failures, with their names.
        """
        pending = [_Folder(relative, escape(relative), None, ())]
        while pending:
            folder = pending.pop()
            try:
                pending += self._list(folder)
            except OSError as exc:
                reason = f"cannot be read: {exc.strerror or exc}"
                if folder.relative == relative:
                    raise UsageError(f"folder {self.origin.path(relative)!r} {reason}") from exc
                self.failures.append(Failure(f"{folder.shown}/", f"the folder {reason}", 0, 0))

    def add_file(self, relative: str, label: str | None) -> None:
        """List one file that was named directly; `relative` as for `add_folder`."""
        self._file(relative, escape(relative), relative.rpartition("/")[2], label)

    def _list(self, folder: _Folder) -> list[_Folder]:
        """Take a folder's files; the folders in it."""
        path = self.origin.path(folder.relative)
        status = os.stat(path)
        here = (status.st_dev, status.st_ino)
        if here in folder.inside:
            self.ignored[LINK_LOOP] += 1
            return []
        below: list[_Folder] = []
        start = f"{folder.relative}/" if folder.relative else ""
        shown_start = f"{folder.shown}/" if folder.shown else ""
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                shown = escape(name)
                if is_hidden(name):
                    self.ignored[HIDDEN] += 1
                elif _is_folder(entry):
                    below.append(_Folder(start + name, shown_start + shown, shown, (*folder.inside, here)))
                else:
                    self._file(start + name, shown_start + shown, name, folder.label, entry)
        return below

    def _file(
        self,
        relative: str,
        shown: str,
        name: str,
        label: str | None,
        entry: os.DirEntry[str] | None = None,
    ) -> None:
        other = not_an_image(name)
        if other is not None:
            self.ignored[other] += 1
            return
        try:
            status = entry.stat() if entry is not None else os.stat(self.origin.path(relative))
        except OSError as exc:
            reason = _why_not(self.origin.path(relative), exc)
            self.failures.append(Failure(shown, reason, 0, 0))
            return
        if not stat.S_ISREG(status.st_mode):
            self.failures.append(Failure(shown, "not a file but a pipe, socket or device", 0, 0))
            return
        # One string for both where nothing had to be escaped: millions of paths are kept.
        locator = shown if shown == relative else relative
        self.images.append(
            ImageRef(shown, label, None, None, status.st_size, status.st_mtime_ns, self.origin, locator)
        )


def is_hidden(name: str) -> bool:
    """Whether a file or folder is passed over by its name alone."""
    return name.startswith(".") or is_litter(name)


def is_litter(name: str) -> bool:
    """Whether an operating system or an archiver leaves files and folders of this name; their case varies."""
    return name.lower() in _LITTER


def not_an_image(name: str) -> str | None:
    """The key of `Listing.ignored` for a file that is no image by its name; None for an image."""
    end = name.rpartition(".")[2]
    suffix = f".{end.lower()}" if 0 < len(end) < len(name) else ""
    return None if suffix in _IMAGES else suffix or NO_SUFFIX


def escape(name: str) -> str:
    r"""A name that is valid UTF-8, and from which the real one can be told.

    A byte that is not UTF-8 (Linux) becomes ``\xNN``, a lone surrogate (Windows) ``\uNNNN``,
    and a backslash in a name (never on Windows) ``\\``. All other names stay as they are.
    """
    if name.isascii() and "\\" not in name:
        return name
    name = name.replace("\\", "\\\\")
    try:
        name.encode()
    except UnicodeEncodeError:
        return "".join(map(_escaped, name))
    return name


def _escaped(character: str) -> str:
    code = ord(character)
    # PEP 383: Python stands undecodable bytes 80-FF for by U+DC80-U+DCFF.
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if 0xD800 <= code <= 0xDFFF else character


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself is no folder; as a file it fails with its reason.
        return False


def _why_not(path: str, exc: OSError) -> str:
    if os.path.islink(path):
        return f"broken link to {os.readlink(path)!r}"
    return f"cannot be read: {exc.strerror or exc}"
