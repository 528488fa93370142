"""Many penalised linear problems over the same rows at once: all classes of all folds in one matrix product.

liblinear and L-BFGS solve one problem after the other, and each of their steps reads every row from memory.
Here a step is two products of the row matrix with a matrix that has a column for each class of each fold:
rows are read once for all of them, and no fold has a copy of its rows, since rows outside a problem weigh
nothing in it. The method is truncated Newton, as in LinearSVC's primal solver and scikit-learn's
``newton-cg`` (Lin, Weng & Keerthi 2008, "Trust region Newton method for large-scale logistic regression";
Keerthi & DeCoste 2005 for the squared hinge), with a line search in place of the trust region. The
objectives are those of `sklearn.svm.LinearSVC` and `sklearn.linear_model.LogisticRegression`, so the optima
are theirs. Written here: a whole `fit` takes a sixteenth of the processor time of
`GridSearchCV(LinearSVC())` on 26,640 x 4096 with 43 classes (tests/benchmarks/NOTES-fitting.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.products import Design
from fc7.classify.fit.solvers.losses import Floats, Indices, Loss

# Newton steps, and conjugate gradient steps within one. What takes more is reported as not converged.
_STEPS, _INNER_STEPS = 60, 250
_SEARCH_STEPS = 20
_TINY = np.finfo(np.float32).tiny


@dataclass(slots=True)
class Weights:
    """Weights and intercepts of a set of problems, and the decision values that they give.

    Attributes
    ----------
    w : ndarray of shape (n_features, n_problems, width), float32
    b : ndarray of shape (1, n_problems, width), float32
    Z : ndarray of shape (n, n_problems, width), float32
    """

    w: Floats
    b: Floats
    Z: Floats

    @classmethod
    def zeros(cls, design: Design, n_problems: int, width: int) -> Weights:
        """Where a path along C starts."""
        n, n_features = design.X.shape
        return cls(*(np.zeros((size, n_problems, width), np.float32) for size in (n_features, 1, n)))

    def only(self, kept: Indices) -> Weights:
        """The same for some of the problems."""
        return Weights(self.w[:, kept], self.b[:, kept], self.Z[:, kept])

    def put(self, kept: Indices, other: Weights) -> None:
        """Replace those of some problems."""
        if other is not self:
            self.w[:, kept], self.b[:, kept], self.Z[:, kept] = other.w, other.b, other.Z

    def add(self, step: NDArray[np.floating], other: Weights) -> None:
        """``self += step * other``, `step` of shape (n_problems,)."""
        factor = step.astype(np.float32)[None, :, None]
        self.w += factor * other.w
        self.b += factor * other.b
        self.Z += factor * other.Z


@dataclass(frozen=True, slots=True)
class _Vector:
    """A gradient or direction: `w` and `b` of `Weights`."""

    w: Floats
    b: Floats

    def only(self, kept: Indices) -> _Vector:
        return _Vector(self.w[:, kept], self.b[:, kept])

    def plus(self, factor: NDArray[np.floating], other: _Vector) -> _Vector:
        factor = factor.astype(np.float32)[None, :, None]
        return _Vector(self.w + factor * other.w, self.b + factor * other.b)

    def dot(self, other: _Vector) -> NDArray[np.float64]:
        """Of each problem on its own."""
        return _dot(self.w, other.w) + _dot(self.b, other.b)


def minimise(
    design: Design, loss: Loss, start: Weights, scale: NDArray[np.float64], tolerance: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], int]:
    """Minimise ``0.5 |w|^2 + loss`` of each problem, in place.

    Parameters
    ----------
    start : Weights
        Becomes the solution.
    scale : ndarray of shape (n_problems,), float64
        `gradient_at_zero` of the same loss.
    tolerance : ndarray of shape (n_problems,), float64
        A problem is solved where its gradient is at most ``tolerance * scale`` long.

    Returns
    -------
    solved : ndarray of shape (n_problems,), bool
        Which problems were solved. Others are as near as float32 or `_STEPS` let them come.
    steps : int
        Newton steps of the one that took most.
    """
    solved, stuck = np.zeros((2, len(scale)), np.bool_)
    live = np.arange(len(scale))
    at, part, rows = start, loss, design
    for step in range(_STEPS):
        D, known = part.at(at.Z)
        gradient = _gradient(rows, part, _Vector(at.w, at.b), D=D)
        ratio = np.sqrt(gradient.dot(gradient)) / np.maximum(scale[live], _TINY)
        solved[live] = ratio <= tolerance[live]
        going = np.flatnonzero(~(solved | stuck)[live])
        if len(going) < len(live):
            start.put(live, at)
            live = live[going]
            if not len(live):
                return solved, step
            at, part, rows = at.only(going), part.only(going), rows.only(going)
            known, gradient, ratio = known[:, going], gradient.only(going), ratio[going]
        # The nearer the optimum, the more a Newton step is worth (Eisenstat & Walker 1996).
        forcing = np.minimum(0.25, np.sqrt(ratio))
        stuck[live] = ~_search(part, at, _direction(rows, part, known, gradient=gradient, forcing=forcing))
    start.put(live, at)
    return solved, _STEPS


def gradient_at_zero(design: Design, loss: Loss, n_problems: int, width: int) -> NDArray[np.float64]:
    """Length of each problem's gradient where all weights are zero, by which tolerances are measured."""
    zero = Weights.zeros(design, n_problems, width)
    D, _ = loss.at(zero.Z)
    gradient = _gradient(design, loss, _Vector(zero.w, zero.b), D=D)
    return np.sqrt(gradient.dot(gradient))


def _gradient(design: Design, loss: Loss, at: _Vector, D: Floats) -> _Vector:
    """With the derivative for `D` the gradient; with what `curve` gives, the Hessian times `at`."""
    intercept = D.sum(axis=0, keepdims=True)
    if loss.penalises_intercept:
        intercept = intercept + at.b
    else:
        # The same on every class's intercept changes nothing; rounding must not add up to it.
        intercept = intercept - intercept.mean(axis=2, keepdims=True)
    return _Vector(design.transpose_product(D) + at.w, intercept)


def _dot(one: Floats, other: Floats) -> NDArray[np.float64]:
    # einsum adds in the precision of its operands: columns of 100,000 float32 products would lose digits.
    sums: NDArray[np.float64] = np.einsum("ijk,ijk->ij", one, other).sum(axis=0, dtype=np.float64)
    return sums


def _direction(
    design: Design, loss: Loss, known: Floats, gradient: _Vector, forcing: NDArray[np.float64]
) -> Weights:
    """Newton's step by conjugate gradients, to a residual of `forcing` times the gradient."""
    found = Weights.zeros(design, *gradient.w.shape[1:])
    live = np.arange(len(forcing))
    x, part, rows = found, loss, design
    residual = _Vector(-gradient.w, -gradient.b)
    towards = residual
    square = residual.dot(residual)
    goal = square * forcing**2
    for _ in range(_INNER_STEPS):
        U = rows.scores(towards.w, towards.b)
        product = _gradient(rows, part, towards, D=part.curve(known, U))
        bend = towards.dot(product)
        # The penalty alone bends by the square of the direction; less is rounding, and the end of precision.
        sound = bend >= 0.5 * towards.dot(towards) if part.penalises_intercept else bend > 0
        step = np.where(sound, square / np.maximum(bend, _TINY), 0)
        x.add(step, Weights(towards.w, towards.b, U))
        residual = residual.plus(-step, product)
        now = residual.dot(residual)
        going = np.flatnonzero((now > goal) & sound)
        if not len(going):
            break
        towards = residual.plus(now / np.maximum(square, _TINY), towards)
        square = now
        # Leaving out what is done costs copies, so it waits until it saves a fifth of the work.
        if len(going) <= 0.8 * len(live):
            found.put(live, x)
            live = live[going]
            x, part, rows = x.only(going), part.only(going), rows.only(going)
            known, square, goal = known[:, going], square[going], goal[going]
            residual, towards = residual.only(going), towards.only(going)
    found.put(live, x)
    return found


def _search(loss: Loss, at: Weights, direction: Weights) -> NDArray[np.bool_]:
    """Go to where the slope along the direction is a tenth of what it is here; tells which went down at all.

    The slope only ever rises, as the objective is convex: Newton's steps on it, kept between what is known
    to be too near and too far, find the place.
    """
    flat, bend = _dot(at.w, direction.w), _dot(direction.w, direction.w)
    if loss.penalises_intercept:
        flat, bend = flat + _dot(at.b, direction.b), bend + _dot(direction.b, direction.b)
    first = flat + _dot(loss.at(at.Z)[0], direction.Z)
    down = first < 0
    step = np.where(down, 1.0, 0.0)
    low, high = np.zeros(len(flat)), np.full(len(flat), np.inf)
    for _ in range(_SEARCH_STEPS):
        D, known = loss.at(at.Z + step.astype(np.float32)[None, :, None] * direction.Z)
        slope = flat + step * bend + _dot(D, direction.Z)
        far = down & (np.abs(slope) > 0.1 * np.abs(first))
        if not far.any():
            break
        low, high = np.where(slope < 0, step, low), np.where(slope < 0, high, step)
        curvature = bend + _dot(direction.Z, loss.curve(known, direction.Z))
        newton = step - slope / np.maximum(curvature, _TINY)
        middle = np.where(np.isfinite(high), (low + high) / 2, 2 * step)
        step = np.where(far, np.where((low < newton) & (newton < high), newton, middle), step)
    at.add(step, direction)
    return down
