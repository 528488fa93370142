"""Telling the user: notes of a line, and how far long work has come (a bar on a terminal, else silence)."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from fc7.models.common.terminal import beneath, guard, is_guarded, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

Notify = Callable[[str], None]
"""Is told what the user should know, a line each."""


class Detail(str):
    """A note of how things are where nothing is wrong; commands tell it with ``-v`` only."""

    __slots__ = ()


class Progress(Protocol):
    """Something that is told how far the work has come."""

    def start(self, total: int, what: str) -> None:
        """Begin counting to `total` (0: not known) units of `what`."""

    def advance(self, n: int = 1) -> None:
        """`n` more are done."""

    def finish(self) -> None:
        """Nothing more will come."""


class Silent:
    """A `Progress` that shows nothing: tests, scripts, output that is no terminal."""

    def start(self, total: int, what: str) -> None:
        """Ignore."""

    def advance(self, n: int = 1) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""


def make_progress(quiet: bool) -> Progress:
    """A bar on stderr where stderr is a terminal, else `Silent`.

    Parameters
    ----------
    quiet : bool
        The user asked for no progress.
    """
    if quiet or not sys.stderr.isatty():
        return Silent()
    from rich.console import Console

    # The bar is made of escape sequences.
    return Bar(Console(file=beneath(sys.stderr)))


def notifier(quiet: bool, verbose: bool = False) -> Notify:
    """What prints notes to stderr, above the bar while there is one.

    Parameters
    ----------
    quiet : bool
        The user asked for no notes.
    verbose : bool
        The user asked for every `Detail`.
    """

    def say(note: str) -> None:
        if not quiet and (verbose or not isinstance(note, Detail)):
            print(note, file=sys.stderr, flush=True)

    return say


class Bar:
    """A `Progress` drawn by rich: what, bar, count, rate, time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: RichProgress | None = None

    def start(self, total: int, what: str) -> None:
        """Draw a new bar; the one before, if any, is finished."""
        from rich.markup import escape
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.finish()
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeRemainingColumn(compact=True),
        ]
        self._shown = RichProgress(*columns, console=self._console, transient=True)
        self._shown.add_task(escape(one_line(what)), total=total or None, count=_count(0, total))
        # A bar hides the cursor; whatever ends the program must bring it back.
        atexit.register(self.finish)
        guarded = is_guarded(sys.stderr)
        self._shown.start()
        if guarded:
            # What is printed meanwhile goes through rich, which puts itself in front.
            guard()

    def advance(self, n: int = 1) -> None:
        """Move the bar."""
        if self._shown is not None:
            task = self._shown.tasks[0]
            done = int(task.completed) + n
            self._shown.update(task.id, advance=n, count=_count(done, int(task.total or 0)))

    def finish(self) -> None:
        """Take the bar away; calling it again does nothing."""
        if self._shown is not None:
            self._shown.stop()
            self._shown = None
            atexit.unregister(self.finish)


def _count(done: int, total: int) -> str:
    """``12/40``, or in millions (bytes, mostly) where the numbers are large: ``12.0/243.9 M``."""
    if max(done, total) < 10_000_000:
        return f"{done}/{total}" if total else f"{done}"
    return f"{done / 1e6:.1f}/{total / 1e6:.1f} M" if total else f"{done / 1e6:.1f} M"
