"""Fewer rows than columns: the rows' own coordinates in place of the features, without loss.

A linear head with an L2 penalty has its weights in the span of the training rows, and its objective
knows the rows only by their inner products (the representer theorem; Schölkopf, Herbrich & Smola 2001).
Coordinates in any orthonormal basis of that span therefore give the same head. The thin SVD gives such
coordinates, U S; so does the Cholesky factor L of X X' = L L', ten times as cheap, and of its numbers
half are zeros, which liblinear skips: X = L Q' with Q = X' L^-T.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Added to the diagonal, relative to its largest entry, so that copies of a row do not make X X' singular.
# The features' own float32 rounding changes X X' by 1e-7.
_JITTER = 1e-10


@dataclass(frozen=True, slots=True)
class Rotation:
    """Rows in a basis of their own span.

    Attributes
    ----------
    coordinates : ndarray of shape (n, n), float64
        L, lower triangular.
    """

    coordinates: NDArray[np.floating]
    _rows: NDArray[np.float32]

    @classmethod
    def of(cls, X: NDArray[np.float32]) -> Rotation:
        """Of rows of shape (n, n_features); n should be the smaller."""
        rows = X.astype(np.float64)
        gram = rows @ rows.T
        largest = float(gram.diagonal().max())
        gram[np.diag_indices_from(gram)] += _JITTER * largest if largest > 0 else 1
        return cls(np.linalg.cholesky(gram), X)

    def restore(self, coef: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights on the coordinates, (n_classes, n), as weights on the features."""
        restored: NDArray[np.float64] = np.linalg.solve(self.coordinates.T, coef.T).T @ self._rows
        return restored


def pays(X: NDArray[np.float32]) -> bool:
    """Whether coordinates hold fewer numbers than the features `X` of shape (n, n_features).

    The softmax goes over n * n of them in place of n * n_features, liblinear over half of that in
    place of those features that are not zero: three quarters are in the fc7 of a trained AlexNet.
    """
    n, n_features = X.shape
    return bool(n <= n_features and n * (n + 1) <= 2 * np.count_nonzero(X))
