"""Two feature caches of the same images: accuracy of a linear SVM on the same test images of many splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fc7.classify.classifier.classifier import Head
from fc7.classify.fit.fit import fit_classifier
from fc7.classify.fit.result import FitOptions
from fc7.classify.image_columns import ImageColumns
from fc7.extract.cache.reader import FeatureSet
from fc7.models.common.progress import Progress

SPLITS = 30
# Not cross-validated: two values of C, chosen apart, would be a difference of their own.
_C: dict[Head, float] = {"svm": 1.0, "softmax": 100.0}


@dataclass(frozen=True, slots=True)
class AccuracyChange:
    """How the accuracy of a classifier changes from one set of features to another.

    Attributes
    ----------
    before, after : float
        Mean accuracy over the splits, in per cent.
    change, standard_error : float
        Mean of the differences, after minus before, in points; and its standard error, which is somewhat
        small, as splits share images.
    splits : int
    """

    before: float
    after: float
    change: float
    standard_error: float
    splits: int

    @property
    def in_noise(self) -> bool:
        """Whether zero lies within two standard errors."""
        return abs(self.change) <= 2 * self.standard_error


def split_accuracy(found: FeatureSet, head: Head, seed: int) -> float:
    """On the test images of the split of this seed, in per cent.

    Raises
    ------
    DataError
        If no classifier can be fitted on these labels.
    """
    fitted = fit_classifier(
        found.X,
        found.y,
        ImageColumns(paths=found.paths, sha256=found.sha256, groups=found.groups),
        options=FitOptions(head=head, C=_C[head], seed=seed, duplicates="exact"),
    )
    return 100 * fitted.metrics.accuracy


def accuracy_change(
    before: FeatureSet, after: FeatureSet, head: Head, progress: Progress, splits: int = SPLITS
) -> AccuracyChange:
    """Fit on the same train set and test on the same test set of both, once for each split.

    Parameters
    ----------
    before, after : FeatureSet
        Of the same images, in the same order.

    Raises
    ------
    DataError
        If no classifier can be fitted on these labels.
    """
    progress.start(splits, "fitting on splits")
    both = np.empty((splits, 2))
    for seed in range(splits):
        both[seed] = [split_accuracy(found, head, seed) for found in (before, after)]
        progress.advance()
    progress.finish()
    difference = both[:, 1] - both[:, 0]
    error = float(difference.std(ddof=1) / np.sqrt(splits)) if splits > 1 else float("nan")
    first, second = both.mean(axis=0).tolist()
    return AccuracyChange(first, second, float(difference.mean()), standard_error=error, splits=splits)
