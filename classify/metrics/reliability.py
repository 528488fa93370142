"""How far probabilities mean what they say: Brier score, calibration error, reliability curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.record_repr import one_line_repr

# As many as Guo et al. 2017, "On calibration of modern neural networks", take, if each can hold this many
# images: the share that is right among 20 has a standard error of 0.11 at most (0.5 / sqrt(20)).
MOST_BINS, IMAGES_OF_A_BIN = 15, 20


@dataclass(frozen=True, slots=True)
class Reliability:
    """Images in bins of equal counts, by the probability of their predicted class.

    Attributes
    ----------
    low, high : ndarray of shape (n_bins,), float64
        Least and greatest probability in each bin, ascending.
    n : ndarray of shape (n_bins,), int64
        Images in each bin, at least one.
    confidence : ndarray of shape (n_bins,), float64
        Mean probability of the predicted class.
    accuracy : ndarray of shape (n_bins,), float64
        Share that is right.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    __repr__ = one_line_repr

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean over the images of their bin's ``|accuracy - confidence|``.

        With few images it is above 0 for perfect probabilities too: each bin's accuracy is a guess.
        """
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.n))

    @property
    def mean_confidence(self) -> float:
        """Mean probability of the predicted class over all images."""
        return float(np.average(self.confidence, weights=self.n))

    def to_json(self) -> list[dict[str, object]]:
        """A record for each bin."""
        names = ("low", "high", "n", "confidence", "accuracy")
        columns = (self.low, self.high, self.n, self.confidence, self.accuracy)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]


def reliability_bins(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> Reliability:
    """The reliability curve in bins of equal counts.

    Bins of equal width leave most of them nearly empty, as most probabilities are large; bins of equal
    counts are those of Nguyen & O'Connor 2015, "Posterior calibration and exploratory analysis for natural
    language processing models", and of Nixon et al. 2019, "Measuring calibration in deep learning". There
    are ``n // 20`` of them, 1 at least and 15 at most; images of equal probability share a bin.

    Parameters
    ----------
    confidence : ndarray of shape (n,), floating
        Probability of the predicted class, 0 to 1; at least one.
    correct : ndarray of shape (n,), bool

    Examples
    --------
    >>> found = reliability_bins(np.repeat([0.6, 0.9], 20), np.arange(40) % 2 == 0)
    >>> found.n.tolist(), found.accuracy.tolist()
    ([20, 20], [0.5, 0.5])
    >>> round(found.expected_error, 3)  # (|0.5 - 0.6| + |0.5 - 0.9|) / 2
    0.25
    """
    sure = np.asarray(confidence, np.float64)
    n_bins = min(MOST_BINS, max(1, len(sure) // IMAGES_OF_A_BIN))
    ordered = np.sort(sure)
    high = np.unique(ordered[np.arange(1, n_bins + 1) * len(sure) // n_bins - 1])
    which = np.searchsorted(high, sure, side="left")
    n = np.bincount(which)
    low = ordered[np.cumsum(n) - n]
    accuracy = np.bincount(which, weights=np.asarray(correct, np.float64)) / n
    return Reliability(low, high, n, confidence=np.bincount(which, weights=sure) / n, accuracy=accuracy)


def brier_score(probabilities: NDArray[np.floating], y: NDArray[np.intp]) -> float:
    """Mean over the images of the sum over the classes of (probability - truth)².

    Brier's own definition (1950, "Verification of forecasts expressed in terms of probability"): 0 to 2,
    for two classes twice what is often given.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes), floating
    y : ndarray of shape (n,), intp
        Codes of the true classes; at least one.
    """
    P = np.asarray(probabilities, np.float64)
    true = P[np.arange(len(y)), y]
    # (p - 1)² in place of p² where the class is the true one.
    return float((np.square(P).sum(axis=1) - 2 * true + 1).mean())
