"""A graph in OpenVINO's own runtime. Its only importer.

The provider that OpenVINO has in ONNX Runtime (``onnxruntime-ep-openvino`` 1.8.1) offers no device on AMD
processors. Where it does, both give the same bits in the same time (tests/benchmarks/NOTES.md).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from queue import SimpleQueue
from typing import Any

from fc7.extract.engine.providers import OPENVINO, Candidate
from fc7.models.graph.mapped import weights_as_inputs
from fc7.models.graph.prepare import Runnable

_TELLS_ITS_MAKER = "openvino.tools.ovc"


@cache
def runtime() -> Any:
    """The package ``openvino``, loaded without the part of it that reports to its maker.

    Importing it imports its converter of models, if there is one, and that sends an event at once and leaves
    a number for this computer in the user's folder (openvino 2026.4.1, ``tools/ovc/__init__.py``).

    Raises
    ------
    ImportError
        If it is not installed, or damaged.
    AttributeError
        If it is not the package that fc7 knows.
    """
    stopped = _TELLS_ITS_MAKER not in sys.modules
    if stopped:
        # What the import system does with None is documented: ModuleNotFoundError, which openvino expects.
        sys.modules[_TELLS_ITS_MAKER] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if stopped:
            del sys.modules[_TELLS_ITS_MAKER]
    _ = openvino.Core, openvino.op.Constant, openvino.__version__
    return openvino


def is_installed() -> bool:
    """Whether there is a package of that name; nothing is loaded."""
    return find_spec("openvino") is not None


def is_here() -> bool:
    """Whether OpenVINO's runtime is installed and loads: `auto` promises a precision before it is used."""
    if not is_installed():
        return False
    try:
        runtime()
    except (ImportError, OSError, AttributeError):
        # A damaged or an old installation, or a folder of that name.
        return False
    return True


def version() -> str:
    """OpenVINO's, without the number of its build."""
    return str(runtime().__version__).split("-")[0]


class OpenVinoSession:
    """The peer of ``onnxruntime.InferenceSession`` for a graph compiled for one batch.

    Parameters
    ----------
    chosen : Candidate
        Its precision is always said: a default compile takes bfloat16 wherever a processor has it.
    batch_size : int
        The only batch that it will take.
    calls, threads : int
        As many calls run at the same time, on so many threads together.

    Raises
    ------
    RuntimeError
        If OpenVINO refuses the graph, in its own words.
    MemoryError
    """

    def __init__(
        self, prepared: Runnable, chosen: Candidate, batch_size: int, *, calls: int, threads: int
    ) -> None:
        with _errors_as_one():
            openvino = runtime()
            core = openvino.Core()
            apart = weights_as_inputs(prepared)
            model = core.read_model(apart.graph)
            for parameter in model.get_parameters():
                name = parameter.get_friendly_name()
                if name in apart.weights:
                    constant = openvino.op.Constant(apart.weights[name], shared_memory=True)
                    for reader in parameter.output(0).get_target_inputs():
                        reader.replace_source_output(constant.output(0))
                    model.remove_parameter(parameter)
            pixels = model.input(prepared.input)
            sizes = [size.get_length() for size in list(pixels.get_partial_shape())[1:]]
            model.reshape({pixels: [batch_size, *sizes]})
            settings = {
                "INFERENCE_PRECISION_HINT": "bf16" if chosen.precision == "bf16" else "f32",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": calls,
            }
            self._compiled = core.compile_model(model, "CPU", settings)
            apart.give_back()
            self._free: SimpleQueue[Any] = SimpleQueue()
            for _ in range(calls):
                self._free.put(self._compiled.create_infer_request())

    def get_providers(self) -> list[str]:
        """What runs it, as ONNX Runtime's sessions say it."""
        return [OPENVINO]

    def run(self, outputs: list[str], feeds: dict[str, Any]) -> list[Any]:
        """Arrays of their own: what a request holds is written over by the next batch.

        Raises
        ------
        RuntimeError
            In OpenVINO's own words.
        MemoryError
        """
        request = self._free.get()
        try:
            with _errors_as_one():
                found = request.infer(feeds, share_inputs=True, share_outputs=False)
                return [found[name] for name in outputs]
        finally:
            self._free.put(request)


@contextmanager
def _errors_as_one() -> Iterator[None]:
    """OpenVINO's errors have no common base, and those of its readers derive from Exception directly."""
    try:
        yield
    except Exception as exc:
        # Only classes of theirs: a fault of ours keeps its name and its traceback.
        if not type(exc).__module__.startswith("openvino"):
            raise
        raise RuntimeError(str(exc)) from exc
