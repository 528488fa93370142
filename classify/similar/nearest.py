"""The nearest rows by cosine, exactly, over features that are read a part at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Cosines that are held at a time, queries times rows of a part: 64 MB.
_MOST_COSINES = 16 << 20


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest rows of each query, the nearest first, of equally near ones the first.

    Attributes
    ----------
    rows : ndarray of shape (n_queries, k), int64
        -1 where there are fewer than k.
    cosines : ndarray of shape (n_queries, k), float32
        -1 to 1; NaN where there is no row.
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]


def nearest_rows(
    queries: NDArray[np.float32],
    blocks: Iterable[tuple[slice, NDArray[np.float32]]],
    k: int,
    own_rows: NDArray[np.int64] | None = None,
) -> Nearest:
    """Compare every query with every row.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_features), float32
    blocks : iterable of (slice, ndarray of shape (n, n_features), float32)
        Which rows, and their features: `CacheReader.iter_blocks`. Rows that hold NaN or infinity are near to
        nothing; the cosine to a row of zeros is 0.
    k : int
        At least 1.
    own_rows : ndarray of shape (n_queries,), int64, or None
        The row that is the query itself and is left out; -1 for none.

    Examples
    --------
    >>> X = np.array([[1, 0], [3, 4], [0, 2]], np.float32)
    >>> found = nearest_rows(np.array([[0, 1]], np.float32), [(slice(0, 3), X)], k=2)
    >>> found.rows.tolist(), [f"{cosine:.1f}" for cosine in found.cosines[0]]
    ([[2, 1]], ['1.0', '0.8'])
    """
    lengths = _lengths(queries)
    unit = (queries / np.where(lengths > 0, lengths, 1)[:, None]).astype(np.float32)
    rows = np.full((len(queries), k), -1, np.int64)
    cosines = np.full((len(queries), k), -np.inf, np.float32)
    for where, X in blocks:
        lengths = _lengths(X)
        inverse = (1 / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        step = max(1, _MOST_COSINES // max(1, len(X)))
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            with np.errstate(invalid="ignore", over="ignore"):
                found = (unit[part] @ X.T) * inverse
            found[~np.isfinite(found)] = -np.inf
            np.clip(found, None, 1, out=found)
            if own_rows is not None:
                own = own_rows[part] - where.start
                inside = np.flatnonzero((own >= 0) & (own < len(X)))
                found[inside, own[inside]] = -np.inf
            _keep_best(rows[part], cosines[part], found, first=where.start)
    cosines[np.isneginf(cosines)] = np.nan
    rows[np.isnan(cosines)] = -1
    return Nearest(rows, cosines)


def _lengths(X: NDArray[np.float32]) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = np.einsum("ij,ij->i", X, X, dtype=np.float64)
    return np.sqrt(squares)


def _keep_best(
    rows: NDArray[np.int64], cosines: NDArray[np.float32], found: NDArray[np.float32], first: int
) -> None:
    """Put those of a part that are nearer than what is held into it; `rows` and `cosines` change in place."""
    k = rows.shape[1]
    for i in np.flatnonzero(found.max(axis=1, initial=-np.inf) > cosines[:, -1]).tolist():
        near = np.flatnonzero(found[i] > cosines[i, -1])
        if len(near) > k:
            # The k-th largest and all as large as it: which of these count, their rows decide.
            bound = np.partition(found[i, near], len(near) - k)[len(near) - k]
            near = near[found[i, near] >= bound]
        both = np.concatenate([cosines[i], found[i, near]])
        where = np.concatenate([rows[i], near + first])
        best = np.argsort(-both, kind="stable")[:k]
        rows[i], cosines[i] = where[best], both[best]
