"""All classes of all folds at once come to the optima that scikit-learn comes to one by one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.utils.class_weight import compute_class_weight

from fc7.classify.classifier.classifier import Head
from fc7.classify.fit.training import ClassWeight, TrainingData
from tests.support.classify.blobs import blobs

FOLDS = np.arange(90) % 3


def material(n_classes: int, n_features: int = 40) -> tuple[np.ndarray, np.ndarray]:
    X, y = blobs([90 // n_classes] * n_classes, n_features, spread=2.0)
    order = np.random.default_rng(0).permutation(len(y))
    return X[order], np.unique(y, return_inverse=True)[1][order]


@pytest.mark.parametrize("n_features", [40, 300])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weight", ["none", "balanced"])
@pytest.mark.parametrize("head", ["svm", "softmax"])
def test_every_fold_has_the_coefficients_of_scikit_learn(
    head: Head, weight: ClassWeight, n_classes: int, n_features: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fc7.classify.fit.training._FOLD_TOLERANCE", {"svm": 1e-4, "softmax": 1e-5})
    X, y = material(n_classes, n_features)
    y[:20] = 0  # some classes larger than others
    unit = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float64)
    path = TrainingData(X.copy(), y, "l2", weight).folds(head, FOLDS)
    settings = {"class_weight": None if weight == "none" else weight, "tol": 1e-9, "max_iter": 100_000}
    for C in (0.1, 1.0, 10.0):
        path.fit(C)
        assert path.converged
        for f in range(3):
            estimator = (
                LinearSVC(C=C, dual=False, **settings)
                if head == "svm"
                else (LogisticRegression(C=C, **settings))
            )
            expected = estimator.fit(unit[f != FOLDS], y[f != FOLDS]).decision_function(unit)
            found = path.scores[:, f]
            if n_classes == 2:
                np.testing.assert_allclose(found[:, 0], -found[:, 1], atol=1e-5)
                found = found[:, 1]
            elif head == "softmax":  # the same to all classes is nothing to a softmax
                found = found - found.mean(axis=1, keepdims=True)
                expected = expected - expected.mean(axis=1, keepdims=True)
            np.testing.assert_allclose(found, expected, atol=3e-3)


@pytest.mark.parametrize("head", ["svm", "softmax"])
def test_large_data_is_fitted_where_it_lies_to_the_same_coefficients(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = material(3)
    usual = TrainingData(X.copy(), y, "l2").fit(head, 1.0)
    monkeypatch.setattr("fc7.classify.fit.training._LARGEST_COPY", 0)
    lean = TrainingData(X.copy(), y, "l2").fit(head, 1.0)
    assert lean.converged
    np.testing.assert_allclose(lean.coef, usual.coef, atol=2e-3)
    np.testing.assert_allclose(lean.intercept, usual.intercept, atol=2e-3)


def test_a_few_columns_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = material(3)
    whole = TrainingData(X.copy(), y, "l2").folds("svm", FOLDS)
    monkeypatch.setattr("fc7.classify.fit.solvers.path._BLOCK", 1)
    single = TrainingData(X.copy(), y, "l2").folds("svm", FOLDS)
    for path in (whole, single):
        path.fit(1.0)
    np.testing.assert_allclose(single.scores, whole.scores, atol=5e-2)


def test_what_float32_cannot_solve_is_not_called_solved() -> None:
    # Features a million times too large for the penalty, and labels at random.
    rng = np.random.default_rng(0)
    X, y = (1e6 * rng.normal(size=(90, 5))).astype(np.float32), rng.integers(0, 3, 90)
    path = TrainingData(X, y, "none").folds("softmax", FOLDS)
    path.fit(1e6)
    assert np.isfinite(path.scores).all()


def test_balanced_folds_count_what_they_are_fitted_on() -> None:
    X, y = material(3)
    fold = np.where(y == 0, np.arange(90) % 2, 2)
    data = TrainingData(X, y, "l2", "balanced")
    weights = data._weights(fold[:, None] != np.arange(2))
    expected = [compute_class_weight("balanced", classes=np.arange(3), y=y[fold != f]) for f in range(2)]
    np.testing.assert_allclose(weights, expected)
