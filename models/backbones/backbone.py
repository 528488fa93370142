"""What a backbone is: how its images are prepared, and how its layers are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fc7.models.backbones.layers import FeatureMap
from fc7.models.network.spec import Pool, PreprocessSpec

if TYPE_CHECKING:
    from fc7.models.backbones.writer import GraphWriter


@dataclass(frozen=True, slots=True)
class Backbone:
    """A plan from pixels to features and, where the weights have it, to class probabilities.

    Attributes
    ----------
    preprocess : PreprocessSpec
        What its authors fed it; the crop is the input size.
    features : callable
        Writes everything up to the row that the classifier reads, and returns it. It is given the
        writer and the input.
    classifier : str
        The dense layer of the class scores in a state dict: ``<classifier>.weight`` (classes, features).
    epsilon : float
        What every BatchNorm adds to its variance.
    default_layer : str
        The row that the scores are computed from.
    pool : {"flatten", "avg", "max", "token"}
        How a spatial map becomes a vector.
    """

    name: str
    preprocess: PreprocessSpec
    features: Callable[[GraphWriter, FeatureMap], FeatureMap]
    classifier: str
    classes: int = 1000
    epsilon: float = 1e-5
    default_layer: str = "pool"
    pool: Pool = "avg"


def in_eights(channels: float) -> int:
    """The nearest multiple of 8, never more than a tenth less.

    Source: round_filters in tensorflow/tpu models/official/efficientnet/efficientnet_model.py, and
    _make_divisible in torchvision/models/_utils.py.

    Examples
    --------
    >>> in_eights(43.2), in_eights(11.0), in_eights(18)
    (40, 16, 24)
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
