"""Which ONNX operators treat the first axis row by row, and under which conditions.

Source: the operators' definitions, onnx/docs/Operators.md and Changelog.md (opset 7 and later).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.surgery import settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import NodeProto


class NotProvedError(Exception):
    """An operator that mixes rows, or of which that is not known."""


@dataclass(slots=True)
class Rows:
    """What is known of a graph's tensors when an operator is judged.

    Attributes
    ----------
    batch : int
        Rows of images in the graph as it was exported.
    shapes : mapping of str to tuple of int
        With the batch; 0 where a size is not known.
    constants : mapping of str to ndarray
    names : set of str
        The tensors that have a row for each image; all others are the same for every batch.
    """

    batch: int
    shapes: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, NDArray[np.generic]]
    names: set[str] = field(default_factory=set)

    def shape(self, name: str) -> tuple[int, ...]:
        """Sizes of a tensor, which must be known to have any."""
        need(bool(self.shapes.get(name)))
        return self.shapes[name]

    def numbers(self, node: NodeProto, position: int) -> list[float]:
        """The constant that a node reads at `position`."""
        need(len(node.input) > position and node.input[position] in self.constants)
        return [float(value) for value in self.constants[node.input[position]].reshape(-1)]

    def only_first(self, node: NodeProto) -> None:
        """The first input has rows, and no other."""
        need(node.input[0] in self.names and self.names.isdisjoint(node.input[1:]))


def need(condition: bool) -> None:
    """Stop the proof unless `condition` holds."""
    if not condition:
        raise NotProvedError


def judge(node: NodeProto, rows: Rows) -> None:
    """Return if row i of the node's outputs depends on row i of its inputs alone.

    Raises
    ------
    NotProvedError
        If that is not known.
    """
    rule = _RULES.get(node.op_type)
    if rule is None or node.domain not in ("", "ai.onnx"):
        raise NotProvedError
    outputs = [name for name in node.output if name]
    # Other second outputs, as MaxPool's indices, may count through the whole batch.
    need(len(outputs) == 1 or node.op_type in ("Split", "Dropout"))
    rule(node, rows)


def _each_row(node: NodeProto, rows: Rows) -> None:
    rows.only_first(node)


def _broadcast(node: NodeProto, rows: Rows) -> None:
    rank = max(len(rows.shapes.get(name, ())) for name in node.input)
    for name in node.input:
        if name in rows.names:
            # Of a lower rank, its rows would lie along another axis of the result.
            need(len(rows.shape(name)) == rank)
        else:
            _same_for_all(name, rank, rows)


def _same_for_all(name: str, rank: int, rows: Rows) -> None:
    """A constant that is stretched over the first axis of a result of `rank`."""
    shape = rows.shapes.get(name)
    need(shape is not None and (len(shape) < rank or shape[0] == 1))


def _prelu(node: NodeProto, rows: Rows) -> None:
    rows.only_first(node)
    _same_for_all(node.input[1], len(rows.shape(node.input[0])), rows)


def _matmul(node: NodeProto, rows: Rows) -> None:
    left, right = node.input
    rank = len(rows.shape(left))
    need(left in rows.names and rank >= 2)
    if right in rows.names:
        need(len(rows.shape(right)) == rank > 2)
    elif len(rows.shape(right)) > 2:
        need(rank > 2)
        _same_for_all(right, rank, rows)


def _gemm(node: NodeProto, rows: Rows) -> None:
    rows.only_first(node)
    need(not settings(node).get("transA", 0))
    if len(node.input) > 2 and node.input[2]:
        _same_for_all(node.input[2], 2, rows)


def _other_axis(default: int) -> Callable[[NodeProto, Rows], None]:
    """Works along one axis, which is not the first."""

    def rule(node: NodeProto, rows: Rows) -> None:
        rows.only_first(node)
        rank = len(rows.shape(node.input[0]))
        axis = int(settings(node).get("axis", default))
        need((axis + rank if axis < 0 else axis) != 0)

    return rule


def _concat(node: NodeProto, rows: Rows) -> None:
    need(rows.names.issuperset(node.input))
    rank, axis = len(rows.shape(node.input[0])), int(settings(node)["axis"])
    need((axis + rank if axis < 0 else axis) != 0)


def _flatten(node: NodeProto, rows: Rows) -> None:
    rows.only_first(node)
    need(int(settings(node).get("axis", 1)) in (1, 1 - len(rows.shape(node.input[0]))))


def _axes(node: NodeProto, rows: Rows, position: int, rank: int) -> None:
    """The axes given, as an attribute or (in later opsets) as an input, leave out the first."""
    rows.only_first(node)
    given = settings(node).get("axes") or rows.numbers(node, position)
    need(bool(given) and 0 not in [axis + rank if axis < 0 else axis for axis in given])


def _reduce(node: NodeProto, rows: Rows) -> None:
    _axes(node, rows, 1, len(rows.shape(node.input[0])))


def _unsqueeze(node: NodeProto, rows: Rows) -> None:
    _axes(node, rows, 1, len(rows.shape(node.output[0])))


def _slice(node: NodeProto, rows: Rows) -> None:
    _axes(node, rows, 3, len(rows.shape(node.input[0])))


def _transpose(node: NodeProto, rows: Rows) -> None:
    rows.only_first(node)
    need(settings(node).get("perm", [1])[0] == 0)


def _pad(node: NodeProto, rows: Rows) -> None:
    rows.only_first(node)
    need(len(node.input) < 4 or not node.input[3])
    pads = settings(node).get("pads") or rows.numbers(node, 1)
    need(pads[0] == 0 and pads[len(pads) // 2] == 0)


def _upsample(node: NodeProto, rows: Rows) -> None:
    rows.only_first(node)
    position = 1 if node.op_type == "Upsample" or len(node.input) < 3 else 2
    scales = settings(node).get("scales") or rows.numbers(node, position)
    need(len(scales) == len(rows.shape(node.input[0])) and scales[0] == 1)


def _gather(node: NodeProto, rows: Rows) -> None:
    _other_axis(0)(node, rows)
    need(bool(rows.shape(node.input[0])))


def _reshape(node: NodeProto, rows: Rows) -> None:
    """Rows stay rows if the result has as many: numbers keep their order, so each row keeps its own."""
    rows.only_first(node)
    need(node.input[1] in rows.constants and not settings(node).get("allowzero", 0))


_ELEMENTWISE = (
    "Abs Cast Ceil Celu Clip Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log "
    "Mish Neg Not Reciprocal Relu Round Selu Sigmoid Sign Softplus Softsign Sqrt Tanh ThresholdedRelu"
)
_WINDOWS = (
    "AveragePool BatchNormalization Conv ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool "
    "GlobalMaxPool GroupNormalization InstanceNormalization LRN LpPool MaxPool SpaceToDepth"
)
_PAIRS = "Add And Div Equal Greater Less Max Mean Min Mul Or Pow Sub Sum Where Xor"
_REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare Squeeze"
)
_RULES: dict[str, Callable[[NodeProto, Rows], None]] = {
    **dict.fromkeys(f"{_ELEMENTWISE} {_WINDOWS}".split(), _each_row),
    **dict.fromkeys(_PAIRS.split(), _broadcast),
    **dict.fromkeys(_REDUCTIONS.split(), _reduce),
    # Before opset 13 a softmax flattens from its axis on and takes axis 1 by default; later the last one.
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _other_axis(1)),
    **dict.fromkeys(("LayerNormalization", "LpNormalization"), _other_axis(-1)),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _other_axis(1)),
    **dict.fromkeys(("ArgMax", "ArgMin", "Split"), _other_axis(0)),
    "Concat": _concat,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "PRelu": _prelu,
    "Pad": _pad,
    "Reshape": _reshape,
    "Resize": _upsample,
    "Slice": _slice,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": _upsample,
}
