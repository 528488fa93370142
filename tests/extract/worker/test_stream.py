"""The loop: order, neighbours, memory, crops, time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.extract.clock import Clock
from fc7.extract.records import UNSEEN, Failure, ImageRef, Pixels
from fc7.extract.worker.read_ahead import Care, DecodeSlots
from fc7.extract.worker.stream import Decoding, feature_blocks
from fc7.models.common.errors import ImageError
from tests.support.fakes import CountingDecode, MeanNetwork, MemoryOrigin, decode_first_byte


def run(
    origin: MemoryOrigin, network: MeanNetwork, jobs: int = 2
) -> tuple[dict[str, float], list[Failure], list[str]]:
    rows: dict[str, float] = {}
    failures: list[Failure] = []
    order: list[str] = []
    for block in feature_blocks(
        origin.refs(), Decoding(decode_first_byte, jobs), lambda: network, clock=Clock()
    ):
        for ref, row in zip(block.refs, block.features.get("fc7", []), strict=True):
            rows[ref.path] = float(row[0])
            order.append(ref.path)
        failures += block.failures
    return rows, failures, order


@settings(max_examples=60, deadline=None)
@given(
    contents=st.lists(st.one_of(st.none(), st.just(b"bad"), st.binary(min_size=1, max_size=3)), max_size=40),
    batch=st.integers(1, 7),
    jobs=st.integers(1, 4),
)
def test_every_image_is_a_row_of_its_own_or_a_failure(
    contents: list[bytes | None], batch: int, jobs: int
) -> None:
    origin = MemoryOrigin({f"{i:03}": data for i, data in enumerate(contents)})
    rows, failures, order = run(origin, MeanNetwork(batch), jobs)
    readable = {path: data[0] for path, data in origin.files.items() if data not in (None, b"bad") and data}
    assert rows == readable
    assert order == sorted(readable)
    assert sorted(f.path for f in failures) == sorted(set(origin.files) - set(readable))


def test_an_unreadable_image_is_named_and_its_neighbours_are_unchanged() -> None:
    files: dict[str, bytes | None] = {f"{i}": bytes([i + 1]) for i in range(9)}
    whole, _, _ = run(MemoryOrigin(files), MeanNetwork())
    broken, failures, _ = run(MemoryOrigin({**files, "4": b"bad", "7": None}), MeanNetwork())
    assert [(f.path, f.reason) for f in failures] == [("4", "not an image"), ("7", "cannot be opened")]
    # What could not be decoded waits until it changes; what could not be read is tried again.
    assert [f.mtime_ns for f in failures] == [1, UNSEEN]
    assert broken == {path: value for path, value in whole.items() if path not in ("4", "7")}


def test_the_number_of_decoded_images_in_memory_is_bounded() -> None:
    origin = MemoryOrigin({f"{i:05}": b"\x07" for i in range(2000)})
    decode, network = CountingDecode(), MeanNetwork(batch_size=8)
    for block in feature_blocks(origin.refs(), Decoding(decode, 2), lambda: network, clock=Clock()):
        time.sleep(0.0002)
        decode.taken(len(block.refs))
    assert decode.most <= 3 * 16


def test_the_network_is_not_loaded_when_no_image_can_be_read() -> None:
    origin = MemoryOrigin({"a": None, "b": b"bad"})

    def never() -> MeanNetwork:
        raise AssertionError("the network was loaded for nothing")

    blocks = list(feature_blocks(origin.refs(), Decoding(decode_first_byte, 1), never, clock=Clock()))
    assert [len(block.failures) for block in blocks] == [2]


def test_ten_crops_are_averaged() -> None:
    def ten(data: bytes | Pixels) -> Pixels:
        return np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8) * data[0]

    origin = MemoryOrigin({"a": b"\x01", "b": b"\x02", "c": b"\x03"})
    network = MeanNetwork(batch_size=16)
    blocks = list(feature_blocks(origin.refs(), Decoding(ten, 1), lambda: network, clock=Clock()))
    rows = np.concatenate([block.features["fc7"] for block in blocks])
    np.testing.assert_allclose(rows[:, 0], [4.5, 9.0, 13.5])
    assert max(network.batches) <= 16


def test_leaving_the_loop_early_starts_no_more_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    # What was not begun is not waited for.
    monkeypatch.setattr("fc7.extract.patience._CLOSE_SECONDS", 1e4)
    origin = MemoryOrigin({f"{i:04}": b"\x07" for i in range(500)})
    for _ in feature_blocks(origin.refs(), Decoding(decode_first_byte, 2), MeanNetwork, clock=Clock()):
        break
    after = len(origin.reads)
    time.sleep(0.05)
    assert len(origin.reads) == after < 200


def test_the_clock_tells_the_stage_that_was_slow() -> None:
    class Slow(MeanNetwork):
        def run(self, images: Pixels) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
            time.sleep(0.02)
            return super().run(images)

    def spent(decode_seconds: float, network: MeanNetwork, write_seconds: float) -> str:
        def decode(data: bytes | Pixels) -> Pixels:
            time.sleep(decode_seconds)
            return decode_first_byte(data)

        clock = Clock()
        origin = MemoryOrigin({f"{i:02}": b"\x07" for i in range(24)})
        for _ in feature_blocks(origin.refs(), Decoding(decode, 1), lambda: network, clock=clock):
            time.sleep(write_seconds)
        return clock.bottleneck

    assert spent(0.01, MeanNetwork(), 0) == "decode"
    assert spent(0, Slow(), 0) == "inference"
    assert spent(0, MeanNetwork(), 0.02) == "write"


def test_decoding_goes_on_while_the_network_runs() -> None:
    running = threading.Event()
    overlapped = threading.Event()

    class Watching(MeanNetwork):
        def run(self, images: Pixels) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
            running.set()
            overlapped.wait(2)
            running.clear()
            return super().run(images)

    def decode(data: bytes | Pixels) -> Pixels:
        time.sleep(0.002)
        if running.is_set():
            overlapped.set()
        return decode_first_byte(data)

    origin = MemoryOrigin({f"{i:03}": b"\x07" for i in range(100)})
    list(feature_blocks(origin.refs(), Decoding(decode, 1), lambda: Watching(4), clock=Clock()))
    assert overlapped.is_set()


def test_nothing_in_gives_nothing_out() -> None:
    blocks = list(feature_blocks([], Decoding(decode_first_byte, 1), MeanNetwork, clock=Clock()))
    assert blocks == []


@pytest.mark.parametrize(
    ("clock", "text"),
    [
        (Clock(7.1, 2.6, 0.3), "decode 71%, inference 26%, write 3%"),
        (Clock(), "decode 0%, inference 0%, write 0%"),
    ],
)
def test_the_clock_speaks_in_per_cent(clock: Clock, text: str) -> None:
    assert clock.describe() == text


class Memory:
    """What `needs` takes while others may take of it too; a decode that does not fit raises."""

    def __init__(self, limit: int, needs: dict[bytes, int]) -> None:
        self.left = limit
        self.needs = needs
        self.lock = threading.Lock()
        self.tried: list[bytes] = []
        self.others = threading.Semaphore(0)

    def decode(self, data: bytes | Pixels) -> Pixels:
        assert isinstance(data, bytes)
        needed = self.needs.get(data[:1], 1)
        with self.lock:
            self.tried.append(data[:1])
            if needed > self.left:
                try:
                    raise MemoryError
                except MemoryError as exc:
                    raise ImageError("PNG that needs more memory than there is") from exc
            self.left -= needed
        if data[:1] == b"a" and self.tried.count(b"b") == 0:
            self.others.acquire()  # holds its memory until the other has found none
        if data[:1] == b"b":
            self.others.release()
        with self.lock:
            self.left += needed
        return decode_first_byte(data)


def test_an_image_without_memory_beside_others_has_it_alone() -> None:
    memory = Memory(10, {b"a": 6, b"b": 6})
    real = memory.decode

    def decode(data: bytes | Pixels) -> Pixels:
        try:
            return real(data)
        except ImageError:
            memory.others.release()
            raise

    origin = MemoryOrigin({"0": b"a", "1": b"b", "2": b"c"})
    blocks = list(feature_blocks(origin.refs(), Decoding(decode, 2), lambda: MeanNetwork(8), clock=Clock()))
    assert [ref.path for block in blocks for ref in block.refs] == ["0", "1", "2"]
    assert not [failure for block in blocks for failure in block.failures]


def test_an_image_that_memory_is_never_enough_for_is_a_failure_after_two_tries() -> None:
    memory = Memory(10, {b"b": 11})
    origin = MemoryOrigin({"0": b"c", "1": b"b", "2": b"d"})
    blocks = list(
        feature_blocks(origin.refs(), Decoding(memory.decode, 2), lambda: MeanNetwork(8), clock=Clock())
    )
    assert [ref.path for block in blocks for ref in block.refs] == ["0", "2"]
    [failure] = [failure for block in blocks for failure in block.failures]
    assert failure.path == "1"
    assert "more memory than there is (2 tries" in failure.reason
    assert memory.tried.count(b"b") == 2


def test_calls_that_share_their_turns_decode_no_more_at_once_and_one_can_be_alone() -> None:
    slots = DecodeSlots(2)
    origin = MemoryOrigin({f"{i:03}": b"\x07" for i in range(60)})
    lock, now, most = threading.Lock(), 0, 0

    def decode(data: bytes | Pixels) -> Pixels:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.001)
        with lock:
            now -= 1
        return decode_first_byte(data)

    def run_all() -> None:
        list(feature_blocks(origin.refs(), Decoding(decode, slots), lambda: MeanNetwork(8), clock=Clock()))

    threads = [threading.Thread(target=run_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        with slots.alone(), lock:
            assert now == 0
    for thread in threads:
        thread.join()
    assert most == 2


def test_every_image_is_watched_while_it_is_read_and_decoded() -> None:
    inside: list[str] = []
    seen: list[list[str]] = []

    @contextmanager
    def watch(ref: ImageRef) -> Iterator[None]:
        inside.append(ref.path)
        yield
        inside.remove(ref.path)

    def decode(data: bytes | Pixels) -> Pixels:
        seen.append(list(inside))
        return decode_first_byte(data)

    origin = MemoryOrigin({"a": b"1", "b": None, "c": b"bad", "d": b"2"})
    list(
        feature_blocks(
            origin.refs(), Decoding(decode, 1), lambda: MeanNetwork(8), clock=Clock(), care=Care(watch)
        )
    )
    assert seen == [["a"], ["c"], ["d"]]
    assert inside == []
