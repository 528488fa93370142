"""Which execution provider runs a graph, at which precision: the choice, apart from the act.

`candidates` lists what to try, best first; `extract.engine.engine` tries.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from fc7.models.common.cores import CPUINFO, cpu_flags
from fc7.models.common.errors import ProviderError, UsageError
from fc7.models.common.program import pip_install
from fc7.models.common.progress import Detail

Device = Literal["auto", "cuda", "tensorrt", "cpu"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]

CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"
OPENVINO = "OpenVINO"
"""OpenVINO's own runtime, beside ONNX Runtime's providers."""
_MULTIPLY_BF16 = frozenset({"amx_bf16", "avx512_bf16"})
# AlexNet's largest has 1.2 MB; GoogLeNet's, SqueezeNet's, ResNet's and VGG's 3.2 MB and more.
_SMALL_ACTIVATION = 2 << 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a graph.

    Attributes
    ----------
    provider : str
        ONNX Runtime's name of it, or `OPENVINO`.
    why : str
        One line for the user; a `models.common.progress.Detail` where nothing is wrong.
    """

    provider: str
    precision: Literal["fp32", "fp16", "bf16"]
    why: str

    def batch_size(self, largest: int) -> int:
        """The default batch: of those that were fastest the one that takes least memory.

        In single precision on a CPU 16 for BVLC AlexNet, whose fully connected weights are read once a
        batch, and 4 for GoogLeNet and SqueezeNet, which are as fast with 4 as with 16 and take 480 and 270
        MB less (tests/benchmarks/NOTES.md). OpenVINO, which holds more, is as fast with 10 as with 16 and
        takes 45 MB less. Where computing is faster, reading the weights counts more: in bfloat16 32, and 8
        for GoogLeNet and SqueezeNet, which take 176 and 100 MB less than with 32 and no more time.

        Parameters
        ----------
        largest : int
            Bytes of the network's largest activation for one image, in single precision.
        """
        if self.provider not in (CPU, OPENVINO):
            return 32
        if self.precision == "bf16":
            return 8 if largest > _SMALL_ACTIVATION else 32
        if largest > _SMALL_ACTIVATION:
            return 4
        return 16 if self.provider == CPU else 10


@dataclass(frozen=True, slots=True)
class AvailableProviders:
    """What there is to choose from.

    Attributes
    ----------
    cuda_built, tensorrt_built, nvidia_driver : bool
        ONNX Runtime has the CUDA and the TensorRT provider; the driver's library loads.
    openvino : bool
        OpenVINO's runtime is installed, and loads where it may be used.
    bf16 : bool
        The CPU multiplies bfloat16 itself; see `multiplies_bf16`.
    """

    cuda_built: bool
    nvidia_driver: bool
    openvino: bool
    bf16: bool
    tensorrt_built: bool = False


def candidates(device: Device, precision: Precision, machine: AvailableProviders) -> list[Candidate]:
    """What to try for a request, best first.

    Parameters
    ----------
    device : {"auto", "cuda", "tensorrt", "cpu"}
        "auto" is what ``FC7_DEVICE`` says, where it is set.

    Raises
    ------
    UsageError
        If ``FC7_DEVICE`` names no device.
    ProviderError
        If nothing on this machine can serve it; with what is missing and how to get it.
    """
    device = meant(device)
    if precision == "fp16" and (device == "cpu" or not machine.nvidia_driver):
        raise ProviderError(
            "--precision fp16 needs an NVIDIA GPU (--device cuda, tensorrt or auto), and "
            + ("--device cpu was asked for" if device == "cpu" else "no NVIDIA driver was found")
            + "; use auto"
        )
    if precision == "bf16" and not (device == "auto" and machine.openvino and machine.bf16):
        raise ProviderError(
            f"--precision bf16 needs --device auto, OpenVINO ({pip_install('fc7[openvino]')}) and a CPU with "
            "bfloat16 (AMX or AVX512-BF16, as Linux tells); use fp32 or auto"
        )
    on_gpu: Literal["fp32", "fp16"] = "fp16" if precision == "fp16" else "fp32"
    if device in ("cuda", "tensorrt"):
        built = machine.cuda_built if device == "cuda" else machine.tensorrt_built
        if not built:
            raise ProviderError(no_gpu(device, "this ONNX Runtime is built without it"))
        if not machine.nvidia_driver:
            raise ProviderError(no_gpu(device, "no NVIDIA driver was found"))
        return [
            Candidate(
                CUDA if device == "cuda" else TENSORRT, on_gpu, Detail(f"{device} in {on_gpu}: as asked")
            )
        ]
    if device == "cpu":
        return [Candidate(CPU, "fp32", Detail("cpu: as asked"))]
    found: list[Candidate] = []
    reason = "no NVIDIA driver was found" if machine.cuda_built else "this ONNX Runtime has no CUDA provider"
    if machine.cuda_built and machine.nvidia_driver and precision != "bf16":
        found.append(Candidate(CUDA, on_gpu, Detail(f"cuda in {on_gpu}: an NVIDIA driver was found")))
        reason = f"the CUDA provider did not start ({pip_install('fc7[cuda]')} brings its libraries)"
    # To run on the CPU is worth a note only where there is a GPU.
    told = str if machine.nvidia_driver else Detail
    if machine.openvino and precision != "fp16":
        half: Literal["fp32", "bf16"] = "bf16" if machine.bf16 and precision != "fp32" else "fp32"
        why = f"; it multiplies {half} itself" if half == "bf16" else ""
        found.append(Candidate(OPENVINO, half, told(f"openvino on the CPU in {half}: {reason}{why}")))
    if precision not in ("fp16", "bf16"):
        found.append(Candidate(CPU, "fp32", told(f"cpu: {reason}")))
    return found


def meant(device: Device) -> Device:
    """A device, or what ``FC7_DEVICE`` says where it is set and none is named.

    Raises
    ------
    UsageError
        If ``FC7_DEVICE`` names no device.
    """
    named = (os.environ.get("FC7_DEVICE") or "auto") if device == "auto" else device
    for known in get_args(Device):
        if named == known:
            return cast(Device, known)
    raise UsageError(f"FC7_DEVICE={named!r} was found; give {', '.join(get_args(Device))}, or leave it unset")


def multiplies_bf16(cpuinfo: Path = CPUINFO) -> bool:
    r"""Whether the processor has AMX or AVX512-BF16; False on a system that does not say.

    OpenVINO names BF16 among a processor's capabilities wherever it can compute in it. With AVX-512 alone it
    emulates it, slower than single precision (oneDNN, "Data Types": avx512_core emulates bf16).

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("cpuinfo").write_text("processor: 0\nflags: fpu avx2 avx512f avx512_bf16\n")
    >>> multiplies_bf16(Path("cpuinfo"))
    True
    """
    return not _MULTIPLY_BF16.isdisjoint(cpu_flags(cpuinfo))


def no_gpu(device: str, found: str) -> str:
    """Why "cuda" or "tensorrt" cannot be had, and what to do; `found` says what was found."""
    what = "CUDA" if device == "cuda" else "TensorRT"
    packages = ("fc7[cuda]", "tensorrt") if device == "tensorrt" else ("fc7[cuda]",)
    return (
        f"--device {device} needs ONNX Runtime's {what} provider in a live session, and {found}; install the "
        f"NVIDIA driver and the libraries ({pip_install(*packages)}), or use --device cpu"
    )
