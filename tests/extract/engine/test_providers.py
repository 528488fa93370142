"""The choice of a provider: decided from what the machine has, before anything is loaded."""

from __future__ import annotations

import pytest

from fc7.extract.engine.providers import (
    CPU,
    CUDA,
    OPENVINO,
    TENSORRT,
    AvailableProviders,
    Device,
    Precision,
    candidates,
)
from fc7.models.common.errors import ProviderError
from fc7.models.common.progress import Detail

pytestmark = pytest.mark.usefixtures("every_device")
BARE = AvailableProviders(cuda_built=True, nvidia_driver=False, openvino=False, bf16=False)
GPU = AvailableProviders(cuda_built=True, nvidia_driver=True, openvino=False, bf16=False)
INTEL = AvailableProviders(cuda_built=True, nvidia_driver=False, openvino=True, bf16=False)
AMX = AvailableProviders(cuda_built=False, nvidia_driver=False, openvino=True, bf16=True)
ALL = AvailableProviders(cuda_built=True, nvidia_driver=True, openvino=True, bf16=True, tensorrt_built=True)


@pytest.mark.parametrize(
    ("machine", "device", "precision", "wanted"),
    [
        (BARE, "auto", "auto", [(CPU, "fp32")]),
        (GPU, "auto", "auto", [(CUDA, "fp32"), (CPU, "fp32")]),
        (GPU, "cuda", "fp32", [(CUDA, "fp32")]),
        (GPU, "cpu", "auto", [(CPU, "fp32")]),
        (INTEL, "auto", "auto", [(OPENVINO, "fp32"), (CPU, "fp32")]),
        (AMX, "auto", "auto", [(OPENVINO, "bf16"), (CPU, "fp32")]),
        (AMX, "auto", "fp32", [(OPENVINO, "fp32"), (CPU, "fp32")]),
        (AMX, "auto", "bf16", [(OPENVINO, "bf16")]),
        (AMX, "cpu", "auto", [(CPU, "fp32")]),
        (GPU, "cuda", "fp16", [(CUDA, "fp16")]),
        (ALL, "auto", "fp16", [(CUDA, "fp16")]),
        (ALL, "tensorrt", "auto", [(TENSORRT, "fp32")]),
        (ALL, "tensorrt", "fp16", [(TENSORRT, "fp16")]),
        (ALL, "auto", "auto", [(CUDA, "fp32"), (OPENVINO, "bf16"), (CPU, "fp32")]),
    ],
)
def test_the_best_there_is_comes_first(
    machine: AvailableProviders, device: Device, precision: Precision, wanted: list[tuple[str, str]]
) -> None:
    found = candidates(device, precision, machine)
    assert [(c.provider, c.precision) for c in found] == wanted
    assert all("\n" not in c.why for c in found)


@pytest.mark.parametrize(
    ("machine", "device", "noteworthy"),
    [
        (BARE, "auto", []),
        (INTEL, "auto", []),
        (GPU, "cpu", []),
        (ALL, "tensorrt", []),
        (GPU, "auto", [CPU]),
        (ALL, "auto", [OPENVINO, CPU]),
    ],
)
def test_the_cpu_is_worth_a_note_where_there_is_a_gpu_that_was_not_refused(
    machine: AvailableProviders, device: Device, noteworthy: list[str]
) -> None:
    found = candidates(device, "auto", machine)
    assert [c.provider for c in found if not isinstance(c.why, Detail)] == noteworthy


@pytest.mark.parametrize(
    ("machine", "device", "precision", "said"),
    [
        (BARE, "cuda", "auto", "no NVIDIA driver"),
        (AMX, "cuda", "auto", "built without it"),
        (INTEL, "auto", "bf16", "CPU with bfloat16"),
        (BARE, "cpu", "bf16", "OpenVINO"),
        (AMX, "auto", "fp16", "no NVIDIA driver"),
        (ALL, "cpu", "fp16", "--device cpu was asked for"),
        (GPU, "tensorrt", "auto", "built without it"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_way_out(
    machine: AvailableProviders, device: Device, precision: Precision, said: str
) -> None:
    with pytest.raises(ProviderError, match=said) as refused:
        candidates(device, precision, machine)
    assert refused.value.exit_code == 2


def test_a_network_with_large_activations_takes_small_batches_on_a_cpu() -> None:
    alexnet, googlenet = 4 * 96 * 55 * 55, 4 * 64 * 112 * 112
    [cpu] = candidates("cpu", "auto", BARE)
    assert (cpu.batch_size(alexnet), cpu.batch_size(googlenet), cpu.batch_size(0)) == (16, 4, 16)
    openvino = candidates("auto", "fp32", AMX)[0]
    assert (openvino.batch_size(alexnet), openvino.batch_size(googlenet)) == (10, 4)
    for machine, precision in ((GPU, "fp32"), (GPU, "fp16"), (AMX, "bf16")):
        best = candidates("auto", precision, machine)[0]  # type: ignore[arg-type]
        assert best.batch_size(googlenet) == 32
