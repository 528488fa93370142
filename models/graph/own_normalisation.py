"""Find the arithmetic of the preprocessing inside a graph, so that no mean is subtracted twice.

MATLAB's exportONNXNetwork writes the input layer's normalisation as nodes right behind the input (an
initializer ``<layer>_Mean`` that a Sub reads); Keras exports carry Rescaling layers, others a
BatchNormalization. What they are called does not matter here, what they compute does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fc7.models.graph.files import constant_values
from fc7.models.graph.surgery import image_input, settings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    Constants = dict[str, NDArray[np.generic]]

_PASSED = ("Identity", "Dropout", "Cast", "Transpose")
# Photographs have channel means of 0.4 to 0.5 of the range (ImageNet's: 104-124 of 255). Far below on
# both scales lies what a network that is already given centred images computes there (a mean of zero).
_BYTE_MEANS, _UNIT_MEANS = (20.0, 235.0), (0.08, 0.92)
# A factor this small brings 0-255 to a few units (1/255, 1/128, 1/58); nothing else on pixels does.
_BYTE_GAIN = 1 / 40


@dataclass(frozen=True, slots=True)
class OwnNormalisation:
    """What a graph does to its input itself.

    Attributes
    ----------
    scale : float
        What 0-255 pixels are to be multiplied with before they are given to the graph: 1, or 1/255
        for a graph that subtracts means of the range 0-1.
    node : str
        The node that does it, for messages.
    """

    scale: float
    node: str


def own_normalisation(model: ModelProto) -> OwnNormalisation | None:
    """The normalisation right behind the input, or None where there is none.

    Looked at are Sub, Add, Mul, Div and BatchNormalization with constants that are scalars, one number a
    channel, or whole images, as long as each is the only reader of the one before.
    """
    constants = constant_values(model)
    image = image_input(model)
    dims = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    sizes = {1, 3, int(np.prod(dims[1:])), int(np.prod(dims[1:])) // 3}
    here, gain, shift, named = image.name, 1.0, 0.0, ""
    while (node := _only_reader(model, here)) is not None:
        if node.op_type not in _PASSED:
            step = _affine(node, here, constants, sizes=sizes)
            if step is None:
                break
            gain, shift = gain * step[0], shift * step[0] + step[1]
            named = named or node.name or node.output[0]
        here = node.output[0]
    if gain == 0 or not np.isfinite([gain, shift]).all():
        return None
    mean = -shift / gain
    if abs(gain) <= _BYTE_GAIN or _BYTE_MEANS[0] <= mean <= _BYTE_MEANS[1]:
        return OwnNormalisation(1.0, named)
    if _UNIT_MEANS[0] <= mean <= _UNIT_MEANS[1]:
        return OwnNormalisation(1 / 255, named)
    return None


def _only_reader(model: ModelProto, name: str) -> NodeProto | None:
    readers = [node for node in model.graph.node if name in node.input]
    return readers[0] if len(readers) == 1 else None


def _affine(node: NodeProto, here: str, constants: Constants, sizes: set[int]) -> tuple[float, float] | None:
    """``y = gain * x + shift`` in the mean over channels, or None for anything else."""
    if node.op_type == "BatchNormalization":
        return _batch_norm(node, constants)
    others = [name for name in node.input if name != here]
    if len(node.input) != 2 or len(others) != 1 or others[0] not in constants:
        return None
    array = constants[others[0]]
    if array.dtype.kind != "f" or array.size not in sizes:
        return None
    value, first = float(array.astype(np.float64).mean()), node.input[0] == here
    match node.op_type:
        case "Add":
            return 1.0, value
        case "Sub":
            return (1.0, -value) if first else (-1.0, value)
        case "Mul":
            return value, 0.0
        case "Div" if first and value != 0:
            return 1 / value, 0.0
    return None


def _batch_norm(node: NodeProto, constants: Constants) -> tuple[float, float] | None:
    if not all(name in constants for name in node.input[1:5]):
        return None
    scale, _, mean, var = (constants[name].astype(np.float64) for name in node.input[1:5])
    epsilon = float(settings(node).get("epsilon", 1e-5))
    gain = scale / np.sqrt(np.maximum(var, 0) + epsilon)
    # Numbers that were normalised already have a variance near 1, pixels in 0-1 one below 0.1.
    if gain.mean() < 2 and abs(mean).mean() < 1:
        return None
    # Its mean is what it takes off; the bias it adds may be anything the training found.
    return float(gain.mean()), float((-gain * mean).mean())
