"""One-vs-one is scikit-learn's OneVsOneClassifier of LinearSVCs, whichever way it was solved."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.multiclass import OneVsOneClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import LinearSVC

from fc7.classify.data.folds import make_folds
from fc7.classify.fit.choose import choose
from fc7.classify.fit.cross_validate import tune
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.solvers import one_vs_one as pairs
from fc7.classify.fit.solvers.kernel_newton import solve
from fc7.classify.fit.training import ClassWeight, TrainingData
from fc7.models.common.errors import UsageError
from tests.support.classify.blobs import blobs


def coded(per_class: list[int], n_features: int, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    X, y = blobs(per_class, n_features, spread=spread)
    return X, np.unique(y, return_inverse=True)[1]


def scikit_learns(C: float, class_weight: ClassWeight = "none") -> OneVsOneClassifier:
    weight = None if class_weight == "none" else class_weight
    return OneVsOneClassifier(LinearSVC(C=C, class_weight=weight, dual=False, tol=1e-10, max_iter=100_000))


def unit_rows(X: np.ndarray) -> np.ndarray:
    rows: np.ndarray = Normalizer().fit_transform(X.astype(np.float64))
    return rows


@pytest.mark.parametrize("per_class", [[20, 25], [20, 25, 9], [12] * 10, [2] * 6], ids=str)
@pytest.mark.parametrize("n_features", [10, 60])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("C", [0.1, 100.0])
def test_coefficients_and_decisions_are_scikit_learns(
    per_class: list[int], n_features: int, class_weight: ClassWeight, C: float
) -> None:
    X, y = coded(per_class, n_features)
    fitted = TrainingData(X.copy(), y, "l2", class_weight).fit("svm-ovo", C)
    rows = unit_rows(X)
    plain = scikit_learns(C, class_weight).fit(rows, y)
    K = len(per_class)
    assert fitted.coef.shape == (K * (K - 1) // 2, n_features)
    assert fitted.converged
    np.testing.assert_allclose(fitted.coef, [e.coef_[0] for e in plain.estimators_], atol=1e-4)
    np.testing.assert_allclose(fitted.intercept, [e.intercept_[0] for e in plain.estimators_], atol=1e-4)
    expected = plain.decision_function(rows)
    found = fitted.scores(rows)
    np.testing.assert_allclose(found[:, 1] if K == 2 else found, expected, atol=1e-5)
    assert (found.argmax(axis=1) == plain.predict(rows)).all()


def test_pairs_of_many_rows_are_solved_the_other_way_to_the_same_end() -> None:
    X, y = coded([600, 30, 20], 16)
    fitted = TrainingData(X.copy(), y, "l2").fit("svm-ovo", 1.0)
    plain = scikit_learns(1.0).fit(unit_rows(X), y)
    for k, tolerance in enumerate((2e-3, 2e-3, 1e-6)):
        np.testing.assert_allclose(fitted.coef[k], plain.estimators_[k].coef_[0], atol=tolerance)


@pytest.mark.parametrize("way", ["products of all rows", "of a batch", "of all folds", "mixed"])
@pytest.mark.parametrize(("kind", "scaler"), [("l2", Normalizer()), ("standard", StandardScaler())])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_out_of_fold_decisions_are_those_of_scikit_learns_own_cross_validation(
    kind: str,
    scaler: Normalizer | StandardScaler,
    class_weight: ClassWeight,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if way == "of a batch":
        monkeypatch.setattr(pairs, "_LARGEST_GRAM", 0)
        monkeypatch.setattr(pairs, "_BATCH", 1)
    if way == "of all folds":
        monkeypatch.setattr(pairs, "_FEW", 0)
    if way == "mixed":
        monkeypatch.setattr(pairs, "_FEW", 36)
    monkeypatch.setattr("fc7.classify.fit.training._FOLD_TOLERANCE", {"svm-ovo": 1e-4})
    X, y = coded([15, 20, 25, 6], 30, 3.0)
    fold = make_folds(y, np.random.default_rng(0).permutation(len(X)), 4)
    # The first C is where the next one starts.
    data = TrainingData(X.copy(), y, kind, class_weight)  # type: ignore[arg-type]
    path = data.folds("svm-ovo", fold)
    path.fit(0.01)
    path.fit(0.1)
    found = path.scores[np.arange(len(y)), fold]
    expected = cross_val_predict(
        make_pipeline(scaler, scikit_learns(0.1, class_weight)),
        X.astype(np.float64),
        y,
        cv=PredefinedSplit(fold),
        method="decision_function",
    )
    np.testing.assert_allclose(found, expected, atol=3e-3)
    assert path.converged


def test_tuning_keeps_the_decisions_of_the_best_c() -> None:
    X, y = coded([12, 14, 16], 20, 3.0)
    fold = make_folds(y, np.arange(len(y)), 3)
    found = tune("svm-ovo", TrainingData(X, y, "l2"), fold, [0.01, 1.0, 100.0])
    assert np.mean(found.scores.argmax(axis=1) == y[found.rows]) == found.best.accuracy
    assert found.start is None


@pytest.mark.parametrize("C", [0.01, 1.0, 1e4])
def test_small_problems_are_solved_to_the_end(C: float) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (40, 8))
    signs = np.where(rng.random((5, 40)) < 0.5, 1.0, -1.0).astype(np.float64)
    costs = np.asarray(C * (rng.random((5, 40)) < 0.8), np.float64)
    kernel = np.asarray(X @ X.T + 1, np.float64)[None]
    found, solved, steps = solve(kernel, np.zeros(5, np.intp), signs, costs, np.zeros((5, 40)))
    assert solved.all()
    assert 0 < steps < 30
    assert not found[costs == 0].any()
    for b, sign, cost in zip(found, signs, costs, strict=True):
        plain = LinearSVC(C=C, dual=False, tol=1e-12, max_iter=100_000).fit(X[cost > 0], sign[cost > 0])
        np.testing.assert_allclose(b @ X, plain.coef_[0], atol=1e-5)
        np.testing.assert_allclose(b.sum(), plain.intercept_[0], atol=1e-5)


def test_what_is_not_solved_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fc7.classify.fit.solvers.kernel_newton._STEPS", 1)
    X, y = coded([20, 20, 20], 10, 4.0)
    data = TrainingData(X, y, "l2")
    with pytest.warns(ConvergenceWarning):
        LinearSVC(C=1e4, max_iter=1, dual=True).fit(X, y)
    assert not data.fit("svm-ovo", 1e4).converged
    choice = choose(data, make_folds(y, np.arange(60), 3), 3, FitOptions(head="svm-ovo", C=1e4))
    assert (
        "the svm-ovo did not converge at C = 10000 in folds 1, 2, 3, 4, 5 of 5 of cross-validation"
        in choice.notes
    )


def test_more_weights_than_a_file_can_hold_are_refused_before_anything_is_fitted() -> None:
    pairs.check_pairs(200, 4096)
    with pytest.raises(UsageError, match=r"--ovo: 200 classes are 19,900 pairs, with 9,216 .* 1.4 GiB"):
        pairs.check_pairs(200, 9216)
