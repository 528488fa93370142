"""What is done to a feature row before the head sees it; the same arithmetic as in classifier.onnx."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

Float = TypeVar("Float", np.float32, np.float64)
Normalization = Literal["l2", "standard", "none"]
KINDS: tuple[Normalization, ...] = get_args(Normalization)

# Divides in place of a norm of zero: a row of zeros stays one.
TINY = np.finfo(np.float32).tiny
_BLOCK_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Normalizer:
    """A learned normalisation.

    Attributes
    ----------
    kind : {"l2", "standard", "none"}
        "l2": each row scaled to unit length. "standard": each feature minus its training mean, over
        its training deviation. "none": as it is.
    mean, std : ndarray of shape (n_features,), float64, or None
        For "standard". A feature that never varied has std 1.
    """

    kind: Normalization
    mean: NDArray[np.float64] | None = None
    std: NDArray[np.float64] | None = None

    @classmethod
    def learn(cls, kind: Normalization, X: NDArray[np.float32]) -> Normalizer:
        """From training rows of shape (n, n_features), float32."""
        if kind != "standard":
            return cls(kind)
        mean = X.mean(axis=0, dtype=np.float64)
        square = np.zeros_like(mean)
        for start in range(0, len(X), _BLOCK_ROWS):
            square += np.square(X[start : start + _BLOCK_ROWS] - mean).sum(axis=0)
        std = np.sqrt(square / len(X))
        # Rounding leaves a constant feature with a deviation of about its last digit.
        constant = std <= 1e-6 * np.abs(mean)
        return cls(kind, mean, np.where(constant, 1, std))

    def apply(self, X: NDArray[Float]) -> NDArray[Float]:
        """Normalise rows.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float32 or float64
            Not changed.

        Returns
        -------
        ndarray of the same shape and type
            `X` itself for "none".
        """
        if self.kind == "l2":
            length = np.sqrt(np.square(X).sum(axis=1, keepdims=True))
            scaled: NDArray[Float] = X / np.maximum(length, TINY)
            return scaled
        if self.mean is not None and self.std is not None:
            standard: NDArray[Float] = np.subtract(X, self.mean.astype(X.dtype))
            standard /= self.std.astype(X.dtype)
            return standard
        return X
