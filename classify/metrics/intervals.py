"""How sure a share of right answers is."""

from __future__ import annotations

import math
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Proportion:
    """How many of some images are right.

    Examples
    --------
    >>> right = Proportion(9, 10)
    >>> right.accuracy, right.describe()
    (0.9, '90.0% (9 of 10; 95% interval 59.6% to 98.2%)')
    >>> right.overlaps(Proportion(40, 100)), right.overlaps(Proportion(60, 100))
    (False, True)
    """

    n_correct: int
    n: int

    @property
    def accuracy(self) -> float:
        """The share that is right; NaN of no image."""
        return self.n_correct / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 % confidence (Wilson); 0 to 1 of no image."""
        return wilson_interval(self.n_correct, self.n) if self.n else (0.0, 1.0)

    def overlaps(self, other: Proportion) -> bool:
        """Whether the two intervals have a value in common."""
        (low, high), (other_low, other_high) = self.interval, other.interval
        return low <= other_high and other_low <= high

    def describe(self) -> str:
        """Share, counts and interval, in words; a dash of no image."""
        if not self.n:
            return "-"
        low, high = self.interval
        return f"{self.accuracy:.1%} ({self.n_correct} of {self.n}; 95% interval {low:.1%} to {high:.1%})"

    def to_json(self) -> dict[str, object] | None:
        """For programs; None of no image."""
        if not self.n:
            return None
        return {
            "accuracy": self.accuracy,
            "n_correct": self.n_correct,
            "n": self.n,
            "interval": list(self.interval),
        }
