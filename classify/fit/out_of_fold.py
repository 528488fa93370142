"""What heads that have not seen an image say of it, for every labelled image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.classifier.calibration import fit_scale, softmax
from fc7.classify.classifier.normalizer import KINDS, Normalization, Normalizer
from fc7.classify.data.folds import make_folds
from fc7.classify.data.rows import Table, codes_of
from fc7.classify.data.split_groups import make_groups, row_keys
from fc7.classify.fit.cross_validate import grid, tune
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.training import TrainingData
from fc7.models.common.errors import DataError, UsageError
from fc7.models.common.label_names import in_order
from fc7.models.common.progress import Progress

# Numbers in X times classes: 20,000 rows of 4096 features and 10 classes are 8e8. Larger tables are projected
# on as many leading singular vectors as fit, and C is the middle of its range: neither looks at a label.
_LARGE = 1e9
_MOST_DIRECTIONS = 512


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """Probabilities by heads that had seen neither the row nor its copies nor its group.

    Attributes
    ----------
    classes : tuple of str
        Sorted.
    y : ndarray of shape (n_labelled,), intp
        The label of each row of the `Table` as an index into `classes`.
    probabilities : ndarray of shape (n_labelled, n_classes), float64
        NaN for rows of a class that cannot spare them: with its only image or group held out, no head
        would know the class.
    C : float
        Of the heads.
    problem : str
        Which folds' heads did not converge; empty if all did.
    """

    classes: tuple[str, ...]
    y: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    C: float
    problem: str = ""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which rows have probabilities, shape (n_labelled,)."""
        return ~np.isnan(self.probabilities[:, 0])


def out_of_fold(
    table: Table,
    options: FitOptions | None = None,
    *,
    alike: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> OutOfFold:
    """Cross-validate a softmax head over every labelled row.

    A softmax head whatever the classifier has: planted flips of labels come out higher by its
    probabilities than by a calibrated SVM's (`classify.fit.suspects`).

    Parameters
    ----------
    options : FitOptions or None
        Its C (None cross-validates it; for a large table, `_LARGE`, the middle of its range is taken),
        normalisation, class weight, and the seed, which decides the folds.
    alike : sequence of n_labelled str, or None
        Rows with one text that is not empty stay together, as copies and groups do
        (`classify.duplicates.find.Duplicates.group_names`).

    Raises
    ------
    UsageError
        If the normalisation is "auto".
    DataError
        If there are not two classes with two images each, so that nothing can be held out.
    """
    options = options or FitOptions()
    if options.normalize == "auto":
        raise UsageError(f"normalize 'auto' was found; give one of {', '.join(KINDS)}")
    normalize: Normalization = options.normalize
    classes = tuple(in_order(table.labels))
    y = codes_of(table.labels, classes)
    keys, group_names = row_keys(table.groups, table.content, table.paths)
    group = make_groups(keys, group_names if alike is None else [*group_names, alike], options.seed)
    fold = make_folds(y, group, len(classes))
    if len(np.unique(y[fold >= 0])) < 2:
        raise DataError(
            f"{len(classes)} classes in {len(y)} labelled images were found; give two classes of two "
            "images or groups each, so that each image can be compared with others of its class"
        )
    X, large = table.X[table.rows], len(y) * table.X.shape[1] * len(classes) > _LARGE
    if large:
        X, normalize = _leading(Normalizer.learn(normalize, X).apply(X), len(classes)), "none"
    with one_blas_thread():
        data = TrainingData(X, y, normalize, class_weight=options.class_weight)
        values = [options.C] if options.C is not None else grid("softmax", data.mean_square)
        if large:
            values = values[len(values) // 2 :][:1]
        tuned = tune("softmax", data, fold, values=values, progress=progress)
        probabilities = np.full((len(y), len(classes)), np.nan)
        scale = fit_scale(tuned.scores, y[tuned.rows])
        probabilities[tuned.rows] = softmax(scale * tuned.scores)
    return OutOfFold(
        classes, y, probabilities, C=tuned.best.C, problem=tuned.best.problem("softmax", tuned.n_folds)
    )


def _leading(rows: NDArray[np.float32], n_classes: int) -> NDArray[np.float32]:
    """The rows' coordinates along their leading singular vectors (Halko, Martinsson & Tropp 2011)."""
    from sklearn.utils.extmath import randomized_svd

    directions = int(min(_MOST_DIRECTIONS, max(64, _LARGE / (len(rows) * n_classes)), *rows.shape))
    left, values, _ = randomized_svd(rows, directions, n_iter=2, random_state=0)
    coordinates: NDArray[np.float32] = (left * values).astype(np.float32)
    return coordinates
