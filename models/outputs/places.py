"""How a finished file gets to its place. Whether it may, `models.outputs.outputs` says.

====================  ==================================================================================
at the place          what becomes of it
====================  ==================================================================================
a file                a new one is finished beside it and then takes its name and its access rights
a link                stays; what it leads to is replaced, or made
pipe, terminal,       written into, from beginning to end
``/dev/null``
``/dev/stdout``,      the same; the open stream itself is written to, so that what a shell sent it to is
``/dev/fd/N``         neither emptied nor replaced
====================  ==================================================================================

`atomicwrites` (1.4.0) puts a file in a link's place and in that of ``/dev/null``, and leaves a file of mode
0664 with 0600.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fc7.models.common.durable import flush_folder

# A full disk takes an empty file, and a small one into a gap; few results are smaller than this.
_TRIAL_BYTES = 1 << 16
_OPEN_STREAM = re.compile(r"/dev/(?:std(?P<name>out|err)|fd/(?P<fd>\d+))|/proc/self/fd/(?P<self>\d+)")


@dataclass(frozen=True, slots=True)
class OutputPlace:
    """Where a file is to be written. Made by `place`.

    Attributes
    ----------
    path : Path
        As the user gave it.
    target : Path
        Where links led then.
    stream : bool
        It is a pipe, a terminal or the like.
    """

    path: Path
    target: Path
    stream: bool

    def part(self) -> Path:
        """A free name beside it, for what is not finished yet."""
        # Names may have 255 bytes, and this one gets some more.
        name = os.fsdecode(os.fsencode(self.target.name)[:200])
        return self.target.with_name(f".{name}.{os.getpid()}-{secrets.token_hex(4)}.part")

    def try_writing(self) -> None:
        """Write a little beside it, and take it away again.

        Raises
        ------
        OSError
            As writing the file itself would.
        """
        try:
            with _unnamed(self.target.parent) or self._named() as stream:
                stream.write(bytes(_TRIAL_BYTES))
        except OSError as exc:
            # A limit on files says nothing of how large this one will be.
            if exc.errno != errno.EFBIG:
                raise

    def write(self, data: bytes, occupied: Callable[[], bool]) -> None:
        """Write all of it; a file appears when it is complete and survives a power cut then.

        Parameters
        ----------
        occupied : callable
            As `put` takes it.

        Raises
        ------
        OSError
            What was there before is as it was.
        """
        if self.stream:
            with self.open() as stream:
                stream.write(data)
            return
        part = self.part()
        try:
            with part.open("xb") as stream:
                stream.write(data)
            self.put(part, occupied)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def put(self, finished: Path, occupied: Callable[[], bool]) -> None:
        """Give a finished file, which lies on the same disk, this name; survives a power cut.

        Where nothing stands, the name is taken only while it is free (a hard link; where a file system
        has none, a rename).

        Parameters
        ----------
        occupied : callable
            Whether something stands there now, which is to be replaced. Raises if it must not be.

        Raises
        ------
        OSError
        """
        with finished.open("rb+") as stream:
            os.fsync(stream.fileno())
        for _ in range(2):
            if occupied():
                with contextlib.suppress(OSError):
                    shutil.copymode(self.target, finished)
                finished.replace(self.target)
                break
            try:
                os.link(finished, self.target)
            except FileExistsError:
                continue  # it appeared just now, and is checked as well
            except OSError:
                finished.replace(self.target)
            else:
                finished.unlink()
            break
        else:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        flush_folder(self.target.parent)

    @contextlib.contextmanager
    def _named(self) -> Iterator[BinaryIO]:
        trial = self.part()
        try:
            with trial.open("xb") as stream:
                yield stream
        finally:
            with contextlib.suppress(OSError):
                trial.unlink(missing_ok=True)

    def open(self) -> BinaryIO:
        """A stream to write into; only where it is one."""
        descriptor = _descriptor(self.path)
        return self.path.open("wb") if descriptor is None else os.fdopen(os.dup(descriptor), "wb")


def place(path: Path) -> OutputPlace:
    """What a path leads to now."""
    try:
        mode = path.stat().st_mode
    except OSError:
        mode = 0
    stream = stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or _descriptor(path) is not None
    return OutputPlace(path, Path(os.path.realpath(path)), stream)


def _unnamed(folder: Path) -> BinaryIO | None:
    """A file without a name, which nobody sees and a kill leaves nothing of; None where there are none."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600), "wb")
    except OSError as exc:
        # open(2): what file systems and kernels say that do not have them.
        if exc.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
            return None
        raise


def _descriptor(path: Path) -> int | None:
    """The number of the open stream that a path such as ``/dev/stdout`` stands for."""
    found = _OPEN_STREAM.fullmatch(str(path))
    if found is None:
        return None
    if found["name"]:
        return {"out": 1, "err": 2}[found["name"]]
    return int(found["fd"] or found["self"])
