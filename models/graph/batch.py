"""Free a graph from the batch it was exported with.

Many exports are bound to one image at a time, in the size of their input or in a Reshape, and run
several times slower than they could. Whether the rows of the freed graph stay apart is for a run to say:
`models.store.importing` keeps it only if it passes the trial that every import goes through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fc7.models.graph.files import constant_values, named_array
from fc7.models.graph.surgery import (
    fixed_batch,
    image_input,
    input_size,
    layer_shapes,
    reads,
    with_image,
    with_parts,
)

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto


def free_batch(model: ModelProto) -> ModelProto | None:
    """The graph with a free batch, or None where there is nothing to free or the shapes do not allow it.

    Parameters
    ----------
    model : onnx.ModelProto
        With its arrays loaded and an image of fixed size (`models.graph.surgery.with_image`). Its batch may
        be free already, and a Reshape to one image inside belie that.
    """
    size = input_size(model)
    batch = fixed_batch(model)
    if size is None:
        return None
    nodes, arrays = _freed_reshapes(model, batch or 1)
    if batch is None and not arrays:
        return None
    freed = with_parts(
        model,
        nodes=nodes,
        initializers=[*model.graph.initializer, *arrays],
        inputs=[image_input(with_image(model, None, size))],
        outputs=model.graph.output,
    )
    # The operators' own shape rules must agree: a free batch, and every map of the size it had.
    bound = with_image(model, batch or 1, size)
    return freed if layer_shapes(freed) == layer_shapes(bound) else None


def _freed_reshapes(model: ModelProto, batch: int) -> tuple[list[NodeProto], list[TensorProto]]:
    """The nodes, with every Reshape of the image to `batch` rows freed, and the arrays that these need."""
    constants = constant_values(model)
    from_image = {image_input(model).name}
    nodes: list[NodeProto] = []
    arrays: list[TensorProto] = []
    for node in model.graph.node:
        if not from_image.isdisjoint(reads(node)):
            from_image.update(node.output)
            shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
            if shape is not None and shape.size > 0 and shape.flat[0] == batch:
                node, free = _freed_reshape(node, shape)
                arrays.append(free)
        nodes.append(node)
    return nodes, arrays


def _freed_reshape(node: NodeProto, shape: np.ndarray) -> tuple[NodeProto, TensorProto]:
    """The same Reshape that keeps as many rows as it is given; 0 says so in ONNX."""
    free = shape.astype(np.int64).reshape(-1)
    free[0] = 0
    array = named_array(free, f"{node.output[0]} (free batch)")
    freed = type(node)()
    freed.CopyFrom(node)
    freed.input[1] = array.name
    return freed, array
