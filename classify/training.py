"""Training rows, normalised and in the coordinates that are cheapest to fit on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from classify.classifier import Head
from classify.heads import Fitted, HeadFitter
from classify.normalize import Normalization, Normalizer
from classify.rotate import Rotation, pays

Parts = tuple[NDArray[Any], NDArray[Any]]


class TrainingData:
    """Rows to fit on, as a whole and fold by fold.

    Parameters
    ----------
    X : ndarray of shape (n, n_features), float32
        Features as extracted. Not changed.
    y : ndarray of shape (n,), intp
        Class codes from 0, each present.
    kind : {"l2", "standard", "none"}
        "standard" is learned anew for every fold, inside it; the others know one row at a time.

    Attributes
    ----------
    normalizer : Normalizer
        Learned on all rows.
    mean_square : float
        Mean squared length of the normalised rows; 1 if all are zero.
    """

    def __init__(self, X: NDArray[np.float32], y: NDArray[np.intp], kind: Normalization) -> None:
        self.y = y
        self.normalizer = Normalizer.learn(kind, X)
        normalized = self.normalizer.apply(X)
        self._per_fold = kind == "standard"
        self._raw = X if self._per_fold else None
        self._rotation = Rotation.of(normalized) if pays(normalized) else None
        self._rows: NDArray[Any] = normalized if self._rotation is None else self._rotation.coordinates
        square = float(np.einsum("ij,ij->", normalized, normalized, dtype=np.float64)) / max(len(X), 1)
        self.mean_square = square if square > 0 else 1.0
        self._folds: dict[int, Parts] = {}

    @property
    def size(self) -> int:
        """Numbers in the matrix that solvers are given."""
        return self._rows.size

    @property
    def nonzero(self) -> int:
        """How many of them are not zero."""
        return int(np.count_nonzero(self._rows))

    def parts(self, fold: NDArray[np.intp], held_out: int) -> Parts:
        """Rows to fit on and rows to validate on, in the same coordinates.

        Parameters
        ----------
        fold : ndarray of shape (n,), intp
            As `make_folds` gives it; the same one at every call.
        held_out : int
        """
        inside = fold != held_out
        if self._raw is None:
            return self._rows[inside], self._rows[~inside]
        if held_out in self._folds:
            return self._folds[held_out]
        train, rest = self._raw[inside], self._raw[~inside]
        normalizer = Normalizer.learn(self.normalizer.kind, train)
        train, rest = normalizer.apply(train), normalizer.apply(rest)
        if not pays(train):
            return train, rest
        rotation = Rotation.of(train)
        self._folds[held_out] = rotation.coordinates, rotation.project(rest)
        return self._folds[held_out]

    def fit(self, head: Head, C: float) -> Fitted:
        """The head on all rows, with weights on the normalised features."""
        fitted = HeadFitter(head).fit(self._rows, self.y, C)
        if self._rotation is None:
            return fitted
        return Fitted(self._rotation.restore(fitted.coef), fitted.intercept, fitted.converged)
