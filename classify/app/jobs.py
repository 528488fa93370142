"""Long work, one piece at a time, in a thread of its own; every page sees how far it is."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from fc7.classify.app.shared import Shared
from fc7.models.common.errors import Fc7Error, StoppedError, UsageError

_LINES_KEPT = 12
# How often pages are told of progress; between two of them nothing is lost but a number.
_TELL_EVERY = 0.4

Kind = Literal["extract", "fit", "suspects", "export"]
# Seconds to keep what is done. Of the others a half is worth nothing, and files appear whole or not at all.
_PATIENCE: dict[Kind, float] = {"extract": 10.0, "fit": 1.0, "suspects": 1.0, "export": 1.0}


class Job:
    """A piece of work and what is known of it; it is the `Progress` of that work, and hears its notes."""

    def __init__(self, number: int, kind: Kind, title: str, shared: Shared) -> None:
        self.number, self.kind, self.title = number, kind, title
        self.state: Literal["running", "done", "failed", "cancelled"] = "running"
        self.message = ""
        self.what, self.done, self.total = "", 0, 0
        self.cancelled = threading.Event()
        self._interrupted = False
        self._shared = shared
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._started = self._since = self._told = time.monotonic()
        self._seconds = 0.0

    def start(self, total: int, what: str) -> None:
        """Begin counting."""
        self.what, self.done, self.total, self._since = what, 0, total, time.monotonic()
        self._tell(at_once=True)

    def advance(self, n: int = 1) -> None:
        """Count on; this is where a cancelled job ends, as Ctrl-C would end it."""
        self.done += n
        self._tell()
        if self.cancelled.is_set() and not self._interrupted:
            # Once: what keeps the work that was done counts on, too.
            self._interrupted = True
            raise KeyboardInterrupt

    def finish(self) -> None:
        """Nothing more of this will come."""
        self._tell(at_once=True)

    def note(self, text: str) -> None:
        """Keep a line for people."""
        self._lines.append(text)
        self._tell(at_once=True)

    def end(self, state: Literal["done", "failed", "cancelled"], message: str) -> None:
        """Say how it ended."""
        self._seconds = time.monotonic() - self._started
        self.state, self.message = state, message
        self._shared.changed()

    def to_json(self) -> dict[str, Any]:
        """For the page."""
        now = time.monotonic()
        elapsed = max(now - self._since, 1e-3)
        running = self.state == "running"
        return {
            "id": self.number,
            "kind": self.kind,
            "title": self.title,
            "what": self.what,
            "done": self.done,
            "total": self.total,
            "rate": self.done / elapsed if running and self.done and elapsed > 1 else None,
            "seconds": now - self._started if running else self._seconds,
            "state": self.state,
            "message": self.message,
            "lines": list(self._lines),
            "cancelling": running and self.cancelled.is_set(),
        }

    def _tell(self, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now - self._told > _TELL_EVERY:
            self._told = now
            self._shared.changed()


class Jobs:
    """Runs one job at a time."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._next = 1
        self.last: Job | None = None

    @property
    def running(self) -> Job | None:
        """The job that runs now."""
        return self.last if self.last is not None and self.last.state == "running" else None

    def start(self, kind: Kind, title: str, work: Callable[[Job], str]) -> Job:
        """Begin some work.

        Parameters
        ----------
        work : callable
            Is given the job, and gives what to say when it is done.

        Raises
        ------
        UsageError
            If another one runs.
        """
        with self._lock:
            if (running := self.running) is not None:
                raise UsageError(f"{running.title} is at work; wait until it is done, or cancel it")
            job = self.last = Job(self._next, kind, title, shared=self._shared)
            self._next += 1
            self._thread = threading.Thread(target=_run, args=(job, work), name=kind, daemon=True)
            self._thread.start()
        self._shared.changed()
        return job

    def cancel(self) -> bool:
        """Ask the running job to end; whether one runs. What it has done stays."""
        running = self.running
        if running is not None:
            running.cancelled.set()
            self._shared.changed()
        return running is not None

    def stop(self) -> bool:
        """Cancel, and wait a while for the end; whether it has come."""
        self.cancel()
        if self._thread is None or self.last is None:
            return True
        self._thread.join(_PATIENCE[self.last.kind])
        return not self._thread.is_alive()


def fault(exc: Exception) -> str:
    """What is said of an error that nobody expected."""
    return (
        f"a fault of fc7: {type(exc).__name__}: {exc}; start fc7 with FC7_TRACEBACK=1 to see where, and tell "
        "its makers"
    )


def _run(job: Job, work: Callable[[Job], str]) -> None:
    try:
        message = work(job)
    except (KeyboardInterrupt, StoppedError) as exc:
        job.end("cancelled", str(exc) or "cancelled; nothing was changed")
    except Fc7Error as exc:
        job.end("failed", str(exc))
    # A page that waits for a thread that died would wait for ever.
    except Exception as exc:
        if os.environ.get("FC7_TRACEBACK"):
            traceback.print_exc()
        job.end("failed", fault(exc))
    else:
        job.end("done", message)
