"""Build an AlexNet as an ONNX graph from canonical weights, every tensor under its own name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from fc7.models.backbones.layers import Convolution, FeatureMap
from fc7.models.backbones.writer import INPUT, GraphWriter
from fc7.models.common.errors import WeightsError
from fc7.models.network.architectures import (
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

Weights = Mapping[str, NDArray[np.float32]]


def build_graph(arch: Architecture, weights: Weights) -> ModelProto:
    """The architecture with these weights, up to the last layer that has any.

    Parameters
    ----------
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
    net = GraphWriter(weights)
    here = FeatureMap(INPUT, 3, arch.preprocess.crop_height)
    for step in _steps_with_weights(arch, weights):
        here = _layer(net, step, here)
    return net.model(arch.name, (arch.preprocess.crop_height, arch.preprocess.crop_width))


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


def _layer(net: GraphWriter, step: Step, x: FeatureMap) -> FeatureMap:
    match step:
        case Conv():
            pads = (step.pad, step.pad)
            conv = Convolution(
                step.name,
                channels=step.channels,
                kernel=step.kernel,
                stride=step.stride,
                group=step.group,
                pads=pads,
            )
            return net.each("Relu", net.conv(x, f"{step.name}_pre", conv), step.name)
        case Norm():
            return net.each("LRN", x, step.name, size=LRN_SIZE, alpha=LRN_ALPHA, beta=LRN_BETA, bias=LRN_K)
        case MaxPool():
            return net.max_pool(x, step.name)
        case Dense():
            flat = net.flat(x, f"{step.name}_in")
            if step.relu:
                return net.each(
                    "Relu", net.dense(flat, f"{step.name}_pre", step.name, units=step.units), step.name
                )
            return net.each(
                "Softmax", net.dense(flat, step.name, step.name, units=step.units), "prob", axis=1
            )
