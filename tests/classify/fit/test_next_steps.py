"""Each piece of advice appears when the data say so, and not one image earlier."""

from __future__ import annotations

import shlex
from dataclasses import replace

import numpy as np
import pytest

from fc7.classify.fit.learning_verdict import CurvePoint, LearningCurve
from fc7.classify.fit.next_steps import KnownBeside, NextStep, next_steps
from fc7.classify.metrics.metrics import Metrics, compute_metrics

NOTHING = KnownBeside("features.h5", "classifier.onnx")


def metrics(right: dict[str, tuple[int, int]], sure: float = 0.9, reject_below: float = 0.0) -> Metrics:
    """Of a set where so many of so many test images of each class are right, all equally sure."""
    classes = list(right)
    truth, P = [], []
    for k, (label, (n_right, n)) in enumerate(right.items()):
        for i in range(n):
            row = np.full(len(classes), (1 - sure) / (len(classes) - 1))
            row[k if i < n_right else (k + 1) % len(classes)] = sure
            truth.append(label)
            P.append(row)
    return compute_metrics(truth, np.array(P), classes, reject_below)


def curve(gain: float, error: float) -> LearningCurve:
    points = (CurvePoint(0.5, 10, 5, (0.8,)), CurvePoint(1, 20, 10, (0.8 + gain,)))
    return LearningCurve(points, 100, 80, gain, error, "svm", 1.0, 0.1)


def only(steps: tuple[NextStep, ...]) -> NextStep:
    (step,) = steps
    return step


def words(step: NextStep) -> list[str]:
    """The command without the program."""
    return shlex.split(step.command)[1:]


def test_a_set_without_a_fault_gets_no_advice() -> None:
    assert next_steps(metrics({"a": (10, 10), "b": (10, 10)}), {"a": (20, 10), "b": (20, 10)}, NOTHING) == ()
    assert next_steps(None, {}, NOTHING) == ()


def test_weak_classes_are_named_with_their_images() -> None:
    found = metrics({"a": (20, 20), "b": (20, 20), "7": (5, 10)})
    step = only(next_steps(found, {"a": (46, 20), "b": (46, 20), "7": (23, 10)}, NOTHING))
    assert step.sentence == (
        "1 class is weaker than the rest, add images there first: class 7 (5 of 10 test images right, 23 in "
        "the train set)."
    )
    assert words(step) == [
        "evaluate",
        "features.h5",
        "-m",
        "classifier.onnx",
        "--held-out",
    ]


@pytest.mark.parametrize(
    ("right", "advised"),
    [
        # Wilson's interval of 13 in 20 ends at 0.819, that of 14 in 20 at 0.855; the accuracies are 0.825
        # and 0.85.
        ({"a": (20, 20), "b": (13, 20)}, True),
        ({"a": (20, 20), "b": (14, 20)}, False),
        # None in 2 may be chance: the interval ends at 0.658.
        ({"a": (10, 20), "b": (0, 2)}, False),
        ({"a": (20, 20), "b": (0, 2)}, True),
        ({"a": (20, 20), "b": (0, 0)}, False),
    ],
)
def test_a_class_is_weak_if_its_few_images_can_tell(right: dict[str, tuple[int, int]], advised: bool) -> None:
    assert bool(next_steps(metrics(right), {}, NOTHING)) == advised


def test_the_three_weakest_are_named_and_the_others_counted() -> None:
    found = metrics({"a": (90, 90), **{f"w{i}": (i, 10) for i in range(5)}})
    sentence = only(next_steps(found, {}, NOTHING)).sentence
    assert [name for name in ("w0", "w1", "w2", "w3", "w4") if f"class {name} " in sentence] == [
        "w0",
        "w1",
        "w2",
    ]
    assert sentence.startswith("5 classes are weaker")
    assert sentence.endswith("and 2 more.")


def test_a_label_that_the_classifier_does_not_know_is_no_weak_class() -> None:
    P = np.tile([0.9, 0.1], (24, 1))
    assert next_steps(compute_metrics(["a"] * 20 + ["new"] * 4, P, ["a", "b"]), {}, NOTHING) == ()


def test_labels_come_first_and_their_commands_have_the_cache() -> None:
    known = replace(NOTHING, features="my features.h5", n_suspects=1, n_disagreeing=2)
    copies, labels = next_steps(None, {}, known)
    assert copies.sentence.startswith("2 groups of look-alikes have different labels")
    assert words(copies) == ["duplicates", "my features.h5"]
    assert labels.sentence.startswith("1 label may be wrong")
    assert words(labels) == ["suspects", "my features.h5", "--csv", "fixes.csv"]
    assert "then fit with --corrections fixes.csv" in labels.sentence
    (again,) = next_steps(
        None, {}, replace(NOTHING, n_suspects=1, corrections=("--corrections", "fixes.csv"))
    )
    assert words(again)[2:] == ["--corrections", "fixes.csv", "--csv", "fixes-2.csv"]


@pytest.mark.parametrize(("gain", "error", "advised"), [(0.05, 0.01, True), (0.05, 0.04, False)])
def test_more_images_are_advised_only_where_the_curve_says_so(
    gain: float, error: float, advised: bool
) -> None:
    steps = next_steps(None, {}, replace(NOTHING, learning=curve(gain, error)))
    assert [words(step) for step in steps] == [["learning-curve", "features.h5"]] * advised
    assert all("+5.0%" in step.sentence for step in steps)


def test_layers_that_nobody_tried() -> None:
    step = only(next_steps(None, {}, replace(NOTHING, untried_layers=("fc6", "pool5"))))
    assert "2 layers" in step.sentence
    assert "(fc6, pool5)" in step.sentence
    assert words(step) == ["fit", "features.h5", "--layer", "auto", "-o", "classifier-layers.onnx"]


@pytest.mark.parametrize(
    ("sure", "reject_below", "advised"), [(0.69, 0.0, True), (0.71, 0.0, False), (0.69, 0.5, False)]
)
def test_unsure_predictions_may_be_rejected(sure: float, reject_below: float, advised: bool) -> None:
    found = metrics({"a": (10, 10), "b": (10, 10)}, sure, reject_below)
    steps = next_steps(found, {}, NOTHING)
    command = ["fit", "features.h5", "--reject-precision", "0.95", "-o", "classifier-rejecting.onnx"]
    assert [words(step) for step in steps] == [command] * advised
    assert all("69.0%" in step.sentence for step in steps)
