"""A run that follows one that died: what ended it is found, and no image is blamed by chance."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import h5py
import pytest

from fc7.extract.clock import Clock
from fc7.extract.records import UNSEEN, ImageRef, Pixels
from fc7.extract.worker.in_flight import InFlight, left_in
from fc7.extract.worker.read_ahead import Care
from fc7.extract.worker.recovery import Recovery
from fc7.extract.worker.stream import Decoding, feature_blocks
from tests.extract.images.test_budget import flat_png
from tests.support import ROOT, CommandLine, read_json, write_pictures
from tests.support.extract.memory_group import memory_group
from tests.support.fakes import MeanNetwork, MemoryOrigin, decode_first_byte

needs_pwrite = pytest.mark.skipif(not hasattr(os, "pwrite"), reason="the file of what is read needs pwrite")


def refs(n: int = 12) -> list[ImageRef]:
    return MemoryOrigin({f"{i:02}": b"\x07" for i in range(n)}).refs()


class Run:
    """A run's side of it, up to a death: what it holds is not let go in order."""

    left: ClassVar[list[object]] = []

    def __init__(self, folder: Path, images: Sequence[ImageRef]) -> None:
        self.notes: list[str] = []
        self.recovery = Recovery(folder, images, (), self.notes.append, again="")

    def dies_reading(self, *images: ImageRef) -> None:
        """As a kill leaves it."""
        for ref in images:
            context = self.recovery.care.watch(ref)
            context.__enter__()
            self.left.append((self, context))


@needs_pwrite
def test_what_a_dead_run_was_reading_is_tried_alone_and_given_up_after_two_more_deaths(
    tmp_path: Path,
) -> None:
    work, images = tmp_path / "work", refs()
    Run(work, images).dies_reading(*images[3:6])
    second = Run(work, images)
    assert second.recovery.care.alone == {"03", "04", "05"}
    assert second.recovery.care.apart == {"03", "04", "05"}
    [note] = second.notes
    assert note == "the run before this one ended while it was reading 03, 04, 05: each is tried alone now"
    with second.recovery.care.watch(images[3]):
        pass
    second.dies_reading(images[4])
    # What was tried and did no harm is free; what was not tried yet still waits.
    third = Run(work, images)
    assert third.recovery.care.alone == {"04", "05"}
    assert third.recovery.given_up == []
    third.dies_reading(images[4])
    fourth = Run(work, images)
    assert fourth.recovery.care.alone == {"05"}
    [failure] = fourth.recovery.given_up
    assert (failure.path, failure.size, failure.mtime_ns) == ("04", 1, 1)
    assert failure.reason.startswith("it ended 2 runs that read nothing else")
    assert [ref.path for ref in fourth.recovery.work] == [ref.path for ref in images if ref.path != "04"]
    # Until that is committed the next run must know it.
    fourth.dies_reading(images[5])
    with Run(work, images).recovery as fifth:
        assert [failure.path for failure in fifth.given_up] == ["04"]
        assert fifth.care.alone == {"05"}
        with fifth.care.watch(images[5]):
            pass
    assert not work.exists()


@needs_pwrite
def test_a_file_that_changed_and_a_run_that_ended_in_order_leave_no_suspect(tmp_path: Path) -> None:
    work, images = tmp_path / "work", refs()
    Run(work, images).dies_reading(images[0])
    with Run(work, MemoryOrigin({"00": b"\x07\x07"}).refs()).recovery as other:
        assert other.care.alone == frozenset()
    with Run(work, images).recovery as last:
        assert last.care.alone == frozenset()
        for ref in images:
            with last.care.watch(ref):
                pass
    assert not work.exists()


@needs_pwrite
def test_an_image_whose_thread_does_not_come_back_stays_a_suspect(tmp_path: Path) -> None:
    work, images = tmp_path / "work", refs()
    with Run(work, images).recovery as first:
        held = first.care.watch(images[2])
        held.__enter__()
    assert Run(work, images).recovery.care.alone == {"02"}


def test_nothing_is_left_where_there_is_nothing_to_do(tmp_path: Path) -> None:
    with Run(tmp_path / "work", []).recovery:
        assert not (tmp_path / "work").exists()


@needs_pwrite
def test_the_file_holds_numbers_while_they_are_held(tmp_path: Path) -> None:
    reading = InFlight(tmp_path / "file")
    with reading.holding(0), reading.holding(2**62 - 2):
        assert left_in(tmp_path / "file") == frozenset({0, 2**62 - 2})
        # Half a number may be written when a disk is full.
        (tmp_path / "torn").write_bytes((tmp_path / "file").read_bytes() + b"\1\2\3")
    assert left_in(tmp_path / "torn") == frozenset({0, 2**62 - 2})
    assert array("q", (tmp_path / "file").read_bytes()).tolist() == [0, 0]
    reading.close()
    assert left_in(tmp_path / "file") is None


def test_while_an_image_is_alone_no_other_is_read_or_decoded_and_it_is_decoded_apart() -> None:
    now, beside, apart, lock = set[str](), dict[str, set[str]](), list[bytes | Pixels](), threading.Lock()

    class Watching(MemoryOrigin):
        def read(self, ref: ImageRef) -> bytes | Pixels:
            with lock:
                now.add(ref.path)
                for path in now:
                    beside[path] = beside.get(path, set()) | now
            return ref.path.encode()

    def decode(data: bytes | Pixels) -> Pixels:
        with lock:
            now.discard(bytes(data).decode())
        return decode_first_byte(data)

    def decode_apart(data: bytes | Pixels) -> Pixels:
        apart.append(data)
        return decode(data)

    images = Watching({f"{i:02}": b"x" for i in range(30)}).refs()
    care = Care(alone={"05", "06", "20"}, apart={"05", "06", "20", "25"}, decode=decode_apart)
    blocks = list(
        feature_blocks(images, Decoding(decode, 4), lambda: MeanNetwork(4), clock=Clock(), care=care)
    )
    assert [ref.path for block in blocks for ref in block.refs] == [ref.path for ref in images]
    assert [beside[path] for path in ("05", "06", "20")] == [{"05"}, {"06"}, {"20"}]
    assert sorted(map(bytes, apart)) == [b"05", b"06", b"20", b"25"]


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("recovery")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=8)
    return here


def run(cli: CommandLine, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", "tests.support.extract.deadly", *arguments],
        cwd=ROOT,
        env=cli.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@needs_pwrite
def test_an_image_that_ends_whoever_reads_it_is_named_by_the_fourth_run(cli: CommandLine) -> None:
    """The whole process dies, as where a container's processes are all ended together."""
    out, lethal = str(cli.folder / "f.h5"), "green/003.png"
    for n in range(3):
        died = run(cli, str(cli.folder / "imgs"), out, "reading", lethal)
        assert died.returncode == -signal.SIGKILL
        assert ("each is tried alone now" in died.stderr) == (n > 0)
    last = run(cli, str(cli.folder / "imgs"), out, "reading", lethal)
    assert last.returncode == 0, last.stderr
    [line] = last.stdout.splitlines()
    path, mtime, reason = line.split("\t")
    assert path == lethal
    assert reason.startswith("it ended 2 runs that read nothing else")
    assert int(mtime) == (cli.folder / "imgs" / lethal).stat().st_mtime_ns
    with h5py.File(out) as file:
        assert len(file["path"]) == 23
    assert not list(cli.folder.glob("f.h5.*"))
    # It is not tried again until that is asked for, and then it is an image like others.
    arguments = ["extract", "imgs", "--network", "tiny", "-o", out, "--json"]
    assert read_json(cli.incomplete(*arguments).out)["rows"] == 23
    assert read_json(cli.good(*arguments, "--retry-failed").out)["rows"] == 24


@needs_pwrite
def test_a_picture_that_takes_more_than_its_header_says_costs_one_run(cli: CommandLine) -> None:
    """The kernel ends the run for want of memory; of the next one it ends the process that decodes."""
    imgs = cli.folder / "greedy"
    write_pictures(imgs, per_class=2)
    (imgs / "greedy.png").write_bytes(flat_png(9000, (1, 2, 3)))
    out = str(cli.folder / "g.h5")
    with memory_group(300 << 20) as in_group:
        first = run(cli, str(imgs), out, "lying", prefix=in_group)
        assert first.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        second = run(cli, str(imgs), out, "lying", prefix=in_group)
    assert second.returncode == 0, second.stderr
    [line] = second.stdout.splitlines()
    path, mtime, reason = line.split("\t")
    assert (path, int(mtime)) == ("greedy.png", UNSEEN)
    assert reason.startswith("the process that decoded it was ended by signal 9 (2 tries")
    with h5py.File(out) as file:
        assert len(file["path"]) == 6
    # In as much memory as it takes it is a row.
    assert read_json(cli.good("extract", imgs, "--network", "tiny", "-o", out, "--json").out)["rows"] == 7
