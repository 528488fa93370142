"""Graphs whose operators take 8-bit integers, rewritten so that each computes between two conversions.

Quantisers write a network in one of two forms. In the QLinear one (ONNX Runtime calls it QOperator) an
operator such as QLinearConv takes integers and gives integers: no tensor but the last is a row of
floating-point numbers, and half of the operators belong to ONNX Runtime alone, so that neither shape
inference nor another engine knows them. In the QDQ one DequantizeLinear, the plain operator and
QuantizeLinear stand in its place. Engines fuse the three again. Here the first becomes the second.

Signatures: onnx/docs/Operators.md, and docs/ContribOperators.md of ONNX Runtime for its own (``QGemm`` and
the like).
"""

from __future__ import annotations

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, version_converter

from fc7.models.common.errors import WeightsError
from fc7.models.graph.files import constant_values, named_array
from fc7.models.graph.surgery import with_parts

# Operator -> the plain one, where its integers stand among its inputs, each followed by scale and zero point;
# and where those of its output do.
_FORMS: dict[str, tuple[str, tuple[int, ...], int]] = {
    "QLinearConv": ("Conv", (0, 3), 6),
    "QLinearMatMul": ("MatMul", (0, 3), 6),
    "QLinearAdd": ("Add", (0, 3), 6),
    "QLinearMul": ("Mul", (0, 3), 6),
    "QGemm": ("Gemm", (0, 3), 7),
    "QLinearAveragePool": ("AveragePool", (0,), 3),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,), 3),
    "QLinearLeakyRelu": ("LeakyRelu", (0,), 3),
    "QLinearSigmoid": ("Sigmoid", (0,), 3),
    "QLinearSoftmax": ("Softmax", (0,), 3),
}
# What a bias of 32 bits is the input number of; its scale is the product of the two others'.
_BIAS = {"QLinearConv": 8, "QGemm": 6}
# What moves integers and leaves them as they are.
_MOVES = ("MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Identity", "Gather")
# Attributes of ONNX Runtime's own operators that the plain ones lack.
_OWN = ("channels_last", "opset")
_SUFFIX = "_quantized"
# DequantizeLinear has an axis, which a scale for each channel needs, from this operator set on.
_PER_CHANNEL_OPSET = 13


def qdq_form(model: ModelProto, name: str) -> ModelProto:
    """The graph with every QLinear operator as DequantizeLinear, a plain one, QuantizeLinear.

    What an operator gives is called as the tensor of integers without ``_quantized``, which quantisers
    append.

    Parameters
    ----------
    model : onnx.ModelProto
        Its nodes in the order they are computed. One without such operators comes back as it is.
    name : str
        The file, for messages.

    Raises
    ------
    WeightsError
        If it has such an operator that is not known here.
    """
    if not any(node.op_type.startswith(("QLinear", "QGemm")) for node in model.graph.node):
        return model
    rewriter = _Rewriter(model, name)
    for node in model.graph.node:
        rewriter.add(node)
    rewritten = with_parts(
        model,
        nodes=rewriter.nodes,
        initializers=[*model.graph.initializer, *rewriter.arrays],
        inputs=model.graph.input,
        outputs=model.graph.output,
    )
    return raised(rewritten) if rewriter.by_channel else rewritten


def raised(model: ModelProto) -> ModelProto:
    """The graph in an operator set whose DequantizeLinear takes a scale for each channel."""
    stamps = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if all(stamp >= _PER_CHANNEL_OPSET for stamp in stamps):
        return model
    return version_converter.convert_version(model, _PER_CHANNEL_OPSET)


class _Rewriter:
    """Nodes, each reading floating-point numbers where it read integers."""

    def __init__(self, model: ModelProto, name: str) -> None:
        self.nodes: list[NodeProto] = []
        self.by_channel = False
        self.arrays = list[TensorProto]()
        self._file = name
        self._constants = constant_values(model)
        self._taken = {out for node in model.graph.node for out in node.output}
        # A tensor of integers -> its scale and zero point; -> the floating-point numbers it stands for.
        self._scales: dict[str, tuple[str, str]] = {}
        self._floats: dict[str, str] = {}

    def add(self, node: NodeProto) -> None:
        if node.op_type == "QLinearConcat":
            pairs = [tuple(node.input[i : i + 3]) for i in range(2, len(node.input), 3)]
            inputs = [self._single(tensor, scale, zero) for tensor, scale, zero in pairs]
            self._computed(node, "Concat", inputs, scale=(node.input[0], node.input[1]))
        elif node.op_type in _FORMS:
            self._unfold(node)
        elif node.op_type.startswith("QLinear"):
            raise WeightsError(
                f"{self._file}: computes {node.op_type} in integers ({node.output[0]!r}), which is not read; "
                "quantise it in the QDQ form (onnxruntime.quantization.QuantFormat.QDQ)"
            )
        elif node.op_type in _MOVES and node.input[0] in self._scales:
            scale = self._scales[node.input[0]]
            self._computed(
                node, node.op_type, [self._single(node.input[0], *scale), *node.input[1:]], scale=scale
            )
        else:
            if node.op_type == "QuantizeLinear":
                self._scales[node.output[0]] = (node.input[1], node.input[2] if len(node.input) > 2 else "")
            self.nodes.append(node)

    def _unfold(self, node: NodeProto) -> None:
        plain, places, out = _FORMS[node.op_type]
        if any(a.name == "channels_last" and a.i for a in node.attribute):
            raise WeightsError(
                f"{self._file}: {node.op_type} {node.output[0]!r} has its channels last, which is not read; "
                "quantise it in the QDQ form"
            )
        axis = 0 if plain == "Conv" else _column_axis(node)
        inputs = []
        for place in places:
            tensor, scale, zero = node.input[place : place + 3]
            inputs.append(self._single(tensor, scale, zero, axis=axis if place else None))
        bias = _BIAS.get(node.op_type, len(node.input))
        if bias < len(node.input) and node.input[bias]:
            inputs.append(self._bias(node, bias))
        given = [name for name in node.input[out : out + 2] if name]
        if given:
            self._computed(node, plain, inputs, scale=(given[0], given[1] if len(given) > 1 else ""))
        else:
            self.nodes.append(_plain_node(node, plain, inputs, output=node.output[0]))

    def _computed(self, node: NodeProto, plain: str, inputs: list[str], scale: tuple[str, str]) -> None:
        """The plain operator, and its result in integers under the old name."""
        integers = node.output[0]
        name = integers.removesuffix(_SUFFIX)
        if name in self._taken:
            name = f"{integers} (float)"
        self._taken.add(name)
        exact = f"{name} (before rounding)"
        pair = [part for part in scale if part]
        self.nodes += [
            _plain_node(node, plain, inputs, output=exact),
            helper.make_node("QuantizeLinear", [exact, *pair], [integers]),
            helper.make_node("DequantizeLinear", [integers, *pair], [name]),
        ]
        self._scales[integers], self._floats[integers] = scale, name

    def _single(self, tensor: str, scale: str, zero: str, axis: int | None = None) -> str:
        """The floating-point numbers that a tensor of integers stands for."""
        if tensor not in self._floats:
            name = f"{tensor} (float)"
            pair = [part for part in (scale, zero) if part]
            self.nodes.append(helper.make_node("DequantizeLinear", [tensor, *pair], [name]))
            if axis is not None and self._constant(scale).size > 1:
                self.nodes[-1].attribute.append(helper.make_attribute("axis", axis))
                self.by_channel = True
            self._floats[tensor] = name
        return self._floats[tensor]

    def _bias(self, node: NodeProto, place: int) -> str:
        """A bias of 32 bits counts in the product of the scales of image and weights."""
        scale = self._constant(node.input[1]) * self._constant(node.input[4])
        name = f"{node.output[0]} (scale of its bias)"
        self.arrays.append(named_array(scale.astype(np.float32), name))
        self._constants[name] = scale
        return self._single(node.input[place], name, "", axis=0)

    def _constant(self, name: str) -> np.ndarray:
        if name not in self._constants:
            raise WeightsError(
                f"{self._file}: the scale {name!r} is computed as the network runs, which is not read; "
                "quantise it statically"
            )
        return self._constants[name]


def _column_axis(node: NodeProto) -> int:
    """Which axis of a matrix of weights is its outputs'."""
    return 0 if any(a.name == "transB" and a.i for a in node.attribute) else 1


def _plain_node(node: NodeProto, plain: str, inputs: list[str], output: str) -> NodeProto:
    made = helper.make_node(plain, inputs, [output], node.name)
    made.attribute.extend(_kept(node))
    return made


def _kept(node: NodeProto) -> list[AttributeProto]:
    return [attribute for attribute in node.attribute if attribute.name not in _OWN]
