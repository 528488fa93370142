"""From a backbone's plan and its arrays to an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from fc7.models.backbones.backbone import Backbone
from fc7.models.backbones.layers import FeatureMap
from fc7.models.backbones.writer import INPUT, GraphWriter


def build_backbone(plan: Backbone, arrays: Mapping[str, NDArray[np.float32]]) -> ModelProto:
    """The plan with these weights.

    Parameters
    ----------
    arrays : mapping of str to ndarray, float32
        As `models.backbones.match_backbone.fit_backbone` gives them; without the classifier the graph ends
        with the features.

    Returns
    -------
    onnx.ModelProto
        Input ``data`` (n, 3, crop_height, crop_width) float32, already preprocessed; the plan's own
        tensors, ``scores`` (n, classes) and ``prob``, their softmax.
    """
    size = (plan.preprocess.crop_height, plan.preprocess.crop_width)
    return _written(plan, arrays).model(plan.name, size)


def needed_shapes(plan: Backbone) -> dict[str, tuple[int, ...]]:
    """Every array that the plan takes from a state dict, in network order: name -> shape."""
    return _written(plan, None).needed


def _written(plan: Backbone, arrays: Mapping[str, NDArray[np.float32]] | None) -> GraphWriter:
    net = GraphWriter(arrays, plan.epsilon)
    row = plan.features(net, FeatureMap(INPUT, 3, plan.preprocess.crop_height))
    if arrays is None or f"{plan.classifier}.weight" in arrays:
        scores = net.dense(row, "scores", plan.classifier, units=plan.classes)
        net.each("Softmax", scores, "prob", axis=1)
    return net
