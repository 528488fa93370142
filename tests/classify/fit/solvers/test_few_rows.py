"""An SVM of few rows is LinearSVC's optimum, found without scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC

from fc7.classify.fit.solvers import few_rows
from fc7.classify.fit.solvers.few_rows import fit_few_rows, is_quick
from fc7.classify.fit.training import TrainingData, class_weights
from tests.support.classify.blobs import blobs


def objective(X: np.ndarray, side: np.ndarray, w: np.ndarray, b: float, cost: np.ndarray) -> float:
    """LinearSVC's, which penalises the intercept as one more weight."""
    hinge = np.maximum(0, 1 - side * (X @ w + b))
    return float(0.5 * (w @ w + b * b) + (cost * hinge**2).sum())


@settings(max_examples=40, deadline=None)
@given(
    per_class=st.lists(st.integers(1, 12), min_size=2, max_size=5),
    n_features=st.integers(1, 40),
    log_c=st.floats(-3, 3),
    balanced=st.booleans(),
    seed=st.integers(0, 99),
)
def test_no_solver_of_scikit_learn_finds_a_lower_objective(
    per_class: list[int], n_features: int, log_c: float, balanced: bool, seed: int
) -> None:
    X, labels = blobs(per_class, n_features, spread=2.0, seed=seed)
    X /= np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-6)
    y = np.unique(labels, return_inverse=True)[1]
    C = 10.0**log_c
    weights = class_weights(y, np.ones((len(y), 1), bool), len(per_class), "balanced" if balanced else "none")
    fitted = fit_few_rows(X, y, C, weights)
    assert fitted.converged
    assert fitted.coef.shape == (len(per_class), n_features)
    for c in range(len(per_class)):
        side = np.where(y == c, 1.0, -1.0)
        # Of two classes the other has its own weight, of more the rest has none.
        of_rest = weights[0, 1 - c] if len(per_class) == 2 else 1.0
        cost = C * np.where(y == c, weights[0, c], of_rest)
        ours = objective(X, side, fitted.coef[c], fitted.intercept[c], cost)
        plain = LinearSVC(C=1.0, dual=False, tol=1e-10, max_iter=100_000)
        plain.fit(X.astype(np.float64), side, sample_weight=cost)
        theirs = objective(X, side, plain.coef_[0], float(plain.intercept_[0]), cost)
        assert ours <= theirs * (1 + 1e-7)


@pytest.mark.parametrize("n", [4, 600])
def test_rows_that_are_all_alike_have_an_optimum_too(n: int) -> None:
    """By symmetry it is 0 where both classes weigh the same, which the gradient says to rounding only."""
    X, y = np.ones((n, 1), np.float32), (np.arange(n) % 4 > 0).astype(np.intp)
    weights = class_weights(y, np.ones((n, 1), bool), 2, "balanced")
    fitted = fit_few_rows(X, y, 1.0, weights)
    assert fitted.converged
    np.testing.assert_allclose(fitted.coef, 0, atol=1e-6)
    np.testing.assert_allclose(fitted.intercept, 0, atol=1e-6)


def test_an_svm_of_two_rows_is_the_one_found_by_hand() -> None:
    # x = 1 and -1 and C = 1: by symmetry b = 0, and w^2 / 2 + 2 (1 - w)^2 is least at w = 4 / 5.
    X, y = np.array([[-1.0], [1.0]], np.float32), np.array([0, 1])
    fitted = fit_few_rows(X, y, 1.0, np.ones((1, 2)))
    np.testing.assert_allclose(fitted.coef, [[-0.8], [0.8]], atol=1e-9)
    np.testing.assert_allclose(fitted.intercept, [0, 0], atol=1e-9)


def test_many_rows_are_left_to_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_quick(500, 10)
    assert not is_quick(860, 43)
    X, labels = blobs([20, 20, 20], 30, spread=2.0)
    y = np.unique(labels, return_inverse=True)[1]
    here = TrainingData(X.copy(), y, "l2").fit("svm", 1.0)
    monkeypatch.setattr(few_rows, "_MOST_WORK", 0)
    there = TrainingData(X.copy(), y, "l2").fit("svm", 1.0)
    assert (here.solver.name, there.solver.name) == (
        "Newton on inner products",
        "liblinear, dual (LinearSVC)",
    )
    np.testing.assert_allclose(here.coef, there.coef, atol=1e-3)
