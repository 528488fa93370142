"""How far probabilities mean what they say: Brier score, calibration error, reliability curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.record_repr import one_line_repr

# As many as Guo et al. 2017, "On calibration of modern neural networks", take.
N_BINS = 15


@dataclass(frozen=True, slots=True)
class Reliability:
    """Images in bins of equal width by the probability of their predicted class.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,), float64
        From 0 to 1; a bin holds its upper edge and not its lower one, the first both.
    n : ndarray of shape (n_bins,), int64
        Images in each bin.
    confidence : ndarray of shape (n_bins,), float64
        Mean probability of the predicted class; NaN in an empty bin.
    accuracy : ndarray of shape (n_bins,), float64
        Share that is right; NaN in an empty bin.
    """

    edges: NDArray[np.float64]
    n: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    __repr__ = one_line_repr

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean over the images of their bin's ``|accuracy - confidence|``.

        With few images it is above 0 for perfect probabilities too: each bin's accuracy is a guess.
        """
        full = self.n > 0
        gaps = np.abs(self.accuracy[full] - self.confidence[full])
        return float(np.average(gaps, weights=self.n[full]))

    def to_json(self) -> list[dict[str, object]]:
        """The bins that are not empty."""
        return [
            {
                "low": float(self.edges[i]),
                "high": float(self.edges[i + 1]),
                "n": int(self.n[i]),
                "confidence": float(self.confidence[i]),
                "accuracy": float(self.accuracy[i]),
            }
            for i in np.flatnonzero(self.n)
        ]


def reliability_bins(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], n_bins: int = N_BINS
) -> Reliability:
    """The reliability curve (Guo et al. 2017, equations 2 to 5).

    Parameters
    ----------
    confidence : ndarray of shape (n,), floating
        Probability of the predicted class, 0 to 1; at least one.
    correct : ndarray of shape (n,), bool
    n_bins : int
        Of equal width.
    """
    sure = np.asarray(confidence, np.float64)
    edges = np.linspace(0, 1, n_bins + 1)
    which = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, n_bins - 1)
    n = np.bincount(which, minlength=n_bins)
    sums = (np.bincount(which, weights=w, minlength=n_bins) for w in (sure, np.asarray(correct, np.float64)))
    with np.errstate(invalid="ignore"):
        mean_confidence, accuracy = (total / n for total in sums)
    return Reliability(edges, n, mean_confidence, accuracy)


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
