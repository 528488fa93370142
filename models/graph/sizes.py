"""The sizes of a graph's tensors where the graph works them out as it runs.

A transformer exported for images of any size reshapes by numbers that it computes from the image's. onnx's
own inference carries such numbers through few operators, fewer of them in older opsets, and knows nothing of
what lies behind the first that it cannot follow: of a vision transformer, all of it. Here the numbers that
come from sizes alone are computed for a batch of so many images, put in the place of the nodes that
compute them, and inference goes on from there.

ONNX Runtime's `symbolic_shape_infer` needs sympy (1.14), which takes 82 MB with what it needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, shape_inference

from fc7.models.graph.files import constant_values, named_array
from fc7.models.graph.surgery import (
    SMALL,
    Sized,
    fixed_batch,
    image_input,
    inferred_shapes,
    input_size,
    layer_shapes,
    reads,
    settings,
    shapes_of_rows,
    skeleton,
    untyped,
    with_image,
    with_parts,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto, OperatorSetIdProto, TypeProto

    Values = dict[str, NDArray[np.generic]]

# What exporters compute sizes with; all but two give few numbers for few.
_OPERATORS = (
    "Add Cast Ceil Concat ConstantOfShape Div Equal Expand Floor Gather Greater Identity Less Max Min Mod "
    "Mul Neg Not Reshape Round Shape Size Slice Sqrt Squeeze Sub Unsqueeze Where"
)
_FOLLOWED, _CLAIMING = frozenset(_OPERATORS.split()), frozenset(("ConstantOfShape", "Expand"))
# What onnx's reference implementation raises on a node that asks for the impossible.
_IMPOSSIBLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
# Two batches that are no size of anything else: what is the same for both does not depend on the batch.
_BATCHES = (5, 11)
# A block of a transformer takes two rounds; the deepest published ones have 48.
_ROUNDS = 200


def all_layer_shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """`models.graph.surgery.layer_shapes`, and the tensors whose sizes the graph works out itself.

    Parameters
    ----------
    model : onnx.ModelProto
        Whose input has a fixed height and width.

    Returns
    -------
    dict of str to tuple of int
        Name -> shape without the batch, in the order of the graph.
    """
    plain = layer_shapes(model)
    if not _has_unknown_sizes(model):
        return plain
    batch = fixed_batch(model)
    runs = [_sizes_for(model, n) for n in ([batch] if batch else _BATCHES)]
    known: dict[str, Sized] = {}
    for name, (kind, sizes) in runs[0].items():
        others = [run.get(name, (kind, ()))[1] for run in runs]
        rows = [size[0] for size in others if size]
        if rows == ([batch] if batch else list(_BATCHES)) and all(size[1:] == sizes[1:] for size in others):
            known[name] = kind, (batch or 0, *sizes[1:])
    return shapes_of_rows(model, known)


def _has_unknown_sizes(model: ModelProto) -> bool:
    """Whether inference loses a tensor on its way from the image."""
    inferred = inferred_shapes(model)
    seen = {image_input(model).name}
    for node in model.graph.node:
        if not seen.isdisjoint(reads(node)):
            outputs = [name for name in node.output if name]
            seen.update(outputs)
            if any(0 in inferred.get(name, (0, 0))[1:] for name in outputs):
                return True
    return False


def _sizes_for(model: ModelProto, batch: int) -> dict[str, Sized]:
    """Every tensor whose sizes are known for a batch of so many images."""
    size = input_size(model)
    if size is None:
        return {}
    graph = skeleton(with_image(model, batch, size))
    for _ in range(_ROUNDS):
        found = shape_inference.infer_shapes(graph, data_prop=True).graph
        types = {value.name: value.type.tensor_type for value in (*found.input, *found.value_info)}
        fresh = _values(graph, types)
        if not fresh:
            break
        graph = with_parts(
            graph,
            nodes=[node for node in graph.graph.node if node.output[0] not in fresh],
            initializers=[*graph.graph.initializer, *(named_array(v, name) for name, v in fresh.items())],
            inputs=graph.graph.input,
            outputs=[],
        )
    return {
        name: (kind.elem_type, tuple(dim.dim_value for dim in kind.shape.dim))
        for name, kind in types.items()
        if kind.HasField("shape")
    }


def _values(graph: ModelProto, types: dict[str, TypeProto.Tensor]) -> Values:
    """What nodes compute from sizes that are known, and from nothing else."""
    values = constant_values(graph)
    fresh: Values = {}
    for node in graph.graph.node:
        value = _value(node, values, types, opsets=list(graph.opset_import))
        if value is not None and value.size <= SMALL:
            values[node.output[0]] = fresh[node.output[0]] = value
    return fresh


def _value(
    node: NodeProto,
    values: Values,
    types: dict[str, TypeProto.Tensor],
    opsets: Sequence[OperatorSetIdProto],
) -> NDArray[np.generic] | None:
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Shape":
        kind = types.get(node.input[0])
        sizes = [dim.dim_value for dim in kind.shape.dim] if kind and kind.HasField("shape") else [0]
        part = slice(settings(node).get("start", 0), settings(node).get("end"))
        return np.array(sizes[part], np.int64) if all(sizes) else None
    given = {name: values[name] for name in node.input if name in values}
    if node.op_type not in _FOLLOWED or given.keys() != {name for name in node.input if name}:
        return None
    claimed = given[node.input[-1]].reshape(-1).tolist() if node.op_type in _CLAIMING else []
    if math.prod(map(abs, claimed)) > SMALL:
        return None
    return _run(node, given, opsets)


def _run(node: NodeProto, given: Values, opsets: Sequence[OperatorSetIdProto]) -> NDArray[np.generic] | None:
    """The node's output by onnx's reference implementation; None where it has none, or the node is absurd."""
    from onnx.reference import ReferenceEvaluator

    try:
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in given.items()
        ]
        alone = helper.make_graph([node], "value", inputs, [untyped(node.output[0])])
        evaluator = ReferenceEvaluator(helper.make_model(alone, opset_imports=opsets))
        with np.errstate(all="ignore"):
            (value,) = evaluator.run(None, given)
    except _IMPOSSIBLE:
        return None
    return np.asarray(value)
