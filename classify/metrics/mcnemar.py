"""McNemar's test: do two classifiers that predicted the same images differ by more than noise?

Only the images that one of them gets right and the other wrong can tell. If the two were equally good, each
of those n = b + c images would fall to either side like a coin, so the number b has a binomial distribution
with share one half (McNemar 1947, "Note on the sampling error of the difference between correlated
proportions"; for classifiers Dietterich 1998, "Approximate statistical tests for comparing supervised
classification learning algorithms").

Written here: importing `scipy.stats` takes 1.5 s of processor time, `scipy.special` 0.35 s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class McNemar:
    """The result.

    Attributes
    ----------
    b, c : int
        Images that the first got right and the second wrong, and the other way round.
    p_value : float
        Two-sided, exact: the probability of counts at least as uneven, were both equally good.
    mid_p : float
        The same with half the probability of the very counts that were seen: less cautious, and nearer to
        the level it promises (Fagerland, Lydersen & Laake 2013, "The McNemar test for binary matched-pairs
        data").
    """

    b: int
    c: int
    p_value: float
    mid_p: float


def mcnemar(b: int, c: int) -> McNemar:
    """The exact test.

    Parameters
    ----------
    b, c : int
        At least 0; see `McNemar`.
    """
    n, few = b + c, min(b, c)
    if b == c:
        # The two tails overlap in the middle; all that could happen is at least as uneven. Of the middle
        # itself, the mid-p counts half.
        return McNemar(b, c, 1.0, mid_p=1 - _binomial(n, few) / 2)
    tail = math.fsum(_binomial(n, k) for k in range(few + 1))
    return McNemar(b, c, min(2 * tail, 1.0), mid_p=2 * tail - _binomial(n, few))


def _binomial(n: int, k: int) -> float:
    """The probability of k heads in n throws of a coin."""
    # In logarithms, as 2**n leaves the range of float at 1024 throws.
    return math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2))


def difference_interval(b: int, c: int, n: int) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies on the same images, second minus first.

    Wald's interval for paired proportions on counts to each of which half an image was added (Agresti & Min
    2005, "Simple improved confidence intervals for comparing matched proportions").

    Parameters
    ----------
    b, c : int
        As in `McNemar`.
    n : int
        All images, at least 1.
    """
    total = n + 2
    b_more, c_more = b + 0.5, c + 0.5
    difference = (c_more - b_more) / total
    variance = (b_more + c_more - (c_more - b_more) ** 2 / total) / total**2
    half = 1.959963984540054 * math.sqrt(variance)
    return max(difference - half, -1.0), min(difference + half, 1.0)
