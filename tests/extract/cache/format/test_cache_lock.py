"""One writer at a time; a dead one is in nobody's way."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from fc7.extract.cache.format import lock as lock_module
from fc7.extract.cache.format import process
from fc7.extract.cache.format.lock import Lock, Owner
from fc7.extract.cache.info import describe
from fc7.models.common.errors import CacheLockedError
from tests.support import ROOT
from tests.support.extract.cache_support import PETS, check_plainly, left, run, writer

HOLDER = """
import sys, time
from pathlib import Path
from fc7.extract.cache.format.lock import Lock
Lock(Path(sys.argv[1]), Path("features.h5")).acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features.h5"


def hold(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock of a cache."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, f"{path}.lock"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def leave(path: Path, **changes: Any) -> Owner:
    """A lock as another process would have left it."""
    owner = dataclasses.replace(Owner.this_process(), **changes)
    Path(f"{path}.lock").write_text(json.dumps(asdict(owner)))
    return owner


def test_a_second_writer_stops_at_once_and_names_the_first(path: Path) -> None:
    run(path, PETS)
    child = hold(path)
    try:
        started = time.monotonic()
        with pytest.raises(CacheLockedError, match=f"being written by process {child.pid} on ") as caught:
            run(path, PETS)
        assert time.monotonic() - started < 5
        assert f"{path} is being written" in str(caught.value)
        assert "(since 20" in str(caught.value)
        assert describe(path).writer is not None
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    with writer(path) as cache:
        assert cache.notes == [cache.notes[0]]
        assert f"took over the lock of process {child.pid}" in cache.notes[0]
    assert left(path) == ["features.h5"]
    assert describe(path).writer is None


def test_a_second_writer_in_the_same_process_stops_too(path: Path) -> None:
    with writer(path), pytest.raises(CacheLockedError, match=f"process {os.getpid()} "):
        run(path, PETS)
    run(path, PETS)


def test_two_names_of_one_cache_are_one_lock(path: Path) -> None:
    link = path.with_name("link.h5")
    link.symlink_to(path)
    with writer(path), pytest.raises(CacheLockedError):
        run(link, PETS)


def test_a_number_that_went_to_another_process_does_not_block(path: Path) -> None:
    leave(path, start="an earlier process")
    run(path, PETS)
    check_plainly(path, PETS)
    assert left(path) == ["features.h5"]


@pytest.mark.skipif(not process.boot(), reason="only Linux tells one boot from another")
def test_a_lock_from_before_the_machine_restarted_does_not_block(path: Path) -> None:
    leave(path, boot="an earlier boot", start=process.start_of(os.getpid()))
    run(path, PETS)
    assert left(path) == ["features.h5"]


@pytest.mark.parametrize(
    "elsewhere", [{"machine": "other", "host": "node7"}, {"namespace": "another container", "host": "node7"}]
)
def test_a_lock_from_elsewhere_says_what_to_delete(path: Path, elsewhere: dict[str, object]) -> None:
    leave(path, **elsewhere, start="whatever", pid=1)
    with pytest.raises(
        CacheLockedError, match=r"process 1 on node7.*cannot be seen from here.*delete .*\.lock"
    ):
        run(path, PETS)
    Path(f"{path}.lock").unlink()
    run(path, PETS)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_lock_that_says_nothing_is_not_taken_for_dead(
    path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "_FILLING_SECONDS", 0.1)
    Path(f"{path}.lock").write_text(content)
    with pytest.raises(CacheLockedError, match="delete that file"):
        run(path, PETS)


def test_a_lock_that_was_deleted_and_taken_by_another_is_not_released(path: Path) -> None:
    with writer(path):
        Path(f"{path}.lock").unlink()
        leave(path, nonce="another's")
    assert Path(f"{path}.lock").exists()


def test_a_lock_is_given_back_when_the_run_fails(path: Path) -> None:
    with pytest.raises(RuntimeError), writer(path):
        raise RuntimeError
    assert left(path) == []


def test_a_file_system_without_hard_links_will_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", no_links)
    with writer(path), pytest.raises(CacheLockedError):
        run(path, PETS)
    leave(path, start="an earlier process")
    run(path, PETS)
    assert left(path) == ["features.h5"]


def test_a_link_that_worked_although_the_server_said_no_counts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def lost_answer(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(17, "File exists")

    monkeypatch.setattr(os, "link", lost_answer)
    with writer(path), pytest.raises(CacheLockedError, match=f"process {os.getpid()} "):
        run(path, PETS)


def test_half_made_locks_of_the_dead_are_cleared_away(path: Path) -> None:
    dead = leave(path, start="an earlier process")
    Path(f"{path}.lock").rename(f"{path}.lock.{dead.pid}-{dead.nonce}")
    leave(path, start="an earlier process")
    Path(f"{path}.lock").rename(f"{path}.lock.{dead.nonce}")
    run(path, PETS)
    assert left(path) == ["features.h5"]


def contend(path: Path, start: float, results: Path) -> None:
    """Try for the lock until it was held once; while it is held nobody else may think so."""
    time.sleep(max(0.0, start - time.time()))
    lock = Lock(path, path)
    while True:
        try:
            lock.acquire()
        except CacheLockedError:
            time.sleep(0.001)
            continue
        alone = path.with_name("alone")
        os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
        time.sleep(0.005)
        alone.unlink()
        if os.getpid() % 2:
            lock.release()
        # The others end while holding it: the next has to take a dead process's lock.
        (results / str(os.getpid())).touch()
        os._exit(0)


@pytest.mark.skipif(os.name != "posix", reason="needs fork servers")
def test_of_many_that_take_over_a_dead_lock_one_at_a_time_has_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    path, results = tmp_path / "c.lock", tmp_path / "results"
    results.mkdir()
    leave(tmp_path / "c", start="an earlier process")
    start = time.time() + 0.5
    children = [context.Process(target=contend, args=(path, start, results)) for _ in range(10)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 10
    assert len(list(results.iterdir())) == 10


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 20
    while process.start_of(child.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.start_of(child.pid) is None
    child.wait()
    assert process.start_of(child.pid) is None


def test_a_process_knows_its_own_start_and_nobody_elses() -> None:
    mine = process.start_of(os.getpid())
    assert mine
    assert process.is_alive(os.getpid(), mine)
    assert not process.is_alive(os.getpid(), mine + "0")
    assert process.start_of(os.getpid()) == mine


def test_where_proc_is_missing_ps_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "_PROC", tmp_path)
    shown = (
        subprocess.run(["ps", "--version"], check=False, capture_output=True).returncode if _has_ps() else 1
    )
    if shown:
        pytest.skip("no ps here")
    mine = process.start_of(os.getpid())
    assert mine
    assert process.is_alive(os.getpid(), mine)
    assert process.start_of(2**22 - 1) is None


def _has_ps() -> bool:
    return any((Path(folder) / "ps").exists() for folder in os.environ["PATH"].split(os.pathsep))


def test_a_proc_that_hides_other_users_does_not_make_them_dead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").write_text("1 (x) R")
    monkeypatch.setattr(process, "_PROC", tmp_path)
    assert process.start_of(os.getpid()) == ""
    assert process.is_alive(os.getpid(), "whenever")
    assert lock_module.Owner.this_process().pid == os.getpid()
