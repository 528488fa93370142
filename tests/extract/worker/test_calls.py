"""Calls of the network at the same time: in order, no more than it takes, none left behind."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from fc7.extract.clock import Clock
from fc7.extract.records import Features, Pixels
from fc7.extract.worker.stream import Decoding, feature_blocks
from fc7.models.common.errors import Fc7Error
from tests.support.fakes import MeanNetwork, MemoryOrigin, decode_first_byte


class Together(MeanNetwork):
    """Its first two calls meet before either ends; the earlier one ends last."""

    def __init__(self) -> None:
        super().__init__(batch_size=2, calls_at_once=2)
        self._meeting = threading.Barrier(2, timeout=30)
        self._later_is_done = threading.Event()
        self._lock = threading.Lock()
        self.at_once = 0
        self.most = 0

    def run(self, images: Pixels) -> dict[str, Features]:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        first = images.flat[0]
        if first in (0, 2):
            self._meeting.wait()
        if first == 0:
            assert self._later_is_done.wait(30)
        rows = super().run(images)
        with self._lock:
            self.at_once -= 1
        if first == 2:
            self._later_is_done.set()
        return rows


def test_rows_come_in_order_though_a_later_call_ends_first() -> None:
    origin = MemoryOrigin({f"{i:02}": bytes([i]) for i in range(21)})
    network = Together()
    blocks = list(
        feature_blocks(origin.refs(), Decoding(decode_first_byte, 2), lambda: network, clock=Clock())
    )
    rows = np.concatenate([block.features["fc7"] for block in blocks])
    np.testing.assert_array_equal(rows[:, 0], np.arange(21))
    assert [ref.path for block in blocks for ref in block.refs] == sorted(origin.files)
    assert network.most == 2


def test_a_call_that_fails_ends_the_loop_and_starts_no_more() -> None:
    class Failing(MeanNetwork):
        def run(self, images: Pixels) -> dict[str, Features]:
            super().run(images)
            raise Fc7Error("the device is gone")

    network = Failing(batch_size=1, calls_at_once=2)
    origin = MemoryOrigin({f"{i:03}": b"\x01" for i in range(200)})
    with pytest.raises(Fc7Error, match="the device is gone"):
        list(feature_blocks(origin.refs(), Decoding(decode_first_byte, 1), lambda: network, clock=Clock()))
    assert len(network.batches) <= 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("network", "decode"))]


def test_a_call_of_two_counts_for_half_of_the_networks_time() -> None:
    class Slow(MeanNetwork):
        def run(self, images: Pixels) -> dict[str, Features]:
            threading.Event().wait(0.02)
            return super().run(images)

    clock = Clock()
    origin = MemoryOrigin({f"{i:02}": b"\x01" for i in range(20)})
    network = Slow(batch_size=1, calls_at_once=2)
    list(feature_blocks(origin.refs(), Decoding(decode_first_byte, 1), lambda: network, clock=clock))
    # Twenty waits of at least 20 ms, in two threads: the loop cannot have been shorter than ten.
    assert clock.inference >= 0.2
    assert clock.loop >= 0.2
    assert clock.bottleneck == "inference"
