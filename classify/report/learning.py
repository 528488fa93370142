"""The learning curve of the classifier that a report is about: its own split, head and C."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.record import TEST, TRAIN
from fc7.classify.data.rows import Table
from fc7.classify.data.split_groups import make_groups, row_keys
from fc7.classify.fit.learning_curve import CodedRows, LearningCurve, learning_curve
from fc7.classify.fit.result import FitOptions, class_weight_of
from fc7.models.common.progress import Progress

# Numbers in the training rows times classes. A curve is about ten fits; at this size (5,000 rows of 4096
# features and 10 classes) they take about a minute, and above it the report goes without.
_MOST = 2e8


def curve_of(
    table: Table,
    parts: NDArray[np.str_] | None,
    classifier: Classifier,
    alike: Sequence[str],
    progress: Progress,
) -> LearningCurve | str:
    """The curve, or why there is none.

    Parameters
    ----------
    parts : ndarray of shape (n_rows,), str, or None
        As `classify.report.evaluated.evaluate_cache`.
    alike : sequence of n_labelled str
        As `classify.fit.out_of_fold.out_of_fold`.
    """
    if parts is None:
        return "No learning curve: this classifier does not say which images it was fitted on."
    part = parts[table.rows]
    code = {label: i for i, label in enumerate(classifier.classes_)}
    y = np.array([code.get(label, -1) for label in table.labels], np.intp)
    train, test = np.flatnonzero((part == TRAIN) & (y >= 0)), np.flatnonzero(part == TEST)
    if not len(test) or set(y[train]) != set(range(len(code))):
        return (
            "No learning curve: the images that the classifier was fitted on are not in this feature cache."
        )
    if len(train) * table.X.shape[1] * len(code) > _MOST:
        return "No learning curve: with this many images it takes minutes; fc7 learning-curve draws it."
    keys, group_names = row_keys(table.groups, table.content, table.paths)
    group = make_groups(keys, [*group_names, alike], 0)[train]
    return learning_curve(
        CodedRows(table.X[table.rows[train]], y[train]),
        np.unique(group, return_inverse=True)[1],
        CodedRows(table.X[table.rows[test]], y[test]),
        options=FitOptions(
            head=classifier.head,
            C=classifier.C,
            normalize=classifier.normalizer.kind,
            class_weight=class_weight_of(classifier.metadata),
        ),
        progress=progress,
    )
