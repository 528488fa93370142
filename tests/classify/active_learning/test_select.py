"""What is chosen is unlabelled, of one picture once, unsure, and spread out."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.classify.active_learning.select import CANDIDATES, margins, select


def unit_rows(rng: np.random.Generator, n: int, n_features: int) -> np.ndarray:
    X = rng.normal(size=(n, n_features))
    unit: np.ndarray = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
    return unit


@settings(max_examples=60, deadline=None)
@given(
    n_rows=st.integers(1, 60),
    n=st.integers(1, 15),
    n_pictures=st.integers(1, 60),
    seen=st.sets(st.integers(0, 59), max_size=20),
    with_margin=st.booleans(),
    seed=st.integers(0, 99),
)
def test_no_two_are_one_picture_and_none_is_seen(
    n_rows: int, n: int, n_pictures: int, seen: set[int], with_margin: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    X, pictures = unit_rows(rng, n_rows, 5), rng.integers(0, n_pictures, n_rows).astype(np.intp)
    margin = rng.random(n_rows).astype(np.float32) if with_margin else None
    chosen = select(X, np.arange(n_rows), n, margin, pictures, seen)
    free = set(pictures.tolist()) - seen
    assert len(chosen) == min(n, len(free))
    shown = pictures[chosen].tolist()
    assert len(set(shown)) == len(shown)
    assert not set(shown) & seen
    assert chosen.tolist() == select(X, np.arange(n_rows), n, margin, pictures, seen).tolist()
    if margin is not None:
        assert (np.diff(margin[chosen]) >= 0).all()
        # They are among the least sure pictures, each shown by its least sure row.
        surest = sorted(min(margin[pictures == picture]) for picture in free)[: CANDIDATES * n][-1:]
        assert all(margin[row] == margin[pictures == pictures[row]].min() for row in chosen.tolist())
        assert not len(chosen) or margin[chosen].max() <= surest[0]


def test_of_equally_unsure_rows_each_of_the_clusters_is_chosen_once() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(6)
    X = np.repeat(centres, 3, axis=0) + rng.normal(0, 0.01, (18, 6))
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
    for margin in (np.full(18, 0.5, np.float32), None):
        chosen = select(X, np.arange(18), 6, margin, np.arange(18))
        assert sorted((chosen // 3).tolist()) == [0, 1, 2, 3, 4, 5]


def test_without_a_classifier_the_largest_cluster_comes_first() -> None:
    rng = np.random.default_rng(0)
    X = np.repeat(np.eye(3), [2, 9, 5], axis=0) + rng.normal(0, 0.01, (16, 3))
    chosen = select(X.astype(np.float32), np.arange(16), 3, None, np.arange(16))
    assert [int(np.searchsorted([2, 11, 16], row, "right")) for row in chosen] == [1, 2, 0]


def test_a_margin_is_the_best_minus_the_second() -> None:
    P = np.array([[0.2, 0.7, 0.1], [0.5, 0.5, 0], [0, 0, 1]], np.float32)
    np.testing.assert_allclose(margins(P), [0.5, 0, 1], atol=1e-7)


def test_equal_rows_of_several_pictures_are_chosen_without_a_warning() -> None:
    X = np.ones((9, 4), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen = select(X, np.arange(9), 3, None, np.arange(9))
    assert len(set(chosen.tolist())) == 3


def test_positions_are_of_the_rows_that_are_meant() -> None:
    X = unit_rows(np.random.default_rng(0), 50, 6)
    rows = np.arange(10, 50, 2)
    margin = np.linspace(0, 1, len(rows), dtype=np.float32)
    some = select(X, rows, 4, margin, np.arange(len(rows)))
    assert some.tolist() == select(X[rows], np.arange(len(rows)), 4, margin, np.arange(len(rows))).tolist()
