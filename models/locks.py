"""One process at a time, where the system can say so."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Busy(Exception):  # noqa: N818 - a state of the world, turned into a message by the caller
    """Another process holds the lock."""


@contextmanager
def exclusive(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock `path` for the length of a ``with``; the system frees it if we die.

    Parameters
    ----------
    path : Path
        A file that is made, and deleted at the end.
    wait : bool
        Wait for another holder instead of raising.

    Yields
    ------
    bool
        Whether the lock keeps others out. False on Windows and on file systems without ``flock``
        (some network shares); writers there rely on atomic renames alone.

    Raises
    ------
    Busy
        If another process holds it and `wait` is False.
    OSError
        If the file cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            alone = _locked(descriptor, wait)
            # The holder we waited for has deleted the file: a lock on it keeps nobody out any more.
            if alone and not _same(descriptor, path):
                continue
            try:
                yield alone
            finally:
                if alone:
                    path.unlink(missing_ok=True)
            return
        finally:
            os.close(descriptor)


def _locked(descriptor: int, wait: bool) -> bool:
    if os.name != "posix":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as exc:
        if exc.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise Busy(str(exc)) from exc
        return False
    return True


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
