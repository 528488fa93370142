"""Which images a classifier has learned from, so that nobody tests it on them unawares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.record import TEST, TRAIN


def in_train_set(classifier: Classifier, sha256: Sequence[str], paths: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each image was among those that the classifier was fitted on.

    Parameters
    ----------
    classifier : Classifier
        Of a file that keeps no split, nothing is known to be seen.
    sha256 : sequence of n str
        Content hashes, empty where unknown.
    paths : sequence of n str
        As a cache has them.

    Returns
    -------
    ndarray of shape (n,), bool
        After ``--refit-all`` the held-out images count as seen too.
    """
    if classifier.split is None or not len(paths):
        return np.zeros(len(paths), bool)
    part = classifier.split.part_of(sha256, paths)
    in_train: NDArray[np.bool_] = part == TRAIN
    return in_train | (part == TEST) if classifier.metadata.get("refit") == "all" else in_train
