"""SIGKILL at any instant: the committed file stays whole, and the next run loses a segment at most.

``FC7_TORTURE=500 pytest tests/extract/cache/test_cache_kill.py`` kills 500 times instead of 20.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from fc7.extract.cache.verify import verify
from fc7.extract.cache.writer import CacheWriter
from fc7.extract.records import Rows
from tests.support.extract.cache_support import PETS, Folder, Image, check_plainly, left, run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")

KILLS = int(os.environ.get("FC7_TORTURE", "20"))
PER_SEGMENT = 3
# Some stay, some change, some are new, some fail, some leave.
FOLDER: Folder = {
    **{name: image for name, image in PETS.items() if name != "dog/2.jpg"},
    "cat/1.jpg": Image("edited", "cat", 2),
    **{f"new/{i}.jpg": Image(f"new {i}" if i % 5 else f"bad {i}", "new") for i in range(8)},
}
CHANGED = 9  # cat/1.jpg and the new ones


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The cache before the run, and after one that nobody interrupts."""
    path = tmp_path_factory.mktemp("whole") / "features.h5"
    run(path, PETS)
    before = path.read_bytes()
    assert len(run(path, FOLDER, per_segment=PER_SEGMENT).extracted) == CHANGED
    return before, path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, files: tuple[bytes, bytes]) -> Path:
    path = tmp_path / "features.h5"
    path.write_bytes(files[0])
    return path


def note_segments(log: Path) -> None:
    """Append the paths of every segment to `log` once `write_segment` has returned."""
    write = CacheWriter.write_segment

    def noted(self: CacheWriter, block: Rows) -> None:
        write(self, block)
        with log.open("a") as stream:
            stream.writelines(
                f"{name}\n" for name in [*(r.path for r in block.refs), *(f.path for f in block.failures)]
            )

    CacheWriter.write_segment = noted  # type: ignore[method-assign]


def victim(path: Path, log: Path, kill_at: int | None, answer: Connection) -> None:
    """A run; with `kill_at` it kills itself just before so-many-th thing it asks of the cache's folder."""
    note_segments(log)
    asked, folder = 0, str(path.parent)
    events = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal asked
        # Modules that are imported late are opened, too: no place to lose anything.
        if event in events and str(arguments[0]).startswith(folder):
            if asked == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            asked += 1

    answer.send("ready")
    sys.addaudithook(count)
    run(path, FOLDER, per_segment=PER_SEGMENT)
    answer.send(asked)


def start(path: Path, kill_at: int | None = None) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    ours, theirs = context.Pipe()
    child = context.Process(target=victim, args=(path, path.with_name("log"), kill_at, theirs))
    child.start()
    assert ours.poll(60)
    ours.recv()
    return child, ours


def check(path: Path, files: tuple[bytes, bytes]) -> str:
    """What must hold after a kill; says how far the run had come."""
    log = path.with_name("log")
    finished = set(log.read_text().splitlines()) if log.exists() else set()
    assert path.read_bytes() in files
    assert verify(path).ok
    committed = path.read_bytes() == files[1]
    result = run(path, FOLDER, per_segment=PER_SEGMENT)
    assert finished.isdisjoint(result.extracted), "a segment that was finished is found again"
    assert path.read_bytes() == files[1], "the result is that of an uninterrupted run"
    check_plainly(path, FOLDER)
    log.unlink(missing_ok=True)
    assert left(path) == ["features.h5"]
    return "committed" if committed else f"{len(finished)} done"


def test_a_kill_before_any_access_to_the_file_system_loses_nothing(
    path: Path, files: tuple[bytes, bytes]
) -> None:
    child, answer = start(path)
    accesses = answer.recv()
    child.join(60)
    path.with_name("log").unlink()
    reached = set()
    for kill in range(KILLS // 2):
        path.write_bytes(files[0])
        child, _ = start(path, ((kill + 1) * accesses - 1) // (KILLS // 2))
        child.join(60)
        assert child.exitcode == -signal.SIGKILL
        reached.add(check(path, files))
    assert reached == {"0 done", "3 done", "6 done", "9 done", "committed"}


def test_a_kill_at_a_random_instant_loses_nothing(path: Path, files: tuple[bytes, bytes]) -> None:
    child, answer = start(path)
    started = time.monotonic()
    answer.recv()
    seconds = time.monotonic() - started
    child.join(60)
    path.with_name("log").unlink()
    instants = random.Random(0)
    kills = 0
    while kills < KILLS - KILLS // 2:
        path.write_bytes(files[0])
        child, _ = start(path)
        time.sleep(instants.uniform(0, seconds))
        child.kill()
        child.join(60)
        check(path, files)
        if child.exitcode == -signal.SIGKILL:
            kills += 1
        else:
            # It was done already: the machine has become faster than it was when `seconds` was measured.
            seconds *= 0.8


def test_a_first_run_that_is_killed_again_and_again_gets_done(
    tmp_path: Path, files: tuple[bytes, bytes]
) -> None:
    path, whole = tmp_path / "features.h5", tmp_path / "whole"
    whole.mkdir()
    run(whole / "features.h5", FOLDER)
    log = tmp_path / "log"
    extracted = 0
    for kill_at in (30, 40, 50):
        child, _ = start(path, kill_at)
        child.join(60)
        done = len(log.read_text().splitlines()) if log.exists() else 0
        assert done >= extracted
        extracted = done
    assert run(path, FOLDER).commit.rows == len(FOLDER) - 2
    assert path.read_bytes() == (whole / "features.h5").read_bytes()
    assert extracted > 0
