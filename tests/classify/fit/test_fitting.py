"""From rows to a evaluated classifier: nothing leaks, nothing is hidden, the same rows give the same file."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

from fc7.classify.classifier.classifier import Head
from fc7.classify.commands.texts.fit_text import fit_report
from fc7.classify.fit.fit import FitOptions, FitResult, fit_classifier
from fc7.classify.image_columns import ImageColumns
from fc7.models.common.errors import DataError, UsageError
from tests.support.classify.blobs import IDENTITY, blobs, names

SVM = FitOptions(head="svm", C=1.0)


def fit(per_class: list[int], options: FitOptions = SVM, spread: float = 1.0, **columns: Any) -> FitResult:
    X, y = blobs(per_class, spread=spread)
    return fit_classifier(X, y, ImageColumns(**{"paths": names(len(y)), **columns}), options=options)


def test_separable_classes_are_told_apart() -> None:
    result = fit([20, 20, 20], FitOptions(), spread=0.3)
    assert result.metrics.accuracy == 1
    # With all n right, Wilson's lower bound is n / (n + z^2).
    assert result.metrics.accuracy_interval == pytest.approx((18 / (18 + 1.96**2), 1.0), abs=1e-3)
    assert (len(result.train), len(result.test)) == (42, 18)
    assert result.counts == {f"class {c}": (14, 6) for c in range(3)}
    assert result.notes == ()


def test_labels_drawn_at_random_are_evaluated_as_guesses() -> None:
    # 4096 features separate 140 training rows perfectly; honest figures must not be moved by that.
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 4096)), np.tile(["a", "b"], 100)
    result = fit_classifier(X, y, ImageColumns(paths=names(200)), options=FitOptions(head="softmax"))
    low, high = result.metrics.accuracy_interval
    assert low < 0.5 < high
    # Calibrated, it knows that it knows nothing.
    assert result.classifier.predict_proba(X[result.test]).max(axis=1).mean() < 0.65


def test_the_test_part_decides_nothing_that_is_learned() -> None:
    X, y = blobs([20, 20, 20], spread=3.0)
    # Which images are copies of each other is asked of all of them, before anything is learned.
    options = FitOptions(normalize="standard", duplicates="exact")
    before = fit_classifier(X, y, ImageColumns(paths=names(60)), options=options)
    X = X.copy()
    X[before.test] = np.random.default_rng(1).normal(0, 100, X[before.test].shape)
    after = fit_classifier(X, y, ImageColumns(paths=names(60)), options=options)
    assert np.array_equal(before.classifier.coef_, after.classifier.coef_)
    assert np.array_equal(before.classifier.normalizer.mean, after.classifier.normalizer.mean)  # type: ignore[arg-type]
    assert (before.classifier.scale, before.C) == (after.classifier.scale, after.C)
    assert before.metrics.accuracy != after.metrics.accuracy


def test_refitting_on_everything_changes_the_classifier_and_not_the_figures() -> None:
    one = fit([20, 20], spread=3.0)
    all_ = fit([20, 20], FitOptions(head="svm", C=1.0, refit_all=True), spread=3.0)
    assert one.metrics.to_json() == all_.metrics.to_json()
    assert not np.array_equal(one.classifier.coef_, all_.classifier.coef_)
    assert (one.record()["refit"], all_.record()["refit"]) == ("train", "all")
    assert one.classifier.scale == all_.classifier.scale


def test_copies_stay_on_one_side_without_being_told_of() -> None:
    X, y = blobs([10, 10])
    X, y = np.concatenate([X, X]), np.concatenate([y, y])
    result = fit_classifier(X, y, options=SVM)
    train, test = ({X[i].tobytes() for i in part} for part in (result.train, result.test))
    assert not train & test


def test_rows_without_a_label_are_left_out_and_counted() -> None:
    X, y = blobs([10, 10])
    labels = [None if i in (0, 15) else label for i, label in enumerate(y)]
    result = fit_classifier(X, labels, ImageColumns(paths=names(20)), options=SVM)
    assert not {0, 15} & {*result.train.tolist(), *result.test.tolist()}
    assert result.notes[0] == "2 of 20 images have no label and were left out"


def test_a_given_split_is_respected_and_unknown_labels_are_named() -> None:
    X, y = blobs([10, 10])
    y = np.append(y, ["zebra"])
    X = np.concatenate([X, X[:1] + 5])
    splits = ["train", "test"] * 10 + ["test"]
    result = fit_classifier(
        X, y, ImageColumns(paths=names(21), splits=splits), options=FitOptions(head="svm", refit_all=True)
    )
    assert result.train.tolist() == list(range(0, 20, 2))
    assert result.classifier.classes_ == ("class 0", "class 1")
    assert result.counts == {"class 0": (5, 5), "class 1": (5, 5), "zebra": (0, 1)}
    assert result.metrics.unknown == {"zebra": 1}
    assert result.record()["split"] == {"how": "column", "n_train": 10, "n_test": 11}


def test_groups_stay_whole_from_the_columns_of_a_cache() -> None:
    groups = np.array([f"track {i // 5}" for i in range(60)])
    result = fit([30, 30], groups=groups)
    assert not set(groups[result.train]) & set(groups[result.test])


def test_random_weights_are_said() -> None:
    X, y = blobs([10, 10])
    result = fit_classifier(X, y, ImageColumns(paths=names(20)), identity=IDENTITY, options=SVM)
    assert "network 'alexnet' has random weights: enough to try the tool, no more" in result.notes
    assert result.classifier.identity == IDENTITY


def test_two_images_a_class_are_enough_for_two_hundred_classes() -> None:
    X, y = blobs([2] * 200, n_features=600, spread=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # scikit-learn would ask whether this is a regression
        result = fit_classifier(X, y, ImageColumns(paths=names(400)))
    assert (len(result.train), len(result.test)) == (200, 200)
    assert result.metrics.accuracy > 0.9
    assert any(note.startswith("too few images for cross-validation") for note in result.notes)
    assert result.record()["calibration"] == "none"


def test_three_images_a_class_are_cross_validated() -> None:
    result = fit([3] * 20, FitOptions(head="svm"), spread=0.2)
    assert result.tuned[0].n_folds == 2
    assert len(result.tuned[0].rows) == 40


def test_the_record_is_plain_json() -> None:
    result = fit([10, 10], FitOptions(head="softmax", refit_all=True))
    text = json.dumps(result.record(), allow_nan=False)
    assert json.loads(text) == json.loads(json.dumps(result.classifier.metadata))


@pytest.mark.parametrize("head", ["svm", "softmax"])
def test_the_solver_is_named_with_its_tolerance_and_iterations(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = fit([10, 10], FitOptions(head=head))
    name, tolerance = {
        "svm": ("Newton on inner products", 1e-8),
        "softmax": ("truncated Newton, then L-BFGS (LogisticRegression)", 1e-4),
    }[head]
    assert (small.solver.name, small.solver.tolerance) == (name, tolerance)
    assert small.solver.iterations > 0
    folds = small.record()["tuning"][0]["solver"]  # type: ignore[index]
    assert folds["name"] == "truncated Newton"
    assert folds["iterations"] > 0
    assert small.classifier.metadata["solver"] == {
        "name": name,
        "tolerance": tolerance,
        "iterations": small.solver.iterations,
    }
    assert f"solver: {name}, tolerance {tolerance:g}, {small.solver.iterations} iteration" in fit_report(
        small, verbose=True
    )
    assert "solver: " not in fit_report(small)
    monkeypatch.setattr("fc7.classify.fit.solvers.few_rows._MOST_WORK", 0)
    if head == "svm":
        more = fit([10, 10], FitOptions(head=head))
        assert (more.solver.name, more.solver.tolerance) == ("liblinear, dual (LinearSVC)", 1e-4)
    monkeypatch.setattr("fc7.classify.fit.training._LARGEST_COPY", 0)
    large = fit([10, 10], FitOptions(head=head))
    assert large.solver.name == "truncated Newton"
    assert large.solver.tolerance == {"svm": 5e-4, "softmax": 1e-4}[head]


def test_probabilities_are_calibrated_better_than_a_plain_sigmoid_of_margins() -> None:
    result = fit([150, 150, 150], FitOptions(head="svm", duplicates="exact"), spread=6.0)
    X, y = blobs([150, 150, 150], spread=6.0)
    P = result.classifier.predict_proba(X[result.test])
    confidence, right = P.max(axis=1), P.argmax(axis=1) == [int(label[-1]) for label in y[result.test]]
    assert abs(confidence.mean() - right.mean()) < 0.08
    raw = 1 / (1 + np.exp(-result.classifier.decision_function(X[result.test])))
    raw = (raw / raw.sum(axis=1, keepdims=True)).max(axis=1)
    assert abs(raw.mean() - right.mean()) > abs(confidence.mean() - right.mean())


def test_a_fit_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fc7.classify.fit.solvers.kernel_newton._STEPS", 1)
    monkeypatch.setattr("fc7.classify.fit.solvers.newton._STEPS", 1)
    notes = fit([20, 20, 20], FitOptions(head="svm", C=1e6), spread=3.0).notes
    assert any("the svm did not converge at C = 1e+06 in fold" in note for note in notes)
    assert any("did not converge at C = 1e+06: its metrics are its own" in note for note in notes)


@pytest.mark.parametrize("test_size", [0, 1, -0.1, 1.5, float("nan")])
def test_a_test_size_outside_0_and_1_is_refused(test_size: float) -> None:
    with pytest.raises(DataError, match="--test-size"):
        FitOptions(test_size=test_size)


@pytest.mark.parametrize("C", [0.0, -1.0, float("inf"), float("nan")])
def test_a_c_that_is_no_positive_number_is_refused(C: float) -> None:
    with pytest.raises(UsageError, match="give auto or a number above 0"):
        FitOptions(C=C)


def test_unknown_heads_and_normalisations_are_refused() -> None:
    with pytest.raises(UsageError, match="head 'forest'"):
        FitOptions(head="forest")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="normalize 'l1'"):
        FitOptions(normalize="l1")  # type: ignore[arg-type]


def test_progress_is_told_of_every_value_of_c() -> None:
    class Counting:
        steps = 0
        ended = 0

        def start(self, total: int, what: str) -> None:
            assert (total, what) == (7, "cross-validating svm")

        def advance(self, n: int = 1) -> None:
            self.steps += n

        def finish(self) -> None:
            self.ended += 1

    progress = Counting()
    X, y = blobs([10, 10])
    result = fit_classifier(X, y, options=FitOptions(head="svm"), progress=progress)
    assert progress.steps == len(result.tuned[0].cv_results)
    assert progress.ended == 1
