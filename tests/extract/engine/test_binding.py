"""Bound buffers, with the CPU provider in the place of a GPU's; page locking, with a CUDA that only notes."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from fc7.extract.engine import io_binding as binding
from fc7.extract.engine.engine import Engine
from fc7.extract.engine.io_binding import BoundRuns, page_locked
from fc7.extract.engine.providers import CUDA, Candidate
from fc7.extract.engine.session import open_session
from fc7.extract.options import RunOptions
from tests.extract.engine.test_session import images, network


class Runtime:
    """The CUDA runtime's registrations."""

    def __init__(self, answer: int = 0) -> None:
        self.answer = answer
        self.locked: dict[int, int] = {}
        self.errors_taken = 0

    def cudaHostRegister(  # noqa: N802
        self, address: ctypes.c_void_p, size: ctypes.c_size_t, flags: ctypes.c_uint
    ) -> int:
        assert flags.value == 1
        if self.answer == 0:
            assert address.value is not None
            self.locked[address.value] = size.value
        return self.answer

    def cudaHostUnregister(self, address: ctypes.c_void_p) -> int:  # noqa: N802
        assert address.value is not None
        del self.locked[address.value]
        return 0

    def cudaGetLastError(self) -> int:  # noqa: N802
        self.errors_taken += 1
        return 0


def test_memory_is_locked_while_the_array_lives() -> None:
    cuda = Runtime()
    array = page_locked((3, 5, 7), np.dtype(np.float32), cuda)
    assert cuda.locked == {array.ctypes.data: 3 * 5 * 7 * 4}
    array[:] = 1
    assert array.sum() == 105
    del array
    assert cuda.locked == {}


@pytest.mark.parametrize("cuda", [None, Runtime(answer=2)])
def test_memory_that_cannot_be_locked_is_ordinary_memory(cuda: Runtime | None) -> None:
    array = page_locked((4, 2), np.dtype(np.uint8), cuda)
    array[:] = 7
    assert array.sum() == 56
    assert cuda is None or (cuda.locked, cuda.errors_taken) == ({}, 1)


class Card:
    """A live session of the CPU provider that passes for one of CUDA's."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.io_binding = session.io_binding
        self.plain = 0
        self.bound = 0
        self.spoil = False
        self.fail = False

    def get_providers(self) -> list[str]:
        return [CUDA]

    def run(self, outputs: list[str], feeds: dict[str, Any]) -> list[Any]:
        self.plain += 1
        return list(self._session.run(outputs, feeds))

    def run_with_iobinding(self, bound: Any) -> None:
        self.bound += 1
        if self.fail:
            raise RuntimeException("no such thing here")
        if not self.spoil:
            self._session.run_with_iobinding(bound)


@pytest.fixture
def card(tmp_path: Path) -> tuple[Card, list[str], str]:
    session = open_session(*network(tmp_path), ["map", "mean"], RunOptions(device="cpu", threads=1))
    live = session.engine._session
    return Card(live), [output.name for output in live.get_outputs()][:2], live.get_inputs()[0].name


def engine_of(card: Card, said: list[str]) -> Engine:
    return Engine(card, Candidate(CUDA, "fp32", "cuda: as asked"), 4, 2, said.append)


def test_bound_batches_give_the_rows_of_ordinary_ones(card: tuple[Card, list[str], str]) -> None:
    live, outputs, name = card
    said: list[str] = []
    engine = engine_of(live, said)
    batches = [images(4, seed) for seed in range(12)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda batch: engine.run(outputs, {name: batch}), batches))
    for batch, rows in zip(batches, found, strict=True):
        for ours, ordinary in zip(rows, live._session.run(outputs, {name: batch}), strict=True):
            np.testing.assert_array_equal(ours, ordinary)
    # One ordinary batch, its two repetitions that compare, and eleven bound ones.
    assert (live.plain, live.bound) == (1, 13)
    assert not said


def test_a_batch_of_another_size_is_run_the_ordinary_way(card: tuple[Card, list[str], str]) -> None:
    live, outputs, name = card
    engine = engine_of(live, [])
    for n in (4, 3, 4):
        rows = engine.run(outputs, {name: images(n)})
        np.testing.assert_array_equal(rows[0], live._session.run(outputs, {name: images(n)})[0])
    assert (live.plain, live.bound) == (2, 3)


@pytest.mark.parametrize(
    ("fault", "why"), [("spoil", "they gave other rows for the first batch"), ("fail", "no such thing here")]
)
def test_a_way_that_gives_other_rows_or_none_is_not_taken_and_said_once(
    card: tuple[Card, list[str], str], fault: str, why: str
) -> None:
    live, outputs, name = card
    setattr(live, fault, True)
    said: list[str] = []
    engine = engine_of(live, said)
    for seed in range(3):
        rows = engine.run(outputs, {name: images(4, seed)})
        np.testing.assert_array_equal(rows[1], live._session.run(outputs, {name: images(4, seed)})[1])
    assert (live.plain, live.bound) == (3, 1)
    assert said == [f"{CUDA}: slower, without buffers made once: {why}"]


def test_a_session_that_cannot_bind_is_run_the_ordinary_way() -> None:
    session = SimpleNamespace(run=lambda outputs, feeds: [feeds["x"].astype(np.float32)])
    pixels = images(2)
    bound = BoundRuns(session, ["y"], {"x": pixels}, [pixels.astype(np.float32)], 1, (RuntimeException,))
    assert not bound.works
    assert not bound.takes(pixels)


def test_the_cuda_runtime_is_looked_for_quietly() -> None:
    found = binding.cuda_runtime()
    assert found is None or hasattr(found, "cudaHostRegister")
