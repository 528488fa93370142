"""``python -m tests.benchmarks.novelty A.h5 B.h5 ...``: which score tells images of another set best?

Each cache in turn gives the training images (70 % of them, units whole); each score then has to tell the
other 30 % from the images of every other cache of the same features ("other sets"), and, trained on the
first half of the classes, from the second half ("other classes"). Printed are the mean and least AUROC, and
how many held-out images fc7's own limit flags.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC

from fc7.classify.classifier.novelty import learn_novelty
from fc7.classify.data.folds import make_folds
from fc7.classify.data.split import stratified_split
from fc7.classify.data.split_groups import make_groups, row_keys
from fc7.extract.cache.reader import FeatureSet, load_features

Rows = NDArray[np.float32]
Score = Callable[[Rows], NDArray[np.floating]]


def unit_length(X: Rows) -> NDArray[np.float64]:
    """Rows scaled to unit length."""
    rows = X.astype(np.float64)
    unit: NDArray[np.float64] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    return unit


def scores(X: Rows, y: NDArray[np.intp], fold: NDArray[np.intp]) -> dict[str, Score]:
    """Every candidate, learned on training rows; higher is less like them."""
    learned = learn_novelty(X, fold)
    assert learned is not None
    U = unit_length(X)
    mean = U.mean(axis=0)
    means = np.array([U[y == c].mean(axis=0) for c in np.unique(y)])
    centre = means[np.unique(y, return_inverse=True)[1]]
    axes = np.linalg.svd(U - mean, full_matrices=False)[2][: min(128, len(U) - 1)]
    covariance, _ = ledoit_wolf((U - centre) @ axes.T, assume_centered=True)
    whiten = np.linalg.cholesky(np.linalg.inv(covariance))
    means_white = (means - mean) @ axes.T @ whiten
    svm = LinearSVC(C=1.0, random_state=0).fit(U, y)

    def mahalanobis(Q: Rows) -> NDArray[np.floating]:
        white = (unit_length(Q) - mean) @ axes.T @ whiten
        squares = (white**2).sum(axis=1)[:, None] - 2 * white @ means_white.T + (means_white**2).sum(axis=1)
        nearest: NDArray[np.floating] = squares.min(axis=1)
        return nearest

    def decisions(Q: Rows) -> NDArray[np.floating]:
        found = svm.decision_function(unit_length(Q))
        return found if found.ndim == 2 else np.column_stack([-found, found])

    directions = means / np.linalg.norm(means, axis=1, keepdims=True)
    return {
        "fc7: off 16 principal axes": learned.reference.score,
        "cosine to nearest training row": lambda Q: -(unit_length(Q) @ U.T).max(axis=1),
        "cosine to nearest class mean": lambda Q: -(unit_length(Q) @ directions.T).max(axis=1),
        "Mahalanobis, shrunken, 128 axes": mahalanobis,
        "largest SVM score": lambda Q: -decisions(Q).max(axis=1),
        "energy of SVM scores": lambda Q: -np.log(np.exp(decisions(Q)).sum(axis=1)),
    }


def held_out(
    found: FeatureSet, chosen: NDArray[np.intp]
) -> tuple[Rows, NDArray[np.intp], NDArray[np.intp], Rows]:
    """Training rows with codes and folds, and the rows held out, of some rows of a cache."""
    classes, y = np.unique(np.asarray(found.y)[chosen], return_inverse=True)
    keys, group_names = row_keys(
        *([str(column[i]) for i in chosen] for column in (found.groups, found.sha256, found.paths))
    )
    unit = make_groups(keys, group_names, 0)
    split = stratified_split(y, unit, 0.3, [str(name) for name in classes])
    codes = np.unique(y[split.train], return_inverse=True)[1]
    fold = make_folds(codes, np.unique(unit[split.train], return_inverse=True)[1], int(codes.max()) + 1)
    return found.X[chosen[split.train]], codes, fold, found.X[chosen[split.test]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("caches", nargs="+", type=Path, help="features.h5 files")
    caches = {path: load_features(path) for path in parser.parse_args().caches}
    far: dict[str, list[float]] = {}
    near: dict[str, list[float]] = {}
    flagged = total = 0

    def auroc(score: Score, ordinary: Rows, other: Rows) -> float:
        values = np.concatenate([score(ordinary), score(other)])
        return float(roc_auc_score(np.repeat([0, 1], [len(ordinary), len(other)]), values))

    for path, found in caches.items():
        y = np.unique(np.asarray(found.y), return_inverse=True)[1]
        X, codes, fold, ordinary = held_out(found, np.arange(len(y)))
        candidates = scores(X, codes, fold)
        flags = next(iter(candidates.values()))(ordinary) > 1
        flagged, total = flagged + int(flags.sum()), total + len(flags)
        for other_path, other in caches.items():
            if other_path != path and other.fingerprint == found.fingerprint:
                for name, score in candidates.items():
                    far.setdefault(name, []).append(auroc(score, ordinary, other.X))
        first = y < (y.max() + 1) // 2
        X, codes, fold, ordinary = held_out(found, np.flatnonzero(first))
        for name, score in scores(X, codes, fold).items():
            near.setdefault(name, []).append(auroc(score, ordinary, found.X[~first]))
    print(f"{'AUROC':33}  other sets: mean  least   other classes: mean")
    for name, values in near.items():
        sets = far.get(name, [float("nan")])
        print(f"{name:33}  {np.mean(sets):16.3f}  {min(sets):5.3f}  {np.mean(values):20.3f}")
    print(f"fc7 flags {flagged} of {total} held-out images of the same set ({flagged / total:.1%})")


if __name__ == "__main__":
    main()
