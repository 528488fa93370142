"""Rows like the fc7 of photographs: sparse, not negative, clustered, hard to tell apart in places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LATENT = 256
_BLOCK = 4096


def feature_rows(
    n: int, n_features: int, n_classes: int, *, overlap: float = 1.0, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Draw rows with a few kinds of picture in every class.

    Each row is the mean of its kind plus variation, in 256 latent directions whose strengths fall off
    as 1/sqrt(k), mapped to `n_features` at random, with noise and an offset, and cut off at zero: about
    three numbers in four are zero, as in a trained AlexNet's fc7. One row in fifty has another class's
    label.

    Parameters
    ----------
    n, n_features, n_classes : int
    overlap : float
        Strength of the variation within a kind against the distance between kinds.
    seed : int

    Returns
    -------
    X : ndarray of shape (n, n_features), float32
    y : ndarray of shape (n,), str
        As many rows of each class as can be, in random order.
    """
    rng = np.random.default_rng(seed)
    strength = 1 / np.sqrt(np.arange(1, _LATENT + 1))
    kinds = 3
    means = rng.normal(size=(n_classes, 1, _LATENT)) + 0.7 * rng.normal(size=(n_classes, kinds, _LATENT))
    means *= strength
    spread = rng.normal(size=(_LATENT, n_features), scale=1 / np.sqrt(2)).astype(np.float32)
    gain = rng.lognormal(0, 0.5, n_features).astype(np.float32)
    code = rng.permutation(np.arange(n) % n_classes)
    kind = rng.integers(0, kinds, n)
    X = np.empty((n, n_features), np.float32)
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n))
        latent = means[code[rows], kind[rows]]
        latent = latent + overlap * strength * rng.normal(size=latent.shape)
        noise = rng.normal(size=(len(latent), n_features)).astype(np.float32)
        X[rows] = np.maximum(latent.astype(np.float32) @ spread + 0.8 * noise - 1.6, 0) * gain
    wrong = rng.random(n) < 0.02
    code[wrong] = rng.integers(0, n_classes, int(wrong.sum()))
    return X, np.array([f"class {c:03}" for c in range(n_classes)], np.str_)[code]
