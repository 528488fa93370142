"""Ctrl-C where Python cannot take it: while modules are imported, in callbacks, and while the program ends.

An import that is broken off leaves half a module, and what was imported may turn the interrupt into an error
of its own. What is raised in a callback (of a weak reference, of which imports have thousands) Python prints
with a traceback, and goes on as if nothing had been pressed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType
from typing import Any

# Seconds after which it is tried again, and after which no import is waited for any longer.
_AGAIN, _PATIENCE = 0.02, 1.0
_IMPORT_SYSTEM = "<frozen importlib"


class _Interrupt:
    """What Ctrl-C does; `since` is when it was pressed, if it is still to be raised."""

    since: float | None = None

    def pressed(self, number: int, frame: FrameType | None) -> None:
        if not _is_importing(frame):
            self.since = None
            raise KeyboardInterrupt
        if self.since is not None and (number == signal.SIGINT or time.monotonic() - self.since > _PATIENCE):
            os.write(2, b"error: stopped\n")
            os._exit(130)
        self._again()

    def unraisable(self, lost: sys.UnraisableHookArgs, /) -> Any:
        if lost.exc_type is KeyboardInterrupt:
            return self._again()
        return sys.__unraisablehook__(lost)

    def _again(self) -> None:
        self.since = time.monotonic() if self.since is None else self.since
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)


def hold_interrupts() -> None:
    """Have Ctrl-C raise KeyboardInterrupt as ever, but not within an import, and never in vain.

    It is raised when the import is over; if that takes more than a second, or Ctrl-C is pressed again, the
    program ends as if it had been killed, which loses nothing that is kept. Where Ctrl-C is ignored (a job in
    the background) or someone else listens to it, nothing changes; nor on Windows: it has no interval timer.
    """
    if hasattr(signal, "setitimer") and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        interrupt = _Interrupt()
        signal.signal(signal.SIGALRM, interrupt.pressed)
        signal.signal(signal.SIGINT, interrupt.pressed)
        sys.unraisablehook = interrupt.unraisable


def let_ctrl_c_end() -> None:
    """Have Ctrl-C end the program without a word: all is done, and Python waits for threads and cleans up."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORT_SYSTEM):
            return True
        frame = frame.f_back
    return False
