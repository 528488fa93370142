"""The nearest rows are those that a plain sort of all cosines gives, however the rows are cut up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.classify.similar import nearest
from fc7.classify.similar.nearest import nearest_rows


def sorted_cosines(query: np.ndarray, X: np.ndarray) -> np.ndarray:
    """In float64; rows of zeros are at 0."""
    lengths = np.linalg.norm(X.astype(np.float64), axis=1) * np.linalg.norm(query.astype(np.float64))
    return np.sort(X.astype(np.float64) @ query / np.where(lengths > 0, lengths, 1))[::-1]


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 40),
    n_queries=st.integers(1, 5),
    n_features=st.integers(1, 6),
    k=st.integers(1, 12),
    step=st.integers(1, 9),
    most=st.integers(1, 40),
    whole=st.booleans(),
    seed=st.integers(0, 99),
)
def test_they_are_those_of_a_plain_sort(
    n: int, n_queries: int, n_features: int, k: int, step: int, most: int, whole: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Whole numbers make ties, zeros and copies.
    drawn = rng.normal(size=(n + n_queries, n_features))
    numbers: np.ndarray = (np.round(drawn) if whole else drawn).astype(np.float32)
    X, queries = numbers[:n], numbers[n:]
    blocks = [(slice(start, min(start + step, n)), X[start : start + step]) for start in range(0, n, step)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "_MOST_COSINES", most)
        found = nearest_rows(queries, blocks, k)
    held = min(k, n)
    for i in range(n_queries):
        query: np.ndarray = queries[i]
        rows: np.ndarray = found.rows[i, :held]
        cosines: np.ndarray = found.cosines[i, :held]
        assert len(set(rows.tolist())) == held
        np.testing.assert_allclose(cosines, sorted_cosines(query, X)[:held], atol=1e-6)
        # Each row has the cosine that is told of it, and of equal ones the first comes first.
        own = [sorted_cosines(query, X[row : row + 1])[0] for row in rows]
        np.testing.assert_allclose(cosines, own, atol=1e-6)
        ties = np.flatnonzero(np.diff(cosines) == 0)
        assert (rows[ties] < rows[ties + 1]).all()
    assert (found.rows[:, held:] == -1).all()
    assert np.isnan(found.cosines[:, held:]).all()


def test_a_row_is_not_its_own_neighbour_but_a_copy_of_it_is() -> None:
    X = np.array([[1, 2], [1, 2], [-1, -2]], np.float32)
    found = nearest_rows(X[:1], [(slice(0, 3), X)], 3, own_rows=np.array([0]))
    assert found.rows.tolist() == [[1, 2, -1]]
    np.testing.assert_allclose(found.cosines[0, :2], [1, -1], atol=1e-7)


def test_rows_that_are_not_finite_are_near_to_nothing() -> None:
    X = np.array([[np.nan, 1], [np.inf, 1], [3e9, 3e9], [-1, 1]], np.float32)
    found = nearest_rows(np.array([[1, 1]], np.float32), [(slice(0, 4), X)], 4)
    assert found.rows.tolist() == [[2, 3, -1, -1]]
    np.testing.assert_allclose(found.cosines[0, :2], [1, 0], atol=1e-6)
