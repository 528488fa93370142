"""Follow the image through a graph and collect an AlexNet's layers on the way.

Names differ from exporter to exporter; the order of the operators does not. So the graph is
walked from its input, operator after operator, and each must be one that an AlexNet has. The
graph is plain data here, with ONNX's operators and attributes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.models.network.architectures import (
    LRN_ALPHA,
    LRN_BETA,
    LRN_K,
    LRN_SIZE,
    Conv,
    Dense,
    MaxPool,
    Norm,
    Step,
)
from fc7.models.network.canonical import CONVS, DENSES, listed

# These leave the numbers and their order alone; Dropout does where nothing is trained.
_IDLE = ("Identity", "Dropout", "Flatten", "Reshape", "Squeeze")
# ONNX TensorProto.DataType: float, float16, double, bfloat16.
_FLOAT_TYPES = (1, 10, 11, 16)


@dataclass(frozen=True, slots=True)
class Op:
    """One operator.

    Attributes
    ----------
    kind : str
        ONNX's name; ``domain.name`` outside the standard domain.
    inputs, outputs : sequence of str
        Names of tensors.
    attributes : mapping of str to object
        Numbers, bytes and lists of them.
    """

    kind: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, Any]

    def ints(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list of whole numbers."""
        value = self.attributes.get(name)
        sound = isinstance(value, list) and value and all(isinstance(item, int) for item in value)
        return tuple(value) if value is not None and sound else default

    def number(self, name: str, default: float) -> float:
        """One number."""
        value = self.attributes.get(name)
        return value if isinstance(value, int | float) else default


class PartedError(Exception):
    """The walk met something that no AlexNet of ours has; the text says what."""


class Walk:
    """The layers met between the image and the last layer.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Canonical keys and layouts, the file's own number types.
    steps : list of Step
        The plan in the terms of `models.network.architectures`. Pooling stands as `MaxPool` whether it
        rounds up or down: that depends on the input size, and our graphs have their own.
    """

    def __init__(self, ops: Sequence[Op], image: str, constant: Callable[[str], NDArray[Any] | None]) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self.steps: list[Step] = []
        self._constant = constant
        self._lacks_bias = self._lacks_relu = ""  # the layer that an Add, a Relu may still complete
        self._on_map = False  # whether that layer gives a map
        self._follow(ops, image)
        for layer in {key.partition(".")[0] for key in self.arrays}:
            # No bias at all is a bias of zeros.
            outputs = self.arrays[f"{layer}.weight"].shape[0]
            self.arrays.setdefault(f"{layer}.bias", np.zeros(outputs, np.float32))

    def _follow(self, ops: Sequence[Op], image: str) -> None:
        users: dict[str, list[Op]] = defaultdict(list)
        for op in ops:
            if op.kind != "Shape" and op.outputs:  # Shape asks for the size, not for the numbers
                for name in dict.fromkeys(op.inputs):
                    users[name].append(op)
        here = image
        for _ in ops:
            if self._done() or not users[here]:
                break
            if len(users[here]) > 1:
                raise PartedError(f"it branches after {listed([here])}")
            op = users[here][0]
            if self._is_scores() and op.kind != "Add":
                break
            self._meet(op, here)
            here = op.outputs[0]
        if not self.steps:
            raise PartedError("no convolution follows its input")

    def _is_scores(self) -> bool:
        return bool(self.steps) and self.steps[-1].name == DENSES[-1]

    def _done(self) -> bool:
        # What a file does with the scores (softmax, the best five) is its own affair.
        return self._is_scores() and not self._lacks_bias

    def _meet(self, op: Op, here: str) -> None:
        first = op.inputs[0] == here
        match op.kind:
            case "Conv" if first:
                self._conv(op)
            case "Gemm" | "MatMul" if first:
                self._dense(op)
            case "Add" if self._lacks_bias:
                self._bias([name for name in op.inputs if name != here], added=True)
            case "Relu" if self.steps:
                self._lacks_relu = self._lacks_bias = ""  # a second one changes nothing
            case "LRN" if self.steps:
                self._norm(op)
            case "MaxPool" if self.steps:
                self._pool(op)
            case "Cast" if op.number("to", 0) in _FLOAT_TYPES:
                pass
            case "AveragePool" if set(op.ints("kernel_shape", ())) == {1}:
                pass  # what torchvision's adaptive pooling is at the size it was made for
            case kind if kind not in _IDLE:
                where = f"after {self.steps[-1].name}" if self.steps else "before its first layer"
                raise PartedError(f"it has {listed([kind])} {where}")

    def _conv(self, op: Op) -> None:
        weight = self._weight(op, 4)
        size, strides = weight.shape[2:], op.ints("strides", (1, 1))
        pads = self._pads(op, size[0] // 2 if size[0] % 2 and set(strides) == {1} else None)
        square = len(set(size)) == len(set(strides)) == len(set(pads)) == 1
        if not square or set(op.ints("dilations", (1, 1))) != {1}:
            raise PartedError("a convolution is not square, or is dilated")
        group = op.number("group", 1)
        if not isinstance(group, int):
            raise PartedError("a convolution's group is not a whole number")
        if self._count(CONVS) < len(CONVS):
            name = CONVS[self._count(CONVS)]
            step = Conv(
                name, channels=weight.shape[0], kernel=size[0], stride=strides[0], pad=pads[0], group=group
            )
            self._layer(step, weight, op)
        elif set(pads) == {0} and group == 1:
            # A fully connected layer written as a convolution over the whole map: the same numbers
            # in the same order.
            self._layer(self._next_dense(weight.shape[0]), weight.reshape(weight.shape[0], -1), op)
        else:
            raise PartedError(f"it has more than {len(CONVS)} convolutions")

    def _pads(self, op: Op, same: int | None) -> tuple[int, ...]:
        rule = op.attributes.get("auto_pad", b"NOTSET")
        if rule in (b"SAME_UPPER", b"SAME_LOWER") and same is not None:
            return (same,)
        if rule not in (b"NOTSET", b"VALID", b""):
            raise PartedError("it pads by a rule that depends on the image's size")
        return op.ints("pads", (0, 0, 0, 0))

    def _dense(self, op: Op) -> None:
        weight = self._weight(op, 2)
        if (op.number("alpha", 1.0), op.number("beta", 1.0), op.number("transA", 0)) != (1.0, 1.0, 0):
            raise PartedError("a Gemm scales or transposes")
        outputs_first = op.kind == "Gemm" and op.number("transB", 0)
        weight = weight if outputs_first else weight.T
        self._layer(self._next_dense(weight.shape[0]), weight, op)

    def _next_dense(self, units: int) -> Dense:
        if self._count(CONVS) < len(CONVS):
            raise PartedError(f"a fully connected layer follows convolution {self._count(CONVS)}")
        return Dense(DENSES[self._count(DENSES)], units)

    def _layer(self, step: Conv | Dense, weight: NDArray[Any], op: Op) -> None:
        self._expect_relu()
        self.steps.append(step)
        self.arrays[f"{step.name}.weight"] = weight
        self._lacks_bias = self._lacks_relu = step.name
        self._on_map = op.kind == "Conv"
        if len(op.inputs) > 2 and op.inputs[2]:
            self._bias(op.inputs[2:])

    def _bias(self, names: Sequence[str], *, added: bool = False) -> None:
        layer = self._lacks_bias
        bias = self._constant(names[0]) if len(names) == 1 else None
        outputs = self.arrays[f"{layer}.weight"].shape[0]
        # An Add lines up from the right: on a map, only (channels, 1, 1) is one number a channel.
        place = 3 if added and self._on_map else 1
        if bias is None or bias.size != outputs or bias.shape[::-1][place - 1 : place] != (outputs,):
            raise PartedError(f"the bias of {layer} is not a constant of its size")
        self.arrays[f"{layer}.bias"] = bias.reshape(-1)
        self._lacks_bias = ""

    def _norm(self, op: Op) -> None:
        self._expect_relu()
        found = [op.number("alpha", 1e-4), op.number("beta", 0.75), op.number("bias", 1.0)]
        found.append(op.number("size", 0))
        if not np.allclose(found, [LRN_ALPHA, LRN_BETA, LRN_K, LRN_SIZE], rtol=1e-4, atol=0):
            raise PartedError("it normalises by other constants than Krizhevsky's")
        self.steps.append(Norm(f"norm{self._count(CONVS)}"))

    def _pool(self, op: Op) -> None:
        self._expect_relu()
        pads = self._pads(op, None)
        kernel, strides = op.ints("kernel_shape", ()), op.ints("strides", (1, 1))
        # Pads at the end only are Caffe's rounding up.
        if kernel != (3, 3) or strides != (2, 2) or pads[:2] != (0, 0) or max(pads) > 1:
            raise PartedError("it pools otherwise than 3x3 by 2")
        self.steps.append(MaxPool(f"pool{self._count(CONVS)}"))

    def _expect_relu(self) -> None:
        if self._lacks_relu:
            raise PartedError(f"no ReLU follows {self._lacks_relu}")

    def _count(self, names: tuple[str, ...]) -> int:
        return sum(f"{name}.weight" in self.arrays for name in names)

    def _weight(self, op: Op, dimensions: int) -> NDArray[Any]:
        found = self._constant(op.inputs[1]) if len(op.inputs) > 1 else None
        if found is None or found.ndim != dimensions:
            raise PartedError(f"the weights of a {op.kind} are not a constant of {dimensions} dimensions")
        return found
