"""A fitted classifier as an object: feature rows in, scores, probabilities and labels out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fc7.classify.classifier.calibration import softmax
from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.classifier.product import RowProduct
from fc7.classify.classifier.rejection import rejection_label
from fc7.classify.classifier.votes import vote
from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.data.record import SplitRecord
from fc7.models.common.errors import DataError
from fc7.models.common.terminal import counted, one_line

if TYPE_CHECKING:
    from fc7.classify.classifier.novelty import NoveltyReference

Head = Literal["svm", "softmax", "svm-ovo"]
HEADS: tuple[Head, ...] = get_args(Head)
# Margins of pairs, in numbers (64 MB), that votes are counted of at a time.
_MARGINS = 1 << 23


@dataclass(frozen=True, eq=False)
class Classifier:
    """A linear classifier with its normalisation and calibration.

    It computes in float64, as classifier.onnx does, and gives float32: the same numbers before and after
    it was written, here and in any runtime.

    Attributes
    ----------
    classes_ : tuple of str
        In the order of the columns.
    coef_ : ndarray of shape (n_classes, n_features), float64
        On normalised features. Two classes have two rows of opposite sign, where scikit-learn has one. Of
        "svm-ovo" (n_classes (n_classes - 1) / 2, n_features): a row for each pair, in the order and with the
        sign of `classify.classifier.votes`.
    intercept_ : ndarray of shape (n_classes,), float64
        Of "svm-ovo" one number for each pair.
    scale : float
        Probabilities are ``softmax(scale * scores)``; see `classify.classifier.calibration`.
    head : {"svm", "softmax", "svm-ovo"}
        "svm" tells each class from the rest, "svm-ovo" each class from each other and counts votes.
    reject_below : float
        Rows whose largest probability is below it are rejected (`classify.classifier.rejection`); 0 rejects
        none.
    novelty : NoveltyReference or None
        Flags rows unlike those of training; None if too few rows were known to learn it from.
    metadata : mapping of str to JSON values
        How it was made: split, metrics, counts, versions. For people and reports.
    split : SplitRecord or None
        Which images trained and which tested; None if it was fitted before this was kept.

    Examples
    --------
    >>> classifier = Classifier(
    ...     ("no", "yes"), coef_=np.array([[-1.0], [1.0]]), intercept_=np.zeros(2),
    ...     normalizer=Normalizer("none", None, None), scale=1.0, head="svm", C=1.0,
    ... )
    >>> classifier.predict([[-3.0], [0.5]]), classifier.predict_proba([[0.0]])
    (array(['no', 'yes'], dtype='<U3'), array([[0.5, 0.5]], dtype=float32))
    """

    classes_: tuple[str, ...]
    coef_: NDArray[np.float64]
    intercept_: NDArray[np.float64]
    normalizer: Normalizer
    scale: float
    head: Head
    C: float
    identity: FeatureIdentity = field(default_factory=FeatureIdentity)
    reject_below: float = 0.0
    novelty: NoveltyReference | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    split: SplitRecord | None = None

    def __repr__(self) -> str:
        made = self.identity
        source = one_line(f"{made.layer} of {made.network}") if made.network else "an unnamed network"
        head = f"{self.head}, C={self.C:g}, normalize={self.normalizer.kind!r}"
        classes = counted(len(self.classes_), "class", "classes")
        return f"Classifier({head}: {classes}, {counted(self.n_features, 'feature')}, {source})"

    @property
    def n_features(self) -> int:
        """Length of a feature row."""
        return int(self.coef_.shape[1])

    @property
    def rejection_label(self) -> str:
        """What rejected rows are called; never the name of a class."""
        return rejection_label(self.classes_)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """How far each row lies on each class's side.

        Parameters
        ----------
        X : array_like of shape (n, n_features)
            Features as extracted, not normalised.

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            For the softmax head logits, for the SVM margins, for one-vs-one votes with ties settled.
            scikit-learn gives two classes one column; here it is the second, and the first is its negative
            (of one-vs-one: what the first class got).

        Raises
        ------
        DataError
            If the shape does not fit, or a feature is NaN or infinite.
        """
        return self._scores_and_novelty(X)[0].astype(np.float32)

    def proba_and_novelty(self, X: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`predict_proba` and `novelty_score` at the cost of one of them.

        Parameters
        ----------
        X : array_like of shape (n, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n, n_classes), float32
        novelty : ndarray of shape (n,), float32

        Raises
        ------
        DataError
            As `decision_function`.
        """
        scores, novelty = self._scores_and_novelty(X)
        return softmax(scores * self.scale).astype(np.float32), novelty

    @cached_property
    def _product(self) -> RowProduct:
        return RowProduct.of(self.coef_, self.intercept_, self.normalizer, self.novelty)

    def _scores_and_novelty(self, X: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        rows = np.asarray(X, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.n_features:
            raise DataError(
                f"features of shape {rows.shape} were found; this classifier needs (n, {self.n_features})"
                + (f": {self.identity.layer} of {self.identity.network}" if self.identity.network else "")
            )
        with np.errstate(all="ignore"):
            scores, novelty = (
                self._votes(rows) if self.head == "svm-ovo" else self._product.scores_and_novelty(rows)
            )
        bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        if len(bad):
            raise DataError(
                f"{len(bad)} feature rows give no finite score, row {bad[0]} first: they hold NaN, infinite "
                "or absurdly large numbers; extract these images again"
            )
        return scores, novelty

    def _votes(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """As `RowProduct.scores_and_novelty`, a few rows at a time: each has a margin for every pair."""
        scores, novelty = np.empty((len(rows), len(self.classes_))), np.empty(len(rows), np.float32)
        step = max(1, _MARGINS // len(self.coef_))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            margins, novelty[part] = self._product.scores_and_novelty(rows[part])
            scores[part] = vote(margins)
            # A NaN is a vote like any other.
            scores[part][~np.isfinite(margins).all(axis=1)] = np.nan
        return scores, novelty

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Probabilities, calibrated on rows the head had not seen.

        Parameters
        ----------
        X : array_like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            Each row sums to 1.

        Raises
        ------
        DataError
            As `decision_function`.
        """
        return self.proba_and_novelty(X)[0]

    def rejected(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which rows are too unsure to be given a label.

        Parameters
        ----------
        probabilities : ndarray of shape (n, n_classes), float32
            As `predict_proba` gives them.

        Returns
        -------
        ndarray of shape (n,), bool
        """
        unsure: NDArray[np.bool_] = probabilities.max(axis=1) < np.float32(self.reject_below)
        return unsure

    def novelty_score(self, X: ArrayLike) -> NDArray[np.float32]:
        """How unlike the training rows each row is; above 1 is to be flagged.

        Parameters
        ----------
        X : array_like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,), float32
            NaN where `novelty` is None.
        """
        rows = np.asarray(X, np.float32)
        return np.full(len(rows), np.nan, np.float32) if self.novelty is None else self.novelty.score(rows)

    def predict(self, X: ArrayLike) -> NDArray[np.str_]:
        """The class with the highest score, of equals the first, of shape (n,); nothing is rejected.

        Raises
        ------
        DataError
            As `decision_function`.
        """
        best = self._scores_and_novelty(X)[0].argmax(axis=1)
        labels: NDArray[np.str_] = np.array(self.classes_, np.str_)[best]
        return labels
