"""ONNX Runtime's quantiser: weights in 8-bit integers, and the ranges of maps measured on images."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fc7.extract.engine.engine import ENGINE_ERRORS
from fc7.extract.records import Pixels
from fc7.models.common.errors import WeightsError
from fc7.models.common.progress import Progress
from fc7.models.graph.files import load_whole_graph
from fc7.models.graph.quantised import WEIGHTED
from fc7.models.graph.surgery import fixed_batch, image_input

if TYPE_CHECKING:
    from onnx import ModelProto

# All maps of a batch are in memory at once: VGG-16's, its largest, take 60 MB an image.
_BATCH = 4
# What the quantiser itself raises where a graph is not as it expects.
_REFUSED: tuple[type[Exception], ...] = (
    *ENGINE_ERRORS,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
)


def quantise_statically(
    model: ModelProto, nodes: Sequence[str], pixels: Pixels, name: str, progress: Progress
) -> ModelProto:
    """The graph with these nodes between QuantizeLinear and DequantizeLinear.

    Weights have a scale for each output channel (int8, symmetric), inputs one scale (uint8) from the least
    to the largest number that the images give. Outputs and biases stay in single precision, and so every
    tensor keeps its name: of the recipes in tests/benchmarks/NOTES.md this one kept most.

    Parameters
    ----------
    model : onnx.ModelProto
        Takes pixels (`models.graph.pixels.pixels_in`), with its arrays loaded.
    nodes : sequence of str
        Their names.
    pixels : ndarray of shape (n, crop_height, crop_width, 3), uint8
    name : str
        The network's, for messages.
    progress : Progress
        Is told of each batch.

    Raises
    ------
    WeightsError
        If the quantiser cannot read the graph.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    batches = _Batches(model, pixels, progress)
    try:
        with _silent_logging(), tempfile.TemporaryDirectory(prefix="fc7-quantise-") as folder:
            out = Path(folder) / "quantised.onnx"
            quantize_static(
                model,
                os.fspath(out),
                batches,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(WEIGHTED),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=list(nodes),
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={
                    "MatMulConstBOnly": True,
                    "OpTypesToExcludeOutputQuantization": list(WEIGHTED),
                    "QDQKeepRemovableActivations": True,
                    "QuantizeBias": False,
                },
            )
            return load_whole_graph(out)
    except _REFUSED as exc:
        said = " ".join(str(exc).split())[:300] or type(exc).__name__
        raise WeightsError(
            f"network {name!r} cannot be quantised: ONNX Runtime's quantiser refuses its graph ({said}); "
            "export it again with ONNX's own operators"
        ) from exc


class _Batches:
    """What `onnxruntime.quantization.CalibrationDataReader` is: feeds, one after another, then None."""

    def __init__(self, model: ModelProto, pixels: Pixels, progress: Progress) -> None:
        self._input = image_input(model).name
        self._progress = progress
        bound = fixed_batch(model)
        size = bound or _BATCH
        if bound is not None:
            pixels = np.resize(pixels, (-(-len(pixels) // bound) * bound, *pixels.shape[1:]))
        self._parts = iter([pixels[start : start + size] for start in range(0, len(pixels), size)])

    def get_next(self) -> dict[str, Pixels] | None:
        part = next(self._parts, None)
        if part is None:
            return None
        self._progress.advance(len(part))
        return {self._input: part}


@contextmanager
def _silent_logging() -> Iterator[None]:
    """Without the quantiser's advice, which it gives through Python's root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
