"""Normalisation against scikit-learn's own, zero rows and constant features included."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler, normalize

from classify.normalize import Normalizer


@pytest.fixture(name="X")
def rows_with_odd_ones() -> np.ndarray:
    rows = np.maximum(np.random.default_rng(0).normal(1, 3, (50, 8)), 0).astype(np.float32)
    rows[:, 5] = 7.3
    rows[3] = 0
    return rows


def test_l2_gives_rows_of_unit_length_and_leaves_zero_rows_zero(X: np.ndarray) -> None:
    found = Normalizer.learn("l2", X).apply(X)
    np.testing.assert_allclose(found, normalize(X), rtol=1e-6)
    assert not found[3].any()
    assert found.dtype == np.float32


def test_standard_is_scikit_learns_and_a_constant_feature_becomes_zero(X: np.ndarray) -> None:
    X[:, 5] = 7.3
    found = Normalizer.learn("standard", X).apply(X)
    expected = StandardScaler().fit_transform(X.astype(np.float64))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(found[:, 5]).max() < 1e-6


def test_standard_uses_what_it_learned_on_other_rows(X: np.ndarray) -> None:
    learned = Normalizer.learn("standard", X[:40])
    expected = StandardScaler().fit(X[:40].astype(np.float64)).transform(X[40:].astype(np.float64))
    np.testing.assert_allclose(learned.apply(X[40:]), expected, atol=2e-6)


def test_standard_survives_features_far_from_zero() -> None:
    X = np.random.default_rng(1).normal(10_000, 1, (5000, 3)).astype(np.float32)
    found = Normalizer.learn("standard", X).apply(X)
    np.testing.assert_allclose(found.std(axis=0), 1, rtol=1e-3)


def test_none_changes_nothing(X: np.ndarray) -> None:
    assert Normalizer.learn("none", X).apply(X) is X


@pytest.mark.parametrize("kind", ["l2", "standard", "none"])
def test_the_rows_given_are_not_changed(kind: str, X: np.ndarray) -> None:
    before = X.copy()
    Normalizer.learn(kind, X).apply(X)  # type: ignore[arg-type]
    assert np.array_equal(X, before)
