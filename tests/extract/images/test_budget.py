"""Pixels in flight against the memory there is: what a header says is what decoding takes; a real limit."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from fc7.extract.clock import Clock
from fc7.extract.images import budget
from fc7.extract.images.budget import SMALL, Budget, NoRoomError
from fc7.extract.images.decode import prepare
from fc7.extract.records import UNSEEN
from fc7.extract.worker.decoders import THREADS_SERVE, DecodeProcesses, decoder
from fc7.extract.worker.stream import Decoding, feature_blocks
from fc7.models.common.errors import ImageError
from fc7.models.network.spec import PreprocessSpec
from tests.support import ROOT, CommandLine, command, read_json
from tests.support.extract.memory_group import memory_group
from tests.support.extract.odd_files import encoded, png_chunk, tiff_of, with_exif
from tests.support.fakes import MeanNetwork, MemoryOrigin, decode_first_byte

MB = 1 << 20
SPEC = PreprocessSpec("short", 32, 32, 27, 27, "RGB")


def flat_png(side: int, colour: tuple[int, int, int]) -> bytes:
    """A large picture of one colour, made row by row."""
    packing, row = zlib.compressobj(1), b"\0" + bytes(colour) * side
    header = side.to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    packed = b"".join(packing.compress(row) for _ in range(side)) + packing.flush()
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(name, data) for name, data in [(b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")]
    )


class Asking:
    """Threads that each want room, one after the other, and hold it until they are told."""

    def __init__(self, shared: Budget) -> None:
        self.shared = shared
        self.holding: list[str] = []
        self.order: list[str] = []
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def ask(self, name: str, n_bytes: int) -> None:
        def hold() -> None:
            with self.shared.room(n_bytes), self._changed:
                self.holding.append(name)
                self.order.append(name)
                self._changed.notify_all()
                self._changed.wait_for(lambda: name not in self.holding)

        self._threads.append(threading.Thread(target=hold, daemon=True))
        self._threads[-1].start()

    def release(self, name: str) -> None:
        with self._changed:
            self.holding.remove(name)
            self._changed.notify_all()

    def comes(self, *names: str) -> bool:
        """Whether just these hold room in the end, and none beside them a moment later."""
        with self._changed:
            self._changed.wait_for(lambda: set(self.holding) >= set(names), 10)
            self._changed.wait_for(lambda: set(self.holding) > set(names), 0.05)
            return sorted(self.holding) == sorted(names)

    def end(self) -> None:
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


def test_images_are_admitted_while_they_fit_into_half_and_a_larger_one_goes_alone() -> None:
    asking = Asking(Budget(lambda: 1000 * MB, lambda: 0))
    asking.ask("a", 300 * MB)
    assert asking.comes("a")
    asking.ask("b", 200 * MB)
    assert asking.comes("a", "b")
    asking.ask("large", 800 * MB)
    assert asking.comes("a", "b")
    asking.ask("small", SMALL - 1)
    assert asking.comes("a", "b", "small")
    asking.release("small")
    asking.release("a")
    assert asking.comes("b")
    asking.release("b")
    assert asking.comes("large")
    asking.ask("c", 200 * MB)
    assert asking.comes("large")
    asking.release("large")
    assert asking.comes("c")
    asking.release("c")
    asking.end()


def test_the_first_of_two_that_both_want_more_goes_on() -> None:
    shared = Budget(lambda: 1000 * MB, lambda: 0)
    meeting, order = threading.Barrier(2, timeout=10), list[str]()
    first_holds = threading.Event()

    def run(name: str, *, first: bool) -> None:
        if not first:
            first_holds.wait(10)
        with shared.room(200 * MB):
            first_holds.set()
            meeting.wait()
            with shared.room(400 * MB):
                order.append(name)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run, "first", first=True), pool.submit(run, "second", first=False)]:
            done.result(10)
    assert order == ["first", "second"]


def test_what_all_the_free_memory_is_not_enough_for_is_refused_when_no_other_has_any() -> None:
    free = 500 * MB
    shared = Budget(lambda: free, lambda: 100 * MB)
    with shared.room(570 * MB):
        pass
    with pytest.raises(NoRoomError, match="629 MB are needed and 603 MB can be had"), shared.room(600 * MB):
        pass
    asking = Asking(shared)
    asking.ask("a", 100 * MB)
    assert asking.comes("a")
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(lambda: shared.room(600 * MB).__enter__())
        assert asking.comes("a")
        assert not waits.done()
        # What the other held may be what was missing.
        free = 1000 * MB
        asking.release("a")
        waits.result(10)
    asking.end()


def test_nobody_holds_any_while_the_network_is_loaded() -> None:
    shared = Budget(lambda: 1000 * MB, lambda: 0)
    asking = Asking(shared)
    with shared.all():
        asking.ask("a", 100 * MB)
        assert asking.comes()
    assert asking.comes("a")
    asking.release("a")
    asking.end()


MEASURE = """
import ctypes, io, sys
from contextlib import contextmanager
from pathlib import Path
from fc7.extract.images.decode import prepare
from fc7.models.network.spec import PreprocessSpec

def bytes_of(name):
    return int(Path("/proc/self/status").read_text().partition(name + ":")[2].split()[0]) << 10

said = []

@contextmanager
def room(n_bytes):
    said.append(n_bytes)
    yield

for first in sys.argv[1:]:
    prepare(Path(first).read_bytes(), PreprocessSpec("short", 32, 32, 27, 27, "RGB"))
for line in sys.stdin:
    path, how = line.rstrip().split("\t")
    nearest = how == "nearest"
    spec = PreprocessSpec("short", 32, 32, 27, 27, "RGB", interpolation="nearest" if nearest else "bilinear")
    data = Path(path).read_bytes()
    # Else what one picture freed is at hand for the next, and is not seen.
    getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = bytes_of("VmRSS")
    said.clear()
    prepare(data, spec, exact=how != "draft", room=room)
    print(bytes_of("VmHWM") - before, sum(said), flush=True)
"""


def pictures(side: int) -> Iterator[tuple[str, str, bytes]]:
    """One picture for every way in which decoding takes memory."""
    steps = np.arange(side) // 13 % 256
    grey = Image.fromarray(np.add.outer(steps, steps).astype(np.uint8))
    colour = Image.merge("RGB", (grey, grey.point(lambda v: 255 - v), grey))
    clear = colour.copy()
    clear.putalpha(128)
    turned = with_exif(6)
    yield "grey.png", "exact", encoded(grey, "PNG", compress_level=1)
    yield "colour.png", "exact", encoded(colour, "PNG", compress_level=1)
    yield "colour.png", "nearest", encoded(colour, "PNG", compress_level=1)
    yield "palette.png", "exact", encoded(colour.convert("P"), "PNG", compress_level=1)
    yield "clear.png", "exact", encoded(clear, "PNG", compress_level=1)
    yield "clear-grey.png", "exact", encoded(grey.convert("LA"), "PNG", compress_level=1)
    yield "deep.png", "exact", encoded(np.asarray(grey).astype(np.uint16) * 257, "PNG", compress_level=1)  # type: ignore[arg-type]
    yield "plain.jpg", "exact", encoded(colour, "JPEG")
    yield "turned.jpg", "exact", encoded(colour, "JPEG", exif=turned)
    yield "progressive.jpg", "draft", encoded(colour, "JPEG", progressive=True)
    yield "inks.jpg", "exact", encoded(colour.convert("CMYK"), "JPEG")
    yield "colour.bmp", "exact", encoded(colour, "BMP")
    yield "strip.tif", "exact", encoded(colour, "TIFF", compression="tiff_deflate", strip_size=1 << 30)
    yield "turned.tif", "exact", encoded(colour, "TIFF", tiffinfo={274: 6})
    tile = zlib.compress(bytes(4000 * 4000), 9)
    yield "tile.tif", "exact", tiff_of([tile], {256: [60], 257: [60], 259: [8], 322: [4000], 323: [4000]})
    numbers = np.asarray(colour).astype(np.float32) / 255
    tags = {256: [side], 257: [side], 258: [32] * 3, 262: [2], 277: [3], 278: [side], 339: [3] * 3}
    yield "colour-floats.tif", "exact", tiff_of([numbers.tobytes()], tags)
    lab = Image.frombytes("LAB", colour.size, colour.tobytes())
    yield "lab.tif", "exact", encoded(lab, "TIFF")
    yield "lab-jpeg.tif", "exact", encoded(lab, "TIFF", compression="jpeg")
    yield "floats.tif", "exact", encoded(Image.fromarray(np.asarray(grey, np.float32) / 510), "TIFF")
    yield "colour.webp", "exact", encoded(colour, "WebP", method=0)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures by Linux's /proc")
def test_what_is_said_of_a_header_is_what_decoding_takes(tmp_path: Path) -> None:
    side = 2000
    names, lines = [], []
    for name, how, data in pictures(side):
        (tmp_path / name).write_bytes(data)
        names.append(f"{name} {how}")
        lines.append(f"{tmp_path / name}\t{how}")
    # What is loaded once counts for no picture: modules, and colour management for LAB.
    firsts = [tmp_path / "first.png", tmp_path / "first.tif"]
    firsts[0].write_bytes(encoded(Image.new("RGB", (200, 200)), "PNG"))
    firsts[1].write_bytes(encoded(Image.new("LAB", (200, 200)), "TIFF"))
    took = said = np.zeros(len(names))
    # A kernel that saves memory takes pages back while a picture is decoded: the most of five counts.
    for _ in range(5):
        ran = subprocess.run(
            [sys.executable, "-c", MEASURE, *map(str, firsts)],
            cwd=ROOT,
            input="\n".join(lines),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        )
        now, said = np.loadtxt(ran.stdout.splitlines(), unpack=True) / side**2
        took = np.maximum(took, now)
        if np.abs(said - took).max() < 0.7:
            break
    for name, most, announced in zip(names, took.tolist(), said.tolist(), strict=True):
        assert announced == pytest.approx(most, abs=0.7), name


def test_decoding_processes_ask_the_one_that_started_them(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("RGB", (3000, 2000)), "PNG")
    free = 20 * MB
    monkeypatch.setattr(budget, "shared", Budget(lambda: free, lambda: 0))
    with decoder(SPEC, False, THREADS_SERVE + 1, None) as decode:
        assert isinstance(decode, DecodeProcesses)
        with pytest.raises(ImageError, match="3000x2000 pixels of PNG: 24 MB are needed and 20 MB") as caught:
            decode(data)
        assert isinstance(caught.value.__cause__, MemoryError)
        free = 2000 * MB
        np.testing.assert_array_equal(decode(data), prepare(data, SPEC))
        assert not budget.shared._held


def test_a_failure_for_want_of_memory_says_nothing_of_the_content() -> None:
    def decode(data: object) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        raise MemoryError

    origin = MemoryOrigin({"a": b"1"})
    [block] = feature_blocks(origin.refs(), Decoding(decode, 1), lambda: MeanNetwork(4), clock=Clock())
    [failure] = block.failures
    assert failure.mtime_ns == UNSEEN
    assert failure.unseen


def test_a_file_that_is_much_of_what_is_free_is_not_read_before_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four files at once would take twice of what there is."""
    reading, most, lock = 0, 0, threading.Lock()

    class Large(MemoryOrigin):
        def read(self, ref: object) -> bytes:
            nonlocal reading, most
            with lock:
                reading += 1
                most = max(most, reading)
            return b"1"

    def decode(data: object) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        nonlocal reading
        with lock:
            reading -= 1
        return decode_first_byte(b"1")

    monkeypatch.setattr(budget, "shared", Budget(lambda: 200 * MB, lambda: 0))
    refs = [dataclasses.replace(ref, size=100 * MB) for ref in Large(dict.fromkeys("abcdefgh", b"1")).refs()]
    blocks = list(feature_blocks(refs, Decoding(decode, 4), lambda: MeanNetwork(4), clock=Clock()))
    assert sum(len(block.refs) for block in blocks) == 8
    assert most == 1


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("budget")).with_tiny_network()


def extract(cli: CommandLine, limit: int, folder: str) -> Any:
    """What `extract` says of a folder in so many bytes of memory."""
    arguments = ["extract", folder, "--network", "tiny", "-j", "4", "--json", "-o", f"{folder}.h5"]
    with memory_group(limit) as in_group:
        ran = subprocess.run(
            [*in_group, *command(arguments)],
            cwd=cli.folder,
            env=cli.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    summary = read_json(ran.stdout)
    assert ran.returncode == bool(summary["failures"] or summary["stale"]), ran.stderr
    return summary


def test_four_large_pictures_in_1000_mb_are_rows(cli: CommandLine) -> None:
    folder = cli.folder / "large"
    folder.mkdir()
    picture = flat_png(13000, (200, 90, 30))
    for number in range(4):
        # Another content each: what follows the end of a PNG is not looked at.
        (folder / f"{number}.png").write_bytes(picture + bytes([number]))
    Image.new("RGB", (64, 64), (200, 90, 30)).save(folder / "small.png")
    summary = extract(cli, 1000 * 1000 * 1000, "large")
    assert (summary["rows"], summary["failures"]) == (5, [])
    with h5py.File(cli.folder / "large.h5") as file:
        rows = file["features/embedding"][()]
    # A picture of one colour is that colour at any size.
    np.testing.assert_allclose(rows, np.repeat(rows[-1:], 5, axis=0), rtol=1e-5, atol=1e-6)
    assert np.ptp(rows) > 0


def test_a_picture_that_does_not_fit_is_named_and_tried_again_when_there_is_more(cli: CommandLine) -> None:
    folder = cli.folder / "tight"
    folder.mkdir()
    # More than there is altogether, whatever the process has taken when it looks.
    (folder / "a.png").write_bytes(flat_png(7000, (200, 90, 30)))
    Image.new("RGB", (64, 64), (200, 90, 30)).save(folder / "small.png")
    first = extract(cli, 180 * MB, "tight")
    assert first["rows"] == 1
    [failure] = first["failures"]
    assert failure["path"] == "a.png"
    assert failure["reason"].startswith("7000x7000 pixels of PNG: 196 MB are needed and ")
    again = extract(cli, 600 * MB, "tight")
    assert (again["rows"], again["reused"], again["failures"]) == (2, 1, [])
    with (folder / "a.png").open("ab") as file:
        file.write(b"another content")
    less = extract(cli, 180 * MB, "tight")
    assert (less["rows"], less["failures"]) == (2, [])
    assert [stale["path"] for stale in less["stale"]] == ["a.png"]
