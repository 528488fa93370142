"""Walk folders for images, and read the files that were found."""

# Strings, not Path objects: there may be millions, and a Path costs as much as a look at the disk.
# ruff: noqa: PTH114, PTH115, PTH116, PTH123

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fc7.extract.images.codecs.formats import HEAD_BYTES, SUFFIXES, begins_as_image, is_worth_a_look
from fc7.extract.records import Failure, ImageRef, Listing
from fc7.models.common.errors import ImageError, UsageError

HIDDEN, NO_SUFFIX, LINKED_AGAIN = "hidden", "no suffix", "linked again"
"""Keys of `Listing.ignored` beside suffixes, which all begin with a dot."""

ZERO_BYTE = "its name holds a zero byte"
"""Reason of a failure: no file system has such a file, archives, tables and web pages may name one."""

NO_IMAGE, NOT_FOUND = "no image by its suffix or first bytes", "not found"
"""Reasons of a failure: a list names it as an image."""

VANISHED = "vanished after it was listed"
"""Reason of a failure: it was there a moment before."""

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


def changed_ns(path: str | os.PathLike[str]) -> int:
    """When a file was last changed in any way; the end of time where that cannot be told."""
    try:
        status = os.stat(path)
    except OSError:
        return sys.maxsize
    # Elsewhere st_ctime is when a file was made, and tells nothing of a rename.
    return status.st_ctime_ns if os.name == "posix" else sys.maxsize


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
        """As `extract.records.changed_ns_of`; of a file that cannot be looked at, the end of time."""
        return changed_ns(self.path(str(ref.locator)))

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
            raise ImageError(VANISHED) from exc
        except OSError as exc:
            raise ImageError(f"cannot be read: {exc.strerror or exc}") from exc
        if len(data) != ref.size:
            raise ImageError(f"changed while it was read: listed with {ref.size} bytes, read {now}")
        return data


@dataclass(frozen=True, slots=True)
class _LocalFolder:
    """A folder still to be listed: its path, real and escaped; its images' label; whether a link led here."""

    relative: str
    shown: str
    label: str | None
    linked: bool


@dataclass(slots=True)
class FolderWalk:
    """What a walk has met so far."""

    origin: FolderOrigin
    images: list[ImageRef] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    folders: list[str] = field(default_factory=list)
    _seen: set[tuple[int, int | str]] = field(default_factory=set)

    def add_folders(self, relatives: Sequence[str]) -> None:
        """List some folders and all below them, each folder once however many links lead to it.

        An image's label is the name of the folder it lies in; one that lies directly in one of
        `relatives` has none. Links to folders are followed when all that is no link has been listed,
        those of fewer folders and of lower names first.

        Parameters
        ----------
        relatives : sequence of str
            From the origin's folder, with ``/``; "" for that folder itself.

        Raises
        ------
        UsageError
            If one of them cannot be read. Folders below that cannot are failures, with their names.
        """
        given = [_LocalFolder(one, escape(one), None, linked=self._is_behind_link(one)) for one in relatives]
        pending = [folder for folder in given if not folder.linked]
        links = [folder for folder in given if folder.linked]
        while pending or links:
            if not pending:
                # Taken from the end.
                pending, links = sorted(links, key=lambda one: one.relative, reverse=True), []
            folder = pending.pop()
            try:
                self._list(folder, pending, links)
            except OSError as exc:
                reason = f"cannot be read: {exc.strerror or exc}"
                if folder.relative in relatives:
                    raise UsageError(f"folder {self.origin.path(folder.relative)!r} {reason}") from exc
                self.failures.append(Failure(f"{folder.shown}/", f"the folder {reason}", 0, mtime_ns=0))

    def has_listed(self, folder: object) -> bool:
        """Whether a folder of this `identity` was listed."""
        return folder in self._seen

    def add_file(self, relative: str, label: str | None) -> None:
        """List one file that was named directly, or count it where it is no image; `relative` as above."""
        name = relative.rpartition("/")[2]
        if may_hold_image(name) and not os.path.lexists(self.origin.path(relative)):
            self.failures.append(Failure(escape(relative), NOT_FOUND, 0, mtime_ns=0))
            return
        self._file(relative, escape(relative), name, label=label)

    def folders_without_images(self) -> list[str]:
        """Folders below those given that hold no image, readable or not, nor do those in them; sorted."""
        filled = {""}
        paths = [*(ref.path for ref in self.images), *(failure.path for failure in self.failures)]
        for folder in {path.rpartition("/")[0] for path in paths}:
            while folder not in filled:
                filled.add(folder)
                folder = folder.rpartition("/")[0]
        # Of folders in one another the outermost says it all.
        return sorted(
            f"{folder}/"
            for folder in self.folders
            if folder not in filled and folder.rpartition("/")[0] in filled
        )

    def listing(self) -> Listing:
        """All of it, sorted by path."""
        self.images.sort(key=lambda ref: ref.path)
        self.failures.sort(key=lambda failure: failure.path)
        return Listing(self.images, self.failures, dict(+self.ignored), roots=(self.origin.name,))

    def _is_behind_link(self, relative: str) -> bool:
        path = self.origin.path(relative)
        return os.path.realpath(path) != path

    def _list(self, folder: _LocalFolder, pending: list[_LocalFolder], links: list[_LocalFolder]) -> None:
        """Take a folder's files; put the folders in it where they belong."""
        path = self.origin.path(folder.relative)
        here = identity(path)
        # Without a link none is met twice. A file system whose numbers are not its own loses nothing so.
        if folder.linked and here in self._seen:
            self.ignored[LINKED_AGAIN] += 1
            return
        self.folders.append(folder.shown)
        start = f"{folder.relative}/" if folder.relative else ""
        shown_start = f"{folder.shown}/" if folder.shown else ""
        with os.scandir(path) as entries:
            self._seen.add(here)
            for entry in entries:
                name = entry.name
                shown = escape(name)
                if is_hidden(name):
                    self.ignored[HIDDEN] += 1
                elif _is_folder(entry):
                    linked = entry.is_symlink()
                    below = _LocalFolder(
                        start + name, shown_start + shown, shown, linked=folder.linked or linked
                    )
                    (links if linked else pending).append(below)
                else:
                    self._file(start + name, shown_start + shown, name, label=folder.label, entry=entry)

    def _file(
        self,
        relative: str,
        shown: str,
        name: str,
        label: str | None,
        entry: os.DirEntry[str] | None = None,
    ) -> None:
        path = self.origin.path(relative)
        other = not_an_image(name)
        if other is not None and not holds_image(path):
            self.ignored[other] += 1
            return
        status = look(path, entry)
        if isinstance(status, str):
            self.failures.append(Failure(shown, status, 0, mtime_ns=0))
            return
        # One string for both where nothing had to be escaped: millions of paths are kept.
        locator = shown if shown == relative else relative
        self.images.append(
            ImageRef(
                shown,
                label=label,
                group=None,
                split=None,
                size=status.st_size,
                mtime_ns=status.st_mtime_ns,
                origin=self.origin,
                locator=locator,
            )
        )


def look(path: str, entry: os.DirEntry[str] | None = None) -> os.stat_result | str:
    """A file's state, or why it is no file to be read.

    Parameters
    ----------
    entry : os.DirEntry or None
        Its entry in a folder, where that is at hand.
    """
    try:
        status = os.stat(path) if entry is None else entry.stat()
    except (OSError, ValueError) as exc:
        return _why_not(path, exc)
    if stat.S_ISREG(status.st_mode):
        return status
    return "a folder" if stat.S_ISDIR(status.st_mode) else "not a file but a pipe, socket or device"


def identity(path: str) -> tuple[int, int | str]:
    """What two paths to one folder have in common.

    Raises
    ------
    OSError
        If there is nothing, or it may not be looked at.
    """
    status = os.stat(path)
    # Some network file systems number nothing.
    return status.st_dev, status.st_ino or os.path.realpath(path)


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


def as_typed(name: str) -> str:
    """What the user typed, as valid UTF-8: recorded and shown, not opened."""
    return name.encode("utf-8", "backslashreplace").decode()


def may_hold_image(name: str) -> bool:
    """Whether a look at its first bytes can tell that a file of no image's name is one."""
    kind = not_an_image(name)
    return kind is not None and is_worth_a_look("" if kind == NO_SUFFIX else kind)


def holds_image(path: str) -> bool:
    """Whether a file of no image's name begins as an image does. What is no file is not opened."""
    try:
        if not may_hold_image(path.rpartition("/")[2]) or not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb", buffering=0) as file:
            return begins_as_image(file.read(HEAD_BYTES))
    except (OSError, ValueError):
        return False


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
        return _real(name) or "".join(map(_escaped, name))
    return name


def _real(name: str) -> str | None:
    """A UTF-8 name that Python took for undecodable bytes, as it does in a C locale."""
    try:
        return name.encode("utf-8", "surrogateescape").decode()
    except UnicodeError:
        return None


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


def _why_not(path: str, exc: OSError | ValueError) -> str:
    if os.path.islink(path):
        return f"broken link to {os.readlink(path)!r}"
    if isinstance(exc, FileNotFoundError | NotADirectoryError):
        return NOT_FOUND
    return f"cannot be read: {getattr(exc, 'strerror', None) or exc}"
