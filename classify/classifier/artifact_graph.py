"""What a classifier.onnx computes, as data: its initializers, its nodes in order, its outputs.

`classify.classifier.artifact` writes them and, on reading, compares what it finds with them.

`skl2onnx` (1.20) writes the head and l2 alike (400 x 1024 photographs: equal labels, scores to 2e-15 with
float64 inputs, to 2e-6 with float32), but takes 3.9 s of processor time to import and 2.7 MB, and knows of no
temperature, threshold or novelty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.normalizer import TINY, Normalization
from fc7.classify.classifier.votes import pairs_of

# ONNX's numbers for element types (onnx.proto, TensorProto.DataType).
FLOAT, INT64, BOOL, DOUBLE = 1, 7, 9, 11
_FLOAT32 = ("reject_below", "novelty_mean", "novelty_axes", "one")
_INT64 = ("pairs_of_class", "of_class")

Arrays = dict[str, NDArray[Any]]
Node = tuple[str, list[str], list[str], dict[str, Any]]
Output = tuple[str, int, list[str | int]]


def arrays_of(classifier: Classifier, version: int) -> Arrays:
    """The file's initializers by name."""
    normalizer, novelty = classifier.normalizer, classifier.novelty
    arrays: Arrays = {
        "coef": classifier.coef_,
        "intercept": classifier.intercept_,
        "scale": np.array(classifier.scale),
    }
    if normalizer.kind == "l2" or novelty is not None:
        arrays["tiny"] = np.array(TINY)
    if normalizer.mean is not None and normalizer.std is not None:
        arrays["mean"], arrays["std"] = normalizer.mean, normalizer.std
    if version >= 2:
        arrays["reject_below"] = np.array(classifier.reject_below)
    if classifier.head == "svm-ovo":
        arrays |= _counting(len(classifier.classes_))
    if novelty is not None:
        arrays |= {
            "novelty_mean": novelty.mean,
            "novelty_axes": novelty.axes,
            "novelty_limit": np.array(novelty.limit),
            "zero": np.array(0.0),
            "one": np.array(1.0),
        }
    return {name: np.asarray(array, type_of(name), order="C") for name, array in arrays.items()}


def fixed_arrays(n_classes: int, *, one_vs_one: bool) -> Arrays:
    """Initializers that are the same in every file that has them."""
    return {
        "tiny": np.array(TINY),
        "zero": np.array(0.0),
        "one": np.array(1.0, np.float32),
        **(_counting(n_classes) if one_vs_one else {}),
    }


def type_of(name: str) -> type[np.floating[Any] | np.signedinteger[Any]]:
    """The type of the initializer `name`."""
    # What is compared with probabilities, or is large and need not be exact, is float32.
    return np.float32 if name in _FLOAT32 else np.int64 if name in _INT64 else np.float64


def nodes_of(kind: Normalization, version: int, *, novelty: bool, one_vs_one: bool) -> list[Node]:
    """The graph: (operator, inputs, outputs, attributes) in order."""
    steps: dict[Normalization, list[Node]] = {
        "l2": _unit_length("normalized"),
        "standard": [
            ("Sub", ["row", "mean"], ["centred"], {}),
            ("Div", ["centred", "std"], ["normalized"], {}),
        ],
        "none": [],
    }
    return [
        ("Cast", ["features"], ["row"], {"to": DOUBLE}),
        *steps[kind],
        (
            "Gemm",
            ["normalized" if steps[kind] else "row", "coef", "intercept"],
            ["margins" if one_vs_one else "exact"],
            {"transB": 1},
        ),
        *(_votes() if one_vs_one else []),
        ("Cast", ["exact"], ["scores"], {"to": FLOAT}),
        ("ArgMax", ["exact"], ["label"], {"axis": 1, "keepdims": 0}),
        ("Mul", ["exact", "scale"], ["logits"], {}),
        ("Softmax", ["logits"], ["shares"], {"axis": 1}),
        ("Cast", ["shares"], ["probabilities"], {"to": FLOAT}),
        *(_rejection() if version >= 2 else []),
        *(_novelty(kind) if novelty else []),
    ]


def _unit_length(result: str) -> list[Node]:
    return [
        ("ReduceL2", ["row"], ["length"], {"axes": [1], "keepdims": 1}),
        ("Max", ["length", "tiny"], ["divisor"], {}),
        ("Div", ["row", "divisor"], [result], {}),
    ]


def _counting(n_classes: int) -> Arrays:
    """What votes are counted with: a row for each class, in it its pairs and which side of each it is."""
    first, second = pairs_of(n_classes)
    pairs = [np.flatnonzero((first == c) | (second == c)) for c in range(n_classes)]
    side = [np.where(second[own] == c, 1.0, -1.0) for c, own in enumerate(pairs)]
    return {
        "pairs_of_class": np.array(pairs, np.int64).reshape(n_classes, n_classes - 1),
        "side": np.array(side).reshape(n_classes, n_classes - 1),
        # A margin of 0 or less is a vote for the first class: each class has as many as it is first in, and
        # gains or loses one where the margin is above 0.
        "times_first": np.arange(n_classes - 1, -1, -1.0),
        "of_class": np.array([2]),
        "nothing": np.array(0.0),
        "plus": np.array(1.0),
        "three": np.array(3.0),
    }


def _votes() -> list[Node]:
    """As `classify.classifier.votes.vote`."""
    over_pairs = {"keepdims": 0}
    return [
        ("Greater", ["margins", "nothing"], ["second_wins"], {}),
        ("Cast", ["second_wins"], ["won"], {"to": DOUBLE}),
        ("Gather", ["won", "pairs_of_class"], ["won_of_class"], {"axis": 1}),
        ("Mul", ["won_of_class", "side"], ["gains"], {}),
        ("ReduceSum", ["gains", "of_class"], ["gained"], over_pairs),
        ("Add", ["gained", "times_first"], ["votes"], {}),
        ("Gather", ["margins", "pairs_of_class"], ["margins_of_class"], {"axis": 1}),
        ("Mul", ["margins_of_class", "side"], ["leanings"], {}),
        ("ReduceSum", ["leanings", "of_class"], ["leaning"], over_pairs),
        ("Abs", ["leaning"], ["leaning_size"], {}),
        ("Add", ["leaning_size", "plus"], ["above_size"], {}),
        ("Mul", ["above_size", "three"], ["three_sizes"], {}),
        ("Div", ["leaning", "three_sizes"], ["tie_break"], {}),
        ("Add", ["votes", "tie_break"], ["exact"], {}),
    ]


def _rejection() -> list[Node]:
    return [
        ("ReduceMax", ["probabilities"], ["confidence"], {"axes": [1], "keepdims": 0}),
        ("Less", ["confidence", "reject_below"], ["rejected"], {}),
    ]


def _novelty(kind: Normalization) -> list[Node]:
    to_double = {"to": DOUBLE}
    sum_of_squares = {"axes": [1], "keepdims": 0}
    return [
        *([] if kind == "l2" else _unit_length("unit")),
        ("Cast", ["novelty_mean"], ["exact_mean"], to_double),
        ("Cast", ["novelty_axes"], ["exact_axes"], to_double),
        ("Sub", ["normalized" if kind == "l2" else "unit", "exact_mean"], ["offset"], {}),
        ("Gemm", ["offset", "exact_axes"], ["along"], {"transB": 1}),
        ("ReduceSumSquare", ["offset"], ["offset_square"], sum_of_squares),
        ("ReduceSumSquare", ["along"], ["along_square"], sum_of_squares),
        ("Sub", ["offset_square", "along_square"], ["difference"], {}),
        ("Max", ["difference", "zero"], ["distance_square"], {}),
        ("Sqrt", ["distance_square"], ["distance"], {}),
        ("Div", ["distance", "novelty_limit"], ["exact_novelty"], {}),
        ("Cast", ["exact_novelty"], ["novelty"], {"to": FLOAT}),
        ("Greater", ["novelty", "one"], ["novel"], {}),
    ]


def outputs_of(n_classes: int, novelty: bool) -> list[Output]:
    """The outputs: (name, element type, shape)."""
    outputs: list[Output] = [
        ("scores", FLOAT, ["N", n_classes]),
        ("probabilities", FLOAT, ["N", n_classes]),
        ("label", INT64, ["N"]),
        ("rejected", BOOL, ["N"]),
    ]
    return [*outputs, ("novelty", FLOAT, ["N"]), ("novel", BOOL, ["N"])] if novelty else outputs
