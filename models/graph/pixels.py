"""Put the arithmetic of the preprocessing into the graph, so that every engine sees the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from fc7.models.graph.surgery import channels_last, fixed_batch, image_input, with_parts
from fc7.models.network.spec import PreprocessSpec

# No exporter writes such a name: a network may well call its own input "images".
PIXELS = "images (pixels)"


def pixels_in(model: ModelProto, spec: PreprocessSpec) -> ModelProto:
    """A graph whose input `PIXELS` is uint8 (n, crop_height, crop_width, 3), RGB, 0-255.

    In front of the network come ``(pixel * scale - mean) / std`` in its own channel order, its
    layout (N, C, H, W or N, H, W, C) and its type. A network whose input is uint8 does that
    arithmetic itself and is fed the pixels.
    """
    old = image_input(model)
    wanted = old.type.tensor_type.elem_type
    chain = _Chain(PIXELS)
    # Bytes are moved before they become floats, four times their size.
    chain.then("Transpose", perm=[0, 3, 1, 2])
    if spec.channel_order == "BGR":
        chain.then("Gather", np.array([2, 1, 0], np.int64), axis=1)
    if wanted != TensorProto.UINT8:
        chain.then("Cast", to=TensorProto.FLOAT)
        _normalise(chain, spec)
        if wanted != TensorProto.FLOAT:
            chain.then("Cast", to=wanted)
    if channels_last(model):
        chain.then("Transpose", perm=[0, 2, 3, 1])
    chain.nodes[-1].output[0] = old.name
    shape = [fixed_batch(model) or "n", spec.crop_height, spec.crop_width, 3]
    return with_parts(
        model,
        nodes=[*chain.nodes, *model.graph.node],
        initializers=[*chain.arrays, *model.graph.initializer],
        inputs=[helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, shape)],
        outputs=model.graph.output,
    )


def _normalise(chain: _Chain, spec: PreprocessSpec) -> None:
    def per_channel(values: tuple[float, ...]) -> np.ndarray:
        return np.array(values, np.float32).reshape(1, 3, 1, 1)

    if spec.scale != 1.0:
        chain.then("Mul", np.array(spec.scale, np.float32))
    if spec.image_mean:
        # The mean over pixels and channels: each channel's mean, then a third of their sum.
        # Neither operator has changed its form since opset 1; ReduceMean has.
        image = chain.value
        chain.then("GlobalAveragePool")
        chain.then("Conv", np.full((1, 3, 1, 1), 1 / 3, np.float32), kernel_shape=[1, 1])
        chain.join("Sub", image)
    elif any(spec.mean):
        chain.then("Sub", per_channel(spec.mean))
    if spec.std != (1.0, 1.0, 1.0):
        chain.then("Div", per_channel(spec.std))


class _Chain:
    """Nodes one after another, each reading the value before it."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.nodes: list[NodeProto] = []
        self.arrays: list[TensorProto] = []

    def then(self, op: str, *constants: np.ndarray, **attributes: Any) -> None:
        """``value = op(value, *constants)``."""
        names = []
        for constant in constants:
            names.append(f"{PIXELS}_constant_{len(self.arrays)}")
            self.arrays.append(numpy_helper.from_array(constant, names[-1]))
        self._append(op, [self.value, *names], attributes)

    def join(self, op: str, left: str) -> None:
        """``value = op(left, value)``."""
        self._append(op, [left, self.value], {})

    def _append(self, op: str, inputs: list[str], attributes: dict[str, Any]) -> None:
        self.value = f"{PIXELS}_{len(self.nodes)}_{op.lower()}"
        self.nodes.append(helper.make_node(op, inputs, [self.value], **attributes))
