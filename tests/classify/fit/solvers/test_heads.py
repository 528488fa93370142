"""The heads are scikit-learn's own, however they were solved."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from fc7.classify.fit.solvers.heads import HeadFitter
from fc7.classify.fit.solvers.rotate import Rotation, pays
from fc7.classify.fit.training import TrainingData
from tests.support.classify.blobs import blobs


def coded(per_class: list[int], n_features: int, **options: float) -> tuple[np.ndarray, np.ndarray]:
    X, y = blobs(per_class, n_features, **options)  # type: ignore[arg-type]
    return X, np.unique(y, return_inverse=True)[1]


@pytest.mark.parametrize("shape", ["wide", "tall"])
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_an_svm_decides_as_a_plain_linear_svc(shape: str, C: float) -> None:
    X, y = coded([20, 15, 25], 300 if shape == "wide" else 25, spread=2.0)
    assert pays(X) == (shape == "wide")
    data = TrainingData(X.copy(), y, "l2")
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    # The primal solver, on features as they are: another algorithm for the same optimum.
    plain = LinearSVC(C=C, dual=False, tol=1e-8, max_iter=10_000).fit(unit.astype(np.float64), y)
    fitted = data.fit("svm", C)
    np.testing.assert_allclose(fitted.scores(unit), plain.decision_function(unit), atol=2e-3)
    assert (fitted.scores(unit).argmax(axis=1) == plain.predict(unit)).all()


@pytest.mark.parametrize("shape", ["wide", "tall"])
@pytest.mark.parametrize("C", [1.0, 100.0])
def test_a_softmax_decides_as_a_plain_logistic_regression(shape: str, C: float) -> None:
    X, y = coded([20, 15, 25], 300 if shape == "wide" else 25, spread=2.0)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    plain = LogisticRegression(C=C, tol=1e-9, max_iter=10_000).fit(unit.astype(np.float64), y)
    fitted = TrainingData(X.copy(), y, "l2").fit("softmax", C)
    p = np.exp(fitted.scores(unit))
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, plain.predict_proba(unit), atol=5e-3)


def test_coordinates_give_the_dual_solver_the_same_steps() -> None:
    # liblinear's dual sees rows only through their products, so even its iterations agree.
    X, y = coded([30, 30], 400, spread=3.0)
    direct = LinearSVC(C=1.0, dual=True, random_state=0).fit(X.astype(np.float64), y)
    rotation = Rotation.of(X)
    fitted = HeadFitter("svm").fit(rotation.coordinates, y, 1.0)
    np.testing.assert_allclose(rotation.restore(fitted.coef)[1], direct.coef_[0], atol=1e-7)
    np.testing.assert_allclose(fitted.intercept[1], direct.intercept_[0], atol=1e-7)


def test_coordinates_keep_every_product_even_among_copies_and_zero_rows() -> None:
    X, _ = coded([10, 10], 100)
    X = np.concatenate([X, X[:5], np.zeros((2, 100), np.float32)])
    rotation = Rotation.of(X)
    products = X.astype(np.float64) @ X.T
    np.testing.assert_allclose(rotation.coordinates @ rotation.coordinates.T, products, atol=1e-6)


def test_rows_of_zeros_only_can_be_rotated() -> None:
    rotation = Rotation.of(np.zeros((3, 10), np.float32))
    assert not rotation.restore(np.ones((2, 3))).any()


@pytest.mark.parametrize("head", ["svm", "softmax"])
def test_two_classes_have_two_rows_of_opposite_sign(head: str) -> None:
    X, y = coded([20, 20], 10)
    fitted = HeadFitter(head).fit(X, y, 1.0)  # type: ignore[arg-type]
    assert fitted.coef.shape == (2, 10)
    assert (fitted.coef[0] == -fitted.coef[1]).all()
    assert fitted.intercept[0] == -fitted.intercept[1]
    plain = (LinearSVC(C=1.0, random_state=0, dual=True) if head == "svm" else LogisticRegression()).fit(X, y)
    np.testing.assert_allclose(fitted.scores(X)[:, 1], plain.decision_function(X), atol=1e-5)


def test_a_dual_that_stalls_is_solved_in_the_primal() -> None:
    # Label noise and a large C: the dual needs more than its 1000 passes.
    X, y = coded([60, 60], 5, spread=4.0)
    rng = np.random.default_rng(0)
    y = np.where(rng.random(len(y)) < 0.3, 1 - y, y)
    C = 1e4
    with pytest.warns(UserWarning, match="failed to converge"):
        LinearSVC(C=C, dual=True, random_state=0).fit(X, y)
    fitted = HeadFitter("svm").fit(X, y, C)
    assert fitted.converged
    exact = LinearSVC(C=C, dual=False, tol=1e-9, max_iter=100_000).fit(X.astype(np.float64), y)
    np.testing.assert_allclose(fitted.coef[1], exact.coef_[0], atol=1e-3)


def test_what_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fc7.classify.fit.solvers.heads._ITERATIONS", 2)
    X, y = coded([30, 30, 30], 20, spread=3.0)
    assert not HeadFitter("softmax").fit(X, y, 1e6).converged
