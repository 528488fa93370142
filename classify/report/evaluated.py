"""Which images of a cache can test a classifier, and what it says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.record import NEITHER, TEST
from fc7.classify.data.rows import Table
from fc7.classify.fit.out_of_fold import OutOfFold
from fc7.classify.metrics.metrics import Metrics, compute_metrics


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedImages:
    """Labelled images that a classifier was not fitted on, with its predictions.

    Attributes
    ----------
    rows : ndarray of shape (n,), intp
        Of the cache.
    truth : ndarray of shape (n,), intp
        Indices into `labels`.
    probabilities : ndarray of shape (n, n_classes), float64
    labels : tuple of str
        The classifier's classes in order, then labels it does not know.
    what : str
        Which images these are, as the end of "evaluated on".
    exact : bool
        Whether these are the kept classifier's own predictions: not for one refitted on every image.
    """

    rows: NDArray[np.intp]
    truth: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    labels: tuple[str, ...]
    metrics: Metrics
    what: str
    exact: bool

    @property
    def predicted(self) -> NDArray[np.intp]:
        """The most probable class of each, shape (n,)."""
        best: NDArray[np.intp] = self.probabilities.argmax(axis=1)
        return best

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Its probability, shape (n,)."""
        highest: NDArray[np.float64] = self.probabilities.max(axis=1)
        return highest

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether it is the truth, shape (n,)."""
        same: NDArray[np.bool_] = self.predicted == self.truth
        return same


def evaluate_cache(
    table: Table, parts: NDArray[np.str_] | None, classifier: Classifier, folds: OutOfFold | None
) -> EvaluatedImages | None:
    """The classifier's predictions on what it was not fitted on.

    Parameters
    ----------
    table : Table
        All labelled rows of the cache.
    parts : ndarray of shape (n_rows,), str, or None
        The part of each row of the cache, as `SplitRecord.part_of` gives it; None where the classifier
        does not say.
    folds : OutOfFold or None
        Stands in for a classifier that was refitted on the test set too: it has seen all of it.

    Returns
    -------
    EvaluatedImages or None
        None if the cache holds no such images, or it cannot be told which.
    """
    if parts is None:
        return None
    part = parts[table.rows]
    refitted = classifier.metadata.get("refit") == "all"
    chosen = np.flatnonzero(part == TEST)
    what, exact = "images that fit held out", True
    if len(chosen) and refitted:
        if folds is None or set(folds.classes) - set(classifier.classes_):
            return None
        chosen = chosen[folds.known[chosen]]
        what, exact = "images that fit held out, by softmax heads that had not seen them either", False
    elif not len(chosen):
        chosen = np.flatnonzero(part == NEITHER)
        what = "labelled images that fit did not have"
    if not len(chosen):
        return None
    if exact or folds is None:
        probabilities = np.asarray(classifier.predict_proba(table.X[table.rows[chosen]]), np.float64)
    else:
        probabilities = np.zeros((len(chosen), len(classifier.classes_)))
        columns = [classifier.classes_.index(name) for name in folds.classes]
        probabilities[:, columns] = folds.probabilities[chosen]
    truth = [table.labels[i] for i in chosen]
    metrics = compute_metrics(truth, probabilities, classifier.classes_)
    code = {label: i for i, label in enumerate(metrics.labels)}
    return EvaluatedImages(
        rows=table.rows[chosen],
        truth=np.array([code[label] for label in truth], np.intp),
        probabilities=probabilities,
        labels=metrics.labels,
        metrics=metrics,
        what=what,
        exact=exact,
    )
