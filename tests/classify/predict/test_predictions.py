"""Which classes a line names first."""

from __future__ import annotations

import numpy as np
import pytest

from fc7.classify.predict.predictions import best_first


@pytest.mark.parametrize("n", [0, 1, 40])
@pytest.mark.parametrize("n_classes", [1, 2, 99, 100, 101, 1000])
@pytest.mark.parametrize("k", [1, 5, 80, 2000])
@pytest.mark.parametrize("levels", [1, 3, 50, 1 << 20])
def test_the_best_come_first_and_of_equals_the_class_that_does(
    n: int, n_classes: int, k: int, levels: int
) -> None:
    rng = np.random.default_rng(n + n_classes + k + levels)
    P = (rng.integers(0, levels, (n, n_classes)) / levels).astype(np.float32)
    wanted = [sorted(range(n_classes), key=lambda c: (-row[c], c))[:k] for row in P.tolist()]
    assert best_first(P, k).tolist() == wanted
    assert best_first(P, k).shape == (n, min(k, n_classes))


def test_a_nan_is_never_best() -> None:
    P = np.zeros((3, 200), np.float32)
    P[0, :5] = np.nan
    P[1] = np.nan
    P[2, 2:] = np.nan
    found = best_first(P, 3).tolist()
    assert found == [[5, 6, 7], [0, 1, 2], [0, 1, 2]]
