"""One-vs-one: what the decisions of all pairs of classes say of each class.

Pairs are counted as scikit-learn's `OneVsOneClassifier` counts them: (0, 1), (0, 2), ..., (1, 2), ... A
margin above 0 is a vote for the pair's second class, any other for its first. Votes tie often, so each class
gets on top what its pairs' margins add up to, squeezed into (-1/3, 1/3): that settles ties and can never
outweigh a vote (`sklearn.utils.multiclass._ovr_decision_function`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def n_pairs(n_classes: int) -> int:
    """Two-class problems of so many classes."""
    return n_classes * (n_classes - 1) // 2


def n_classes_of(pairs: int) -> int:
    """Classes of so many two-class problems."""
    return (1 + math.isqrt(1 + 8 * pairs)) // 2


def pairs_of(n_classes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and second class of each pair, in order, each of shape (n_pairs,)."""
    first, second = np.triu_indices(n_classes, 1)
    return first, second


class Tally:
    """Counts the pairs' decisions about some rows, a few pairs at a time.

    Parameters
    ----------
    dtype : data type
        Of the sums.
    """

    def __init__(self, n_rows: int, n_classes: int, dtype: type[np.floating[Any]] = np.float64) -> None:
        # A class's numbers lie together, as they are added to together.
        self._votes, self._sums = np.zeros((2, n_classes, n_rows), dtype)
        self._first, self._second = pairs_of(n_classes)

    def add(self, margins: NDArray[np.floating[Any]], pairs: Iterable[int]) -> None:
        """Count the margins (n_rows, n) of n pairs; each pair is counted once in all."""
        for k, margin in zip(pairs, np.ascontiguousarray(margins.T), strict=True):
            i, j, for_second = self._first[k], self._second[k], margin > 0
            self._votes[j] += for_second
            self._votes[i] += ~for_second
            self._sums[j] += margin
            self._sums[i] -= margin

    def add_all(self, votes: NDArray[np.floating[Any]], sums: NDArray[np.floating[Any]], rows: slice) -> None:
        """Add votes and sums, both of shape (n_classes, n), about some of the rows."""
        self._votes[:, rows] += votes
        self._sums[:, rows] += sums

    def decisions(self) -> NDArray[np.floating[Any]]:
        """Votes and what settles ties, (n_rows, n_classes)."""
        settled: NDArray[np.floating[Any]] = self._votes + self._sums / (3 * (np.abs(self._sums) + 1))
        return settled.T


def vote(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """The decisions about each class.

    Parameters
    ----------
    margins : ndarray of shape (n, n_pairs), float64

    Returns
    -------
    ndarray of shape (n, n_classes), float64
        From -1/3 to ``n_classes - 2/3``.
    """
    tally = Tally(len(margins), n_classes_of(margins.shape[1]))
    tally.add(margins, range(margins.shape[1]))
    return np.ascontiguousarray(tally.decisions(), np.float64)
