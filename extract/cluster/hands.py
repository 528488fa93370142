"""What a worker has in its hands, in a file that outlives it: which images may have ended it.

A number for each image that is being read or decoded, 0 where there was one before; a death leaves the file
as it is. It lies with the cache's segments, under the suffix by which what was not finished is swept away.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from array import array
from collections import deque
from collections.abc import Iterator
from itertools import count
from pathlib import Path

_WIDTH = array("q").itemsize


class Hands:
    """The worker's side; for many threads.

    Parameters
    ----------
    folder : Path
        Both sides see it.

    Raises
    ------
    OSError
        If nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"hands-{os.getpid()}-{secrets.token_hex(4)}.partial"
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._free: deque[int] = deque()
        self._places = count()

    @contextlib.contextmanager
    def holding(self, image: int) -> Iterator[None]:
        """While an image is read and decoded; `image` is its number in the run."""
        try:
            place = self._free.popleft()
        except IndexError:
            place = next(self._places)
        self._write(place, image + 1)
        try:
            yield
        finally:
            self._write(place, 0)
            self._free.append(place)

    def _write(self, place: int, number: int) -> None:
        # Without this the worker is as good; after a death more images are suspects.
        with contextlib.suppress(OSError):
            os.pwrite(self._file, array("q", [number]).tobytes(), place * _WIDTH)


def held(path: Path) -> frozenset[int] | None:
    """What was in the hands of a worker that died; None if that is not known."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    numbers = array("q", content[: len(content) // _WIDTH * _WIDTH])
    return frozenset(number - 1 for number in numbers if number > 0)
