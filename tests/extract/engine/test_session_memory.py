"""A batch that does not fit into the device's memory is halved, and so are those that follow."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from fc7.extract.engine.engine import Engine
from fc7.extract.engine.providers import CUDA, OPENVINO, Candidate
from fc7.extract.engine.session import Opened, Session
from fc7.models.common.errors import DeviceMemoryError, Fc7Error
from fc7.models.graph.prepare import Runnable

FULL = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. "
    "onnxruntime::BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 93952"
)


class Device:
    """An ONNX Runtime session on a device that holds `room` images."""

    def __init__(self, room: int, message: str = FULL) -> None:
        self.room, self.message = room, message
        self.sizes: list[int] = []

    def get_providers(self) -> list[str]:
        return [CUDA]

    def run(self, outputs: list[str], feeds: dict[str, Any]) -> list[Any]:
        images = feeds["images"]
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise RuntimeException(self.message)
        return [images.reshape(len(images), -1).astype(np.float32) for _ in outputs]


def nothing() -> None:
    """No files are behind these engines."""


def session(device: Device, notes: list[str], batch: int = 8, bound: int | None = None) -> Session:
    graph = Runnable(b"", Path(), "images", {"fc7": "fc7 (vector)"}, bound)
    chosen = Candidate(CUDA, "fp32", "cuda: as asked")
    return Session(
        lambda size: (Engine(device, chosen, size or batch), nothing), graph, ["fc7"], batch, notes.append
    )


def images(n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 256, (n, 2, 2, 3), dtype=np.uint8)


def test_the_batch_is_halved_until_it_fits_and_stays_so() -> None:
    device, notes = Device(room=3), list[str]()
    running = session(device, notes)
    for n in (8, 5):
        x = images(n)
        np.testing.assert_array_equal(running.run(x)["fc7"], x.reshape(n, -1))
    assert running.batch_size == 2
    assert device.sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2]
    assert [note.split(";")[0] for note in notes] == [
        "out of memory: going on with batches of 4",
        "out of memory: going on with batches of 2",
    ]


def test_two_calls_that_meet_it_at_once_halve_the_batch_once() -> None:
    meeting = threading.Barrier(2, timeout=30)

    class Full(Device):
        def get_providers(self) -> list[str]:
            return [OPENVINO]

        def run(self, outputs: list[str], feeds: dict[str, Any]) -> list[Any]:
            if len(feeds["images"]) == 8:
                meeting.wait()
            return super().run(outputs, feeds)

    notes = list[str]()
    running = session(Full(room=4), notes)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(running.run, [images(8), images(8)]))
    for rows in found:
        np.testing.assert_array_equal(rows["fc7"], images(8).reshape(8, -1))
    assert running.batch_size == 4
    assert len(notes) == 1


def test_what_made_the_rows_can_be_asked_while_a_smaller_batch_is_being_opened() -> None:
    opening, asked = threading.Event(), threading.Event()
    graph = Runnable(b"", Path(), "images", {"fc7": "fc7 (vector)"}, None)
    device = Device(room=4)

    def open_engine(size: int | None) -> Opened:
        if size == 4:
            opening.set()
            assert asked.wait(30)
        return Engine(device, Candidate(CUDA, "fp32", "cuda: as asked"), size or 8), nothing

    running = Session(open_engine, graph, ["fc7"], 8, lambda note: None)
    with ThreadPoolExecutor(1) as pool:
        rows = pool.submit(running.run, images(8))
        assert opening.wait(30)
        assert (running.engine.provider, running.engine.precision) == (CUDA, "fp32")
        asked.set()
        np.testing.assert_array_equal(rows.result()["fc7"], images(8).reshape(8, -1))


def test_an_engine_that_cannot_be_opened_for_want_of_memory_is_tried_smaller() -> None:
    graph = Runnable(b"", Path(), "images", {"fc7": "fc7 (vector)"}, None)
    device, tried = Device(room=4), list[int | None]()

    def open_engine(size: int | None) -> Opened:
        tried.append(size)
        if size in (4, 1):
            raise DeviceMemoryError("cuda ran out of memory")
        return Engine(device, Candidate(CUDA, "fp32", "cuda: as asked"), size or 8), nothing

    running = Session(open_engine, graph, ["fc7"], 8, lambda note: None)
    np.testing.assert_array_equal(running.run(images(8))["fc7"], images(8).reshape(8, -1))
    assert tried == [8, 4, 2]
    device.room = 0
    for _ in range(2):  # the second finds no engine, and says the same
        with pytest.raises(DeviceMemoryError, match="ran out of memory"):
            running.run(images(2))


@pytest.mark.parametrize(("batch", "bound"), [(4, None), (4, 4)])
def test_what_can_be_halved_no_further_is_an_error(batch: int, bound: int | None) -> None:
    with pytest.raises(DeviceMemoryError, match="ran out of memory"):
        session(Device(room=0), [], batch, bound).run(images(4))


@pytest.mark.parametrize(
    "words",
    [
        "CUDA failure 2: out of memory ; GPU=0",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_ALLOC_FAILED",
        "std::bad_alloc",
    ],
)
def test_every_way_of_saying_so_is_understood(words: str) -> None:
    running = session(Device(2, words), [])
    assert len(running.run(images(8))["fc7"]) == 8


def test_another_failure_is_no_reason_to_go_on() -> None:
    with pytest.raises(Fc7Error, match="an illegal memory access") as failed:
        session(Device(2, "CUDA failure 700: an illegal memory access was encountered"), []).run(images(8))
    assert not isinstance(failed.value, DeviceMemoryError)
