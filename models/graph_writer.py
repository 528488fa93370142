"""Write an ONNX graph layer by layer, every tensor under its own name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.graph_layers import Convolution, Map

# Opset 17 and IR 8 are read by every ONNX Runtime since 1.12 (its release table). The opset is part
# of every fingerprint: raising it makes old caches strangers, so it stays.
OPSET, IR_VERSION = 17, 8
INPUT = "data"
_RELU6 = ("zero", "six")


class GraphWriter:
    """The nodes and arrays of a graph that is being written.

    Parameters
    ----------
    arrays : mapping of str to ndarray, or None
        float32, by the names of the weight file. None writes a graph without arrays, to learn from
        `needed` which it takes.
    epsilon : float
        What every BatchNorm adds to its variance.

    Attributes
    ----------
    needed : dict of str to tuple of int
        Every array that was asked for, with its shape.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]] | None, epsilon: float = 1e-5) -> None:
        self.needed: dict[str, tuple[int, ...]] = {}
        self._arrays = arrays
        self._epsilon = epsilon
        self._nodes: list[NodeProto] = []
        self._held: dict[str, TensorProto] = {}

    def conv(self, x: Map, name: str, layer: Convolution) -> Map:
        """A convolution, with the BatchNorm behind it folded into its weights and bias."""
        kernel, stride = layer.kernel, layer.stride
        before, after = layer.pads or ((kernel - 1) // 2, kernel // 2)
        shape = (layer.channels, x.channels // layer.group, kernel, kernel)
        weight = self.array(f"{layer.key}.weight", shape)
        if layer.norm:
            weight, bias = self._folded(weight, layer)
        else:
            bias = self.array(f"{layer.key}.bias", (layer.channels,))
        self._add(
            "Conv",
            [x.name, self._hold(f"{layer.key}.weight", weight), self._hold(f"{layer.key}.bias", bias)],
            name,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[before, before, after, after],
            group=layer.group,
        )
        return Map(name, layer.channels, (x.size + before + after - kernel) // stride + 1)

    def each(self, kind: str, x: Map, name: str, **settings: float) -> Map:
        """An operator on every number alone: Relu, Softmax, LRN and their like keep the shape."""
        self._add(kind, [x.name], name, **settings)
        return Map(name, x.channels, x.size)

    def relu6(self, x: Map, name: str) -> Map:
        """``min(max(x, 0), 6)``."""
        limits = [self._hold(key, np.float32(at)) for key, at in zip(_RELU6, (0, 6), strict=True)]
        self._add("Clip", [x.name, *limits], name)
        return Map(name, x.channels, x.size)

    def add(self, x: Map, y: Map, name: str) -> Map:
        """The sum of two maps of one shape."""
        self._add("Add", [x.name, y.name], name)
        return Map(name, x.channels, x.size)

    def max_pool(self, x: Map, name: str, pad: int = 0) -> Map:
        """The maximum of 3x3 with stride 2, rounded down."""
        pads = {"pads": [pad] * 4} if pad else {}
        self._add("MaxPool", [x.name], name, kernel_shape=[3, 3], strides=[2, 2], **pads)
        return Map(name, x.channels, (x.size + 2 * pad - 3) // 2 + 1)

    def flat(self, x: Map, name: str) -> Map:
        """A map as one row, in channel, row, column order, which is ONNX's, Caffe's and PyTorch's."""
        self._add("Flatten", [x.name], name, axis=1)
        return Map(name, x.channels * x.size**2, 1)

    def average(self, x: Map, name: str) -> Map:
        """The mean of each channel."""
        self._add("GlobalAveragePool", [x.name], f"{name}_in")
        return self.flat(Map(f"{name}_in", x.channels, 1), name)

    def dense(self, x: Map, name: str, key: str, units: int) -> Map:
        """A fully connected layer on rows; its weights are (units, inputs)."""
        weight = self._hold(f"{key}.weight", self.array(f"{key}.weight", (units, x.channels)))
        bias = self._hold(f"{key}.bias", self.array(f"{key}.bias", (units,)))
        self._add("Gemm", [x.name, weight, bias], name, transB=1)
        return Map(name, units, 1)

    def array(self, key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """An array of the file, of which `needed` takes note."""
        self.needed[key] = shape
        return np.broadcast_to(np.float32(0), shape) if self._arrays is None else self._arrays[key]

    def model(self, name: str, size: tuple[int, int]) -> ModelProto:
        """The graph: input `INPUT` (n, 3, height, width) float32; its output is what was added last."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3, *size])],
            [helper.make_tensor_value_info(self._nodes[-1].output[0], TensorProto.FLOAT, None)],
            list(self._held.values()),
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="fc7"
        )

    def _folded(
        self, weight: NDArray[np.float32], layer: Convolution
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``scale * (conv(x) - mean) / sqrt(variance + epsilon) + shift`` as one convolution.

        Multiplied in float64, so that the file's float32 numbers are rounded once.
        """
        kinds = ("weight", "bias", "running_mean", "running_var")
        arrays = [self.array(f"{layer.norm}.{kind}", (layer.channels,)) for kind in kinds]
        if self._arrays is None:
            return weight, arrays[1]
        scale, shift, mean, variance = (array.astype(np.float64) for array in arrays)
        factor = scale / np.sqrt(variance + self._epsilon)
        folded = weight * factor[:, None, None, None]
        return folded.astype(np.float32), (shift - mean * factor).astype(np.float32)

    def _hold(self, name: str, array: NDArray[np.float32] | np.float32) -> str:
        if self._arrays is not None and name not in self._held:
            self._held[name] = numpy_helper.from_array(np.ascontiguousarray(array, "<f4"), name)
        return name

    def _add(self, kind: str, inputs: list[str], name: str, **settings: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [name], **settings))
