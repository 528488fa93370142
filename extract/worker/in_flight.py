"""What a process is reading and decoding, in a file that outlives it: which images may have ended it.

A number for each image, 0 where there was one before; a death leaves the file as it is. Two writes of eight
bytes an image are what it costs.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections import deque
from collections.abc import Iterator
from itertools import count
from pathlib import Path

_WIDTH = array("q").itemsize


class InFlight:
    """The side of whoever reads and decodes; for many threads.

    Parameters
    ----------
    path : Path
        The file; it must not be there.

    Raises
    ------
    OSError
        If nothing can be written there, or not so (Windows has no pwrite).
    """

    def __init__(self, path: Path) -> None:
        if not hasattr(os, "pwrite"):
            raise OSError("this system cannot write into the midst of a file")
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._free: deque[int] = deque()
        self._places = count()

    @contextlib.contextmanager
    def holding(self, number: int) -> Iterator[None]:
        """While an image is read and decoded; `number` says which, and is not negative."""
        try:
            place = self._free.popleft()
        except IndexError:
            place = next(self._places)
        self._write(place, number + 1)
        try:
            yield
        finally:
            self._write(place, 0)
            self._free.append(place)

    def close(self) -> None:
        """Take the file away, unless there is something in it: a thread that does not come back."""
        if left_in(self.path):
            # Were it closed, and the thread came back, it would write into whatever has the number then.
            return
        os.close(self._file)
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _write(self, place: int, number: int) -> None:
        # Without this whoever reads is as good; after a death more images are suspects.
        with contextlib.suppress(OSError):
            os.pwrite(self._file, array("q", [number]).tobytes(), place * _WIDTH)


def left_in(path: Path) -> frozenset[int] | None:
    """The numbers of what was being read and decoded; None if that is not known."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    numbers = array("q", content[: len(content) // _WIDTH * _WIDTH])
    return frozenset(number - 1 for number in numbers if number > 0)
