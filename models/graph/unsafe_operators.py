"""Operators of a graph that may draw at random or look at the whole batch: hints for messages, no proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fc7.models.graph.files import constant_values, load_graph
from fc7.models.graph.surgery import cut, image_input, inferred_shapes, reads, settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import NodeProto

# onnx/docs/Operators.md: those with a `seed`. Dropout has one too; one that is on is refused as it is read.
_RANDOM = (
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)


def random_operators(path: Path, tensors: Sequence[str]) -> list[str]:
    """What draws at random on the way to `tensors`, such as ``RandomNormalLike 'noise'``.

    Parameters
    ----------
    path : Path
        ``network.onnx`` of the store.
    """
    nodes = cut(load_graph(path), tensors).graph.node
    return [_shown(node) for node in nodes if node.op_type in _RANDOM]


def mixing_operators(path: Path, tensors: Sequence[str]) -> list[str]:
    """What looks at the whole batch on the way to `tensors`, such as ``ReduceMean 'centre' over axis 0``."""
    model = cut(load_graph(path), tensors)
    constants, shapes = constant_values(model), inferred_shapes(model)
    from_image = {image_input(model).name}
    found = []
    for node in model.graph.node:
        if from_image.isdisjoint(reads(node)):
            continue
        from_image.update(node.output)
        rank = len(shapes.get(node.input[0], ())) if node.input else 0
        # Its scale comes from the largest number of the whole tensor, whichever image has it.
        if node.op_type.startswith("DynamicQuantize"):
            found.append(f"{_shown(node)} with one scale for the batch")
        elif rank > 1 and not {0, -rank}.isdisjoint(_axes(node, constants)):
            found.append(f"{_shown(node)} over axis 0")
    return found


def _axes(node: NodeProto, constants: Mapping[str, NDArray[np.generic]]) -> list[int]:
    """The axes a node works along: given as an attribute, or in later opsets as an input; all by default."""
    given = settings(node)
    if "axis" in given:
        return [int(given["axis"])]
    if not node.op_type.startswith("Reduce"):
        return []
    if "axes" in given:
        return [int(axis) for axis in given["axes"]]
    if len(node.input) > 1 and node.input[1]:
        return [int(axis) for axis in constants[node.input[1]]] if node.input[1] in constants else []
    return [0]


def _shown(node: NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]!r}"
