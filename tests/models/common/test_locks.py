"""The branch of `models.common.locks` for Windows, where nobody runs these tests: over a stand-in for
`msvcrt`.
"""

from __future__ import annotations

import errno
import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from fc7.models.common import locks

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def on_windows(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as Windows loads it; `msvcrt.locking` refuses a lock of another with EACCES."""

    def locking(descriptor: int, mode: int, n_bytes: int) -> None:
        assert (mode, n_bytes) == (2, 1)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise PermissionError(errno.EACCES, "Permission denied") from exc

    peer = ModuleType("msvcrt")
    vars(peer).update(LK_NBLCK=2, locking=locking)
    monkeypatch.setitem(sys.modules, "msvcrt", peer)
    monkeypatch.setattr(sys, "platform", "win32")
    assert locks.__file__ is not None
    found = importlib.util.spec_from_file_location("locks_on_windows", locks.__file__)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_a_second_one_is_kept_out_and_may_come_later(on_windows: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with on_windows.exclusive(path) as alone:
        assert alone
        with pytest.raises(on_windows.Busy), on_windows.exclusive(path):
            pass
    assert not path.exists()
    with on_windows.exclusive(path) as alone:
        assert alone


def test_one_who_waits_gets_it_when_it_is_free(on_windows: ModuleType, tmp_path: Path) -> None:
    path, order = tmp_path / "lock", list[str]()

    def wait() -> None:
        with on_windows.exclusive(path, wait=True):
            order.append("second")

    with on_windows.exclusive(path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.3)
        order.append("first")
    waiting.join(20)
    assert order == ["first", "second"]
