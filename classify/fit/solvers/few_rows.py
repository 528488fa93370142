"""The SVM of few rows, one class against the rest, through their inner products: LinearSVC's optimum.

Written here: scikit-learn takes longer to load (1.2 s of processor time, 1.9.1) than this to solve, so that
`fit` on a few hundred images would wait for nothing else (tests/benchmarks/NOTES-fitting.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.fit.solvers.heads import Fitted, Solver
from fc7.classify.fit.solvers.kernel_newton import TOLERANCE, solve
from fc7.classify.fit.solvers.losses import SquaredHinge

# Rows cubed times classes, which a Newton step of every class costs at most; 860 traffic signs of 43 classes
# have 2.7e10. Above it scikit-learn is the sooner one, loading included (tests/benchmarks/NOTES-fitting.md).
_MOST_WORK = 1e10


def is_quick(n: int, n_classes: int) -> bool:
    """Whether so many rows of so many classes are solved sooner than scikit-learn is loaded."""
    return float(n) ** 3 * n_classes <= _MOST_WORK


def fit_few_rows(
    X: NDArray[np.float32], y: NDArray[np.intp], C: float, class_weight: NDArray[np.float64]
) -> Fitted:
    """The weights of every class against the rest.

    Parameters
    ----------
    X : ndarray of shape (n, n_features), float32
        Normalised.
    y : ndarray of shape (n,), intp
        Class codes from 0, each present.
    C : float
        As `sklearn.svm.LinearSVC` takes it.
    class_weight : ndarray of shape (1, n_classes), float64
        Multiplies C for the class's rows where it is told from the rest.
    """
    n_classes = class_weight.shape[1]
    # Of two classes each is the other's rest, and one head is the other's opposite.
    solved_for = np.arange(n_classes) if n_classes > 2 else np.array([1])
    inside = np.ones((len(y), 1), np.bool_)
    hinge = SquaredHinge.one_vs_rest(y, inside, class_weight, problems=solved_for, C=C)
    rows = X.astype(np.float64)
    b = np.zeros((len(solved_for), len(y)))
    converged, most_steps = True, 0
    with one_blas_thread():
        # The intercept is one more feature, of ones, to LinearSVC.
        kernel = (rows @ rows.T + 1)[None]
        for k in range(len(solved_for)):
            signs, costs = (part[:, k, 0].astype(np.float64)[None] for part in (hinge.signs, hinge.weights))
            b[k], solved, steps = solve(kernel, np.zeros(1, np.intp), signs, costs=costs, start=b[k : k + 1])
            converged &= bool(solved.all())
            most_steps = max(most_steps, steps)
        coef, intercept = b @ rows, b.sum(axis=1)
    if n_classes == 2:
        coef, intercept = np.concatenate([-coef, coef]), np.concatenate([-intercept, intercept])
    return Fitted(
        coef, intercept, converged, solver=Solver("Newton on inner products", TOLERANCE, most_steps)
    )
