"""A writer of the store is killed at every step it takes on the disk, one step later each run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fc7.models.common.locks import Busy, exclusive
from fc7.models.store import store
from tests.support import ROOT
from tests.support.models.fake_networks import fake_files, fake_spec

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path / "home"


def outcomes(action: str, before: str) -> list[str]:
    """What was there after each kill, and last after the run that was left to finish."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.models.kill_steps", action, before],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("before", ["a", "none"])
def test_a_save_killed_at_any_step_leaves_the_old_or_the_new_network_whole(before: str, root: Path) -> None:
    seen = outcomes("save", before)
    assert len(seen) > 15
    assert set(seen) == {before, "b"}
    # The change happens at one instant: never back to the old one.
    assert seen == sorted(seen, key=lambda mark: mark == "b")
    store.save(fake_spec("other"), fake_files(), replace=False)
    assert sorted(path.name for path in (root / "networks").iterdir()) == ["mine", "other"]


def test_a_removal_killed_at_any_step_leaves_the_network_whole_or_none(root: Path) -> None:
    seen = outcomes("remove", "a")
    assert len(seen) > 5
    assert set(seen) == {"a", "none"}
    assert seen == sorted(seen)
    store.save(fake_spec("other"), fake_files(), replace=False)
    assert [path.name for path in (root / "networks").iterdir()] == ["other"]


def test_two_writers_take_turns(root: Path) -> None:
    """The second waits for the first, and then sees what the first has saved."""
    entered, leave = threading.Event(), threading.Event()

    def slow(folder: Path) -> None:
        entered.set()
        assert leave.wait(10)
        fake_files("a")(folder)

    first = threading.Thread(target=store.save, args=(fake_spec("one"), slow), kwargs={"replace": False})
    first.start()
    assert entered.wait(10)
    code = (
        "from fc7.models.store import store; "
        "from tests.support.models.fake_networks import fake_files, fake_spec; "
        "store.save(fake_spec('two'), fake_files(), replace=False); print(*store.names())"
    )
    second = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    assert second.poll() is None
    assert store.names() == []
    leave.set()
    first.join()
    assert second.communicate(timeout=10)[0].split() == ["one", "two"]
    assert sorted(path.name for path in (root / "networks").iterdir()) == ["one", "two"]


def test_a_lock_keeps_others_out_and_leaves_no_file(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with exclusive(lock) as alone:
        assert alone
        with pytest.raises(Busy), exclusive(lock):
            pass
    assert list(tmp_path.iterdir()) == []
    with exclusive(lock):
        pass


def test_leftovers_are_kept_a_day_where_no_lock_protects_them(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows another process may be at work on them."""
    store.save(fake_spec("mine"), fake_files(), replace=False)
    fresh, old = root / "networks" / ".writing-x-1", root / "networks" / ".writing-x-2"
    fresh.mkdir()
    old.mkdir()
    os.utime(old, (time.time() - 90_000, time.time() - 90_000))
    monkeypatch.setattr("fc7.models.common.locks._locked", lambda descriptor, wait: False)
    store.save(fake_spec("two"), fake_files(), replace=False)
    assert fresh.is_dir()
    assert not old.exists()
    monkeypatch.undo()
    monkeypatch.setenv("FC7_HOME", str(root))
    store.remove("two")
    assert not fresh.exists()
