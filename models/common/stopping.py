"""How a program ends that cannot: a thread that never comes back, a call that hears no Ctrl-C.

The first Ctrl-C stops gently (KeyboardInterrupt in the main thread). With the second one the program has
`_GRACE` seconds, and with the third none; what the main thread is doing then does not matter, since another
thread ends the process. So does the end of `ends_always` where threads are left that Python would wait for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_GRACE = 2.0
_LAST_SECONDS = 1.0
_STOPPED = 130

_last: list[Callable[[], object]] = []


def before_end(call: Callable[[], object]) -> Callable[[], None]:
    """Have something done before the process is ended at once; it has a second.

    Returns
    -------
    callable
        Takes it back.
    """
    _last.append(call)

    def unregister() -> None:
        with contextlib.suppress(ValueError):
            _last.remove(call)

    return unregister


def end_at_once(code: int) -> None:
    """End this process without waiting for its threads; nothing that is written by rename is lost."""

    def last() -> None:
        for call in (*_last, sys.stdout.flush, sys.stderr.flush):
            with contextlib.suppress(Exception):
                call()

    # Whoever is held up may hold what these need: a stream's lock, a disk that hangs.
    ending = threading.Thread(target=last, daemon=True)
    with contextlib.suppress(RuntimeError):  # no thread can be started
        ending.start()
        ending.join(_LAST_SECONDS)
    if os.isatty(2):
        # A progress bar hides the cursor.
        os.write(2, b"\x1b[?25h")
    os._exit(code)


def is_pressed_again(stopped: KeyboardInterrupt) -> bool:
    """Whether Ctrl-C came while an earlier one was seen to, as when what was at work was waited for."""
    context = stopped.__context__
    while context is not None:
        if isinstance(context, KeyboardInterrupt):
            return True
        context = context.__context__
    return False


@contextmanager
def ends_always() -> Iterator[None]:
    """The command line's work, which ends in SystemExit; in the main thread."""
    _watch_presses()
    try:
        yield
    except SystemExit as exc:
        if _threads_left():
            end_at_once(exc.code if isinstance(exc.code, int) else int(exc.code is not None))
        raise


def _threads_left() -> bool:
    """Whether Python would wait for threads at its end."""
    return any(
        thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()
    )


def _watch_presses() -> None:
    """Count Ctrl-C in a thread: Python's own handlers run in the main thread, when that is back in Python."""
    if not callable(signal.getsignal(signal.SIGINT)):
        return  # a job in the background is deaf
    read, write = os.pipe()
    if os.name == "posix":
        os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_count, args=(read,), name="ctrl-c", daemon=True).start()


def _count(pipe: int) -> None:
    presses = 0
    while True:
        presses += os.read(pipe, 1) == bytes([signal.SIGINT])
        if presses == 2:
            ending = threading.Timer(_GRACE, _stop)
            ending.daemon = True
            ending.start()
        elif presses > 2:
            _stop()


def _stop() -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"error: stopped at once\n")
    end_at_once(_STOPPED)
