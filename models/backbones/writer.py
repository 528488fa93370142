"""Write an ONNX graph layer by layer, every tensor under its own name.

PyTorch (2.13) would export these networks, too, and takes 699 MB; `onnxscript` (0.7.2) would write the nodes,
and takes 7.2 MB without what it needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from fc7.models.backbones.layers import Convolution, FeatureMap

# Opset 17 and IR 8 are read by every ONNX Runtime since 1.12 (its release table). The opset is part
# of every fingerprint: raising it makes old caches strangers, so it stays.
OPSET, IR_VERSION = 17, 8
INPUT = "data"


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

    def conv(self, x: FeatureMap, name: str, layer: Convolution) -> FeatureMap:
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
        return FeatureMap(name, layer.channels, (x.size + before + after - kernel) // stride + 1)

    def each(self, kind: str, x: FeatureMap, name: str, **settings: float) -> FeatureMap:
        """An operator on every number alone: Relu, Softmax, LRN and their like keep the shape."""
        self._add(kind, [x.name], name, **settings)
        return FeatureMap(name, x.channels, x.size)

    def relu6(self, x: FeatureMap, name: str) -> FeatureMap:
        """``min(max(x, 0), 6)``."""
        self._add("Clip", [x.name, self._constant("zero", 0), self._constant("six", 6)], name)
        return FeatureMap(name, x.channels, x.size)

    def gelu(self, x: FeatureMap, name: str) -> FeatureMap:
        """``x * (1 + erf(x / sqrt(2))) / 2``; opset 20 has it as one node, ONNX Runtime joins these."""
        inner = [f"{name}.{part}_in" for part in ("divided", "erf", "plus", "times")]
        self._add("Div", [x.name, self._constant("sqrt2", math.sqrt(2))], inner[0])
        self._add("Erf", [inner[0]], inner[1])
        self._add("Add", [inner[1], self._constant("one", 1)], inner[2])
        self._add("Mul", [x.name, inner[2]], inner[3])
        self._add("Mul", [inner[3], self._constant("half", 0.5)], name)
        return FeatureMap(name, x.channels, x.size)

    def both(self, kind: str, x: FeatureMap, y: FeatureMap, name: str) -> FeatureMap:
        """Add or Mul of two maps of one shape; one of them may have a single number a channel."""
        self._add(kind, [x.name, y.name], name)
        return FeatureMap(name, x.channels, max(x.size, y.size))

    def scaled(self, x: FeatureMap, name: str, key: str) -> FeatureMap:
        """Each channel times its number in the array `key` (channels, 1, 1)."""
        self._add("Mul", [x.name, self._hold(key, self.array(key, (x.channels, 1, 1)))], name)
        return FeatureMap(name, x.channels, x.size)

    def max_pool(self, x: FeatureMap, name: str, pad: int = 0) -> FeatureMap:
        """The maximum of 3x3 with stride 2, rounded down."""
        pads = {"pads": [pad] * 4} if pad else {}
        self._add("MaxPool", [x.name], name, kernel_shape=[3, 3], strides=[2, 2], **pads)
        return FeatureMap(name, x.channels, (x.size + 2 * pad - 3) // 2 + 1)

    def flat(self, x: FeatureMap, name: str) -> FeatureMap:
        """A map as one row, in channel, row, column order, which is ONNX's, Caffe's and PyTorch's."""
        self._add("Flatten", [x.name], name, axis=1)
        return FeatureMap(name, x.channels * x.size**2, 1)

    def mean(self, x: FeatureMap, name: str) -> FeatureMap:
        """The mean of each channel, as a map of one pixel."""
        self._add("GlobalAveragePool", [x.name], name)
        return FeatureMap(name, x.channels, 1)

    def average(self, x: FeatureMap, name: str) -> FeatureMap:
        """The mean of each channel, as a row."""
        return self.flat(self.mean(x, f"{name}_in"), name)

    def dense(self, x: FeatureMap, name: str, key: str, units: int) -> FeatureMap:
        """A fully connected layer on rows; its weights are (units, inputs)."""
        weight = self._hold(f"{key}.weight", self.array(f"{key}.weight", (units, x.channels)))
        bias = self._hold(f"{key}.bias", self.array(f"{key}.bias", (units,)))
        self._add("Gemm", [x.name, weight, bias], name, transB=1)
        return FeatureMap(name, units, 1)

    def channels_last(self, x: FeatureMap, name: str) -> FeatureMap:
        """(n, channels, size, size) as (n, size, size, channels)."""
        self._add("Transpose", [x.name], name, perm=[0, 2, 3, 1])
        return FeatureMap(name, x.channels, x.size)

    def channels_first(self, x: FeatureMap, name: str) -> FeatureMap:
        """(n, size, size, channels) as (n, channels, size, size)."""
        self._add("Transpose", [x.name], name, perm=[0, 3, 1, 2])
        return FeatureMap(name, x.channels, x.size)

    def layer_norm(self, x: FeatureMap, name: str, key: str, epsilon: float) -> FeatureMap:
        """Every place's numbers to mean 0 and deviation 1, scaled and shifted; channels stand last."""
        arrays = [f"{key}.{kind}" for kind in ("weight", "bias")]
        held = [self._hold(array, self.array(array, (x.channels,))) for array in arrays]
        self._add("LayerNormalization", [x.name, *held], name, axis=-1, epsilon=epsilon)
        return FeatureMap(name, x.channels, x.size)

    def linear(self, x: FeatureMap, name: str, key: str, units: int) -> FeatureMap:
        """A fully connected layer on every place, where channels stand last; weights (units, channels)."""
        weight = self.array(f"{key}.weight", (units, x.channels))
        self._add("MatMul", [x.name, self._hold(f"{key}.weight", weight.T)], f"{name}_in")
        bias = self._hold(f"{key}.bias", self.array(f"{key}.bias", (units,)))
        self._add("Add", [f"{name}_in", bias], name)
        return FeatureMap(name, units, x.size)

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

    def _constant(self, name: str, value: float) -> str:
        return self._hold(name, np.float32(value))

    def _hold(self, name: str, array: NDArray[np.float32] | np.float32) -> str:
        if self._arrays is not None and name not in self._held:
            self._held[name] = numpy_helper.from_array(np.ascontiguousarray(array, "<f4"), name)
        return name

    def _add(self, kind: str, inputs: list[str], name: str, **settings: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [name], **settings))
