"""``python -m tests.benchmarks.active_learning FEATURES...``: labels needed when `next` chooses.

Of each feature cache 30 % of the images (of the groups, where there are any) are the test set; the others
have no label. Round by round images are labelled, `--batch` at a time (as many as there are classes if that
is not given), and an SVM is fitted. Said is how many labels it takes until the accuracy on the test set
reaches 95 % of what all labels give, for images chosen by `classify.active_learning.select`, by the margin
alone, and at random.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

from fc7.classify.active_learning.select import RowNumbers, margins, select
from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.duplicates.find import find_duplicates
from fc7.classify.fit.estimator import FeatureClassifier
from fc7.classify.image_columns import ImageColumns
from fc7.extract.cache.reader import FeatureSet, load_features

WAYS = ("random", "margin", "next")
_ENOUGH = 0.95


def divided(found: FeatureSet, rng: np.random.Generator) -> tuple[RowNumbers, RowNumbers]:
    """Pool and test set."""
    keys = np.where(found.groups == "", np.array(found.paths), found.groups)
    names = rng.permutation(np.unique(keys))
    tested = np.isin(keys, names[: round(0.3 * len(names))])
    return np.flatnonzero(~tested), np.flatnonzero(tested)


def fitted(found: FeatureSet, rows: RowNumbers) -> Classifier | None:
    """An SVM at C = 1; None of one class."""
    if len(np.unique(found.y[rows])) < 2:
        return None
    with warnings.catch_warnings():
        # Of few labels: that they cannot be cross-validated, and might be numbers.
        warnings.simplefilter("ignore", UserWarning)
        estimator = FeatureClassifier("svm", C=1.0).fit(found.X[rows], found.y[rows])
    classifier: Classifier = estimator.classifier_
    return classifier


def accuracy(classifier: Classifier | None, found: FeatureSet, rows: RowNumbers) -> float:
    """The share of rows that get their label."""
    return 0.0 if classifier is None else float((classifier.predict(found.X[rows]) == found.y[rows]).mean())


def labels_needed(found: FeatureSet, pictures: RowNumbers, way: str, batch: int, seed: int) -> int:
    """How many labels one way of choosing takes."""
    pool, test = divided(found, np.random.default_rng(seed))
    goal = _ENOUGH * accuracy(fitted(found, pool), found, test)
    rng = np.random.default_rng(seed)
    labelled: RowNumbers = np.empty(0, np.intp)
    classifier: Classifier | None = None
    while len(labelled) < len(pool):
        left = np.setdiff1d(pool, labelled)
        if way == "random":
            chosen = rng.permutation(left)[:batch]
        else:
            margin = None if classifier is None else margins(classifier.predict_proba(found.X[left]))
            if way == "margin" and margin is not None:
                chosen = left[np.argsort(margin, kind="stable")[:batch]]
            else:
                seen = set(pictures[labelled].tolist())
                chosen = left[select(found.X, left, batch, margin, pictures[left], seen)]
                if not len(chosen):
                    # Copies of what is labelled are all that is left.
                    chosen = left
        labelled = np.concatenate([labelled, chosen])
        classifier = fitted(found, labelled)
        if accuracy(classifier, found, test) >= goal:
            break
    return len(labelled)


def main() -> None:
    """A line for each cache."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.active_learning")
    parser.add_argument("features", nargs="+")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=None)
    chosen = parser.parse_args()
    for file in chosen.features:
        found = load_features(file)
        rows, n_classes = np.arange(len(found.y)), len(np.unique(found.y))
        known = ImageColumns(sha256=found.sha256, thumbnails=found.thumbnails)
        copies = find_duplicates(found.X, rows, found.y.tolist(), known)
        with one_blas_thread():
            needed = {
                way: [
                    labels_needed(found, copies.group, way, chosen.batch or n_classes, seed)
                    for seed in range(chosen.seeds)
                ]
                for way in WAYS
            }
        random = np.array(needed["random"])
        said = [f"random {random.mean():.0f}"]
        for way in WAYS[1:]:
            each = np.array(needed[way])
            share = each.mean() / random.mean()
            fewer = int((each < random).sum())
            said.append(
                f"{way} {each.mean():.0f} ({share:.0%} of them; fewer with {fewer} of {len(each)} seeds)"
            )
        print(f"{Path(file).stem}, {len(found.y)} images: {', '.join(said)}", flush=True)


if __name__ == "__main__":
    main()
