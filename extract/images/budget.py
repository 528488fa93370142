"""Pixels in flight are no more than there is memory for.

What an image takes is known from its header, before it is decoded. Images of a few megapixels are not
counted. Of the others so many are decoded at once as fit into half of the memory that was there when none
was; one that is larger than that is decoded while no other large one is; and one for which not even all
that is free is enough is refused before the kernel ends the process for it. None is decoded while the network
is loaded, which takes some of what is free and keeps it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from fc7.models.common import memory

SMALL = 16 << 20
"""Bytes below which nothing is counted: 4 megapixels in colour. Asking takes 0.2 ms, decoding these 40."""

# The rest is the network's, and what others take meanwhile.
_SHARE = 0.5
_MOST = 0.95
_ALL = 1 << 60
_LONGEST_WAIT = 600.0

Room = Callable[[int], AbstractContextManager[None]]
"""Of so many bytes, held while the block runs."""


class NoRoomError(MemoryError):
    """There is not enough memory for one image, even if no other has any; the text says how much there is."""


class Budget:
    """Memory that threads share out among their images.

    Parameters
    ----------
    available, swap : callable
        As `models.common.memory`'s.
    """

    def __init__(
        self,
        available: Callable[[], int] = memory.available,
        swap: Callable[[], int] = memory.swap,
    ) -> None:
        self._available, self._swap = available, swap
        self._changed = threading.Condition()
        # Thread -> bytes, the oldest first.
        self._held: dict[int, int] = {}
        self._total = 0

    @contextmanager
    def room(self, n_bytes: int) -> Iterator[None]:
        """Wait until there is room, and hold it; a thread that holds some may ask for more.

        Raises
        ------
        NoRoomError
            If so much is not there although no other thread may take any.
        """
        if n_bytes < SMALL:
            yield
            return
        me = threading.get_ident()
        with self._changed:
            while not self._admits(me, n_bytes):
                self._changed.wait()
            self._held[me] = self._held.get(me, 0) + n_bytes
        try:
            yield
        finally:
            memory.release(n_bytes)
            self._release(me, n_bytes)

    @contextmanager
    def all(self) -> Iterator[None]:
        """Wait until nobody holds any, and let nobody have any: for what takes nobody knows how much."""
        me = threading.get_ident()
        with self._changed:
            # A thread that hangs is no reason to wait for ever.
            self._changed.wait_for(lambda: not self._held, _LONGEST_WAIT)
            self._held[me] = _ALL
        try:
            yield
        finally:
            self._release(me, _ALL)

    def _release(self, me: int, n_bytes: int) -> None:
        with self._changed:
            self._held[me] -= n_bytes
            if not self._held[me]:
                del self._held[me]
            self._changed.notify_all()

    def is_much(self, n_bytes: int) -> bool:
        """Whether so many bytes are more than a quarter of what is free."""
        return n_bytes > self._available() / 4

    def _admits(self, me: int, n_bytes: int) -> bool:
        free = self._available()
        if n_bytes > _SHARE * free:
            memory.release(n_bytes)
            free = self._available()
        if not self._held:
            self._total = int(_SHARE * free)
        if n_bytes <= min(self._total - sum(self._held.values()), _SHARE * free):
            return True
        # Whoever came first never waits: two that hold some and want more would wait for each other.
        if next(iter(self._held), me) != me:
            return False
        most = _MOST * free + self._swap()
        if len(self._held) <= (me in self._held) and n_bytes > most:
            raise NoRoomError(f"{n_bytes / 1e6:,.0f} MB are needed and {most / 1e6:,.0f} MB can be had")
        return True


shared = Budget()
"""Of the threads of this process, and of those that decode for it."""
