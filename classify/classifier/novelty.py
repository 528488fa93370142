"""Images unlike anything in training: how far a feature row lies from where the training rows lie.

The training rows, scaled to unit length, have a mean and principal axes; the score of a row is its distance
from the plane through that mean along the first axes (the reconstruction error of PCA, one of the oldest
novelty detectors; Pimentel et al. 2014, "A review of novelty detection", section 4). It needs no labels,
has a fixed size however many rows there were, and is two matrix products.

Chosen by measurement (``python -m tests.benchmarks.novelty`` repeats it): over sets of photographs, signs,
hands and drawn shapes and three trained networks its AUROC for images of another set is 0.996 on average,
that of the largest of the head's scores, the usual stand-in, 0.67. The cosine to the nearest training row
gives 0.994 and needs all rows; the Mahalanobis distance to the class means (Lee et al. 2018) 0.95 with 128
axes. None of them is good at unseen classes of the same set (0.66 to 0.79).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.classifier.product import RowProduct
from fc7.classify.data.folds import ALWAYS_TRAINS
from fc7.models.common.record_repr import one_line_repr

# 16, 64 and 128 axes gave an AUROC of 0.9971, 0.9961 and 0.9957: the fewest are the smallest file.
_AXES = 16
NOVEL_SHOWN = 5
"""So many images that are unlike those of training are named."""
# Of the training rows this share is to pass unflagged.
_PASS = 0.99
# The axes are found from this many rows, evenly spaced: sixteen need no more, and a fit has to take seconds.
_ROWS_FOR_AXES = 2048
# Up to so many rows or features the axes are exact: that takes less than to load scikit-learn.
_EXACT = 768
_BLOCK_ROWS = 4096
# Distances of unit rows below this are the rounding of float32.
_SMALLEST_LIMIT = 1e-5
_UNIT = Normalizer("l2")


@dataclass(frozen=True, slots=True, eq=False)
class NoveltyReference:
    """Where the training rows lie.

    Attributes
    ----------
    mean : ndarray of shape (n_features,), float32
        Of the training rows scaled to unit length.
    axes : ndarray of shape (n_axes, n_features), float32
        Orthonormal: the directions in which they vary most. 16, fewer for few rows or features; a row of
        zeros where there are too few for any.
    limit : float
        Distances are given in this unit, so that a score above 1 is an image to flag.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    limit: float = 1.0

    __repr__ = one_line_repr

    def score(self, X: NDArray[np.floating]) -> NDArray[np.float32]:
        """How unlike the training rows each row is.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Features as extracted, not normalised.

        Returns
        -------
        ndarray of shape (n,), float32
            0 and up; above 1 is to be flagged.
        """
        nothing = np.empty((0, X.shape[1]))
        head = RowProduct.of(nothing, np.empty(0), _UNIT, self)
        return head.scores_and_novelty(X.astype(np.float32, copy=False))[1]

    def of_products(
        self, square: NDArray[np.float64], with_mean: NDArray[np.float64], with_axes: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """The same from what a product gives.

        Parameters
        ----------
        square : ndarray of shape (n,), float64
            Squared lengths of the rows scaled to unit length: 1, of a row of zeros 0.
        with_mean : ndarray of shape (n,), float64
            Their products with the mean.
        with_axes : ndarray of shape (n, n_axes), float64
        """
        mean, axes = self.mean.astype(np.float64), self.axes.astype(np.float64)
        along = with_axes - axes @ mean
        left = square - 2 * with_mean + mean @ mean - np.square(along).sum(axis=1)
        scores: NDArray[np.float32] = (np.sqrt(np.maximum(left, 0)) / self.limit).astype(np.float32)
        return scores


@dataclass(frozen=True, slots=True)
class LearnedNovelty:
    """A reference and what its limit promises.

    Attributes
    ----------
    false_alarm_rate : float
        Share of images like those of training that is expected to be flagged.
    n_calibrated : int
        Training rows that the limit was learned from.
    """

    reference: NoveltyReference
    false_alarm_rate: float
    n_calibrated: int

    def to_json(self) -> dict[str, object]:
        """For the record in classifier.onnx and for programs."""
        return {
            "method": "distance from the first principal axes",
            "n_axes": len(self.reference.axes),
            "false_alarm_rate": self.false_alarm_rate,
            "n_calibrated": self.n_calibrated,
        }


def learn_reference(
    X: NDArray[np.float32], limit: float = 1.0, rows: NDArray[np.intp] | None = None
) -> NoveltyReference:
    """The mean and principal axes of training rows.

    Parameters
    ----------
    X : ndarray of shape (n, n_features), float32
        Features as extracted; at least one row.
    limit : float
        Above 0.
    rows : ndarray of intp, or None
        Which rows of X are meant; None for all.
    """
    rows = np.arange(len(X)) if rows is None else rows
    unit = _UNIT.apply(X[rows[_spaced(len(rows))]].astype(np.float32))
    mean = unit.mean(axis=0, dtype=np.float64).astype(np.float32)
    # As many axes as half of the rows' own dimensions at most: the other half shows what is left over.
    n_axes = min(_AXES, (min(unit.shape) - 1) // 2)
    if n_axes == 0:
        return NoveltyReference(mean, np.zeros((1, X.shape[1]), np.float32), limit)
    return NoveltyReference(mean, _leading_axes(unit - mean, n_axes), limit)


def _leading_axes(centred: NDArray[np.float32], n_axes: int) -> NDArray[np.float32]:
    if min(centred.shape) <= _EXACT:
        # Of X X' or X' X, whichever is smaller; its eigenvalues rise.
        wide = centred.shape[0] < centred.shape[1]
        side = (centred if wide else centred.T).astype(np.float64)
        _, vectors = np.linalg.eigh(side @ side.T)
        leading = vectors[:, : -n_axes - 1 : -1]
        axes = (side.T @ leading if wide else leading).T
        # Where the rows vary along fewer directions, the rest of the axes are zero and take nothing away.
        lengths = np.linalg.norm(axes, axis=1, keepdims=True)
        axes = np.where(lengths > _SMALLEST_LIMIT, axes / np.maximum(lengths, _SMALLEST_LIMIT), 0)
        return np.asarray(axes, np.float32)
    # Not at the top: scikit-learn takes a second to load, which few rows and who only scores can do without.
    from sklearn.utils.extmath import randomized_svd

    _, _, axes = randomized_svd(centred, n_axes, n_iter=2, random_state=0)
    return np.asarray(axes, np.float32)


def _spaced(n: int) -> NDArray[np.intp]:
    """Up to `_ROWS_FOR_AXES` of the numbers below `n`, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(n, _ROWS_FOR_AXES)).round().astype(np.intp))


def learn_novelty(
    X: NDArray[np.float32], fold: NDArray[np.intp], rows: NDArray[np.intp] | None = None
) -> LearnedNovelty | None:
    """Learn a reference, and its limit on rows that references had not seen.

    The limit is the r-th smallest out-of-fold distance, r = ceil(0.99 (n + 1)) or n if that is less. Were the
    rows exchangeable with those to come, 1 - r / (n + 1) of these would lie beyond it (split conformal
    prediction; Vovk, Gammerman & Shafer 2005).

    Parameters
    ----------
    X : ndarray of shape (n_all, n_features), float32
    fold : ndarray of shape (n,), intp
        Of each training row, as `classify.data.folds.make_folds` gives it.
    rows : ndarray of shape (n,), intp, or None
        Which rows of X are for training; None for all.

    Returns
    -------
    LearnedNovelty or None
        None where no row could be held out.
    """
    rows = np.arange(len(X)) if rows is None else rows
    distances = []
    for held_out in np.unique(fold[fold != ALWAYS_TRAINS]):
        reference = learn_reference(X, rows=rows[fold != held_out])
        held_out_rows = rows[fold == held_out]
        # A part at a time: indexing makes copies.
        starts = range(0, len(held_out_rows), _BLOCK_ROWS)
        distances += [reference.score(X[held_out_rows[start : start + _BLOCK_ROWS]]) for start in starts]
    n = sum(map(len, distances))
    if not n:
        return None
    rank = min(math.ceil(_PASS * (n + 1)), n)
    limit = max(float(np.sort(np.concatenate(distances))[rank - 1]), _SMALLEST_LIMIT)
    return LearnedNovelty(learn_reference(X, limit, rows), 1 - rank / (n + 1), n)
