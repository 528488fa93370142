"""How long a piece of work may take before it counts as hung; generous, and measured where it can be.

``FC7_DEADLINE``, a number of seconds, takes the place of all that is said here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from fc7.models.common.errors import HungError, UsageError

STEP = 0.25
"""Seconds that are waited at a time, and counted: a process that was stopped meanwhile has not waited."""

# Until something is finished, nothing is known: TensorRT builds its engines in the first call.
_UNKNOWN = 1800.0
_LEAST = 120.0
_TIMES = 100
# After Ctrl-C: what is at work may finish, since it mostly does in a moment.
_CLOSE_SECONDS = 5.0

T = TypeVar("T")


class Patience:
    """What pieces of work have taken so far; may be told from several threads.

    Examples
    --------
    >>> patience = Patience()
    >>> patience.allows(1000)
    1800.0
    >>> patience.tell(1000, 2.0)
    >>> patience.allows(1000), patience.allows(10_000)
    (200.0, 2000.0)
    """

    def __init__(self) -> None:
        self._amount = 0.0
        self._seconds = 0.0
        self._longest = 0.0

    def tell(self, amount: float, seconds: float) -> None:
        """A piece of `amount` (bytes, images) was finished in so many seconds."""
        self._amount += amount
        self._seconds += seconds
        self._longest = max(self._longest, seconds)

    def allows(self, amount: float) -> float:
        """Seconds for a piece of `amount`: 100 times the longest one, or the mean rate; 120 at least.

        Raises
        ------
        UsageError
            If ``FC7_DEADLINE`` is no number.
        """
        fixed = os.environ.get("FC7_DEADLINE")
        if fixed:
            try:
                return float(fixed)
            except ValueError as exc:
                raise UsageError(
                    f"FC7_DEADLINE={fixed!r} was found; give a number of seconds, or leave it unset"
                ) from exc
        if not self._amount:
            return _UNKNOWN
        return max(_LEAST, _TIMES * self._longest, _TIMES * self._seconds / self._amount * amount)


def wait_for(future: Future[T], after_each_step: Callable[[], None]) -> T:
    """The result of a future.

    Parameters
    ----------
    after_each_step : callable
        Is called while it is waited for, every `STEP` seconds; may raise.
    """
    while True:
        try:
            return future.result(STEP)
        except TimeoutError:
            if future.done():
                return future.result()
        after_each_step()


def loaded(load: Callable[[], T], name: str = "the network") -> T:
    """What `load` gives, in a thread: a file on a disk that hangs is noticed, and Ctrl-C heard.

    Parameters
    ----------
    name : str
        Of what is loaded, for people.

    Raises
    ------
    HungError
        If it does not come to an end; the thread is left.
    """
    waited, allowed = 0.0, Patience().allows(1)

    def look() -> None:
        nonlocal waited
        waited += STEP
        if waited > allowed:
            raise HungError(f"{name} has not been loaded within {allowed:,.0f} s")

    pool = ThreadPoolExecutor(1, thread_name_prefix="load")
    try:
        return wait_for(pool.submit(load), look)
    finally:
        close(pool)


def close(pool: ThreadPoolExecutor) -> None:
    """Have a pool begin nothing more and wait for what it is doing, but not for ever."""
    pool.shutdown(wait=False, cancel_futures=True)
    until = time.monotonic() + _CLOSE_SECONDS
    # Not its futures: Ctrl-C may come before the last one is kept by whoever asked for it.
    for thread in tuple(pool._threads):
        thread.join(max(0.0, until - time.monotonic()))
