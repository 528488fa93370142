"""The linear heads, one class against the rest, as scikit-learn fits them, in one shape."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.classifier.classifier import Head
from fc7.classify.classifier.votes import vote
from fc7.models.common.record_repr import one_line_repr

# scikit-learn's own for both solvers.
TOLERANCE = 1e-4
_ITERATIONS = 1000


@dataclass(frozen=True, slots=True)
class Solver:
    """What found a head, and how far it went.

    Attributes
    ----------
    tolerance : float or None
        The length of a gradient, or what stands for it, that counted as zero; None if there is none.
    iterations : int
        Of the class that took most; epochs of SGD.
    """

    name: str
    tolerance: float | None
    iterations: int

    def after(self, first: Solver) -> Solver:
        """The same, having begun where another ended."""
        name = f"{first.name}, then {self.name}"
        return Solver(name, self.tolerance, first.iterations + self.iterations)

    def describe(self) -> str:
        """In words."""
        limit = "" if self.tolerance is None else f", tolerance {self.tolerance:g}"
        unit = "epoch" if self.tolerance is None else "iteration"
        return f"{self.name}{limit}, {self.iterations} {unit}{'s' if self.iterations != 1 else ''}"

    def to_json(self) -> dict[str, object]:
        """For the record in classifier.onnx and for programs."""
        return {"name": self.name, "tolerance": self.tolerance, "iterations": self.iterations}


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted head.

    Attributes
    ----------
    coef : ndarray of shape (n_classes, n_features), float64
        Two classes have two rows, of opposite sign. One-vs-one has a row for each pair
        (`classify.classifier.votes`).
    intercept : ndarray of shape (n_classes,), float64
    converged : bool
        Whether the solver reached its tolerance.
    """

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    converged: bool
    solver: Solver
    one_vs_one: bool = False

    __repr__ = one_line_repr

    def scores(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Decision values of rows (n, n_features), of shape (n, n_classes)."""
        scores: NDArray[np.float64] = X @ self.coef.T.astype(X.dtype) + self.intercept
        return vote(scores) if self.one_vs_one else scores


class HeadFitter:
    """Fits one head with scikit-learn, and tries again in another way where that does not converge.

    Parameters
    ----------
    head : {"svm", "softmax"}
        "svm": `sklearn.svm.LinearSVC`, squared hinge, one class against the rest. "softmax":
        `sklearn.linear_model.LogisticRegression`, multinomial. Both with an L2 penalty.
    class_weight : {"none", "balanced"}
        scikit-learn's.

    Notes
    -----
    The SVM is solved in the dual (Hsieh et al. 2008), whatever the shape: on 2800 x 4096 with 50
    classes scikit-learn's ``dual="auto"`` or ``dual=False`` took 2 to 10 times as long, more for larger C.
    """

    def __init__(self, head: Head, class_weight: str = "none") -> None:
        # Here: scikit-learn takes two seconds to load, which much that knows of heads can do without.
        from sklearn.linear_model import LogisticRegression
        from sklearn.svm import LinearSVC

        self.head = head
        settings: dict[str, Any] = {
            "tol": TOLERANCE,
            "max_iter": _ITERATIONS,
            "class_weight": None if class_weight == "none" else class_weight,
        }
        self._estimator: Any = (
            LinearSVC(dual=True, random_state=0, **settings)
            if head == "svm"
            else LogisticRegression(warm_start=True, **settings)
        )

    def fit(self, X: NDArray[Any], y: NDArray[np.intp], C: float, start: Fitted | None = None) -> Fitted:
        """Fit.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float32 or float64
        y : ndarray of shape (n,), intp
            Codes 0 to n_classes - 1, each present.
        C : float
            Weight of the loss against the penalty: ``0.5 |w|^2 + C * sum of losses``.
        start : Fitted or None
            Where the softmax starts.
        """
        if start is not None:
            # Two classes are one row to scikit-learn: the second.
            rows = slice(1, None) if len(start.coef) == 2 else slice(None)
            self._estimator.coef_ = start.coef[rows].astype(X.dtype)
            self._estimator.intercept_ = start.intercept[rows].astype(X.dtype)
        name = "L-BFGS (LogisticRegression)" if self.head == "softmax" else "liblinear, dual (LinearSVC)"
        with one_blas_thread():
            # L-BFGS takes float32 as it is, at half the cost; liblinear makes float64 of everything.
            converged = self._try(X.astype(np.float32, copy=False) if self.head == "softmax" else X, y, C)
            if not converged:
                # The dual stalls on data that is hard to separate at a large C, the primal does not;
                # L-BFGS stops early where float32 cannot tell two losses apart.
                if self.head == "svm":
                    name = "liblinear, primal (LinearSVC)"
                    self._estimator.set_params(dual=False)
                converged = self._try(X.astype(np.float64), y, C)
                if self.head == "svm":
                    self._estimator.set_params(dual=True)
        coef, intercept = self._estimator.coef_, self._estimator.intercept_
        if len(coef) == 1:
            coef, intercept = np.concatenate([-coef, coef]), np.concatenate([-intercept, intercept])
        solver = Solver(name, TOLERANCE, int(np.max(self._estimator.n_iter_)))
        return Fitted(coef.astype(np.float64), intercept.astype(np.float64), converged, solver=solver)

    def _try(self, X: NDArray[Any], y: NDArray[np.intp], C: float) -> bool:
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            # Few images of many classes are no regression; scikit-learn warns that they might be.
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            self._estimator.set_params(C=C).fit(X, y)
        failed = False
        for warning in caught:
            if issubclass(warning.category, ConvergenceWarning):
                failed = True
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        return not failed
