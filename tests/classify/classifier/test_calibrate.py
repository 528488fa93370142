"""Probabilities that mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from fc7.classify.classifier.calibration import fit_scale, log_loss, natural_scale, softmax


def drawn(scale: float, n: int = 20_000, n_classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Decisions, and labels drawn with the probabilities softmax(scale * decisions)."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(n, n_classes))
    chosen = rng.random(n)[:, None] < softmax(scale * scores).cumsum(axis=1)
    return scores, chosen.argmax(axis=1)


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_the_scale_that_drew_the_labels_is_found(scale: float) -> None:
    assert fit_scale(*drawn(scale)) == pytest.approx(scale, rel=0.05)


def test_the_scale_is_where_scipy_finds_the_least_smoothed_loss() -> None:
    scores, y = drawn(2.0, n=60)
    smoothing = 1 / 62
    target = (1 - smoothing) * np.eye(4)[y] + smoothing / 4

    def loss(scale: float) -> float:
        return float(-(target * np.log(softmax(scale * scores))).sum(axis=1).mean())

    best = minimize_scalar(loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-10}).x
    assert fit_scale(scores, y) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("n", [10, 1000])
def test_all_right_is_not_certainty(n: int) -> None:
    scores = np.tile([1.0, -1.0], (n, 1))
    confidence = softmax(fit_scale(scores, np.zeros(n, np.intp)) * scores)[0, 0]
    # The rule of succession with half of the one doubt in n + 2 given to the true class itself.
    assert confidence == pytest.approx(1 - 0.5 / (n + 2), rel=1e-6)


def test_decisions_that_say_nothing_give_even_odds() -> None:
    rng = np.random.default_rng(1)
    scores, y = rng.normal(size=(500, 3)), rng.integers(0, 3, 500)
    assert softmax(fit_scale(scores, y) * scores).max() < 0.5


def test_constant_decisions_are_survived() -> None:
    scores = np.zeros((5, 3))
    assert softmax(fit_scale(scores, np.array([0, 1, 2, 0, 1])) * scores) == pytest.approx(
        np.full((5, 3), 1 / 3)
    )


def test_softmax_of_huge_decisions_is_finite() -> None:
    assert softmax(np.array([[1e300, -1e300]])).tolist() == [[1.0, 0.0]]


def test_log_loss_is_the_mean_of_minus_log_p() -> None:
    logits = np.log(np.array([[0.8, 0.2], [0.4, 0.6]]))
    assert log_loss(logits, np.array([0, 0])) == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 2)
    assert log_loss(np.array([[1e4, 0.0]]), np.array([1])) == pytest.approx(1e4)


def test_two_softmax_columns_by_nature_give_the_sigmoid() -> None:
    f = 1.7
    p = softmax(natural_scale("softmax", 2) * np.array([[-f, f]]))
    assert p[0, 1] == pytest.approx(1 / (1 + math.exp(-f)))
    assert natural_scale("softmax", 3) == natural_scale("svm", 2) == 1
