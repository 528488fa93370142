"""What a backbone is: how its images are prepared, and how its layers are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.graph_layers import Map
from models.spec import Pool, PreprocessSpec

if TYPE_CHECKING:
    from models.graph_writer import GraphWriter


@dataclass(frozen=True, slots=True)
class Backbone:
    """A plan from pixels to features and, where the weights have it, to class probabilities.

    Attributes
    ----------
    name : str
    about : str
    preprocess : PreprocessSpec
        What its authors fed it; the crop is the input size.
    epsilon : float
        What every BatchNorm adds to its variance.
    features : callable
        Writes everything up to the row that the classifier reads, and returns it. It is given the
        writer and the input.
    classifier : str
        The dense layer of the class scores in a state dict: ``<classifier>.weight`` (classes, features).
    classes : int
    default_layer : str
    pool : {"flatten", "avg", "max"}
        How a spatial map becomes a vector.
    """

    name: str
    about: str
    preprocess: PreprocessSpec
    epsilon: float
    features: Callable[[GraphWriter, Map], Map]
    classifier: str
    classes: int = 1000
    default_layer: str = "pool"
    pool: Pool = "avg"
