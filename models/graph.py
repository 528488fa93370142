"""Build an AlexNet as an ONNX graph from canonical weights, every tensor under its own name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.architectures import (
    LRN_ALPHA,
    LRN_BETA,
    LRN_K,
    LRN_SIZE,
    Architecture,
    Conv,
    Dense,
    MaxPool,
    Norm,
    Step,
)
from models.errors import WeightsError

Weights = Mapping[str, NDArray[np.float32]]

# Opset 17 and IR 8 are read by every ONNX Runtime since 1.12 (its release table). The opset is part
# of every fingerprint: raising it makes old caches strangers, so it stays.
OPSET, IR_VERSION = 17, 8
INPUT = "data"


def build_graph(arch: Architecture, weights: Weights) -> ModelProto:
    """The architecture with these weights, up to the last layer that has any.

    Parameters
    ----------
    arch : Architecture
    weights : mapping of str to ndarray, float32
        Keys and shapes of `Architecture.weight_shapes`; a prefix of them is enough
        (a trunk), and a trunk of convolutions keeps the pooling that follows.

    Returns
    -------
    onnx.ModelProto
        Input ``data`` (n, 3, crop_height, crop_width) float32, already preprocessed. Tensors
        ``conv1_pre``, ``conv1`` (after the ReLU), ``norm1``, ``pool1``, ... ``pool5``, ``fc6_pre``,
        ``fc6``, ``fc7_pre``, ``fc7``, ``fc8`` and ``prob``; the last one is the graph's output.

    Raises
    ------
    WeightsError
        If an array is missing in the middle, or has another shape.
    """
    nodes: list[NodeProto] = []
    here = INPUT
    for step in _steps_with_weights(arch, weights):
        added = _nodes(step, here)
        nodes.extend(added)
        here = added[-1].output[0]
    height, width = arch.preprocess.crop_height, arch.preprocess.crop_width
    used = [name for node in nodes for name in node.input if name in weights]
    graph = helper.make_graph(
        nodes,
        arch.name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3, height, width])],
        [helper.make_tensor_value_info(here, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ascontiguousarray(weights[name], "<f4"), name) for name in used],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="fc7"
    )


def _steps_with_weights(arch: Architecture, weights: Weights) -> list[Step]:
    needed = arch.weight_shapes()
    for key, array in weights.items():
        if key not in needed or array.shape != needed[key]:
            raise WeightsError(
                f"{arch.name}: found {key} {array.shape}, needed {needed.get(key, 'no such array')}; "
                "is this another architecture? name it with --arch"
            )
    steps: list[Step] = []
    for step in arch.steps:
        if isinstance(step, Conv | Dense) and f"{step.name}.weight" not in weights:
            break
        steps.append(step)
    last = list(needed)[: len(weights)]
    if not weights or set(last) != set(weights):
        missing = ", ".join(sorted(set(last) - set(weights))) or "all of them"
        raise WeightsError(f"{arch.name}: {missing} missing from the weights; a trunk must be complete")
    return steps


def _nodes(step: Step, source: str) -> list[NodeProto]:
    match step:
        case Conv():
            conv = helper.make_node(
                "Conv",
                [source, f"{step.name}.weight", f"{step.name}.bias"],
                [f"{step.name}_pre"],
                kernel_shape=[step.kernel] * 2,
                strides=[step.stride] * 2,
                pads=[step.pad] * 4,
                group=step.group,
            )
            return [conv, helper.make_node("Relu", [f"{step.name}_pre"], [step.name])]
        case Norm():
            lrn = helper.make_node(
                "LRN", [source], [step.name], size=LRN_SIZE, alpha=LRN_ALPHA, beta=LRN_BETA, bias=LRN_K
            )
            return [lrn]
        case MaxPool():
            return [helper.make_node("MaxPool", [source], [step.name], kernel_shape=[3, 3], strides=[2, 2])]
        case Dense():
            # ONNX's Flatten keeps channel, row, column order, which is Caffe's and PyTorch's.
            flat = helper.make_node("Flatten", [source], [f"{step.name}_in"], axis=1)
            linear = f"{step.name}_pre" if step.relu else step.name
            gemm = helper.make_node(
                "Gemm", [f"{step.name}_in", f"{step.name}.weight", f"{step.name}.bias"], [linear], transB=1
            )
            last = (
                helper.make_node("Relu", [linear], [step.name])
                if step.relu
                else helper.make_node("Softmax", [linear], ["prob"], axis=1)
            )
            return [flat, gemm, last]
