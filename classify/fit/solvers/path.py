"""Heads for every fold at one C after the other, each starting from the one before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Head
from fc7.classify.classifier.products import Design
from fc7.classify.fit.solvers.heads import Fitted, Solver
from fc7.classify.fit.solvers.losses import CrossEntropy, Floats, Loss, SquaredHinge
from fc7.classify.fit.solvers.newton import Weights, gradient_at_zero, minimise

# Numbers in one (n, n_problems, width) array; about ten of them are alive at a time (64 MB each).
_BLOCK = 1 << 24


class Path:
    """Heads of one kind, fitted on several choices of rows at once, for rising values of C.

    Parameters
    ----------
    head : {"svm", "softmax"}
    design : Design
        Its scalings, if any, have one problem for each choice of rows.
    y : ndarray of shape (n,), intp
        Class codes.
    inside : ndarray of shape (n, n_choices), bool
        Which rows each choice fits on.
    class_weight : ndarray of shape (n_choices, n_classes), float64
        Multiplies C: of a softmax for each row of the class, of an SVM for the class's rows where it is
        told from the rest (as `LinearSVC` does with ``class_weight``).
    tolerance : float
        How short a gradient is short enough, against the one where all weights are zero. Of an SVM it is
        multiplied by the smaller side's share of the rows, as liblinear does.

    Attributes
    ----------
    unsolved : ndarray of intp
        Choices of rows that were not fitted to the tolerance at the last C.
    """

    def __init__(
        self,
        head: Head,
        design: Design,
        y: NDArray[np.intp],
        inside: NDArray[np.bool_],
        class_weight: NDArray[np.float64],
        tolerance: float,
    ) -> None:
        self.head = head
        n_choices, self.n_classes = class_weight.shape
        # Of two classes LogisticRegression fits one row w; here they are -w / 2 and w / 2, whose penalty is
        # half of its.
        self._halves = head == "softmax" and self.n_classes == 2
        self._width = 1 if head == "svm" else self.n_classes
        n_problems = n_choices * self.n_classes // self._width
        self.weights = Weights.zeros(design, n_problems, self._width)
        self._y, self._inside, self._class_weight = y, inside, class_weight
        step = max(1, _BLOCK // max(1, len(y) * self._width))
        self._blocks = [np.arange(s, min(s + step, n_problems)) for s in range(0, n_problems, step)]
        self._designs = [design.only(self._choice(block)) for block in self._blocks]
        self._scale = [
            gradient_at_zero(part, self._loss(block, 1.0), len(block), width=self._width)
            for part, block in zip(self._designs, self._blocks, strict=True)
        ]
        self._tolerances = self._each_tolerance(tolerance)
        self._tolerance = tolerance
        self.unsolved, self._steps = np.arange(n_choices), 0

    def fit(self, C: float) -> None:
        """Fit at the next C."""
        unsolved, self._steps = np.zeros(self._inside.shape[1], np.bool_), 0
        for block, design, scale in zip(self._blocks, self._designs, self._scale, strict=True):
            part = self.weights.only(block)
            solved, steps = minimise(
                design, self._loss(block, C), part, scale=scale * C, tolerance=self._tolerances[block]
            )
            if not solved.all():
                # Those that ran out of steps go on; those at the end of float32's precision stop at once.
                solved, more = minimise(
                    design, self._loss(block, C), part, scale=scale * C, tolerance=self._tolerances[block]
                )
                steps += more
            unsolved[self._choice(block)[~solved]] = True
            self._steps = max(self._steps, steps)
            self.weights.put(block, part)
        self.unsolved = np.flatnonzero(unsolved)

    @property
    def converged(self) -> bool:
        """At the last C, all of them."""
        return not len(self.unsolved)

    @property
    def scores(self) -> Floats:
        """Decisions (n, n_choices, n_classes) about all rows, left out or not, at the last C."""
        Z = self.weights.Z.reshape(len(self._y), -1, self.n_classes)
        return 2 * Z if self._halves else Z

    def average(self) -> Fitted:
        """The mean head of all choices, in the coordinates of the design."""
        shape = (self.n_classes, len(self.weights.w))
        unit = 2.0 if self._halves else 1.0
        w = self.weights.w.reshape(shape[1], -1, self.n_classes).mean(axis=1, dtype=np.float64).T
        b = self.weights.b.reshape(-1, self.n_classes).mean(axis=0, dtype=np.float64)
        return Fitted(unit * w, unit * b, self.converged, solver=self.solver)

    @property
    def solver(self) -> Solver:
        """What found the heads at the last C."""
        return Solver("truncated Newton", self._tolerance, self._steps)

    def begin(self, head: Fitted) -> None:
        """Start every choice from a head."""
        unit = 2.0 if self._halves else 1.0
        n_choices = self._inside.shape[1]
        w = np.tile(head.coef.T / unit, (1, n_choices)).astype(np.float32)
        b = np.tile(head.intercept / unit, n_choices).astype(np.float32)
        shape = self.weights.b.shape[1:]
        for block, design in zip(self._blocks, self._designs, strict=True):
            part = (w.reshape(-1, *shape)[:, block], b.reshape(1, *shape)[:, block])
            self.weights.put(block, Weights(*part, design.scores(*part)))

    def _choice(self, block: NDArray[np.intp]) -> NDArray[np.intp]:
        return block // self.n_classes if self.head == "svm" else block

    def _loss(self, block: NDArray[np.intp], C: float) -> Loss:
        choice = self._choice(block)
        inside = self._inside[:, choice]
        if self.head == "softmax":
            targets = (np.arange(self.n_classes) == self._y[:, None]).astype(np.float32)
            of_row = self._class_weight[choice].T[self._y]
            weights = ((C / 2 if self._halves else C) * of_row * inside).astype(np.float32)
            return CrossEntropy(targets[:, None, :], weights[:, :, None])
        return SquaredHinge.one_vs_rest(self._y, inside, self._class_weight, problems=block, C=C)

    def _each_tolerance(self, tolerance: float) -> NDArray[np.float64]:
        if self.head == "softmax":
            return np.full(self._inside.shape[1], tolerance)
        # The many rows of the other classes make most of the gradient at zero.
        counts = np.stack([np.bincount(self._y[rows], minlength=self.n_classes) for rows in self._inside.T])
        total = counts.sum(axis=1, keepdims=True)
        share = np.minimum(counts, total - counts) / total
        return np.asarray(tolerance * np.maximum(share, 1 / total)).reshape(-1)
