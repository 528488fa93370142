"""How good a classifier is, with how sure that metric is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.metrics.average_precision import average_precision
from fc7.classify.metrics.intervals import wilson_interval as wilson_interval
from fc7.classify.metrics.reliability import Reliability, brier_score, reliability_bins
from fc7.models.common.errors import DataError
from fc7.models.common.label_names import in_order

# "Among the first k": those of these below the number of classes are given.
_TOP = (2, 3, 5)


@dataclass(frozen=True, slots=True)
class Metrics:
    """A classifier's metrics on labelled rows.

    Attributes
    ----------
    labels : tuple of str
        The classifier's classes in order, then labels it does not know, sorted.
    n_classes : int
        How many of `labels` the classifier knows.
    accuracy : float
        ``n_correct / n``. A row whose label the classifier does not know counts as wrong.
    accuracy_interval : tuple of 2 floats
        Wilson's 95 % interval.
    mean_recall : float
        Mean of `recall` over the labels that occur: each class counts the same, however many rows it has.
    support : ndarray of shape (n_labels,), int64
        Rows of each label.
    precision, recall, f1 : ndarray of shape (n_labels,), float64
        NaN where undefined: precision and F1 of a class that is neither there nor predicted, precision
        of one that was never predicted, recall of a label without rows.
    average_precision : ndarray of shape (n_labels,), float64
        Of each class's probability as a ranking of all rows (`classify.metrics.average_precision`); NaN for
        labels without rows and labels that the classifier does not know.
    mean_average_precision : float
        Mean of those that are numbers; NaN if none is.
    confusion : ndarray of shape (n_labels, n_labels), int64
        Row: truth; column: prediction.
    top_k : dict of int to float
        k -> share of the rows whose label is among the k most probable.
    log_loss : float
        Mean of -log(probability of the true class) in nats, over the rows with a known label; at most
        87.3 a row. NaN if there are none.
    brier : float
        `classify.metrics.reliability.brier_score` over the rows with a known label, 0 to 2; NaN if there are
        none.
    reliability : Reliability
        Of the predicted class's probability; its `expected_error` is the expected calibration error.
    reject_below : float
        The classifier's threshold; 0 if it rejects nothing.
    n_accepted, n_accepted_correct : int
        Rows whose largest probability is not below it, and those of them that are right. All other metrics
        are about every row: a rejected one counts with its best class.
    unknown : dict of str to int
        Labels that the classifier does not know -> rows.
    """

    labels: tuple[str, ...]
    n_classes: int
    n: int
    n_correct: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    mean_recall: float
    support: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    average_precision: NDArray[np.float64]
    mean_average_precision: float
    confusion: NDArray[np.int64]
    top_k: dict[int, float]
    log_loss: float
    brier: float
    reliability: Reliability
    reject_below: float
    n_accepted: int
    n_accepted_correct: int
    unknown: dict[str, int]

    def __repr__(self) -> str:
        low, high = self.accuracy_interval
        right = f"{self.n_correct} of {self.n}, 95% interval {low:.3f} to {high:.3f}"
        return f"Metrics(accuracy={self.accuracy:.3f}: {right}, {len(self.labels)} labels)"

    @property
    def n_known(self) -> int:
        """Rows with a label that the classifier knows: those of `log_loss` and `brier`."""
        return self.n - sum(self.unknown.values())

    def to_json(self) -> dict[str, object]:
        """For programs: plain numbers, lists and names; null where a metric is undefined."""
        per_label = zip(
            self.labels,
            self.support,
            self.precision,
            self.recall,
            self.f1,
            self.average_precision,
            strict=True,
        )
        return {
            "n": self.n,
            "n_correct": self.n_correct,
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.accuracy_interval),
            "mean_recall": self.mean_recall,
            "top_k": {str(k): share for k, share in self.top_k.items()},
            "mean_average_precision": _or_none(self.mean_average_precision),
            "log_loss": _or_none(self.log_loss),
            "brier": _or_none(self.brier),
            "n_known": self.n_known,
            "expected_calibration_error": self.reliability.expected_error,
            "reliability": self.reliability.to_json(),
            "rejection": self._rejection_json(),
            "classes": [
                {
                    "label": label,
                    "support": int(support),
                    "precision": _or_none(precision),
                    "recall": _or_none(recall),
                    "f1": _or_none(f1),
                    "average_precision": _or_none(ap),
                }
                for label, support, precision, recall, f1, ap in per_label
            ],
            "confusion": self.confusion.tolist(),
            "unknown": self.unknown,
        }

    def _rejection_json(self) -> dict[str, object] | None:
        if not self.reject_below:
            return None
        some = self.n_accepted > 0
        return {
            "below": self.reject_below,
            "n_accepted": self.n_accepted,
            "n_correct": self.n_accepted_correct,
            "coverage": self.n_accepted / self.n,
            "accuracy": self.n_accepted_correct / self.n_accepted if some else None,
            "accuracy_interval": list(wilson_interval(self.n_accepted_correct, self.n_accepted))
            if some
            else None,
        }


def compute_metrics(
    y_true: Sequence[str] | NDArray[np.str_],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    reject_below: float = 0.0,
) -> Metrics:
    """Compare predictions with the truth.

    Parameters
    ----------
    y_true : sequence of n str
        Labels; the classifier need not know all of them.
    probabilities : ndarray of shape (n, n_classes), floating
        The most probable class is the prediction; of equals the first.
    classes : sequence of n_classes str
        What the columns are.
    reject_below : float
        See `Metrics`.

    Raises
    ------
    DataError
        If there are no rows, or the shapes do not fit.
    """
    truth = [str(label) for label in y_true]
    P = np.asarray(probabilities, np.float64)
    if not truth:
        raise DataError("there is no labelled image to evaluate on; give one at least")
    if P.shape != (len(truth), len(classes)):
        raise DataError(
            f"probabilities of shape {P.shape} were found; give {(len(truth), len(classes))}, a row for "
            "each label and a column for each class"
        )
    bad = np.count_nonzero(~np.isfinite(P).all(axis=1))
    if bad:
        raise DataError(f"{bad} of {len(P)} rows have probabilities that are not numbers; score them again")
    K = len(classes)
    labels = (*classes, *in_order(set(truth) - set(classes)))
    code = {label: i for i, label in enumerate(labels)}
    y = np.array([code[label] for label in truth], np.intp)
    ranking = np.argsort(-P, axis=1, kind="stable")
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (y, ranking[:, 0]), 1)
    support, predicted, right = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()
    recall = _share(right, support)
    known = y < K
    true_probability = P[known, y[known]]
    # What float32 cannot tell from zero counts as its smallest number: no loss is infinite.
    losses = -np.log(np.maximum(true_probability, np.finfo(np.float32).tiny))
    n_correct = int(right.sum())
    correct = ranking[:, 0] == y
    # Compared as float32, as a classifier does.
    confidence = P.max(axis=1).astype(np.float32)
    accepted = confidence >= np.float32(reject_below)
    ranked = [average_precision(P[:, c], y == c) for c in range(K)] + [math.nan] * (len(labels) - K)
    ranks = np.array(ranked)
    return Metrics(
        labels=labels,
        n_classes=K,
        n=len(y),
        n_correct=n_correct,
        accuracy=n_correct / len(y),
        accuracy_interval=wilson_interval(n_correct, len(y)),
        mean_recall=float(np.nanmean(recall)),
        support=support,
        precision=_share(right, predicted),
        recall=recall,
        f1=_share(2 * right, support + predicted),
        average_precision=ranks,
        mean_average_precision=float(np.nanmean(ranks)) if known.any() else math.nan,
        confusion=confusion,
        top_k={k: float((ranking[:, :k] == y[:, None]).any(axis=1).mean()) for k in _TOP if k < K},
        log_loss=float(losses.mean()) if len(losses) else math.nan,
        brier=brier_score(P[known], y[known]) if known.any() else math.nan,
        reliability=reliability_bins(np.minimum(confidence, 1), correct),
        reject_below=float(reject_below),
        n_accepted=int(np.count_nonzero(accepted)),
        n_accepted_correct=int(np.count_nonzero(accepted & correct)),
        unknown={label: int(n) for label, n in zip(labels[K:], support[K:], strict=True)},
    )


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    shares = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
