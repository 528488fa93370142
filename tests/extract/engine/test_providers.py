"""The choice of a provider: decided from what the machine has, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

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
    multiplies_bf16,
)
from fc7.models.common.errors import ProviderError, UsageError
from fc7.models.common.progress import Detail

pytestmark = pytest.mark.usefixtures("every_device")
BARE = AvailableProviders(cuda_built=True, nvidia_driver=False, openvino=False, bf16=False)
GPU = AvailableProviders(cuda_built=True, nvidia_driver=True, openvino=False, bf16=False)
INTEL = AvailableProviders(cuda_built=True, nvidia_driver=False, openvino=True, bf16=False)
AMX = AvailableProviders(cuda_built=False, nvidia_driver=False, openvino=True, bf16=True)
BF16_BARE = AvailableProviders(cuda_built=False, nvidia_driver=False, openvino=False, bf16=True)
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
        (BF16_BARE, "auto", "auto", [(CPU, "fp32")]),
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
        (BF16_BARE, "auto", "bf16", r"OpenVINO \(.*pip install 'fc7\[openvino\]'\)"),
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
    bf16 = candidates("auto", "bf16", AMX)[0]
    assert (bf16.batch_size(alexnet), bf16.batch_size(googlenet)) == (32, 8)
    for machine, precision in ((GPU, "fp32"), (GPU, "fp16")):
        best = candidates("auto", precision, machine)[0]  # type: ignore[arg-type]
        assert best.batch_size(googlenet) == 32


# Flags as Linux gives them, shortened: Zen 2, Skylake-X, Zen 4, Sapphire Rapids, and a word that looks alike.
@pytest.mark.parametrize(
    ("flags", "native"),
    [
        ("fpu sse4_2 avx avx2 fma", False),
        ("fpu avx2 avx512f avx512bw avx512vl avx512_vnni", False),
        ("fpu avx2 avx512f avx512_bf16 avx512_vnni", True),
        ("fpu avx512f avx512_bf16 amx_bf16 amx_tile amx_int8", True),
        ("fpu avx512f amx_tile amx_bf16", True),
        ("fpu avx512f avx512_bf16_of_a_guest", False),
    ],
)
def test_bfloat16_is_taken_where_the_processor_multiplies_it(
    tmp_path: Path, flags: str, native: bool
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    text = f"processor\t: {{}}\nmodel name\t: avx512_bf16 of a name\nflags\t\t: {flags}\nbugs\t: amx_bf16\n"
    cpuinfo.write_text(text.format(0) + text.format(1))
    assert multiplies_bf16(cpuinfo) == native


def test_a_system_that_tells_no_flags_has_no_bfloat16(tmp_path: Path) -> None:
    assert not multiplies_bf16(tmp_path / "none")


def test_fc7_device_says_what_auto_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_DEVICE", "cpu")
    assert [one.provider for one in candidates("auto", "auto", ALL)] == [CPU]
    assert [one.provider for one in candidates("cuda", "auto", ALL)] == [CUDA]
    monkeypatch.setenv("FC7_DEVICE", "")
    assert candidates("auto", "auto", ALL)[0].provider == CUDA
    monkeypatch.setenv("FC7_DEVICE", "gpu")
    with pytest.raises(UsageError, match="FC7_DEVICE='gpu' was found; give auto, cuda, tensorrt, cpu"):
        candidates("auto", "auto", ALL)
