"""Votes of pairs: scikit-learn's own count, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.utils.multiclass import _ovr_decision_function

from fc7.classify.classifier.votes import Tally, n_classes_of, n_pairs, pairs_of, vote


def as_scikit_learn(margins: np.ndarray) -> np.ndarray:
    decisions: np.ndarray = _ovr_decision_function(
        (margins > 0).astype(int), margins, n_classes_of(margins.shape[1])
    )
    return decisions


@settings(deadline=None)
@given(
    st.integers(2, 6).flatmap(
        # Few values, so that votes and sums tie.
        lambda k: arrays(np.float64, (3, n_pairs(k)), elements=st.sampled_from([-1.5, -1.0, 0.0, 0.25, 1.0]))
    )
)
def test_they_are_counted_as_scikit_learn_counts_them(margins: np.ndarray) -> None:
    np.testing.assert_array_equal(vote(margins), as_scikit_learn(margins))


@pytest.mark.parametrize("n_classes", [2, 3, 10, 60])
def test_so_are_margins_of_any_size(n_classes: int) -> None:
    margins = np.random.default_rng(0).normal(0, 50, (40, n_pairs(n_classes)))
    np.testing.assert_array_equal(vote(margins), as_scikit_learn(margins))


def test_a_circle_of_votes_is_settled_by_the_margins() -> None:
    # 0 beats 1 by 1, 2 beats 0 by 3, 1 beats 2 by 2: a vote each; sums of 1 - 3, 2 - 1 and 3 - 2.
    margins = np.array([[-1.0, 3.0, -2.0]])
    np.testing.assert_allclose(vote(margins), [[1 - 2 / 9, 1 + 1 / 6, 1 + 1 / 6]])
    assert vote(margins).argmax() == 1  # of equals the first


def test_margins_of_zero_are_votes_for_the_first_class() -> None:
    np.testing.assert_array_equal(vote(np.zeros((1, 3))), [[2, 1, 0]])


def test_pairs_are_in_scikit_learns_order() -> None:
    first, second = pairs_of(4)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [
        (i, j) for i in range(4) for j in range(i + 1, 4)
    ]
    assert [n_classes_of(n_pairs(k)) for k in range(2, 300)] == list(range(2, 300))


def test_a_few_pairs_at_a_time_count_the_same() -> None:
    margins = np.random.default_rng(1).normal(0, 1, (7, 10))
    tally = Tally(7, 5)
    for start in range(0, 10, 3):
        tally.add(margins[:, start : start + 3], range(start, min(start + 3, 10)))
    np.testing.assert_array_equal(tally.decisions(), vote(margins))
