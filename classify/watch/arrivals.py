"""Which images of a watched folder are new, and whole."""

from __future__ import annotations

from collections.abc import Mapping

from fc7.extract.records import Failure, ImageRef, Listing

_State = tuple[int, int]


class Arrivals:
    """Tells images that have arrived from those that are still being written, by looking at the folder twice.

    Parameters
    ----------
    settle : float
        Seconds for which size and modification time of a file must stay as they are.
    done : mapping of str to (int, int)
        Size and modification time (nanoseconds) of images that need not be given out.
    """

    def __init__(self, settle: float, done: Mapping[str, _State]) -> None:
        self._settle = settle
        self._done = dict(done)
        self._waiting: dict[str, tuple[_State, float]] = {}

    @property
    def waits(self) -> bool:
        """Whether a file was seen that may still grow: the folder is to be looked at again."""
        return bool(self._waiting)

    def settled(self, listing: Listing, now: float) -> tuple[list[ImageRef], list[Failure]]:
        """The images, and what cannot be read, that are new or changed and have stayed the same; once each.

        Parameters
        ----------
        listing : Listing
            The folder as it is now.
        now : float
            Seconds, of a clock that never goes back.

        Examples
        --------
        >>> def folder(size):
        ...     return Listing([ImageRef("a.png", None, None, None, size, 0, None, "a.png")], (), {}, ("in",))
        >>> arrivals = Arrivals(1.0, {})
        >>> [len(arrivals.settled(folder(size), now)[0]) for size, now in [(5, 0), (9, 1), (9, 2), (9, 9)]]
        [0, 0, 1, 0]
        """
        waiting, self._waiting = self._waiting, {}

        def has_settled(path: str, state: _State) -> bool:
            if self._done.get(path) == state:
                return False
            before, since = waiting.get(path, (None, now))
            since = since if before == state else now
            if now - since < self._settle:
                self._waiting[path] = state, since
                return False
            self._done[path] = state
            return True

        refs = [ref for ref in listing.images if has_settled(ref.path, (ref.size, ref.mtime_ns))]
        failures = [each for each in listing.failures if has_settled(each.path, (each.size, each.mtime_ns))]
        return refs, failures
