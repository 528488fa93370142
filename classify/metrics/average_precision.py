"""Average precision: how well one class's probability ranks its images before all others.

Written here: `evaluate` would import `sklearn.metrics` for nothing else, at 2 s of processor time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def average_precision(score: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Area under the precision-recall steps, as scikit-learn's `average_precision_score` defines it.

    ``AP = sum of (R_i - R_{i-1}) P_i`` over the falling thresholds, without interpolation; images of equal
    score pass a threshold together.

    Parameters
    ----------
    score : ndarray of shape (n,), floating
    positive : ndarray of shape (n,), bool

    Returns
    -------
    float
        0 to 1; NaN if nothing is positive.
    """
    total = np.count_nonzero(positive)
    if not total:
        return math.nan
    order = np.argsort(-score, kind="stable")
    score, hits = score[order], positive[order].cumsum()
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    recall = hits[last] / total
    precision = hits[last] / (last + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
