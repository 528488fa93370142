"""ONNX files of AlexNet's plan in the dialects of several exporters, built node by node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from tests.support.models.weights_files import Weights

Order = Literal["norm, pool", "pool, norm", "pool"]


@dataclass
class Dialect:
    """How an exporter writes the network; the defaults are those of the zoo's files.

    `hold` is how a weight is stored: plainly, in a Constant node, transposed, reshaped, as float16
    with a Cast, or behind an Identity. `dense` is how a fully connected layer is computed.
    """

    order: Order = "norm, pool"
    conv1: tuple[int, int] = (4, 0)
    pads: Sequence[int] = (0, 2, 1, 1, 1)
    hold: Literal["initializer", "constant", "transpose", "reshape", "cast", "identity"] = "initializer"
    dense: Literal["gemm transB", "gemm", "matmul", "conv"] = "gemm transB"
    conv_bias: Literal["input", "add"] = "input"
    pool: dict[str, Any] = field(default_factory=lambda: {"pads": [0, 0, 1, 1]})
    norm: dict[str, Any] = field(
        default_factory=lambda: {"alpha": 1e-4, "beta": 0.75, "bias": 1.0, "size": 5}
    )
    front: Sequence[tuple[str, dict[str, Any]]] = ()
    flatten: Sequence[tuple[str, dict[str, Any]]] = (("Flatten", {}),)
    end: Sequence[tuple[str, dict[str, Any]]] = (("Softmax", {}),)
    weights_as_inputs: bool = False
    producer: str = "onnx-caffe2"


class _Builder:
    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.nodes: list[NodeProto] = []
        self.held: list[TensorProto] = []
        self.here = "data_0"

    def new(self) -> str:
        return f"t{len(self.nodes)}"

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        output = self.new()
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def step(self, op: str, *more: str, **attributes: Any) -> None:
        self.here = self.node(op, self.here, *more, **attributes)

    def initializer(self, array: NDArray[Any]) -> str:
        name = f"w{len(self.held)}"
        self.held.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def hold(self, array: NDArray[Any]) -> str:
        """A name whose value is `array`, in the dialect's way."""
        match self.dialect.hold:
            case "constant":
                return self.node("Constant", value=numpy_helper.from_array(np.ascontiguousarray(array)))
            case "transpose" if array.ndim > 1:
                axes = [*range(1, array.ndim), 0]
                back = [array.ndim - 1, *range(array.ndim - 1)]
                return self.node("Transpose", self.initializer(array.transpose(axes)), perm=back)
            case "reshape":
                shape = self.initializer(np.array(array.shape, np.int64))
                return self.node("Reshape", self.initializer(array.reshape(-1)), shape)
            case "cast":
                return self.node("Cast", self.initializer(array.astype(np.float16)), to=TensorProto.FLOAT)
            case "identity":
                return self.node("Identity", self.initializer(array))
        return self.initializer(array)

    def conv(self, index: int, weight: NDArray[Any], bias: NDArray[Any], channels: int) -> None:
        stride = self.dialect.conv1[0] if index == 0 else 1
        pad = self.dialect.conv1[1] if index == 0 else self.dialect.pads[index]
        group = channels // weight.shape[1]
        geometry = {"strides": [stride] * 2, "pads": [pad] * 4, "kernel_shape": list(weight.shape[2:])}
        if self.dialect.conv_bias == "input":
            self.step("Conv", self.hold(weight), self.hold(bias), group=group, **geometry)
        else:
            self.step("Conv", self.hold(weight), group=group, **geometry)
            self.step("Add", self.initializer(bias.reshape(1, -1, 1, 1)))
        self.step("Relu")

    def linear(self, weight: NDArray[Any], bias: NDArray[Any], channels: int) -> None:
        match self.dialect.dense:
            case "gemm transB":
                self.step("Gemm", self.hold(weight), self.hold(bias), transB=1)
            case "gemm":
                self.step("Gemm", self.hold(weight.T), self.hold(bias))
            case "matmul":
                self.step("MatMul", self.hold(weight.T))
                self.here = self.node("Add", self.initializer(bias), self.here)
            case "conv":
                side = int((weight.shape[1] // channels) ** 0.5)
                self.step("Conv", self.hold(weight.reshape(-1, channels, side, side)), self.hold(bias))


def alexnet(weights: Weights, dialect: Dialect | None = None) -> onnx.ModelProto:
    """A graph of these weights; a trunk where the weights end early."""
    dialect = dialect or Dialect()
    built = _Builder(dialect)
    for op, attributes in dialect.front:
        built.step(op, **attributes)
    channels = 3
    for index in range(5):
        layer = f"conv{index + 1}"
        if f"{layer}.weight" not in weights:
            break
        built.conv(index, weights[f"{layer}.weight"], weights[f"{layer}.bias"], channels)
        channels = weights[f"{layer}.weight"].shape[0]
        steps = dialect.order.split(", ") if index < 2 else ["pool"] if index == 4 else []
        for step in steps:
            if step == "norm":
                built.step("LRN", **dialect.norm)
            else:
                built.step("MaxPool", **{"kernel_shape": [3, 3], "strides": [2, 2], **dialect.pool})
    for layer in ("fc6", "fc7", "fc8"):
        if f"{layer}.weight" not in weights:
            break
        if layer == "fc6" and dialect.dense != "conv":
            for op, attributes in dialect.flatten:
                built.step(op, **attributes)
        built.linear(weights[f"{layer}.weight"], weights[f"{layer}.bias"], channels)
        channels = weights[f"{layer}.weight"].shape[0]
        if layer != "fc8":
            built.step("Relu")
            built.step("Dropout")
    for op, attributes in dialect.end if "fc8.weight" in weights else ():
        built.step(op, **attributes)
    return _model(built)


def _model(built: _Builder) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("data_0", TensorProto.FLOAT, [1, 3, 224, 224])
    inputs = [image]
    if built.dialect.weights_as_inputs:
        inputs = [
            *(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in built.held),
            image,
        ]
    output = helper.make_tensor_value_info(built.here, TensorProto.FLOAT, None)
    graph = helper.make_graph(built.nodes, "alexnet", inputs, [output], built.held)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 12)], producer_name=built.dialect.producer
    )
