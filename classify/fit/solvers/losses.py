"""What the two heads lose on a row, with first and second derivatives, many problems side by side.

Decision values, and whatever is laid out like them, have shape (n, n_problems, width): an SVM is one problem
of width 1 for each class and fold, a softmax one problem of width n_classes for each fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]


class Loss(Protocol):
    """The part of the objective that looks at rows."""

    @property
    def penalises_intercept(self) -> bool:
        """Whether the intercept is part of the penalty."""

    def only(self, kept: Indices) -> Loss:
        """The same for some of the problems."""

    def at(self, Z: Floats) -> tuple[Floats, Floats]:
        """The derivative at decision values `Z`, and what `curve` needs to know of them."""

    def curve(self, known: Floats, U: Floats) -> Floats:
        """The second derivative times `U`."""


@dataclass(frozen=True, slots=True)
class SquaredHinge:
    """``weight * max(0, 1 - sign * z)**2``, as in LinearSVC, which counts the intercept as a weight.

    Attributes
    ----------
    signs : ndarray of shape (n, n_problems, 1), float32
        1 for rows of the problem's class, -1 for others.
    weights : ndarray of shape (n, n_problems, 1), float32
        C, or 0 for rows outside the problem.
    """

    signs: Floats
    weights: Floats

    @classmethod
    def one_vs_rest(
        cls,
        y: Indices,
        inside: NDArray[np.bool_],
        class_weight: NDArray[np.float64],
        problems: Indices,
        C: float,
    ) -> SquaredHinge:
        """Each class against the others, in each of some choices of rows.

        Parameters
        ----------
        y : ndarray of shape (n,), intp
            Class codes.
        inside : ndarray of shape (n, n_problems) or (n, 1), bool
            Which rows each problem fits on.
        class_weight : ndarray of shape (n_choices, n_classes), float64
            Multiplies C for the class's rows.
        problems : ndarray of shape (n_problems,), intp
            Which are meant: class c of choice i is number ``i * n_classes + c``.
        """
        n_classes = class_weight.shape[1]
        positive = (problems % n_classes) == y[:, None]
        own = class_weight.reshape(-1)[problems]
        # Of two classes each is the other's rest, and has its own weight there too.
        rest = class_weight[:, ::-1].reshape(-1)[problems] if n_classes == 2 else 1.0
        costs = (C * np.where(positive, own, rest) * inside).astype(np.float32)
        signs = np.where(positive, 1, -1).astype(np.float32)
        return cls(signs[:, :, None], costs[:, :, None])

    @property
    def penalises_intercept(self) -> bool:
        """See `Loss`."""
        return True

    def only(self, kept: Indices) -> SquaredHinge:
        """See `Loss`."""
        return SquaredHinge(self.signs[:, kept], self.weights[:, kept])

    def at(self, Z: Floats) -> tuple[Floats, Floats]:
        """See `Loss`."""
        curvature = np.where(Z * self.signs < 1, 2 * self.weights, np.float32(0))
        return curvature * (Z - self.signs), curvature

    def curve(self, known: Floats, U: Floats) -> Floats:
        """See `Loss`."""
        return known * U


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """``-weight * log(softmax(z)[class])``, as in LogisticRegression, which leaves the intercept free.

    Attributes
    ----------
    targets : ndarray of shape (n, 1, n_classes), float32
        1 in the column of the row's class, else 0.
    weights : ndarray of shape (n, n_problems, 1), float32
        C, or 0 for rows outside the problem.
    """

    targets: Floats
    weights: Floats

    @property
    def penalises_intercept(self) -> bool:
        """See `Loss`."""
        return False

    def only(self, kept: Indices) -> CrossEntropy:
        """See `Loss`."""
        return CrossEntropy(self.targets, self.weights[:, kept])

    def at(self, Z: Floats) -> tuple[Floats, Floats]:
        """See `Loss`."""
        P = np.exp(Z - Z.max(axis=2, keepdims=True))
        P /= P.sum(axis=2, keepdims=True)
        return self.weights * (P - self.targets), P

    def curve(self, known: Floats, U: Floats) -> Floats:
        """See `Loss`."""
        share = known * U
        share -= known * share.sum(axis=2, keepdims=True)
        share *= self.weights
        return share
