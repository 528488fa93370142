"""Rewrites that change how fast a graph runs, and its numbers by rounding only."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from fc7.models.graph.surgery import inferred_types, layer_shapes, settings, with_parts


def expand_lrn(model: ModelProto) -> ModelProto:
    """Write every LRN as convolution, power and quotient, in single precision.

    ``y = x / (k + (alpha/n) * sum of x² over n channels)^beta``: the sum is a 1x1 convolution of x² with
    a banded matrix, and ``s^(3/4) = sqrt(s) * sqrt(sqrt(s))``. ONNX Runtime's CPU provider spends half of
    BVLC AlexNet's time in its own LRN (tests/benchmarks/NOTES.md); equal to 1e-6.

    It has no LRN of an even size (its lrn.h demands an odd one), of float64 or bfloat16, or of maps of one
    or three dimensions; written out, all of them run. Half precision is cast to single around it: squares
    above 65504 do not fit.
    """
    # To infer shapes takes four times what all else does here, at every opening.
    if not any(node.op_type == "LRN" for node in model.graph.node):
        return model
    shapes, kinds = layer_shapes(model), inferred_types(model)
    nodes: list[NodeProto] = []
    arrays = list(model.graph.initializer)
    for node in model.graph.node:
        shape = shapes.get(node.output[0], ()) if node.op_type == "LRN" else ()
        if len(shape) < 2:
            nodes.append(node)
            continue
        steps, constants = _written_out(node, shape, kinds[node.output[0]])
        nodes += steps
        arrays += constants
    return with_parts(
        model, nodes=nodes, initializers=arrays, inputs=model.graph.input, outputs=model.graph.output
    )


def _written_out(
    node: NodeProto, shape: tuple[int, ...], kind: int
) -> tuple[list[NodeProto], list[TensorProto]]:
    """The nodes in the place of an LRN of `shape` (channels first) and `kind`, and their arrays."""
    given = settings(node)
    size, alpha, beta = int(given["size"]), given.get("alpha", 1e-4), given.get("beta", 0.75)
    x, y, ones = node.input[0], node.output[0], [1] * (len(shape) - 1)
    band = _band(shape[0], size, alpha / size).reshape(shape[0], shape[0], *ones)
    arrays = {"band": band, "k": np.full(shape[0], given.get("bias", 1.0), np.float32)}
    nodes = []
    single = kind == TensorProto.FLOAT
    if not single:
        nodes.append(helper.make_node("Cast", [x], [f"{y} (single)"], to=TensorProto.FLOAT))
        x = f"{y} (single)"
    nodes += [
        helper.make_node("Mul", [x, x], [f"{y} (square)"]),
        helper.make_node(
            "Conv", [f"{y} (square)", f"{y} (band)", f"{y} (k)"], [f"{y} (s)"], kernel_shape=ones
        ),
    ]
    if beta == 0.75:
        nodes += [
            helper.make_node("Sqrt", [f"{y} (s)"], [f"{y} (s^1/2)"]),
            helper.make_node("Sqrt", [f"{y} (s^1/2)"], [f"{y} (s^1/4)"]),
            helper.make_node("Mul", [f"{y} (s^1/2)", f"{y} (s^1/4)"], [f"{y} (s^beta)"]),
        ]
    else:
        arrays["beta"] = np.array(beta, np.float32)
        nodes.append(helper.make_node("Pow", [f"{y} (s)", f"{y} (beta)"], [f"{y} (s^beta)"]))
    nodes.append(helper.make_node("Div", [x, f"{y} (s^beta)"], [y if single else f"{y} (quotient)"]))
    if not single:
        nodes.append(helper.make_node("Cast", [f"{y} (quotient)"], [y], to=kind))
    return nodes, [numpy_helper.from_array(array, f"{y} ({name})") for name, array in arrays.items()]


def _band(channels: int, size: int, weight: float) -> np.ndarray:
    """Each row sums the squares of `size` channels around its own; at the edges, of those there are."""
    apart = np.subtract.outer(np.arange(channels), np.arange(channels))
    # ONNX LRN: from c - floor((size-1)/2) to c + ceil((size-1)/2).
    inside = (apart <= (size - 1) // 2) & (apart >= -(size // 2))
    return (inside * np.float32(weight)).astype(np.float32)
