"""What is done to a feature row before the head sees it; the same arithmetic as in classifier.onnx.

Written here: importing `sklearn.preprocessing` (1.9.1) takes 2.8 s of processor time, which `classify` spends
on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.record_repr import one_line_repr

Float = TypeVar("Float", np.float32, np.float64)
Normalization = Literal["l2", "standard", "none"]
KINDS: tuple[Normalization, ...] = get_args(Normalization)

# Divides in place of a norm of zero: a row of zeros stays one.
TINY = np.finfo(np.float32).tiny
_BLOCK_ROWS = 4096
# The square of a length in float32 overflows from features of 1e19 on; below this the squares of features
# begin to vanish beside it. The lengths of such rows are taken in float64.
_LEAST_SQUARE = 1e-24


def _blocks(X: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """A few rows at a time: float64 takes twice their memory."""
    return (X[start : start + _BLOCK_ROWS] for start in range(0, len(X), _BLOCK_ROWS))


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

    __repr__ = one_line_repr

    @classmethod
    def learn(
        cls, kind: Normalization, X: NDArray[np.float32], rows: NDArray[np.bool_] | None = None
    ) -> Normalizer:
        """From training rows of shape (n, n_features), float32; from some of them where `rows` says which."""
        if kind != "standard":
            return cls(kind)
        used = np.ones(len(X), np.bool_) if rows is None else rows
        blocks = [slice(start, start + _BLOCK_ROWS) for start in range(0, len(X), _BLOCK_ROWS)]
        return cls.learn_in_parts(kind, lambda: (X[block][used[block]] for block in blocks))

    @classmethod
    def learn_in_parts(
        cls, kind: Normalization, parts: Callable[[], Iterable[NDArray[np.float32]]]
    ) -> Normalizer:
        """From training rows a part at a time; `parts` gives all of them, and is called twice or never."""
        if kind != "standard":
            return cls(kind)
        sums = [(len(part), part.sum(axis=0, dtype=np.float64)) for part in parts()]
        n = sum(each[0] for each in sums)
        mean = sum(each[1] for each in sums) / n
        square = sum(np.square(block - mean).sum(axis=0) for part in parts() for block in _blocks(part))
        std = np.sqrt(square / n)
        # Rounding leaves a constant feature with a deviation of about its last digit.
        constant = std <= 1e-6 * np.abs(mean)
        return cls(kind, mean, np.where(constant, 1, std))

    def apply(self, X: NDArray[Float], out: NDArray[Float] | None = None) -> NDArray[Float]:
        """Normalise rows.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float32 or float64
            Not changed, unless it is `out` too.
        out : ndarray of the same shape and type, or None
            Where the result goes; a new array if None.

        Returns
        -------
        ndarray of the same shape and type
            `X` itself for "none".
        """
        if self.kind == "none":
            return X
        result: NDArray[Float] = np.empty_like(X) if out is None else out
        for start in range(0, len(X), _BLOCK_ROWS):
            block, to = X[start : start + _BLOCK_ROWS], result[start : start + _BLOCK_ROWS]
            if self.mean is not None and self.std is not None:
                np.subtract(block, self.mean.astype(X.dtype), out=to)
                to /= self.std.astype(X.dtype)
            else:
                _to_unit_length(block, to)
        return result


def _to_unit_length(block: NDArray[Float], to: NDArray[Float]) -> None:
    with np.errstate(over="ignore"):
        square = np.square(block).sum(axis=1, keepdims=True)
    # Before `to` is written, which may be `block`.
    odd = np.flatnonzero(~((square > _LEAST_SQUARE) & np.isfinite(square)))
    exact = block[odd].astype(np.float64)
    np.divide(block, np.maximum(np.sqrt(square), TINY), out=to)
    to[odd] = exact / np.maximum(np.sqrt(np.square(exact).sum(axis=1, keepdims=True)), TINY)
