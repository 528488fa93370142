"""Free a graph from the batch it was exported with, where its operators prove that this is safe.

Many exports are bound to one image at a time, in the size of their input or in a Reshape, and run
several times slower than they could. `free_batch` walks a graph from the image on and frees it only if
every operator on the way treats the first axis row by row (`models.batch_rules`): then an image's
features cannot depend on its neighbours, whatever the weights and the pixels are. A trial run of two
images would show that for these two; the operators' definitions show it for all, and nothing is run.
One operator that is not in the table, and the graph keeps its batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.batch_rules import NotProvedError, Rows, judge, need
from models.graph_files import constant_values, named_array
from models.surgery import (
    fixed_batch,
    image_input,
    inferred_shapes,
    input_size,
    layer_shapes,
    reads,
    with_image,
    with_parts,
)

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto


def free_batch(model: ModelProto) -> ModelProto:
    """The graph with a free batch, or as it was where that is not proved.

    Parameters
    ----------
    model : onnx.ModelProto
        As `models.graph_intake.take_in` gives it.

    Returns
    -------
    onnx.ModelProto
        A graph whose input promises a free batch but which has a Reshape to one image inside is
        mended too. One without a fixed height and width is left as it is.
    """
    size = input_size(model)
    if size is None:
        return model
    bound = with_image(model, fixed_batch(model) or 1, size)
    try:
        nodes, arrays = _proved(bound)
    except NotProvedError:
        return model
    freed = with_parts(
        model,
        nodes=nodes,
        initializers=[*model.graph.initializer, *arrays],
        inputs=[image_input(with_image(model, None, size))],
        outputs=model.graph.output,
    )
    # The operators' own shape rules must agree: a free batch, and every map of the size it had.
    return freed if layer_shapes(freed) == layer_shapes(bound) else model


def _proved(bound: ModelProto) -> tuple[list[NodeProto], list[TensorProto]]:
    """The nodes with Reshapes freed, and the arrays these need; or NotProvedError."""
    image = image_input(bound)
    constants = constant_values(bound)
    shapes = inferred_shapes(bound) | {name: value.shape for name, value in constants.items()}
    shapes[image.name] = tuple(dim.dim_value for dim in image.type.tensor_type.shape.dim)
    rows = Rows(shapes[image.name][0], shapes, constants, {image.name})
    nodes: list[NodeProto] = []
    arrays: list[TensorProto] = []
    for node in bound.graph.node:
        if rows.names.isdisjoint(reads(node)):
            nodes.append(node)
            continue
        judge(node, rows)
        # A Dropout's mask has no inferred shape; nobody reads it in an inference graph.
        outputs = list(node.output[:1] if node.op_type == "Dropout" else filter(None, node.output))
        need(all(rows.shape(name)[0] == rows.batch for name in outputs))
        rows.names.update(outputs)
        if node.op_type == "Reshape" and constants[node.input[1]].reshape(-1)[0] > 0:
            node, shape = _freed_reshape(node, constants[node.input[1]])
            arrays.append(shape)
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
