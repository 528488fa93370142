"""Live sessions on what `extract.engine.providers` chose. The only opener of ONNX Runtime's."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Official packages from 1.29 on tell their maker of every session (microsoft/onnxruntime pull request 27379).
# Importing one already leaves a number for this computer and a queue in the user's folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from fc7.extract.engine import openvino_session
from fc7.extract.engine.io_binding import BoundRuns
from fc7.extract.engine.providers import (
    CPU,
    CUDA,
    OPENVINO,
    TENSORRT,
    AvailableProviders,
    Candidate,
    Device,
    meant,
    multiplies_bf16,
    no_gpu,
)
from fc7.models.common.errors import DeviceMemoryError, EngineError, ProviderError, WeightsError
from fc7.models.common.progress import Notify
from fc7.models.graph.prepare import Runnable

# Every error class of ONNX Runtime derives from Exception directly, with no common base. A thread that cannot
# be started and C++'s bad_alloc reach Python as its own errors.
_ORT_ERRORS: tuple[type[Exception], ...] = (
    *(
        value
        for value in vars(ort_state).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ),
    RuntimeError,
    MemoryError,
)
ENGINE_ERRORS = _ORT_ERRORS
"""What ONNX Runtime and its tools raise."""
# OrtLoggingLevel of onnxruntime_c_api.h. What fails is raised as well, with the same words, and told by fc7.
_FATAL = 4
ort.set_default_logger_severity(_FATAL)
# What a full device says: ONNX Runtime's arena (microsoft/onnxruntime issues 9939, 16307, 20038), CUDA
# ("CUDA failure 2: out of memory", cudaErrorMemoryAllocation), cuBLAS, cuDNN, C++ (std::bad_alloc) and
# pthread_create (ENOMEM).
_NO_MEMORY = (
    *("failed to allocate memory", "out of memory", "alloc_failed", "bad_alloc", "bad allocation"),
    "cannot allocate memory",
)


@dataclass(frozen=True, slots=True)
class Sharing:
    """How the calls of an engine share the CPU.

    Attributes
    ----------
    calls : int
        How many threads will call it at the same time.
    threads : int
        Of all these calls together.
    """

    calls: int
    threads: int


class Engine:
    """A live session.

    Attributes
    ----------
    provider : str
        `extract.engine.providers.OPENVINO`, or the first execution provider of the session itself, not of
        the request.
    precision : str
        Of the session: ``fp32``, ``fp16`` or ``bf16``.
    why : str
        What was chosen and for which reason, in one line.
    runtime, version : str
        Whose session it is, ``onnxruntime`` or ``openvino``, and which one.
    batch_size : int
        What it was opened for.
    any_batch : bool
        Whether fewer images than the session was opened for cost less. The CPU provider takes them as
        they come; the others compile for one size.
    """

    def __init__(
        self,
        session: Any,
        chosen: Candidate,
        batch_size: int,
        calls_at_once: int = 1,
        notify: Notify = lambda note: None,
    ) -> None:
        self._session = session
        self._notify = notify
        self._calls_at_once = calls_at_once
        self._bound: BoundRuns | None = None
        self._binding = threading.Lock()
        self.batch_size = batch_size
        self.provider = str(session.get_providers()[0])
        self.precision = chosen.precision
        self.why = chosen.why
        self.runtime, self.version = _runtime(chosen)
        self.any_batch = self.provider == CPU

    def close(self) -> None:
        """Give the device's memory back; what the attributes say stays."""
        self._session = self._bound = None

    def run(self, outputs: list[str], feeds: dict[str, Any]) -> list[Any]:
        """Run the graph.

        Raises
        ------
        DeviceMemoryError
            If the batch did not fit, or an engine for smaller ones could not be opened.
        EngineError
            With the engine's own words.
        """
        if self._session is None:
            raise DeviceMemoryError(_no_memory(self.provider, "it could not be opened again"))
        try:
            return self._results(outputs, feeds)
        except _ORT_ERRORS as exc:
            if _lacks_memory(exc):
                raise DeviceMemoryError(_no_memory(self.provider, _message(exc))) from exc
            hint = "" if self.provider == CPU else "; --device cpu may work"
            raise EngineError(f"{self.provider} failed: {_message(exc)}{hint}") from exc

    def _results(self, outputs: list[str], feeds: dict[str, Any]) -> list[Any]:
        if self.provider not in (CUDA, TENSORRT):
            return list(self._session.run(outputs, feeds))
        [images] = feeds.values()
        if self._bound is None:
            with self._binding:
                if self._bound is None:
                    first = list(self._session.run(outputs, feeds))
                    self._bound = BoundRuns(
                        self._session,
                        outputs=outputs,
                        feeds=feeds,
                        first=first,
                        calls_at_once=self._calls_at_once,
                        errors=_ORT_ERRORS,
                    )
                    if not self._bound.works:
                        problem = self._bound.problem
                        self._notify(f"{self.provider}: slower, without buffers made once: {problem}")
                    return first
        if self._bound.takes(images):
            return self._bound.run(images)
        return list(self._session.run(outputs, feeds))


def _lacks_memory(exc: Exception) -> bool:
    return isinstance(exc, MemoryError) or any(words in str(exc).lower() for words in _NO_MEMORY)


def _message(exc: Exception) -> str:
    """What ONNX Runtime says, on one line."""
    return " ".join(str(exc).split())


def _no_memory(provider: str, why: str) -> str:
    return f"{provider} ran out of memory: {why}; choose a smaller batch with -b, or end other programs"


def open_engine(
    prepare: Callable[[bool], Runnable],
    name: str,
    possible: Sequence[Candidate],
    *,
    batch_size: Callable[[Candidate], int],
    sharing: Sharing,
    notify: Notify = lambda note: None,
) -> Engine:
    """A live session of the first candidate that starts.

    Parameters
    ----------
    prepare : callable
        Gives the graph; in half precision if its argument is True.
    name : str
        The network's, for messages.
    possible : sequence of Candidate
        Best first.
    batch_size : callable
        For a candidate: the graph will never see more images at once; on a GPU and in OpenVINO never fewer.
    notify : callable
        Is told in one line what is slower than it should be.

    Raises
    ------
    ProviderError
        If the request cannot be served.
    DeviceMemoryError
        If there is not enough memory to open it.
    WeightsError
        If ONNX Runtime refuses the graph.
    """
    for chosen in possible:
        last = chosen is possible[-1]
        try:
            # TensorRT chooses itself what it computes in half precision.
            in_half = chosen.precision == "fp16" and chosen.provider == CUDA
            batch = batch_size(chosen)
            session = _create(prepare(in_half), chosen, batch, sharing=sharing)
        except _ORT_ERRORS as exc:
            if not last:
                continue
            if _lacks_memory(exc):
                raise DeviceMemoryError(_no_memory(chosen.provider, _message(exc))) from exc
            if chosen.provider in (CUDA, TENSORRT):
                asked = "tensorrt" if chosen.provider == TENSORRT else "cuda"
                raise ProviderError(no_gpu(asked, f"the session failed: {_message(exc)}")) from exc
            runtime = "OpenVINO" if chosen.provider == OPENVINO else f"ONNX Runtime {ort.__version__}"
            raise WeightsError(f"{runtime} refuses network {name!r}: {_message(exc)}") from exc
        # A provider that cannot start is left out without an error: ask the session itself.
        if session.get_providers()[0] == chosen.provider:
            return Engine(session, chosen, batch, calls_at_once=sharing.calls, notify=notify)
    asked = "tensorrt" if chosen.provider == TENSORRT else "cuda"
    raise ProviderError(no_gpu(asked, f"the session fell back to {session.get_providers()[0]}"))


def open_file(path: Path) -> Engine:
    """Any ONNX file on ONNX Runtime's CPU provider as a stranger would open it, with no option set.

    Raises
    ------
    WeightsError
        If ONNX Runtime refuses the file.
    """
    options = _quiet()
    try:
        session = ort.InferenceSession(os.fspath(path), options, providers=[CPU], enable_fallback=0)
    except _ORT_ERRORS as exc:
        raise WeightsError(f"ONNX Runtime {ort.__version__} refuses {path.name}: {_message(exc)}") from exc
    return Engine(session, Candidate(CPU, "fp32", "cpu: a file as it is"), 1)


def this_machine(device: Device = "auto") -> AvailableProviders:
    """Look at what is here; nothing is printed, and nothing is loaded that `device` has no use for."""
    may_be_used = meant(device) == "auto"
    return AvailableProviders(
        cuda_built=CUDA in ort.get_available_providers(),
        tensorrt_built=TENSORRT in ort.get_available_providers(),
        nvidia_driver=nvidia_driver(),
        openvino=openvino_session.is_here() if may_be_used else openvino_session.is_installed(),
        bf16=multiplies_bf16(),
    )


def versions() -> str:
    """Of the engines for this machine's processor; OpenVINO is here."""
    return f"onnxruntime {ort.__version__}, openvino {openvino_session.version()}"


def nvidia_driver() -> bool:
    """Whether the driver's library loads; asking the provider itself prints a page of errors."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _runtime(chosen: Candidate) -> tuple[str, str]:
    """Whose session runs a candidate, and its version."""
    if chosen.provider == OPENVINO:
        return "openvino", openvino_session.version()
    return "onnxruntime", str(ort.__version__)


def _create(prepared: Runnable, chosen: Candidate, batch_size: int, sharing: Sharing) -> Any:
    if chosen.provider == OPENVINO:
        return openvino_session.OpenVinoSession(
            prepared, chosen, batch_size, calls=sharing.calls, threads=sharing.threads
        )
    options = _quiet()
    options.intra_op_num_threads = -(-sharing.threads // sharing.calls)
    # Threads that spin while they wait take the cores that decode the next images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", os.fspath(prepared.folder)
    )
    if chosen.provider != CPU:
        options.add_free_dimension_override_by_name("n", batch_size)
    if chosen.provider in (CUDA, TENSORRT):
        ort.preload_dlls()
        # TF32 keeps 10 bits of mantissa: fp32 is said and fp32 is meant. Shapes are fixed, so a
        # heuristic choice of convolutions is made once.
        providers: list[Any] = [(CUDA, {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}), CPU]
        if chosen.provider == TENSORRT:
            # An engine takes minutes to build: it is kept beside the network, for this card and batch.
            tensorrt = {
                "trt_engine_cache_enable": "1",
                "trt_engine_cache_path": os.fspath(prepared.folder / "tensorrt"),
                "trt_fp16_enable": "1" if chosen.precision == "fp16" else "0",
            }
            providers.insert(0, (TENSORRT, tensorrt))
        return ort.InferenceSession(prepared.graph, options, providers=providers, enable_fallback=0)
    return ort.InferenceSession(prepared.graph, options, providers=[CPU], enable_fallback=0)


def _quiet() -> Any:
    """Options of a session that writes nothing to stderr.

    Sessions are opened with ``enable_fallback=0``, as a failed one is else tried again, and that said on
    stdout, where predictions go.
    """
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    return options
