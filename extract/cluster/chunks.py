"""A listing cut into chunks: which one is next, and what becomes of one that ended its worker.

A worker that dies says nothing of the reason. The images that it was reading (`extract.worker.in_flight`)
become suspects: each is tried by itself, on a machine on which no other worker of ours has anything to do.
The rest of its chunks is done again like any other. Where it is not known what it was reading, whole
chunks are suspects, and are cut in pieces until a piece is one image.

An image is given up when two tries of it have ended a worker. A try counts if the image was alone on its
machine, or if it was the only one that the worker was reading and the backend says that it ended the worker
because memory ran out. So a worker that somebody killed, or that was lost with its machine, costs no image.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace

_PIECES = 8
_BELIEVED = 3
"""How often a chunk's worker may die before it no longer counts what that was reading: a library that
spoils its memory may end the process later."""
TRIES = 2
"""How often an image may end a worker before it is given up."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Images `start` to `stop` of the work.

    Attributes
    ----------
    deaths : int
        Workers that died while they had it.
    tries : int
        Deaths that count against its one image.
    suspect : bool
        It is to be alone on a machine.
    """

    start: int
    stop: int
    deaths: int = 0
    tries: int = 0
    suspect: bool = False

    def __len__(self) -> int:
        return self.stop - self.start


class ChunkQueue:
    """What is left to be handed out."""

    def __init__(self, n_images: int) -> None:
        self._n = n_images
        self._next = 0
        self._again: deque[Chunk] = deque()
        self._suspects: deque[Chunk] = deque()

    @property
    def left(self) -> int:
        """Images that nobody has."""
        waiting = sum(map(len, self._again)) + sum(map(len, self._suspects))
        return self._n - self._next + waiting

    @property
    def suspects(self) -> int:
        """Chunks that need a machine of their own."""
        return len(self._suspects)

    @property
    def first_left(self) -> int:
        """The first image that nobody has; `n_images` if there is none."""
        starts = [chunk.start for chunk in (*self._again, *self._suspects)]
        return min([self._next, *starts])

    def next(self, size: int) -> Chunk | None:
        """The next chunk for a worker that is busy or not, of about `size` images."""
        if self._again:
            return self._again.popleft()
        if self._next >= self._n:
            return None
        start, self._next = self._next, min(self._n, self._next + size)
        return Chunk(start, self._next)

    def next_suspect(self) -> Chunk | None:
        """The next chunk for a machine that has nothing else to do."""
        return self._suspects.popleft() if self._suspects else None

    def requeue(self, chunk: Chunk) -> None:
        """It was not begun, or its machine is gone: nothing is to be learned from that."""
        if len(chunk):
            (self._suspects if chunk.suspect else self._again).append(chunk)

    def count_death(self, chunk: Chunk, held: Collection[int] | None = None, *, memory: bool = False) -> bool:
        """Its worker died, and its machine did not.

        Parameters
        ----------
        held : collection of int or None
            Images that the worker was reading or decoding; None if that is not known.
        memory : bool
            The backend says that it ended the worker because memory ran out.

        Returns
        -------
        bool
            Whether its one image is given up.
        """
        deaths = chunk.deaths + 1
        if held is not None and deaths > _BELIEVED:
            held = None
        if held is not None and not any(chunk.start <= image < chunk.stop for image in held):
            self.requeue(replace(chunk, deaths=deaths))
            return False
        if len(chunk) == 1:
            tries = chunk.tries + (chunk.suspect or memory)
            if tries < TRIES:
                self._suspects.append(replace(chunk, deaths=deaths, tries=tries, suspect=True))
            return tries >= TRIES
        if held is not None:
            self._take_out(chunk, held, memory)
            return False
        step = -(-len(chunk) // _PIECES)
        for start in range(chunk.start, chunk.stop, step):
            stop = min(chunk.stop, start + step)
            self._suspects.append(Chunk(start, stop, suspect=True))
        return False

    def _take_out(self, chunk: Chunk, held: Collection[int], memory: bool) -> None:
        """What was being read is tried by itself, the rest as before."""
        deaths, tries = chunk.deaths + 1, int(memory and len(held) == 1)
        start = chunk.start
        for image in sorted(image for image in held if chunk.start <= image < chunk.stop):
            self.requeue(Chunk(start, image, deaths, suspect=chunk.suspect))
            self._suspects.append(Chunk(image, image + 1, tries=tries, suspect=True))
            start = image + 1
        self.requeue(Chunk(start, chunk.stop, deaths, suspect=chunk.suspect))
