"""Every figure against a case worked out by hand, a published value or scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from fc7.classify.metrics.average_precision import average_precision
from fc7.classify.metrics.metrics import compute_metrics, wilson_interval
from fc7.classify.metrics.reliability import reliability_bins
from fc7.classify.predict.group_metrics import group_metrics
from fc7.models.common.errors import DataError


def one_hot(predicted: list[int], n_classes: int) -> np.ndarray:
    return np.eye(n_classes)[predicted] * 0.7 + 0.1


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_the_published_one(right: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(right, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(n - right, n) == pytest.approx((1 - high, 1 - low), abs=5e-5)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 10_000), share=st.floats(0, 1))
def test_the_interval_holds_the_share_and_stays_in_bounds(n: int, share: float) -> None:
    right = round(share * n)
    low, high = wilson_interval(right, n)
    assert 0 <= low <= right / n <= high <= 1
    assert high > low


def test_a_small_case_worked_out_by_hand() -> None:
    # truth a a a b b c; predicted a a b b c c
    found = compute_metrics(list("aaabbc"), one_hot([0, 0, 1, 1, 2, 2], 3), ["a", "b", "c"])
    assert found.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert (found.n, found.n_correct) == (6, 4)
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.recall == pytest.approx([2 / 3, 1 / 2, 1])
    assert found.precision == pytest.approx([1, 1 / 2, 1 / 2])
    assert found.f1 == pytest.approx([4 / 5, 1 / 2, 2 / 3])
    assert found.mean_recall == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found.support.tolist() == [3, 2, 1]
    # Four times the true class has 0.8, twice 0.1.
    assert found.log_loss == pytest.approx(-(4 * math.log(0.8) + 2 * math.log(0.1)) / 6)
    assert found.unknown == {}


def test_accuracy_and_mean_class_recall_differ_where_classes_differ_in_size() -> None:
    found = compute_metrics(["a"] * 98 + ["b"] * 2, one_hot([0] * 100, 2), ["a", "b"])
    assert found.accuracy == pytest.approx(0.98)
    assert found.mean_recall == pytest.approx(0.5)


def test_a_label_the_classifier_does_not_know_is_an_error_and_is_named() -> None:
    found = compute_metrics(["a", "b", "zebra", "emu"], one_hot([0, 1, 0, 1], 2), ["a", "b"])
    assert found.labels == ("a", "b", "emu", "zebra")
    assert found.unknown == {"emu": 1, "zebra": 1}
    assert found.accuracy == pytest.approx(0.5)
    assert found.recall.tolist() == [1, 1, 0, 0]
    assert np.isnan(found.precision[2:]).all()
    assert found.confusion.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]]
    assert found.log_loss == pytest.approx(-math.log(0.8))


def test_a_class_without_images_has_no_recall_and_does_not_count_in_the_mean() -> None:
    found = compute_metrics(["a", "b"], one_hot([0, 1], 3), ["a", "b", "c"])
    assert math.isnan(found.recall[2])
    assert math.isnan(found.f1[2])
    assert found.mean_recall == 1


def test_top_k_counts_the_label_among_the_first_k() -> None:
    P = np.array([[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.2, 0.3]])
    found = compute_metrics(["b", "b", "b"], P, list("abcd"))
    assert found.top_k == {2: pytest.approx(1 / 3), 3: pytest.approx(2 / 3)}


def test_of_equal_probabilities_the_first_class_is_predicted() -> None:
    assert compute_metrics(["a", "b"], np.full((2, 2), 0.5), ["a", "b"]).confusion.tolist() == [
        [1, 0],
        [1, 0],
    ]


@settings(max_examples=50, deadline=None)
@given(
    y=st.lists(st.integers(0, 3), min_size=8, max_size=60),
    seed=st.integers(0, 10_000),
)
def test_all_figures_agree_with_scikit_learn(y: list[int], seed: int) -> None:
    P = np.random.default_rng(seed).dirichlet(np.ones(4), len(y))
    names = ["a", "b", "c", "d"]
    truth = [names[c] for c in y]
    guess = [names[c] for c in P.argmax(axis=1)]
    found = compute_metrics(truth, P, names)
    p, r, f, n = reference.precision_recall_fscore_support(truth, guess, labels=names, zero_division=np.nan)
    assert found.confusion.tolist() == reference.confusion_matrix(truth, guess, labels=names).tolist()
    assert found.accuracy == pytest.approx(reference.accuracy_score(truth, guess))
    np.testing.assert_allclose(found.precision, p)
    np.testing.assert_allclose(found.recall, r)
    np.testing.assert_allclose(found.f1, f)
    assert found.support.tolist() == n.tolist()
    assert found.log_loss == pytest.approx(reference.log_loss(truth, P, labels=names))
    scores = [reference.average_precision_score(np.array(y) == c, P[:, c]) for c in sorted(set(y))]
    present = found.average_precision[sorted(set(y))]
    np.testing.assert_allclose(present, scores)
    assert found.mean_average_precision == pytest.approx(np.mean(scores))
    brier = reference.brier_score_loss(truth, P, labels=names, scale_by_half=False)
    assert found.brier == pytest.approx(brier)
    assert found.top_k[2] == pytest.approx(reference.top_k_accuracy_score(y, P, k=2, labels=range(4)))


def test_a_probability_of_zero_is_a_large_loss_and_not_an_infinite_one() -> None:
    assert compute_metrics(["a"], np.array([[0.0, 1.0]]), ["a", "b"]).log_loss == pytest.approx(
        87.34, abs=0.01
    )


def test_undefined_figures_are_null_for_programs() -> None:
    found = compute_metrics(["a"], one_hot([0], 2), ["a", "b"]).to_json()
    assert found["classes"] == [
        {"label": "a", "support": 1, "precision": 1, "recall": 1, "f1": 1, "average_precision": 1},
        {
            "label": "b",
            "support": 0,
            "precision": None,
            "recall": None,
            "f1": None,
            "average_precision": None,
        },
    ]
    strange = compute_metrics(["z"], one_hot([0], 2), ["a", "b"]).to_json()
    for figure in ("log_loss", "brier", "mean_average_precision", "rejection"):
        assert strange[figure] is None


@pytest.mark.parametrize(
    ("truth", "P", "message"),
    [
        ([], np.empty((0, 2)), "no labelled image"),
        (["a"], np.ones((1, 3)), r"shape \(1, 3\) were found; give \(1, 2\)"),
        (["a"], np.array([[np.nan, 1]]), "1 of 1 rows have probabilities that are not numbers"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(truth: list[str], P: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compute_metrics(truth, P, ["a", "b"])


def test_probability_figures_worked_out_by_hand() -> None:
    P = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    found = compute_metrics(["a", "b", "b", "a"], P, ["a", "b"])
    # (0.2² + 0.2²) + (0.6² + 0.6²) + (0.3² + 0.3²) + (0.1² + 0.1²) = 1.0, over 4
    assert found.brier == pytest.approx(0.25)
    # Four images share a bin, of which three are right, with mean confidence (0.8 + 0.6 + 0.7 + 0.9) / 4.
    assert found.reliability.expected_error == pytest.approx(0.75 - 0.75)
    assert compute_metrics(["b", "b", "b", "a"], P, ["a", "b"]).reliability.expected_error == (
        pytest.approx(0.75 - 2 / 4)
    )
    # b ranks 0.7 (b), 0.4 (b), 0.2, 0.1: precision 1 at both recalls; a ranks 0.9 a, 0.8 a.
    assert found.average_precision.tolist() == [1, 1]
    worse = compute_metrics(["b", "a", "b", "a"], P, ["a", "b"])
    # a: 0.9 a (1/1), 0.8 b, 0.6 a (2/3), 0.3 b -> (1 + 2/3) / 2; b: 0.7 b (1/1), 0.4 a, 0.2 b (2/3)
    assert worse.average_precision == pytest.approx([5 / 6, 5 / 6])
    assert worse.mean_average_precision == pytest.approx(5 / 6)


def test_rows_of_equal_score_pass_a_threshold_together() -> None:
    assert average_precision(np.array([0.5, 0.5, 0.1]), np.array([True, False, False])) == 0.5


def test_accepted_rows_are_counted_at_the_threshold() -> None:
    P = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    found = compute_metrics(["a", "b", "b", "b"], P, ["a", "b"], reject_below=0.7)
    assert (found.n_accepted, found.n_accepted_correct) == (3, 2)
    rejection = found.to_json()["rejection"]
    assert isinstance(rejection, dict)
    assert (rejection["coverage"], rejection["accuracy"]) == (0.75, pytest.approx(2 / 3))
    assert rejection["accuracy_interval"] == pytest.approx(list(wilson_interval(2, 3)))
    nobody = compute_metrics(["a"], np.array([[0.6, 0.4]]), ["a", "b"], reject_below=0.7).to_json()[
        "rejection"
    ]
    assert isinstance(nobody, dict)
    assert (nobody["n_accepted"], nobody["accuracy"]) == (0, None)


def test_bins_hold_equal_counts_and_their_error_is_that_worked_out_by_hand() -> None:
    # 40 images are two bins of 20: at 0.5 eight are right, at 0.75 (ten of 0.7, ten of 0.8) eighteen.
    confidence = np.concatenate([np.full(20, 0.5), np.full(10, 0.8), np.full(10, 0.7)])
    correct = np.concatenate([np.arange(20) < 8, np.arange(20) < 18])
    found = reliability_bins(confidence, correct)
    assert found.n.tolist() == [20, 20]
    assert found.low.tolist() == [0.5, 0.7]
    assert found.high.tolist() == [0.5, 0.8]
    assert found.confidence.tolist() == pytest.approx([0.5, 0.75])
    assert found.accuracy.tolist() == [0.4, 0.9]
    # (20 |0.4 - 0.5| + 20 |0.9 - 0.75|) / 40
    assert found.expected_error == pytest.approx(0.125)
    assert found.mean_confidence == pytest.approx(0.625)


@pytest.mark.parametrize(
    ("n", "n_bins"), [(1, 1), (39, 1), (40, 2), (65, 3), (299, 14), (300, 15), (5000, 15)]
)
def test_there_are_as_many_bins_as_images_can_fill(n: int, n_bins: int) -> None:
    found = reliability_bins(np.linspace(0, 1, n), np.ones(n, bool))
    assert len(found.n) == n_bins
    assert found.n.sum() == n
    assert found.n.max() - found.n.min() <= 1


def test_images_of_equal_probability_share_a_bin() -> None:
    found = reliability_bins(np.concatenate([np.zeros(5), np.full(50, 0.5), np.ones(5)]), np.ones(60, bool))
    assert found.n.tolist() == [55, 5]
    assert reliability_bins(np.full(60, 1.0), np.ones(60, bool)).n.tolist() == [60]


def test_true_probabilities_have_a_small_calibration_error_and_boastful_ones_a_large_one() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 50_000)
    correct = rng.random(50_000) < confidence
    assert reliability_bins(confidence, correct).expected_error < 0.01
    assert reliability_bins(np.minimum(confidence + 0.2, 1), correct).expected_error > 0.1


def test_groups_are_evaluated_each_by_itself() -> None:
    groups = group_metrics(["x", "", "x", "y"], np.array([True, True, False, True]))
    assert [(g.group, g.n, g.n_correct) for g in groups] == [("", 1, 1), ("x", 2, 1), ("y", 1, 1)]
    assert groups[1].interval == wilson_interval(1, 2)
    assert group_metrics(["", ""], np.array([True, False])) == ()
