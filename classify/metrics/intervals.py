"""How sure a share of right answers is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# The 97.5 % quantile of the normal distribution: two-sided 95 %.
_Z = 1.959963984540054


def wilson_interval(n_correct: int, n: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion (Wilson 1927, "Probable inference").

    Unlike ``p ± 1.96 sqrt(p (1 - p) / n)`` it stays inside 0 to 1 and does not shrink to nothing when all
    are right.

    Parameters
    ----------
    n : int
        At least 1.

    Returns
    -------
    low, high : float
    """
    p, z2 = n_correct / n, _Z * _Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # At 0 and n the bounds are 0 and 1 exactly; rounding must not say otherwise.
    return (0.0 if n_correct == 0 else middle - half), (1.0 if n_correct == n else middle + half)


def wilson_lower(n_correct: NDArray[np.int64], n: NDArray[np.int64], z: float) -> NDArray[np.float64]:
    """One-sided lower bounds of proportions: the lower end of Wilson's interval.

    Parameters
    ----------
    n_correct, n : ndarray of int64, of one shape
        `n` at least 1.
    z : float
        Quantile of the normal distribution: 1.645 for 95 % confidence, 0.842 for 80 %.
    """
    p, z2 = n_correct / n, z * z
    bound: NDArray[np.float64] = (p + z2 / (2 * n) - z * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))) / (
        1 + z2 / n
    )
    return np.where(n_correct == 0, 0.0, bound)
