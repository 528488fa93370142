"""Many small linear SVMs at once, each solved exactly through the inner products of its few rows.

A linear SVM with a squared hinge over m rows needs nothing but their m x m inner products, and Newton's step
on it is one solve with those rows that are inside the margin (Chapelle 2007, "Training a support vector
machine in the primal", section 4). The loss is piecewise quadratic, so once the set of these rows stays as it
is the step ends at the optimum (Keerthi & DeCoste 2005). For the pairs of one-vs-one m is a few dozen: LAPACK
solves thousands of such problems a second, where `classify.fit.solvers.newton` would spend its time between
the products.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Newton steps; about five are usual. What takes more is reported as not converged.
_STEPS = 100
_SEARCH_STEPS = 40
# Length of the gradient against that at zero: what is left after a step to the optimum is rounding.
TOLERANCE = 1e-8
# Or against the rounding of the sums that it is made of, a few units for each row, where the gradient at zero
# is nothing but that: of rows that are all alike in classes that weigh the same, say.
_ROUNDING = 8 * np.finfo(np.float64).eps
_TINY = np.finfo(np.float64).tiny


def solve(
    kernel: Array, which: NDArray[np.intp], signs: Array, costs: Array, start: Array
) -> tuple[Array, NDArray[np.bool_], int]:
    """Minimise ``0.5 b'Kb + sum of cost * max(0, 1 - sign * Kb)**2`` for each problem.

    The weights are then ``sum of b_r x_r`` over the rows, those of LinearSVC where K counts the intercept as
    one more feature.

    Parameters
    ----------
    kernel : ndarray of shape (n_kernels, m, m), float64
        Inner products of rows, the intercept's 1 added.
    which : ndarray of shape (n_problems,), intp
        The kernel of each problem.
    signs : ndarray of shape (n_problems, m), float64
        1 for rows of one class, -1 for those of the other.
    costs : ndarray of shape (n_problems, m), float64
        C; 0 for rows outside the problem and for padding.
    start : ndarray of shape (n_problems, m), float64
        A guess of b.

    Returns
    -------
    b : ndarray of shape (n_problems, m), float64
    solved : ndarray of shape (n_problems,), bool
    steps : int
        Newton steps of the one that took most.
    """
    found, solved = start.copy(), np.zeros(len(which), np.bool_)
    least = TOLERANCE**2 * _square(kernel, which, 2 * costs * signs)
    lengths = np.sqrt(np.diagonal(kernel, axis1=1, axis2=2))[which]
    rounding = _ROUNDING * (8 + kernel.shape[1]) * (2 * costs * lengths).sum(axis=1)
    least = np.maximum(least, rounding**2)
    live = np.arange(len(which))
    b, values = found, _times(kernel, which, start)
    for steps in range(_STEPS + 1):
        s, c = signs[live], costs[live]
        residual = b - _pull(values, s, c)
        short = _square(kernel, which[live], residual) <= least[live]
        found[live] = b
        solved[live[short]] = True
        if short.all() or steps == _STEPS:
            break
        going = ~short
        live, b, values, s, c = live[going], b[going], values[going], s[going], c[going]
        step = _newton_point(kernel, which[live], values, signs=s, costs=c) - b
        along = _times(kernel, which[live], step)
        length = _search(b, values, step, along=along, signs=s, costs=c)[:, None]
        b, values = b + length * step, values + length * along
    return found, solved, steps


def _pull(values: Array, signs: Array, costs: Array) -> Array:
    """What b is at the optimum: minus the derivative of the loss at these decision values."""
    pull: Array = 2 * costs * signs * np.maximum(1 - signs * values, 0)
    return pull


def _times(kernel: Array, which: NDArray[np.intp], b: Array) -> Array:
    product: Array = np.matmul(kernel[which], b[:, :, None])[:, :, 0]
    return product


def _square(kernel: Array, which: NDArray[np.intp], b: Array) -> Array:
    """Squared length of the weights that each b stands for."""
    square: Array = np.maximum((b * _times(kernel, which, b)).sum(axis=1), 0)
    return square


def _newton_point(kernel: Array, which: NDArray[np.intp], values: Array, signs: Array, costs: Array) -> Array:
    """The optimum if the rows inside the margin stay the same: (K + 1 / 2c) b = sign on them, 0 elsewhere."""
    inside = (signs * values < 1) & (costs > 0)
    if len(which) == 1:
        # Many rows: those outside the margin are left out, where side by side they are masked.
        few = np.flatnonzero(inside[0])
        system = kernel[which[0]][np.ix_(few, few)]
        system[np.diag_indices_from(system)] += 1 / (2 * costs[0, few])
        alone = np.zeros_like(values)
        alone[0, few] = np.linalg.solve(system, signs[0, few])
        return alone
    systems: Array = kernel[which] * (inside[:, :, None] & inside[:, None, :])
    diagonal = np.arange(systems.shape[1])
    systems[:, diagonal, diagonal] += np.where(inside, 1 / (2 * np.maximum(costs, _TINY)), 1)
    point = np.linalg.solve(systems, np.where(inside, signs, 0)[:, :, None])[:, :, 0]
    return np.asarray(point, np.float64)


def _search(b: Array, values: Array, step: Array, along: Array, signs: Array, costs: Array) -> Array:
    """How far to go: to where the slope is a tenth of what it is here, tried at the full step first."""
    flat, bend = (b * along).sum(axis=1), (step * along).sum(axis=1)

    def slope(length: Array) -> Array:
        there = values + length[:, None] * along
        found: Array = flat + length * bend - (_pull(there, signs, costs) * along).sum(axis=1)
        return found

    length = np.ones(len(b))
    low, high = np.zeros(len(b)), np.full(len(b), np.inf)
    first = np.abs(slope(low))
    for _ in range(_SEARCH_STEPS):
        now = slope(length)
        far = np.abs(now) > 0.1 * first
        if not far.any():
            break
        low, high = np.where(now < 0, length, low), np.where(now < 0, high, length)
        middle = np.where(np.isfinite(high), (low + high) / 2, 2 * length)
        length = np.where(far, middle, length)
    return length
