"""Which of many unlabelled rows teach a classifier most: uncertain ones that differ from each other.

The candidates are the rows whose two most probable classes are nearest to each other (margin sampling;
Scheffer, Decomain & Wrobel 2001). Of them k-means makes as many clusters as are wanted, uncertain rows
counting more, and the row nearest to each centre is taken, so that no two say the same (Zhdanov 2019,
"Diverse mini-batch active learning"). Without a classifier all rows are candidates and count the same:
representatives.

Chosen by measurement (``python -m tests.benchmarks.active_learning`` repeats it).
"""

from __future__ import annotations

import warnings
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.normalizer import Normalizer

RowNumbers = NDArray[np.intp]

# Three, five and ten times as many candidates as are wanted needed 74, 75 and 85 % of the labels that a
# random choice needs on clothing and hands (tests/benchmarks/NOTES-fitting.md).
CANDIDATES = 3
# k-means on more rows than this takes longer than looking at the images it chooses.
_MOST_ROWS = 20_000
# k-means takes no weight of zero for every row.
_LEAST_WEIGHT = 1e-6
_UNIT = Normalizer("l2")


def margins(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much more probable the best class is than the second, 0 to 1; the less, the less sure.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes), float32
        Of at least two classes.
    """
    best = np.partition(probabilities, -2, axis=1)
    return np.asarray(best[:, -1] - best[:, -2], np.float32)


def select(
    X: NDArray[np.float32],
    rows: RowNumbers,
    n: int,
    margin: NDArray[np.float32] | None,
    pictures: RowNumbers,
    seen: Collection[int] = (),
) -> RowNumbers:
    """Choose some of `rows`.

    Parameters
    ----------
    X : ndarray of shape (n_all, n_features), float32
        Features as extracted.
    rows : ndarray of shape (n_rows,), intp
        RowNumbers of X that have no label.
    n : int
        How many; all that there are if that is less.
    margin : ndarray of shape (n_rows,), float32, or None
        As `margins` gives it of `rows`; None where there is no classifier.
    pictures : ndarray of shape (n_rows,), intp
        Of `rows`: those of equal number are one picture, of which one is chosen at most.
    seen : collection of int
        Pictures that are labelled already.

    Returns
    -------
    ndarray of shape (at most n,), intp
        Positions in `rows`, the least sure first; representatives of the largest clusters first.

    Examples
    --------
    >>> X = np.eye(4, dtype=np.float32)
    >>> margin = np.array([0.9, 0.1, 0.3, 0.8], np.float32)
    >>> rows = np.arange(4)
    >>> [select(X, rows, 2, margin, pictures).tolist() for pictures in (rows, np.array([0, 1, 1, 2]))]
    [[1, 2], [1, 3]]
    """
    order = np.arange(len(rows)) if margin is None else np.argsort(margin, kind="stable")
    # Of each picture the first in this order.
    _, first = np.unique(pictures[order], return_index=True)
    alone = order[np.sort(first)]
    known = np.fromiter(seen, np.intp, len(seen))
    alone = alone[~np.isin(pictures[alone], known)]
    if len(alone) <= n:
        return alone
    if margin is None:
        candidates = alone[np.unique(np.linspace(0, len(alone) - 1, _MOST_ROWS).round().astype(np.intp))]
        weight = np.ones(len(candidates))
    else:
        candidates = alone[: min(CANDIDATES * n, _MOST_ROWS)]
        weight = 1 - margin[candidates].astype(np.float64)
    if len(candidates) <= n:
        return candidates
    nearest, size = _nearest_to_centres(_UNIT.apply(X[rows[candidates]]), n, weight)
    chosen = candidates[nearest]
    return chosen[np.argsort(-size if margin is None else margin[chosen], kind="stable")]


def _nearest_to_centres(
    X: NDArray[np.float32], n: int, weight: NDArray[np.float64]
) -> tuple[RowNumbers, RowNumbers]:
    """A row for each of n clusters, no row twice, and how many rows each cluster has."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Of fewer different rows than clusters some clusters are empty, and their images the next nearest.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(n, n_init=1, random_state=0).fit(X, sample_weight=np.maximum(weight, _LEAST_WEIGHT))
    distances = fitted.transform(X)
    size = np.bincount(fitted.labels_, minlength=n)
    taken: list[int] = []
    # Large clusters first: one that is left without its nearest row takes the next.
    for cluster in np.argsort(-size, kind="stable").tolist():
        distances[taken, cluster] = np.inf
        taken.append(int(distances[:, cluster].argmin()))
    return np.array(taken, np.intp), np.sort(size)[::-1]
