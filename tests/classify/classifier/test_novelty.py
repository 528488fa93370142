"""Rows unlike those of training get a high score, others are flagged as often as promised."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from fc7.classify.classifier.novelty import learn_novelty, learn_reference
from fc7.classify.data.folds import ALWAYS_TRAINS


def near_a_plane(n: int, seed: int, n_features: int = 60) -> np.ndarray:
    """Rows that vary along sixteen directions, and by a tenth of that in all others."""
    plane = np.random.default_rng(0).normal(size=(16, n_features))
    rng = np.random.default_rng(seed)
    mean = np.full(n_features, 5.0)
    return (mean + rng.normal(size=(n, 16)) @ plane + 0.1 * rng.normal(size=(n, n_features))).astype(
        np.float32
    )


def dealt(n: int, n_folds: int = 5) -> np.ndarray:
    return np.arange(n) % n_folds


@pytest.mark.parametrize(("n", "n_features"), [(200, 60), (50, 300)])
@pytest.mark.parametrize("exact", [True, False])
def test_the_score_is_the_reconstruction_error_of_scikit_learns_pca(
    n: int, n_features: int, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exact:
        monkeypatch.setattr("fc7.classify.classifier.novelty._EXACT", 0)
    X, new = near_a_plane(n, 1, n_features), near_a_plane(30, 2, n_features)
    reference = learn_reference(X, limit=0.5)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    pca = PCA(16, svd_solver="full").fit(unit.astype(np.float64))
    wanted = new / np.linalg.norm(new, axis=1, keepdims=True)
    left = np.linalg.norm(wanted - pca.inverse_transform(pca.transform(wanted)), axis=1)
    np.testing.assert_allclose(reference.score(new), left / 0.5, rtol=1e-3)


def test_the_axes_are_orthonormal_and_the_same_every_time() -> None:
    X = near_a_plane(100, 1)
    first, second = learn_reference(X), learn_reference(X)
    np.testing.assert_allclose(first.axes @ first.axes.T, np.eye(16), atol=1e-5)
    assert first.axes.tobytes() == second.axes.tobytes()


def test_rows_that_vary_along_fewer_directions_than_there_are_axes_lie_on_them() -> None:
    rng = np.random.default_rng(0)
    X = (5 + rng.normal(size=(60, 3)) @ rng.normal(size=(3, 80))).astype(np.float32)
    reference = learn_reference(X)
    assert reference.axes.shape == (16, 80)
    assert reference.score(X).max() < 1e-4


def test_rows_off_the_plane_are_told_from_rows_on_it() -> None:
    learned = learn_novelty(near_a_plane(300, 1), dealt(300))
    assert learned is not None
    alike = near_a_plane(1000, 2)
    unlike = np.random.default_rng(3).normal(5, 3, (1000, 60)).astype(np.float32)
    scores = np.concatenate([learned.reference.score(alike), learned.reference.score(unlike)])
    assert roc_auc_score(np.repeat([0, 1], 1000), scores) > 0.999
    assert (learned.reference.score(unlike) > 1).mean() > 0.99


def test_ordinary_rows_are_flagged_about_as_often_as_promised() -> None:
    learned = learn_novelty(near_a_plane(1000, 1), dealt(1000))
    assert learned is not None
    # r = ceil(0.99 * 1001) = 991 of 1001.
    assert learned.false_alarm_rate == pytest.approx(10 / 1001)
    assert learned.n_calibrated == 1000
    assert (learned.reference.score(near_a_plane(20_000, 2)) > 1).mean() == pytest.approx(0.01, abs=0.006)


def test_of_few_rows_the_promise_is_what_they_can_give() -> None:
    learned = learn_novelty(near_a_plane(20, 1), dealt(20))
    assert learned is not None
    assert learned.false_alarm_rate == pytest.approx(1 / 21)


def test_rows_that_never_are_held_out_set_no_limit() -> None:
    X = near_a_plane(50, 1)
    assert learn_novelty(X, np.full(50, ALWAYS_TRAINS)) is None
    X[0] = 1000 * np.random.default_rng(0).normal(size=60)
    fold = dealt(50)
    fold[0] = ALWAYS_TRAINS
    learned = learn_novelty(X, fold)
    assert learned is not None
    assert learned.n_calibrated == 49


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), n_features=st.integers(1, 40), same=st.booleans(), seed=st.integers(0, 1000))
def test_any_shape_gives_finite_scores(n: int, n_features: int, same: bool, seed: int) -> None:
    X = np.random.default_rng(seed).normal(size=(n, n_features)).astype(np.float32)
    if same:
        X[:] = X[0]
    learned = learn_novelty(X, dealt(n, min(n, 5)) if n > 1 else np.array([ALWAYS_TRAINS]))
    if learned is not None:
        X[0] = 0
        scores = learned.reference.score(X)
        assert scores.shape == (n,)
        assert np.isfinite(scores).all()
        assert (scores >= 0).all()
        assert learned.reference.limit > 0


def test_many_rows_are_scored_in_blocks_without_a_difference() -> None:
    X = near_a_plane(5000, 1)
    reference = learn_reference(X)
    np.testing.assert_allclose(reference.score(X)[4990:], reference.score(X[4990:]), rtol=1e-6)
