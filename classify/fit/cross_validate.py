"""C by cross-validation inside the train set, and the decisions of heads that had not seen the row."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.classifier.classifier import Head
from fc7.classify.classifier.normalizer import Normalization
from fc7.classify.data.folds import ALWAYS_TRAINS
from fc7.classify.fit.solvers.heads import Fitted, Solver
from fc7.classify.fit.training import TrainingData
from fc7.models.common.progress import Progress, Silent
from fc7.models.common.record_repr import one_line_repr

# Seven decades. On unit rows (l2) SVMs of image features peak between 0.1 and 100, softmax between 10 and
# 10000 (measured on photographs, signs and hands with GoogLeNet and AlexNet features).
_GRID: dict[Head, range] = {"svm": range(-3, 4), "softmax": range(-1, 6), "svm-ovo": range(-3, 4)}
# Training folds fitted to this share are fitted as far as any larger C could.
_FITTED = 0.999


@dataclass(frozen=True, slots=True)
class CvResult:
    """One value of C.

    Attributes
    ----------
    accuracy : float
        Share of the validated rows that heads fitted without their fold got right, 0 to 1.
    standard_error : float
        Of that share: ``sqrt(p (1 - p) / n)``.
    train_accuracy : float
        The same heads on what they were fitted on.
    converged : bool
        In every fold.
    failed_folds : tuple of int
        Numbers, from 1, of the folds whose heads are short of their optimum, after a second try.
    """

    C: float
    accuracy: float
    standard_error: float
    train_accuracy: float
    converged: bool
    failed_folds: tuple[int, ...] = ()

    def problem(self, head: Head, n_folds: int) -> str:
        """What failed, by name; empty if nothing did."""
        if self.converged:
            return ""
        numbers = ", ".join(map(str, self.failed_folds))
        folds = f"fold{'s' if len(self.failed_folds) > 1 else ''} {numbers} of {n_folds}"
        return f"the {head} did not converge at C = {self.C:g} in {folds} of cross-validation"


@dataclass(frozen=True, slots=True)
class Tuned:
    """What cross-validation found for one head.

    Attributes
    ----------
    head : {"svm", "softmax", "svm-ovo"}
    cv_results : tuple of CvResult
        By rising C, as far as the search went.
    best : CvResult
        Kept. The most accurate, of equals the smallest C; with the one-standard-error rule the smallest C
        whose accuracy is at most the peak's standard error below it.
    peak : CvResult
        The most accurate; of equals the smallest C.
    rows : ndarray of shape (n_validated,), intp
        The validated rows among the training rows.
    scores : ndarray of shape (n_validated, n_classes), float64
        Their decisions at the best C, by heads that had not seen them.
    solver : Solver
        What found these heads.
    start : Fitted or None
        The mean of these heads, from where a fit on all rows is near; None where it needs no such start.
    normalize : {"l2", "standard", "none"}
    layer : str
        Empty where there was no choice.
    """

    head: Head
    cv_results: tuple[CvResult, ...]
    best: CvResult
    peak: CvResult
    n_folds: int
    rows: NDArray[np.intp]
    scores: NDArray[np.float64]
    solver: Solver
    start: Fitted | None
    normalize: Normalization = "l2"
    layer: str = ""

    __repr__ = one_line_repr

    def to_json(self) -> dict[str, object]:
        """Head, C and the result of every C, for programs."""
        return {
            "head": self.head,
            "normalize": self.normalize,
            **({"layer": self.layer} if self.layer else {}),
            "C": self.best.C,
            "peak_C": self.peak.C,
            "folds": self.n_folds,
            "n_validated": len(self.rows),
            "solver": self.solver.to_json(),
            "trials": [
                {**dataclasses.asdict(cv_result), "failed_folds": list(cv_result.failed_folds)}
                for cv_result in self.cv_results
            ],
        }


def grid(head: Head, mean_square: float) -> list[float]:
    """Seven values of C, a decade apart.

    Scaling all features by s and C by 1/s² leaves the penalised problem as it was (the intercept
    apart), so the grid moves with the mean squared length of the rows, in whole decades.
    """
    shift = round(math.log10(mean_square))
    return [float(f"1e{exponent - shift}") for exponent in _GRID[head]]


def tune(
    head: Head,
    data: TrainingData,
    fold: NDArray[np.intp],
    values: Sequence[float],
    progress: Progress | None = None,
    one_se: bool = False,
) -> Tuned:
    """Cross-validate a head at rising values of C, until they are past the peak.

    Parameters
    ----------
    head : {"svm", "softmax", "svm-ovo"}
    fold : ndarray of shape (n,), intp
        Of each training row; at least one row is in a fold.
    values : sequence of float
        Ascending.
    progress : Progress or None
        Advances by one a value of C.
    one_se : bool
        Keep the strongest penalty that is not clearly worse than the best (Breiman, Friedman, Olshen &
        Stone 1984, "Classification and regression trees", section 3.4.3).
    """
    progress = progress or Silent()
    rows = np.flatnonzero(fold != ALWAYS_TRAINS)
    numbers, held_out = np.unique(fold[rows], return_inverse=True)
    truth = data.y[rows]
    cv_results: list[CvResult] = []
    peak: CvResult | None = None
    kept: list[tuple[CvResult, NDArray[np.float64], Solver, Fitted | None]] = []
    progress.start(len(values), f"cross-validating {head}")
    with one_blas_thread():
        path = data.folds(head, fold)
        for C in values:
            path.fit(C)
            decisions = path.scores
            scores = decisions[rows, held_out].astype(np.float64)
            accuracy = float(np.mean(scores.argmax(axis=1) == truth))
            right = decisions.argmax(axis=2) == data.y[:, None]
            cv_result = CvResult(
                C,
                accuracy=accuracy,
                standard_error=math.sqrt(accuracy * (1 - accuracy) / len(rows)),
                train_accuracy=float(np.mean([right[fold != f, i].mean() for i, f in enumerate(numbers)])),
                converged=not len(path.unsolved),
                failed_folds=tuple((path.unsolved + 1).tolist()),
            )
            cv_results.append(cv_result)
            if peak is None or cv_result.accuracy > peak.accuracy:
                peak = cv_result
            kept.append((cv_result, scores, path.solver, path.average()))
            floor = peak.accuracy - (peak.standard_error if one_se else 0)
            # The first that is good enough is what the rule takes; what is not will not be any more.
            kept = [each for each in kept if each[0].accuracy >= floor]
            progress.advance()
            if _past_the_peak(cv_results, peak):
                break
    progress.finish()
    assert peak is not None, "values is empty"
    best, best_scores, solver, start = kept[0]
    return Tuned(
        head,
        cv_results=tuple(cv_results),
        best=best,
        peak=peak,
        n_folds=len(numbers),
        rows=rows,
        scores=best_scores,
        solver=solver,
        start=start,
        normalize=data.normalizer.kind,
    )


def _past_the_peak(cv_results: Sequence[CvResult], best: CvResult) -> bool:
    """Whether two values in a row brought nothing and a larger C has nothing left to bring.

    Without the second condition the flat start of a curve, where C is too small to separate
    anything, would pass for its end.
    """
    if len(cv_results) < 3 or best in cv_results[-2:]:
        return False
    floor = best.accuracy - best.standard_error
    return all(
        cv_result.train_accuracy >= _FITTED or cv_result.accuracy < floor for cv_result in cv_results[-2:]
    )
