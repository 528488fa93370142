"""Decoding in other processes: the same pixels and reasons, and what happens when one of them dies."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fc7.extract.images.decode import prepare
from fc7.extract.records import Pixels
from fc7.extract.worker import decode_pipe, decoders
from fc7.extract.worker.decode_process import serve
from fc7.extract.worker.decoders import THREADS_SERVE, DecodeProcesses, decoder
from fc7.extract.worker.read_ahead import Decode
from fc7.models.common.errors import ImageError
from fc7.models.network.spec import PreprocessSpec
from tests.support import CommandLine, command, write_pictures
from tests.support.extract.odd_files import encoded, make_odd_folder, photo

SPEC = PreprocessSpec("short", 32, 32, 27, 27, "RGB", crops=10)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


def children(pid: int | None = None) -> set[int]:
    """Decoding processes that a process has."""
    found = set()
    for tasks in Path(f"/proc/{pid or os.getpid()}/task").glob("*/children"):
        found |= {int(child) for child in tasks.read_text().split()}
    decoding = set()
    for child in found:
        # One may have ended since.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"fc7.extract.worker.decode_process" in Path(f"/proc/{child}/cmdline").read_bytes():
                decoding.add(child)
    return decoding


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def processes(notes: list[str]) -> Iterator[DecodeProcesses]:
    with decoder(SPEC, False, THREADS_SERVE + 1, None, notes.append) as made:
        assert isinstance(made, DecodeProcesses)
        yield made


def test_every_odd_file_gives_the_pixels_or_the_reason_that_it_gives_here(
    tmp_path: Path, processes: DecodeProcesses
) -> None:
    make_odd_folder(tmp_path)
    files = [path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    files.append(encoded(photo(900, 1400), "JPEG"))

    def answer(decode: Decode, data: bytes | Pixels) -> Pixels | str:
        try:
            return decode(data)
        except ImageError as exc:
            return str(exc)

    with ThreadPoolExecutor(4) as threads:
        there = list(threads.map(lambda data: answer(processes, data), files))
    reasons = 0
    for data, found in zip(files, there, strict=True):
        wanted = answer(lambda data: prepare(data, SPEC, exact=False), data)
        reasons += isinstance(wanted, str)
        assert type(found) is type(wanted)
        np.testing.assert_array_equal(found, wanted)
    assert 4 <= reasons < len(files) - 10
    draft, exact = there[-1], prepare(files[-1], SPEC, exact=True)
    assert isinstance(draft, np.ndarray)
    assert draft.shape == (10, 27, 27, 3)
    assert draft.flags.writeable
    assert not np.array_equal(draft, exact)


def test_pixels_are_resized_here(processes: DecodeProcesses) -> None:
    np.testing.assert_array_equal(processes(photo(40, 50)), prepare(photo(40, 50), SPEC))
    if sys.platform == "linux":
        assert children() == set()


def running(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Have processes run this instead."""
    arguments = [sys.executable, "-c", "import os, sys, time; " + program]
    monkeypatch.setattr(decode_pipe, "command", lambda *_: arguments)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_process_that_dies_is_named_and_the_next_image_has_another(
    processes: DecodeProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(photo(48, 64), "PNG")
    with monkeypatch.context() as patched:
        running(patched, "os.write(1, b'!'); sys.stdin.buffer.read(9); os.kill(os.getpid(), 9)")
        with pytest.raises(ImageError, match="the process that decoded it was ended by signal 9") as caught:
            processes(data)
    # So that it is tried again when no other is being decoded.
    assert isinstance(caught.value.__cause__, MemoryError)
    np.testing.assert_array_equal(processes(data), prepare(data, SPEC))


@on_linux
def test_one_that_died_between_images_costs_none(processes: DecodeProcesses) -> None:
    data = encoded(photo(48, 64), "PNG")
    wanted = processes(data)
    [first] = children()
    os.kill(first, signal.SIGKILL)
    while Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.005)
    np.testing.assert_array_equal(processes(data), wanted)
    [second] = children()
    assert second != first
    processes.close()
    assert children() == set()


@pytest.mark.parametrize("program", ["sys.exit(1)", "print('Welcome'); time.sleep(60)"])
def test_where_no_process_starts_all_is_decoded_here(
    processes: DecodeProcesses, notes: list[str], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    running(monkeypatch, program)
    data = encoded(photo(48, 64), "PNG")
    np.testing.assert_array_equal(processes(data), prepare(data, SPEC))
    # Not even tried again.
    monkeypatch.setattr(decode_pipe, "command", lambda *_: pytest.fail("another process was started"))
    np.testing.assert_array_equal(processes(data), prepare(data, SPEC))
    [note] = notes
    assert "decoding in no processes, else in threads: one " in note


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_no_more_processes_than_there_are_descriptors_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    for allowed, jobs, most in (
        (64, 40, 0),
        (256, 16, 80),
        (1024, 256, 224),
        (resource.RLIM_INFINITY, 99, 99),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda _, n=allowed: (n, n))
        assert decoders._room_for(jobs) == most
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    data = encoded(photo(48, 64), "PNG")
    notes: list[str] = []
    with decoder(SPEC, False, 40, None, notes.append) as decode:
        np.testing.assert_array_equal(decode(data), prepare(data, SPEC))
        assert notes == ["open files are limited: 0 of 40 images at once are decoded in processes; ulimit -n"]
        if sys.platform == "linux":
            assert children() == set()


def test_an_answer_that_does_not_fit_into_memory_is_nobody_elses(
    processes: DecodeProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, other = (encoded(photo(48, 64, seed), "PNG") for seed in (1, 2))
    with monkeypatch.context() as patched:
        read = decode_pipe._read

        def full(pipe: Any, n: int) -> bytearray:
            if n > 1000:
                raise MemoryError
            return read(pipe, n)

        patched.setattr(decode_pipe, "_read", full)
        with pytest.raises(MemoryError):
            processes(data)
    np.testing.assert_array_equal(processes(other), prepare(other, SPEC))


def test_an_image_for_which_memory_is_short_may_be_tried_again_and_a_fault_is_told(
    processes: DecodeProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    def served(decode: Decode) -> tuple[bytes, bytes]:
        answers = io.BytesIO()
        serve(io.BytesIO(struct.pack("<q", 3) + b"abc"), answers, decode)
        kind, *numbers = struct.unpack("<c4q", answers.getvalue()[:33])
        assert len(answers.getvalue()) == 33 + int(np.prod(numbers))
        return kind, answers.getvalue()[33:]

    def fails_with(error: Exception) -> Decode:
        def decode(data: bytes | Pixels) -> Pixels:
            assert data == b"abc"
            raise error

        return decode

    short = ImageError("9 bytes do not fit")
    short.__cause__ = MemoryError()
    assert served(fails_with(short)) == (b"m", b"9 bytes do not fit")
    assert served(fails_with(MemoryError()))[0] == b"m"
    assert served(fails_with(ImageError("not an image"))) == (b"r", b"not an image")
    assert served(fails_with(ZeroDivisionError("by zero"))) == (b"f", b"ZeroDivisionError: by zero")
    assert served(lambda data: np.full((1, 2, 1, 3), 7, np.uint8)) == (b"p", b"\7" * 6)

    def answering(kind: bytes, words: bytes) -> None:
        reply = struct.pack("<c4q", kind, len(words), 1, 1, 1) + words
        running(monkeypatch, f"os.write(1, b'!'); sys.stdin.buffer.read(11); os.write(1, {reply!r})")
        processes.close()

    answering(b"m", b"9 bytes do not fit")
    with pytest.raises(ImageError, match="9 bytes do not fit") as caught:
        processes(b"abc")
    assert isinstance(caught.value.__cause__, MemoryError)
    answering(b"f", b"ZeroDivisionError: by zero")
    with pytest.raises(RuntimeError, match="ZeroDivisionError: by zero"):
        processes(b"abc")


def test_a_system_without_room_for_a_process_decodes_here(
    processes: DecodeProcesses, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refused)
    data = encoded(photo(48, 64), "PNG")
    np.testing.assert_array_equal(processes(data), prepare(data, SPEC))
    np.testing.assert_array_equal(processes(data), prepare(data, SPEC))
    assert notes == ["decoding in no processes, else in threads: Resource temporarily unavailable"]


def test_few_at_once_and_few_in_all_are_decoded_in_threads() -> None:
    for jobs, n in ((THREADS_SERVE, None), (THREADS_SERVE + 1, 10)):
        with decoder(SPEC, False, jobs, n) as decode:
            assert not isinstance(decode, DecodeProcesses)
            np.testing.assert_array_equal(decode(photo(40, 50)), prepare(photo(40, 50), SPEC))


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Enough pictures that -j 9 decodes them in processes."""
    here = CommandLine(tmp_path_factory.mktemp("decoders")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=310)
    here.good("extract", "imgs", "--network", "tiny", "-o", "threads.h5", "-j", "1")
    return here


ARGUMENTS = ["extract", "imgs", "--network", "tiny", "-o", "features.h5", "-j", "9", "-b", "8"]


def begun(cli: CommandLine) -> tuple[subprocess.Popen[str], set[int]]:
    """`extract`, and the processes that decode for it."""
    (cli.folder / "features.h5").unlink(missing_ok=True)
    process = subprocess.Popen(
        command(ARGUMENTS), cwd=cli.folder, env=cli.environment(), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    found: set[int] = set()
    while process.poll() is None and not found:
        assert time.monotonic() < deadline
        time.sleep(0.005)
        found = children(process.pid)
    return process, found


def gone(pids: set[int]) -> bool:
    """Whether none of them runs a little later."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.02)
    return False


@on_linux
def test_a_killed_process_costs_no_image(cli: CommandLine) -> None:
    process, found = begun(cli)
    assert found, "-j 9 of 930 images decodes in processes"
    stop = threading.Event()

    def kill_some() -> None:
        for _ in range(3):
            if stop.wait(0.05):
                return
            for pid in sorted(children(process.pid))[:1]:
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_some)
    killer.start()
    _, said = process.communicate(timeout=120)
    stop.set()
    killer.join()
    assert process.returncode == 0, said
    with h5py.File(cli.folder / "features.h5") as a, h5py.File(cli.folder / "threads.h5") as b:
        np.testing.assert_array_equal(a["path"][()], b["path"][()])
        assert len(a["path"]) == 930
        [layer] = a["features"]
        np.testing.assert_allclose(a["features"][layer][()], b["features"][layer][()], rtol=1e-5, atol=1e-6)


@on_linux
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_processes_end_with_the_one_that_started_them(cli: CommandLine, how: signal.Signals) -> None:
    process, found = begun(cli)
    assert found
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (130, -how, 128 + how)
    assert "Traceback" not in said
    assert gone(found)
