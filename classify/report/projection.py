"""Feature rows in two dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.report.report_data import Projection

# As many points as an SVG of about 150 KB holds; more hide one another.
MOST_POINTS = 2000
# van der Maaten & Hinton 2008, "Visualizing data using t-SNE": section 4.2 reduces to 30 dimensions first,
# section 2 finds perplexities of 5 to 50 to serve.
_BEFORE_TSNE, _PERPLEXITY = 30, 30.0


def project(
    X: NDArray[np.float32],
    code: NDArray[np.intp],
    rows: NDArray[np.intp],
    *,
    tsne: bool = False,
    seed: int = 0,
) -> Projection | None:
    """PCA, or t-SNE of the first principal components.

    Parameters
    ----------
    X : ndarray of shape (n, n_features), float32
        Normalised as the classifier sees them.
    code : ndarray of shape (n,), intp
        Class of each row.
    rows : ndarray of shape (n,), intp
        Where each is in the cache.
    seed : int
        Decides which 2000 rows of a larger set are taken, and where t-SNE starts.

    Returns
    -------
    Projection or None
        None for fewer than three rows, or rows that are all equal.
    """
    n = len(X)
    taken = np.sort(np.random.default_rng(seed).permutation(n)[:MOST_POINTS])
    sample = np.asarray(X[taken], np.float64)
    if len(sample) < 3 or not np.ptp(sample, axis=0).any():
        return None
    with one_blas_thread():
        parts = min(_BEFORE_TSNE if tsne else 2, *sample.shape)
        pca = PCA(parts, svd_solver="full" if min(sample.shape) < 500 else "randomized", random_state=seed)
        points = pca.fit_transform(sample)
        if tsne:
            perplexity = min(_PERPLEXITY, (len(sample) - 1) / 3)
            start = "pca" if points.shape[1] > 1 else "random"
            points = TSNE(2, perplexity=perplexity, init=start, random_state=seed).fit_transform(points)
    if points.shape[1] < 2:
        points = np.column_stack([points, np.zeros(len(points))])
    explained = None if tsne else float(pca.explained_variance_ratio_[:2].sum())
    method = "t-SNE" if tsne else "PCA"
    return Projection(
        np.asarray(points, np.float64),
        code=code[taken],
        rows=rows[taken],
        n_rows=n,
        method=method,
        explained=explained,
    )
