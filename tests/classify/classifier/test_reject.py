"""Thresholds worked out by hand, and what they promise on rows they have not seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.rejection import (
    coverage_curve,
    given_rejection,
    learn_rejection,
    rejection_label,
    trade_offs,
)
from fc7.classify.commands.texts.fit_text import fit_report
from fc7.classify.fit.fit import fit_classifier
from fc7.classify.fit.result import FitOptions
from fc7.classify.image_columns import ImageColumns
from fc7.classify.metrics.intervals import wilson_interval, wilson_lower
from fc7.models.common.errors import UsageError
from tests.support.classify.blobs import blobs, fitted, names


def test_the_curve_is_the_one_worked_out_by_hand() -> None:
    curve = coverage_curve(np.array([0.5, 0.9, 0.75, 0.75]), np.array([False, True, True, False]))
    assert curve.threshold.tolist() == [pytest.approx(0.9), 0.75, 0.5]
    assert curve.n_accepted.tolist() == [1, 3, 4]
    assert curve.n_correct.tolist() == [1, 2, 2]
    assert curve.coverage.tolist() == [0.25, 0.75, 1]
    assert curve.accuracy.tolist() == [1, pytest.approx(2 / 3), 0.5]


def test_no_images_give_an_empty_curve() -> None:
    assert len(coverage_curve(np.empty(0), np.empty(0, bool)).coverage) == 0


def test_the_smallest_threshold_that_surely_reaches_the_target_is_learned() -> None:
    # 40 sure and right, then 10 less sure of which 5 are right.
    confidence = np.array([0.875] * 40 + [0.5] * 10)
    correct = np.array([True] * 45 + [False] * 5)
    # Wilson's one-sided 80 % bound is 1 / (1 + z² / 40) = 0.983 of 40 in 40, and 0.856 of 45 in 50.
    for target, below, accepted in [(0.98, 0.6875, 40), (0.86, 0.6875, 40), (0.85, 0.0, 50)]:
        learned = learn_rejection(confidence, correct, target)
        assert (learned.reached, learned.below, learned.n_accepted) == (True, below, accepted)


def test_a_target_out_of_reach_is_said_and_the_surest_threshold_kept() -> None:
    confidence = np.array([0.875] * 40 + [0.5] * 10)
    learned = learn_rejection(confidence, np.array([True] * 45 + [False] * 5), 0.99)
    assert not learned.reached
    assert (learned.below, learned.n_accepted, learned.n_correct) == (0.6875, 40, 40)


def test_neighbouring_confidences_are_kept_apart() -> None:
    high = np.float32(0.75)
    low = np.nextafter(high, np.float32(0))
    confidence = np.array([high] * 50 + [low] * 50)
    learned = learn_rejection(confidence, np.repeat([True, False], 50), 0.9)
    assert low < learned.below <= high


@settings(max_examples=60, deadline=None)
@given(
    confidence=st.lists(st.floats(0.125, 1, width=32), min_size=1, max_size=80),
    seed=st.integers(0, 1000),
    target=st.floats(0.05, 0.99),
)
def test_what_it_says_was_accepted_is_what_the_threshold_accepts(
    confidence: list[float], seed: int, target: float
) -> None:
    sure = np.array(confidence, np.float32)
    correct = np.random.default_rng(seed).random(len(sure)) < sure
    learned = learn_rejection(sure, correct, target)
    accepted = sure >= np.float32(learned.below)
    assert learned.n_accepted == accepted.sum()
    assert learned.n_correct == (accepted & correct).sum()
    assert np.float32(learned.below) == learned.below
    again = given_rejection(sure, correct, learned.below)
    assert (again.n_accepted, again.n_correct) == (learned.n_accepted, learned.n_correct)


def test_the_bound_is_the_lower_end_of_wilsons_interval() -> None:
    n_correct, n = np.array([0, 3, 40]), np.array([5, 7, 40])
    expected = [wilson_interval(int(k), int(m))[0] for k, m in zip(n_correct, n, strict=True)]
    np.testing.assert_allclose(wilson_lower(n_correct, n, norm.ppf(0.975)), expected)


def test_the_promise_holds_on_rows_that_were_not_learned_from() -> None:
    X, y = blobs([60] * 5, 30, spread=2.5)
    new, truth = blobs([400] * 5, 30, spread=2.5)
    new, truth = new[400:], truth[400:]  # class 0 begins with the very rows of X
    options = FitOptions(head="svm", C=1.0, reject_precision=0.95)
    result = fit_classifier(X, y, ImageColumns(paths=names(len(y))), options=options)
    rejection = result.rejection
    assert rejection is not None
    assert rejection.reached
    assert 0 < rejection.n_accepted < rejection.n
    P = result.classifier.predict_proba(new)
    accepted = ~result.classifier.rejected(P)
    right = result.classifier.predict(new) == truth
    assert right.mean() < 0.92
    assert right[accepted].mean() > 0.94


def test_a_target_that_cannot_be_reached_is_a_note() -> None:
    X, y = blobs([8] * 4, 30, spread=2.0)
    result = fit_classifier(X, y, options=FitOptions(head="svm", C=1.0, reject_precision=0.999))
    assert any("--reject-precision 0.999 is out of reach" in note for note in result.notes)
    assert result.rejection is not None
    assert not result.rejection.reached
    made = result.record()["rejection"]
    assert isinstance(made, dict)
    assert made["reached"] is False


def test_without_a_row_to_learn_from_nothing_is_rejected_and_a_note_says_so() -> None:
    X, y = blobs([2, 2], 10)
    result = fit_classifier(X, y, options=FitOptions(head="svm", reject_precision=0.9))
    assert any("nothing is rejected" in note for note in result.notes)
    assert not result.classifier.rejected(result.classifier.predict_proba(X)).any()


def test_a_threshold_that_was_given_is_used() -> None:
    classifier = fitted(C=1.0, reject_below=0.5)
    assert classifier.reject_below == 0.5
    P = np.array([[0.5, 0.3, 0.1, 0.1], [0.4, 0.4, 0.1, 0.1]], np.float32)
    assert classifier.rejected(P).tolist() == [False, True]


def test_refitting_on_every_row_keeps_the_limits_that_were_learned_out_of_fold() -> None:
    X, y = blobs([30] * 3, 30, spread=2.0)
    kept, refitted = (
        fit_classifier(
            X, y, options=FitOptions(head="svm", C=1.0, reject_precision=0.8, refit_all=refit_all)
        ).classifier
        for refit_all in (False, True)
    )
    assert refitted.reject_below == kept.reject_below
    assert refitted.novelty is not None
    assert kept.novelty is not None
    assert refitted.novelty.limit == kept.novelty.limit
    assert not np.array_equal(refitted.novelty.mean, kept.novelty.mean)


@pytest.mark.parametrize(
    ("classes", "label"),
    [
        (["cat", "dog"], "unknown"),
        (["cat", "unknown"], "rejected"),
        (["cat", " Unknown "], "rejected"),
        (["unknown", "rejected"], "none of the classes"),
        (["unknown", "rejected", "None of the classes"], "unknown 2"),
        (["unknown", "rejected", "none of the classes", "unknown 2"], "unknown 3"),
    ],
)
def test_the_word_for_rejected_images_is_never_a_class(classes: list[str], label: str) -> None:
    assert rejection_label(classes) == label


@pytest.mark.parametrize("option", ["reject_precision", "reject_below"])
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_out_of_range_is_refused(option: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} .* was found"):
        FitOptions(**{option: value})  # type: ignore[arg-type]


def test_only_one_of_the_two_options_is_taken() -> None:
    with pytest.raises(UsageError, match="give one of them"):
        FitOptions(reject_precision=0.9, reject_below=0.5)


def test_nothing_is_rejected_where_nothing_was_asked() -> None:
    classifier: Classifier = fitted()
    assert classifier.reject_below == 0
    assert not classifier.rejected(np.full((3, 4), 0.25, np.float32)).any()


def test_trade_offs_are_those_worked_out_by_hand() -> None:
    out_of_fold = np.arange(1, 11) / 10
    confidence = np.array([0.12, 0.2, 0.5, 0.6, 0.9])
    correct = np.array([False, False, True, False, True])
    # 9, 8, 5 and 3 of ten are the fewest that are 90, 75, 50 and 25 %.
    expected = [(0.15, 4, 2), (0.25, 3, 2), (0.55, 2, 1), (0.75, 1, 1)]
    found = list(trade_offs(out_of_fold, confidence, correct))
    assert [one.below for one in found] == pytest.approx([below for below, _, _ in expected])
    assert [(one.accepted.n, one.accepted.n_correct) for one in found] == [(n, k) for _, n, k in expected]
    assert [one.accepted_share for one in found] == [0.8, 0.6, 0.4, 0.2]
    assert found[0].accepted.interval == wilson_interval(2, 4)


def test_thresholds_that_fall_together_are_one_trade_off() -> None:
    (one,) = trade_offs(np.full(10, 0.5), np.array([0.5, 0.4]), np.array([True, False]))
    assert (one.below, one.accepted.n, one.accepted.n_correct) == (0.0, 2, 1)


@pytest.mark.parametrize(("below", "few"), [(0.5, False), (0.97, True)])
def test_fit_says_what_rejecting_costs_on_the_test_set(below: float, few: bool) -> None:
    X, y = blobs([30] * 4, 30, spread=2.5)
    result = fit_classifier(
        X, y, ImageColumns(paths=names(120)), options=FitOptions(head="svm", C=1.0, reject_below=below)
    )
    P = result.classifier.predict_proba(X[result.test])
    accepted = P.max(axis=1) >= np.float32(below)
    assert (2 * accepted.sum() < len(accepted)) == few
    right = accepted & (result.classifier.predict(X[result.test]) == y[result.test])
    notes = [note for note in result.notes if "less than half" in note]
    assert [note.split(" test images")[0] for note in notes] == [f"{accepted.sum()} of 36"] * few
    row = next(line for line in fit_report(result).splitlines() if line.endswith("this classifier"))
    low, high = wilson_interval(int(right.sum()), int(accepted.sum()))
    assert row.split()[:3] == [
        f"{below:.3f}",
        f"{accepted.mean():.1%}",
        f"{right.sum() / accepted.sum():.1%}",
    ]
    assert f"{low:.1%} to {high:.1%}" in row
    made = result.record()["rejection"]
    assert isinstance(made, dict)
    assert len(made["trade_offs"]) == 4


def test_without_a_wish_to_reject_nothing_is_said_of_it() -> None:
    X, y = blobs([10] * 3, 30)
    result = fit_classifier(X, y, ImageColumns(paths=names(30)), options=FitOptions(head="svm", C=1.0))
    assert result.trade_offs == ()
    assert "threshold" not in fit_report(result)


def test_test_images_unlike_training_are_named_the_farthest_first() -> None:
    X, y = blobs([20] * 3, 30)
    X, y = np.concatenate([X, X[:2]]), np.concatenate([y, y[:2]])
    X[60, 3] += 30  # far off the classes' directions, and the next one farther
    X[61, 3] += 300
    splits = ["train"] * 60 + ["test"] * 2
    options = FitOptions(head="svm", C=1.0, normalize="none", duplicates="exact")
    result = fit_classifier(X, y, ImageColumns(paths=names(62), splits=splits), options=options)
    assert result.novel == ("images/00061.jpg", "images/00060.jpg")
    assert "unlike anything in training: 2 of 2 test images" in fit_report(result)
    assert ": images/00061.jpg, images/00060.jpg" in fit_report(result)
