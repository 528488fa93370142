"""One hint, where it helps, and none where it does not."""

from __future__ import annotations

import pytest

from fc7.extract import hints
from fc7.extract.clock import Clock
from fc7.extract.engine.providers import CPU, CUDA, OPENVINO, AvailableProviders
from fc7.extract.hints import hint

BARE = AvailableProviders(cuda_built=True, nvidia_driver=False, openvino=False, bf16=False)
INSTALLED = AvailableProviders(cuda_built=True, nvidia_driver=False, openvino=True, bf16=False)
BF16_BARE = AvailableProviders(cuda_built=True, nvidia_driver=False, openvino=False, bf16=True)
AMX = AvailableProviders(cuda_built=True, nvidia_driver=False, openvino=True, bf16=True)
INFERENCE = Clock(decode=3, inference=90, write=2)
DECODE = Clock(decode=90, inference=5, write=2)


@pytest.mark.parametrize(
    ("clock", "engine", "machine", "intel", "said"),
    [
        (INFERENCE, f"{CPU} fp32", BARE, True, "pip install 'fc7[openvino]'"),
        (INFERENCE, f"{CPU} fp32", BARE, False, None),
        (INFERENCE, f"{CPU} fp32", BF16_BARE, False, "pip install 'fc7[openvino]'"),
        (INFERENCE, f"{CPU} fp32", INSTALLED, True, None),
        (INFERENCE, f"{CPU} fp32", AMX, True, "--device auto"),
        (INFERENCE, f"{OPENVINO} fp32", AMX, True, "--precision bf16"),
        (INFERENCE, f"{OPENVINO} fp32", INSTALLED, True, None),
        (INFERENCE, f"{OPENVINO} bf16", AMX, True, None),
        (INFERENCE, f"{CUDA} fp32", BARE, True, "--precision fp16"),
        (INFERENCE, f"{CUDA} fp16", BARE, True, None),
        # Neither a short run nor one without a clear bottleneck is worth a word.
        (Clock(decode=0.1, inference=9, write=0.1), f"{CPU} fp32", BARE, True, None),
        (Clock(decode=40, inference=55, write=2), f"{CPU} fp32", BARE, True, None),
        (Clock(decode=1, inference=2, write=50), f"{CPU} fp32", BARE, True, None),
    ],
)
def test_a_slow_network_is_told_of_the_faster_engine_that_there_is(
    clock: Clock, engine: str, machine: AvailableProviders, intel: bool, said: str | None
) -> None:
    found = hint(clock, engine, jobs=1, machine=machine, intel=intel)
    assert (said or "") in (found or "")
    assert (found is None) == (said is None)


def test_slow_decoding_is_told_of_the_cores_that_are_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "default_jobs", lambda: 8)
    found = hint(DECODE, f"{CPU} fp32", jobs=2, machine=BARE, intel=True)
    assert found is not None
    assert found.startswith("-j 8 ")
    assert hint(DECODE, f"{CPU} fp32", jobs=8, machine=BARE, intel=True) is None
