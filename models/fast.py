"""Rewrites that change how fast a graph runs, and its numbers by rounding only."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from models.surgery import layer_shapes, with_parts


def expand_lrn(model: ModelProto) -> ModelProto:
    """Write every LRN of exponent 3/4 as convolution and square roots.

    ``y = x / (k + (alpha/n) * sum of x² over n channels)^(3/4)``: the sum is a 1x1 convolution of
    x² with a banded matrix, and ``s^(3/4) = sqrt(s) * sqrt(sqrt(s))``. ONNX Runtime's CPU provider
    spends half of BVLC AlexNet's time in its own LRN (tests/benchmarks/NOTES.md); equal to 1e-6.
    """
    shapes = layer_shapes(model)
    nodes: list[NodeProto] = []
    arrays = list(model.graph.initializer)
    for node in model.graph.node:
        settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        shape = shapes.get(node.output[0], ())
        if node.op_type != "LRN" or settings.get("beta", 0.75) != 0.75 or len(shape) != 3:
            nodes.append(node)
            continue
        x, y = node.input[0], node.output[0]
        size, alpha = int(settings["size"]), float(settings.get("alpha", 1e-4))
        band = numpy_helper.from_array(_band(shape[0], size, alpha / size), f"{y} (band)")
        k = np.full(shape[0], settings.get("bias", 1.0), np.float32)
        arrays += [band, numpy_helper.from_array(k, f"{y} (k)")]
        nodes += [
            helper.make_node("Mul", [x, x], [f"{y} (square)"]),
            helper.make_node(
                "Conv", [f"{y} (square)", band.name, f"{y} (k)"], [f"{y} (s)"], kernel_shape=[1, 1]
            ),
            helper.make_node("Sqrt", [f"{y} (s)"], [f"{y} (s^1/2)"]),
            helper.make_node("Sqrt", [f"{y} (s^1/2)"], [f"{y} (s^1/4)"]),
            helper.make_node("Mul", [f"{y} (s^1/2)", f"{y} (s^1/4)"], [f"{y} (s^3/4)"]),
            helper.make_node("Div", [x, f"{y} (s^3/4)"], [y]),
        ]
    return with_parts(
        model, nodes=nodes, initializers=arrays, inputs=model.graph.input, outputs=model.graph.output
    )


def _band(channels: int, size: int, weight: float) -> np.ndarray:
    """Each row sums the squares of `size` channels around its own; at the edges, of those there are."""
    apart = np.subtract.outer(np.arange(channels), np.arange(channels))
    # ONNX LRN: from c - floor((size-1)/2) to c + ceil((size-1)/2).
    inside = (apart <= (size - 1) // 2) & (apart >= -(size // 2))
    return (inside * np.float32(weight)).astype(np.float32)[:, :, None, None]
