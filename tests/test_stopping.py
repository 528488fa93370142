"""A process ends that cannot end by itself: its main thread hears nothing, or a thread is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from fc7.models.common.stopping import is_pressed_again
from tests.support import ROOT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

# A lock of pthreads that is taken twice: no signal wakes the thread that waits for it.
DEAF = """
import ctypes, signal
from fc7.models.common.stopping import before_end, ends_always
before_end(lambda: print("last", flush=True))
# Else a press that comes before the second lock would be heard.
signal.signal(signal.SIGINT, lambda number, frame: None)
with ends_always():
    lock, library = ctypes.create_string_buffer(128), ctypes.CDLL(None)
    library.pthread_mutex_lock(lock)
    print("deaf", flush=True)
    library.pthread_mutex_lock(lock)
"""

LEFT = """
import sys, threading
from fc7.models.common.stopping import ends_always
with ends_always():
    threading.Thread(target=threading.Event().wait).start()
    print("printed before")
    sys.exit({code})
"""

IN_ORDER = """
import atexit, sys
from fc7.models.common.stopping import before_end, ends_always
atexit.register(print, "in order")
before_end(lambda: print("last"))
with ends_always():
    sys.exit(4)
"""


def start(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="a lock of glibc, all zero when it is free")
@pytest.mark.parametrize("presses", [2, 3])
def test_two_presses_end_a_process_whose_main_thread_hears_nothing(presses: int) -> None:
    process = start(DEAF)
    assert process.stdout is not None
    assert process.stdout.readline() == "deaf\n"
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)  # two that come at once are one
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "last\n", "error: stopped at once\n")


@pytest.mark.parametrize(("code", "expected"), [("3", 3), ("None", 0)])
def test_a_thread_that_is_left_is_not_waited_for(code: str, expected: int) -> None:
    process = start(LEFT.format(code=code))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (expected, "printed before\n", "")


def test_an_end_in_order_is_pythons_own() -> None:
    process = start(IN_ORDER)
    assert (process.communicate(timeout=60)[0], process.returncode) == ("in order\n", 4)


def test_a_second_press_is_known_by_what_it_came_into() -> None:
    with pytest.raises(KeyboardInterrupt) as once:
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt) as twice:
        try:
            try:
                raise KeyboardInterrupt
            finally:
                raise ValueError
        finally:
            raise KeyboardInterrupt
    assert not is_pressed_again(once.value)
    assert is_pressed_again(twice.value)
