"""The linear classifiers as a scikit-learn estimator: every row that is given trains, none is held out.

`fc7.fit_classifier` splits, tests and reports. An estimator leaves that to scikit-learn's own tools, of which
it can be a part: `Pipeline`, `cross_val_score`, `GridSearchCV`. The heads and the choice of C are the same.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.classifier.calibration import natural_scale, softmax
from fc7.classify.classifier.classifier import Classifier, Head
from fc7.classify.classifier.normalizer import KINDS, Normalization
from fc7.classify.data.folds import ALWAYS_TRAINS, make_folds
from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.data.load import identity_given
from fc7.classify.data.record import NEITHER, TRAIN, SplitRecord
from fc7.classify.fit.choose import Choice, choose
from fc7.classify.fit.outcome import classifier_of
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.training import TrainingData
from fc7.extract.cache.reader import FeatureSet
from fc7.models.common.errors import UsageError

_AUTO = "auto"


class FeatureClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear classifier of features, by scikit-learn's contract.

    Parameters
    ----------
    head : {"auto", "svm", "softmax", "svm-ovo"}
        "auto" cross-validates the first two and keeps the better.
    C : "auto" or float
        "auto" cross-validates; the folds are cut out of the rows that are given.
    normalize : {"l2", "standard", "none", "auto"}
        What is done to a row first. "auto" cross-validates them.
    balanced : bool
        Whether rows of rare classes count more, so that each class counts the same.
    calibrate : bool
        Whether probabilities are calibrated by the decisions of cross-validation. Otherwise a softmax has its
        own, and those of an SVM only rank.
    random_state : int, RandomState or None
        Deals the rows to other folds. None deals them out in their order, the same every time.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted, of the type of y.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only if X had names of columns.
    classifier_ : Classifier
        The same as fc7 has it; its classes are texts. `to_classifier` makes one for images of it.

    Examples
    --------
    >>> import fc7
    >>> from sklearn.model_selection import cross_val_score
    >>> features = fc7.load_features("features.h5")
    >>> X, y, paths = features
    >>> cross_val_score(fc7.FeatureClassifier("svm"), X, y, cv=4).shape
    (4,)
    >>> estimator = fc7.FeatureClassifier("svm", C=1.0).fit(X, y)
    >>> fc7.save_classifier(estimator.to_classifier(features), "all.onnx").name
    'all.onnx'
    """

    def __init__(
        self,
        head: Head | Literal["auto"] = "auto",
        C: float | Literal["auto"] = "auto",
        normalize: Normalization | Literal["auto"] = "l2",
        balanced: bool = False,
        calibrate: bool = True,
        random_state: Any = None,
    ) -> None:
        self.head = head
        self.C = C
        self.normalize = normalize
        self.balanced = balanced
        self.calibrate = calibrate
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, groups: Sequence[Any] | NDArray[Any] | None = None
    ) -> FeatureClassifier:
        """Fit on all rows.

        Parameters
        ----------
        X : array_like of shape (n, n_features)
            Features as extracted, not normalised.
        y : array_like of shape (n,)
            Texts, whole numbers or truth values.
        groups : sequence of length n, or None
            Rows of one group, such as copies of one picture, stay in one fold of cross-validation.

        Raises
        ------
        ValueError
            Under two classes, an empty label, or a parameter that is none of its values.

        Warns
        -----
        ConvergenceWarning
            If the solver stopped before its optimum.
        UserWarning
            If there are too few rows to cross-validate.
        """
        rows, labels = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(labels)
        check_consistent_length(rows, groups)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        names = [str(label) for label in self.classes_]
        _check_names(names, labels)
        options = self._options()
        validated = self.calibrate or _AUTO in (self.head, self.C, self.normalize)
        fold = self._folds(codes, groups) if validated else np.full(len(codes), ALWAYS_TRAINS)
        with one_blas_thread():
            choice, data = _choose(rows, codes, fold, options=options)
            fitted = data.fit(choice.head, choice.C)
        if not self.calibrate:
            choice = replace(choice, scale=natural_scale(choice.head, len(names)))
        if validated and not choice.tuned:
            warnings.warn(choice.notes[0], UserWarning, stacklevel=2)
        if not fitted.converged:
            warnings.warn(
                f"the {choice.head} did not converge at C={choice.C:g}: a better one exists; a smaller C "
                "converges",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.classifier_ = classifier_of(
            fitted, choice, data.normalizer, classes=names, identity=FeatureIdentity()
        )
        self._trained = _row_keys(rows)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """How far each row lies on each class's side.

        Parameters
        ----------
        X : array_like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_classes), float64
            Of two classes shape (n,): above 0 is the second.
        """
        scores = self._scores(X)
        return (scores[:, 1] - scores[:, 0]) / 2 if len(self.classes_) == 2 else scores

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of shape (n, n_classes), each row summing to 1.

        Parameters
        ----------
        X : array_like of shape (n, n_features)
        """
        scores = self._scores(X)
        return softmax(scores * self.classifier_.scale)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The class with the highest score, of equals the first, of shape (n,) and the type of y.

        Parameters
        ----------
        X : array_like of shape (n, n_features)
        """
        best = self._scores(X).argmax(axis=1)
        found: NDArray[Any] = self.classes_[best]
        return found

    def to_classifier(self, features: FeatureSet | FeatureIdentity) -> Classifier:
        """A classifier for images, to be saved and given to `classify_images`.

        Parameters
        ----------
        features : FeatureSet or FeatureIdentity
            What made the rows that `fit` was given. With a `FeatureSet` the classifier also keeps which of
            its images trained, so that `evaluate` can say it.

        Raises
        ------
        UsageError
            If it says nothing of what made features.
        ValueError
            If `fit` was given no row of the set as it is: a scaler may stand between them.
        """
        check_is_fitted(self)
        identity = identity_given(features)
        if not isinstance(features, FeatureSet):
            return replace(self.classifier_, identity=identity)
        trained = np.isin(_row_keys(features.X), self._trained)
        if not trained.any():
            raise ValueError(
                f"{features!r} was found, and the estimator was fitted on none of these rows; give the set "
                "whose X it was fitted on, with nothing before it that changes rows"
            )
        parts = np.where(trained, TRAIN, NEITHER).tolist()
        split = SplitRecord.of(parts, features.sha256, features.paths)
        made = dict(self.classifier_.metadata)
        if features.corrected is not None:
            made["corrections"] = features.corrected.to_json()
        return replace(self.classifier_, identity=identity, split=split, metadata=made)

    def _options(self) -> FitOptions:
        if self.C != _AUTO and not isinstance(self.C, Real):
            raise ValueError(f"C={self.C!r} was found; give 'auto' or a number above 0")
        try:
            return FitOptions(
                head=None if self.head == _AUTO else self.head,
                C=None if self.C == _AUTO else float(self.C),
                normalize=self.normalize,
                class_weight="balanced" if self.balanced else "none",
            )
        except UsageError as exc:
            raise ValueError(str(exc)) from exc

    def _folds(
        self, codes: NDArray[np.intp], groups: Sequence[Any] | NDArray[Any] | None
    ) -> NDArray[np.intp]:
        group = np.arange(len(codes)) if groups is None else np.unique(groups, return_inverse=True)[1]
        if self.random_state is not None:
            group = check_random_state(self.random_state).permutation(group.max() + 1)[group]
        return make_folds(codes, group, len(self.classes_))

    def _scores(self, X: ArrayLike) -> NDArray[np.float64]:
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float32, reset=False)
        return self.classifier_.decision_function(rows).astype(np.float64)


def _row_keys(rows: NDArray[np.float32]) -> NDArray[np.uint64]:
    """64 bits of a hash of each row."""
    digests = (hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
    return np.frombuffer(b"".join(digests), np.uint64)


def _check_names(names: Sequence[str], labels: NDArray[Any]) -> None:
    if "" in names:
        raise ValueError(
            f"{np.count_nonzero(labels == '')} of {len(labels)} rows have an empty label; leave them out: "
            "fit(X[y != ''], y[y != ''])"
        )
    if len(names) < 2:
        raise ValueError(f"all {len(labels)} rows are of one class, {names[0]!r}; give two or more")


def _choose(
    rows: NDArray[np.float32], codes: NDArray[np.intp], fold: NDArray[np.intp], options: FitOptions
) -> tuple[Choice, TrainingData]:
    """What cross-validation leaves to fit, and the rows normalised for it."""
    best: tuple[Choice, TrainingData] | None = None
    for kind in KINDS if options.normalize == "auto" else (options.normalize,):
        data = TrainingData(rows.copy(), codes, kind, class_weight=options.class_weight)
        choice = choose(data, fold, int(codes.max()) + 1, options=options)
        if choice.beats(best and best[0]):
            best = choice, data
    assert best is not None
    return best
