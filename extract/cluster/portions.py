"""A listing cut into portions: which one is next, and what becomes of one that ended its worker.

A worker that dies says nothing of the reason. Its portions are cut in pieces and done again, each piece
alone in a worker, until a piece is one image; if that ends its worker twice, it is given up and the rest
goes on. A worker that was killed for other reasons, or lost with its machine, costs no image: nothing
is given up that did not twice end a worker that had nothing else to do.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_PIECES = 8
TRIES = 2
"""How often an image may end a worker before it is given up."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Images `start` to `stop` of the work.

    Attributes
    ----------
    start, stop : int
    tries : int
        Workers that died of it while it was a single image.
    suspect : bool
        A worker died of it or of a larger portion; it is to be alone in a worker.
    """

    start: int
    stop: int
    tries: int = 0
    suspect: bool = False

    def __len__(self) -> int:
        return self.stop - self.start


class Portions:
    """What is left to be handed out.

    Parameters
    ----------
    n_images : int
    """

    def __init__(self, n_images: int) -> None:
        self._n = n_images
        self._next = 0
        self._again: deque[Portion] = deque()
        self._suspects: deque[Portion] = deque()

    @property
    def left(self) -> int:
        """Images that nobody has."""
        waiting = sum(map(len, self._again)) + sum(map(len, self._suspects))
        return self._n - self._next + waiting

    @property
    def suspects(self) -> int:
        """Portions that need a worker of their own."""
        return len(self._suspects)

    @property
    def first_left(self) -> int:
        """The first image that nobody has; `n_images` if there is none."""
        starts = [portion.start for portion in (*self._again, *self._suspects)]
        return min([self._next, *starts])

    def next(self, size: int) -> Portion | None:
        """The next portion for a worker that is busy or not, of about `size` images."""
        if self._again:
            return self._again.popleft()
        if self._next >= self._n:
            return None
        start, self._next = self._next, min(self._n, self._next + size)
        return Portion(start, self._next)

    def next_suspect(self) -> Portion | None:
        """The next portion for a worker that has nothing else."""
        return self._suspects.popleft() if self._suspects else None

    def give_back(self, portion: Portion) -> None:
        """It was not begun, or its machine is gone: nothing is to be learned from that."""
        (self._suspects if portion.suspect else self._again).append(portion)

    def blame(self, portion: Portion) -> bool:
        """Its worker died; whether its one image is to be given up."""
        if len(portion) == 1:
            tries = portion.tries + portion.suspect
            if tries >= TRIES:
                return True
            self._suspects.append(Portion(portion.start, portion.stop, tries, suspect=True))
            return False
        step = -(-len(portion) // _PIECES)
        for start in range(portion.start, portion.stop, step):
            self._suspects.append(Portion(start, min(portion.stop, start + step), suspect=True))
        return False
