"""C by cross-validation inside the training part, and the decisions of heads that had not seen the row."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.parallel import Parallel, delayed

from classify.blas import one_blas_thread
from classify.classifier import Head
from classify.folds import ALWAYS_TRAINS
from classify.heads import TOLERANCE, HeadFitter
from classify.training import TrainingData
from extract.stream import default_jobs
from models.progress import Progress, Silent

# Seven decades. On unit rows (l2) SVMs of image features peak between 0.1 and 100, softmax between 10 and
# 10000 (measured on photographs, signs and hands with GoogLeNet and AlexNet features).
_GRID: dict[Head, range] = {"svm": range(-3, 4), "softmax": range(-1, 6)}
# Folds only rank values of C. At 1e-2 (liblinear's own default is 0.1) the SVM takes half the time, and on
# the same data at most one image in 400 was decided otherwise than at 1e-4.
_FOLD_TOLERANCE: dict[Head, float] = {"svm": 1e-2, "softmax": TOLERANCE}
# From here on (numbers that a solver goes over, times classes; about 0.3 s a fit) folds get processes of
# their own. Threads would not do: liblinear's random numbers are global, and Python's filter of warnings,
# by which scikit-learn says that it did not converge, is too.
_OWN_PROCESS = 1e7
# Training folds fitted to this share are fitted as far as any larger C could.
_FITTED = 0.999


@dataclass(frozen=True, slots=True)
class Trial:
    """One value of C.

    Attributes
    ----------
    C : float
    accuracy : float
        Share of the validated rows that heads fitted without their fold got right, 0 to 1.
    standard_error : float
        Of that share: ``sqrt(p (1 - p) / n)``.
    train_accuracy : float
        The same heads on what they were fitted on.
    converged : bool
        In every fold.
    """

    C: float
    accuracy: float
    standard_error: float
    train_accuracy: float
    converged: bool


@dataclass(frozen=True, slots=True)
class Tuned:
    """What cross-validation found for one head.

    Attributes
    ----------
    head : {"svm", "softmax"}
    trials : tuple of Trial
        By rising C, as far as the search went.
    best : Trial
        Most accurate; of equals the smallest C.
    n_folds : int
    rows : ndarray of shape (n_validated,), intp
        The validated rows among the training rows.
    scores : ndarray of shape (n_validated, n_classes), float64
        Their decisions at the best C, by heads that had not seen them.
    """

    head: Head
    trials: tuple[Trial, ...]
    best: Trial
    n_folds: int
    rows: NDArray[np.intp]
    scores: NDArray[np.float64]

    def to_json(self) -> dict[str, object]:
        """Head, C and every trial, for programs."""
        return {
            "head": self.head,
            "C": self.best.C,
            "folds": self.n_folds,
            "n_validated": len(self.rows),
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
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
    n_classes: int,
    values: Sequence[float],
    progress: Progress | None = None,
) -> Tuned:
    """Cross-validate a head at rising values of C, until they are past the peak.

    Parameters
    ----------
    head : {"svm", "softmax"}
    data : TrainingData
    fold : ndarray of shape (n,), intp
        Of each training row; at least one row is in a fold.
    n_classes : int
    values : sequence of float
        Ascending.
    progress : Progress or None
        Advances by one a value of C.

    Returns
    -------
    Tuned
    """
    progress = progress or Silent()
    rows = np.flatnonzero(fold != ALWAYS_TRAINS)
    folds = [_Fold(head, int(f)) for f in np.unique(fold[rows])]
    truth = data.y[rows]
    trials: list[Trial] = []
    best, best_scores = None, np.empty((0, n_classes))
    progress.start(len(values), f"cross-validating {head}")
    with Parallel(n_jobs=_processes(head, data, n_classes, len(folds))) as parallel:
        for C in values:
            folds = parallel(delayed(each.fit)(data, fold, C) for each in folds)
            scores = np.empty((len(fold), n_classes))
            for each in folds:
                scores[fold == each.held_out] = each.decisions
            accuracy = float(np.mean(scores[rows].argmax(axis=1) == truth))
            trial = Trial(
                C,
                accuracy,
                math.sqrt(accuracy * (1 - accuracy) / len(rows)),
                float(np.mean([each.train_accuracy for each in folds])),
                all(each.converged for each in folds),
            )
            trials.append(trial)
            if best is None or trial.accuracy > best.accuracy:
                best, best_scores = trial, scores[rows]
            progress.advance()
            if _past_the_peak(trials, best):
                break
    progress.finish()
    assert best is not None, "values is empty"
    return Tuned(head, tuple(trials), best, len(folds), rows, best_scores)


class _Fold:
    """One held-out fold and what the last fit without it gave; its softmax starts from there.

    Attributes
    ----------
    held_out : int
    decisions : ndarray of shape (n_held_out, n_classes), float64
    train_accuracy : float
    converged : bool
    """

    def __init__(self, head: Head, held_out: int) -> None:
        self.held_out = held_out
        self._fitter = HeadFitter(head, _FOLD_TOLERANCE[head])

    def fit(self, data: TrainingData, fold: NDArray[np.intp], C: float) -> _Fold:
        """Fit on the other folds and decide on this one; gives itself, as it may run in another process."""
        train, rest = data.parts(fold, self.held_out)
        y = data.y[fold != self.held_out]
        fitted = self._fitter.fit(train, y, C)
        with one_blas_thread():
            self.decisions = fitted.scores(rest)
            self.train_accuracy = float(np.mean(fitted.scores(train).argmax(axis=1) == y))
        self.converged = fitted.converged
        return self


def _past_the_peak(trials: Sequence[Trial], best: Trial) -> bool:
    """Whether two values in a row brought nothing and a larger C has nothing left to bring.

    Without the second condition the flat start of a curve, where C is too small to separate
    anything, would pass for its end.
    """
    if len(trials) < 3 or best in trials[-2:]:
        return False
    floor = best.accuracy - best.standard_error
    return all(trial.train_accuracy >= _FITTED or trial.accuracy < floor for trial in trials[-2:])


def _processes(head: Head, data: TrainingData, n_classes: int, n_folds: int) -> int:
    """One; for large data as many as cores, folds and memory allow."""
    if (data.nonzero if head == "svm" else data.size) * n_classes < _OWN_PROCESS:
        return 1
    # A fold's copy of its rows; then scikit-learn's in float64 and liblinear's of 16 bytes a number that
    # is not zero. Half the memory is others' to use.
    each = 8 * data.size + (8 * data.size + 16 * data.nonzero if head == "svm" else 0)
    fit_in = int(_physical_memory() / 2 / each)
    return max(1, min(default_jobs(), n_folds, fit_in))


def _physical_memory() -> float:
    """Bytes; 8 GB where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return 8e9
