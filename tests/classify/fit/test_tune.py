"""C by cross-validation: the best, the smallest of equals, no further than needed, repeatable."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import LinearSVC

from fc7.classify.classifier.classifier import Head
from fc7.classify.data.folds import make_folds
from fc7.classify.fit.choose import choose
from fc7.classify.fit.cross_validate import CvResult, _past_the_peak, grid, tune
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.training import TrainingData
from tests.support.classify.blobs import blobs


def material(
    per_class: list[int], n_features: int = 15, kind: str = "l2", spread: float = 3.0
) -> tuple[np.ndarray, TrainingData, np.ndarray]:
    X, y = blobs(per_class, n_features, spread=spread)
    codes = np.unique(y, return_inverse=True)[1]
    unit = np.random.default_rng(0).permutation(len(X))
    return X, TrainingData(X.copy(), codes, kind), make_folds(codes, unit, len(per_class))  # type: ignore[arg-type]


@pytest.mark.parametrize("n_features", [15, 200])
@pytest.mark.parametrize(("kind", "scaler"), [("l2", Normalizer()), ("standard", StandardScaler())])
def test_out_of_fold_decisions_are_those_of_scikit_learns_own_cross_validation(
    kind: str, scaler: Normalizer | StandardScaler, n_features: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fc7.classify.fit.training._FOLD_TOLERANCE", {"svm": 1e-4})
    X, data, fold = material([15, 20, 25], n_features, kind=kind)
    found = tune("svm", data, fold, [0.1])
    pipeline = make_pipeline(scaler, LinearSVC(C=0.1, dual=True, tol=1e-8, max_iter=100_000))
    expected = cross_val_predict(
        pipeline, X.astype(np.float64), data.y, cv=PredefinedSplit(fold), method="decision_function"
    )
    np.testing.assert_allclose(found.scores, expected, atol=3e-3)
    assert found.best.accuracy == pytest.approx((expected.argmax(axis=1) == data.y).mean(), abs=1 / 60)
    assert found.n_folds == 5
    assert found.rows.tolist() == list(range(60))


def test_of_equally_good_values_the_smallest_is_taken() -> None:
    _, data, fold = material([10, 10, 10], spread=0.01)
    found = tune("softmax", data, fold, [1.0, 10.0, 100.0])
    assert [trial.accuracy for trial in found.cv_results] == [1.0] * len(found.cv_results)
    assert found.best.C == 1.0


def test_the_scores_are_those_of_the_best_value() -> None:
    _, data, fold = material([20, 20, 20])
    found = tune("svm", data, fold, [0.001, 0.01, 0.1, 1.0, 10.0])
    assert np.mean(found.scores.argmax(axis=1) == data.y) == found.best.accuracy
    assert found.best.accuracy == max(trial.accuracy for trial in found.cv_results)


def trial(accuracy: float, train: float = 0.9, error: float = 0.02) -> CvResult:
    return CvResult(1.0, accuracy, error, train, converged=True)


def test_the_search_ends_past_the_peak_and_not_on_a_flat_start() -> None:
    def ends(*cv_results: CvResult) -> bool:
        return _past_the_peak(cv_results, max(cv_results, key=lambda t: t.accuracy))

    # Too small a C gives every image the most frequent class: flat, and far from the end.
    assert not ends(trial(0.5), trial(0.5), trial(0.5))
    assert not ends(trial(0.5), trial(0.5), trial(0.8))
    assert ends(trial(0.8), trial(0.7), trial(0.6))
    assert not ends(trial(0.8), trial(0.79), trial(0.6))
    assert ends(trial(0.8), trial(0.79, train=1.0), trial(0.79, train=1.0))
    assert not ends(trial(0.8), trial(0.79, train=1.0))


def test_the_grid_moves_with_the_length_of_the_rows_in_whole_decades() -> None:
    assert grid("svm", 1.0) == [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
    assert grid("softmax", 4096.0) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0], rel=1e-15)
    # 1e-2 is written as such and not as 0.009999.
    assert grid("softmax", 1.0)[0] == 0.1


@pytest.mark.parametrize(("kind", "head"), [("l2", "svm"), ("standard", "softmax")])
def test_any_number_of_threads_decides_the_same_bit_for_bit(
    kind: str, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, data, fold = material([200, 200, 200], n_features=600, kind=kind)
    found = []
    for n in (1, 3):
        monkeypatch.setattr("fc7.classify.classifier.products._SMALL", 0)
        with ThreadPoolExecutor(n) as pool:
            monkeypatch.setattr("fc7.classify.classifier.products._threads", lambda pool=pool: pool)
            found.append(tune(head, data, fold, [0.1, 1.0]))
    assert np.array_equal(found[0].scores, found[1].scores)
    assert found[0].cv_results == found[1].cv_results


def test_without_a_head_both_are_tried_and_the_better_is_kept() -> None:
    _, data, fold = material([20, 20, 20])
    found = choose(data, fold, 3, FitOptions())
    assert {each.head for each in found.tuned} == {"svm", "softmax"}
    kept, other = found.tuned
    assert found.head == kept.head
    assert found.C == kept.best.C
    assert kept.best.accuracy >= other.best.accuracy


def test_a_given_c_is_not_searched_for_but_still_calibrated() -> None:
    _, data, fold = material([20, 20, 20])
    found = choose(data, fold, 3, FitOptions(head="svm", C=0.37))
    assert [t.C for t in found.tuned[0].cv_results] == [0.37]
    assert found.C == 0.37
    assert found.scale > 0
    assert found.scale != 1


def test_one_training_image_a_class_falls_back_to_the_middle_and_says_so() -> None:
    X, _ = blobs([1, 1, 1], 5)
    data = TrainingData(X, np.arange(3), "l2")
    found = choose(data, make_folds(data.y, np.arange(3), 3), 3, FitOptions(head="softmax"))
    assert (found.C, found.scale, found.tuned) == (100.0, 1.0, ())
    assert found.notes == (
        "too few images for cross-validation, which needs two classes with two training images each: "
        "softmax at C = 100 unproved, probabilities not calibrated",
    )


@pytest.mark.parametrize(("values", "end"), [([1e2, 1e3, 1e4], 1e2), ([1e-6, 1e-5, 1e-1], 1e-1)])
def test_a_best_value_at_the_end_of_the_range_is_pointed_out(
    values: list[float], end: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fc7.classify.fit.choose.grid", lambda head, square: values)
    _, data, fold = material([40, 30, 20], n_features=60, spread=6.0)
    found = choose(data, fold, 3, FitOptions(head="svm"))
    assert end == found.C
    assert f"the best C, {end:g}, is at the end of the range that was tried" in found.notes


def test_a_flat_curve_is_no_end_of_the_range() -> None:
    _, data, fold = material([10, 10], spread=0.01)
    found = choose(data, fold, 2, FitOptions(head="svm"))
    assert found.C == 0.001
    assert found.notes == ()


def test_classes_that_cannot_be_validated_are_counted() -> None:
    X, _ = blobs([10, 10, 1], 5)
    y = np.repeat([0, 1, 2], [10, 10, 1])
    data = TrainingData(X, y, "l2")
    found = choose(data, make_folds(y, np.arange(21), 3), 3, FitOptions(head="svm", C=1.0))
    assert any(note.startswith("1 of 3 classes have one training image or group") for note in found.notes)
    assert 20 not in found.tuned[0].rows
