"""A disk that is full, read-only or gone costs a clear message and nothing else."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from fc7.extract.cache.format import early_sync, files
from fc7.extract.cache.format.hdf5 import NewFile, OpenFile
from fc7.extract.cache.npz import to_npz
from fc7.extract.cache.reader import load_features
from fc7.models.common.errors import CacheError, UsageError
from fc7.models.outputs.places import OutputPlace
from tests.support.extract.cache_support import (
    PETS,
    CrashError,
    Folder,
    Image,
    block,
    check_plainly,
    left,
    run,
    writer,
)

MORE: Folder = {**PETS, **{f"new/{i}.jpg": Image(f"new {i}") for i in range(6)}}
PLENTY = 1 << 30
posix = pytest.mark.skipif(os.name != "posix", reason="limits and users of POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    run(tmp_path / "features.h5", PETS)
    return tmp_path / "features.h5"


def limited_run(path: Path, limit: int, answer: Connection) -> None:
    """A run in which no file may become larger than `limit` bytes, as on a full disk."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        run(path, MORE)
    except CacheError as exc:
        answer.send(str(exc))
    else:
        answer.send("")
    answer.close()


@posix
def test_a_disk_that_fills_up_at_any_byte_loses_nothing(path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    before = path.read_bytes()
    whole = path.with_name("whole.h5")
    run(whole, MORE)
    told = []
    size = whole.stat().st_size
    for limit in (10, 700, 3000, 20_000, size - 600, size - 1):
        ours, theirs = context.Pipe()
        child = context.Process(target=limited_run, args=(path, limit, theirs))
        child.start()
        assert ours.poll(60)
        told.append(ours.recv())
        child.join(60)
        assert child.exitcode == 0, "the process must survive, to its very end"
        assert path.read_bytes() == before
    assert all("(File too large); raise the largest size of a file" in message for message in told), told
    assert "features.h5.lock" in told[0]
    assert "features.h5.work/00" in told[2]
    assert f"{path}: cannot be written" in told[-1]
    assert f"finished work is kept in {path}.work" in told[-1]
    # The last of them had finished all segments: nothing is left to do but to commit.
    result = run(path, MORE)
    assert result.extracted == []
    assert path.read_bytes() == whole.read_bytes()


class FullDisk:
    """Answers every write after the first few with an error, as `os.write` would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, exc: BaseException) -> None:
        from fc7.extract.cache.format.target import Target

        self.writes_left = PLENTY
        real = Target.write

        def write(target: Target, data: memoryview) -> int:
            self.writes_left -= 1
            if self.writes_left < 0 and target.error is None:
                target.error = exc
            return real(target, data)

        monkeypatch.setattr(Target, "write", write)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_write_that_fails_anywhere_in_the_commit_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = path.read_bytes()
    with pytest.raises(CrashError):
        run(path, MORE, per_segment=6, crash_after=1)
    disk = FullDisk(monkeypatch, OSError(number, os.strerror(number)))
    for writes in (0, 1, 2, 5, 9, 14):
        disk.writes_left = writes
        with pytest.raises(CacheError, match="cannot be written") as caught:
            run(path, MORE)
        assert "finished work is kept" in str(caught.value)
        assert path.read_bytes() == before
        assert left(path) == ["features.h5", "features.h5.work"]
    disk.writes_left = PLENTY
    assert run(path, MORE).extracted == []
    check_plainly(path, MORE)


def test_a_full_disk_is_called_by_its_name() -> None:
    told = str(files.write_error(Path("features.h5"), OSError(errno.ENOSPC, "No space left on device")))
    assert told == (
        "features.h5: cannot be written (No space left on device); free the disk or choose another -o, "
        "then run the same command again; nothing that was there is lost"
    )


def test_ctrl_c_inside_the_library_comes_out_as_ctrl_c(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    disk = FullDisk(monkeypatch, KeyboardInterrupt())
    disk.writes_left = 3
    with pytest.raises(KeyboardInterrupt):
        run(path, MORE)
    disk.writes_left = PLENTY
    assert path.read_bytes() == before
    assert set(left(path)) <= {"features.h5", "features.h5.work"}
    run(path, MORE)
    check_plainly(path, MORE)


@posix
def test_ctrl_c_during_a_commit_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    real = OutputPlace.put

    def interrupted(place: OutputPlace, finished: Path, occupied: Callable[[], bool]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        real(place, finished, occupied)

    monkeypatch.setattr(OutputPlace, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(path, MORE)
    assert path.read_bytes() == before
    assert left(path) == ["features.h5", "features.h5.work"]


def test_hdf5_never_learns_of_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(monkeypatch, OSError(errno.ENOSPC, "full"))
    rows = np.ones((64, 64), np.float32)
    _write_many(tmp_path / "x.h5", rows)
    needed = PLENTY - disk.writes_left
    assert needed > 64
    for writes in range(0, needed, 3):
        disk.writes_left = writes
        with pytest.raises(OSError, match="full"):
            _write_many(tmp_path / "x.h5", rows)
    disk.writes_left = PLENTY
    _write_many(tmp_path / "x.h5", rows)
    with OpenFile(tmp_path / "x.h5") as file:
        assert file.read("rows", 0, 64 * 64).all()


def _write_many(path: Path, rows: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
    file = NewFile(path)
    try:
        file.create("rows", (64 * 64, 64), np.float32, chunk_rows=64, deflate=False)
        for i in range(64):
            file.write("rows", 64 * i, rows)
        file.close()
    finally:
        file.abandon()


@posix
def test_a_folder_that_may_not_be_written_is_named(as_nobody: Path) -> None:
    with pytest.raises(UsageError, match=r"Permission denied\); make .*read-only writable or"):
        run(as_nobody / "read-only" / "features.h5", PETS)
    assert list((as_nobody / "read-only").iterdir()) == []


@posix
def test_a_folder_that_may_not_be_entered_is_named(as_nobody: Path) -> None:
    path = as_nobody / "closed" / "features.h5"
    with pytest.raises(UsageError, match=r"closed/features\.h5: cannot be written \(Permission denied"):
        run(path, PETS)
    with pytest.raises(CacheError, match="cannot be opened: Permission denied"):
        load_features(path)


def test_a_folder_in_place_of_a_cache_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is a folder; choose another -o"), writer(tmp_path):
        pytest.fail("it was let in")


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"make the folder .*no or "), writer(tmp_path / "no" / "f.h5"):
        pytest.fail("it was let in")


def test_a_work_folder_that_is_a_file_is_named(path: Path) -> None:
    Path(f"{path}.work").write_text("in the way")
    with pytest.raises(CacheError, match=r"features\.h5\.work"):
        run(path, MORE)
    check_plainly(path, PETS)


def test_a_folder_that_is_removed_during_the_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "features.h5"
    path.parent.mkdir()
    with writer(path) as cache:
        Path(f"{path}.lock").unlink()
        path.parent.rmdir()
        with pytest.raises(CacheError, match=r"cannot be written \(No such file"):
            cache.write_segment(block({"a": "x"}))


def test_an_npz_that_cannot_be_written_leaves_the_old_one(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        to_npz(path, tmp_path / "no" / "x.npz")


def test_a_disk_that_fails_once_in_the_midst_of_a_commit_is_heard(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system tells a failed write-out once; the fsync at the end would say that all is well."""
    before, real = path.read_bytes(), os.fsync
    told: list[int] = []

    def fsync(descriptor: int) -> None:
        if threading.current_thread().name.startswith("fsync") and not told:
            told.append(descriptor)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    with pytest.raises(CrashError):
        run(path, MORE, per_segment=6, crash_after=1)
    monkeypatch.setattr(early_sync, "_BYTES", 1000)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(CacheError, match=r"cannot be written .*Input/output error"):
        run(path, MORE)
    assert told
    assert path.read_bytes() == before
    assert run(path, MORE).extracted == []
    check_plainly(path, MORE)
