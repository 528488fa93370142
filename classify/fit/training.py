"""Training rows, normalised once and in the coordinates that are cheapest to fit on."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Head
from fc7.classify.classifier.normalizer import Normalization, Normalizer
from fc7.classify.classifier.products import Design
from fc7.classify.data.folds import ALWAYS_TRAINS
from fc7.classify.fit.solvers.few_rows import fit_few_rows, is_quick
from fc7.classify.fit.solvers.heads import Fitted, HeadFitter
from fc7.classify.fit.solvers.one_vs_one import fit_pairs
from fc7.classify.fit.solvers.pair_path import PairPath
from fc7.classify.fit.solvers.path import Path
from fc7.classify.fit.solvers.rotate import Rotation, pays

ClassWeight = Literal["none", "balanced"]
CLASS_WEIGHTS: tuple[ClassWeight, ...] = get_args(ClassWeight)

# Folds only rank values of C. On 5,000 drawn rows of 50 classes the softmax's accuracies at 3e-3 and at
# 1e-3 were at most half a point apart, and an SVM much looser than this stayed where the last C had left
# it (tests/benchmarks/NOTES-fitting.md).
_FOLD_TOLERANCE: dict[Head, float] = {"svm": 0.02, "softmax": 3e-3, "svm-ovo": 0.02}
_TOLERANCE: dict[Head, float] = {"svm": 5e-4, "softmax": 1e-4, "svm-ovo": 5e-4}
# scikit-learn copies the rows of an SVM to float64 and liblinear again to 16 bytes a number that is not
# zero. From this many numbers on (7,300 rows of 4096; 0.7 GB) the same objective is minimised where the
# rows lie.
_LARGEST_COPY = 30_000_000


def class_weights(
    y: NDArray[np.intp], inside: NDArray[np.bool_], n_classes: int, kind: ClassWeight
) -> NDArray[np.float64]:
    """Of each class in each choice of rows.

    Parameters
    ----------
    y : ndarray of shape (n,), intp
    inside : ndarray of shape (n, n_choices), bool
    kind : {"none", "balanced"}

    Returns
    -------
    ndarray of shape (n_choices, n_classes), float64
    """
    counts = np.stack([np.bincount(y[rows], minlength=n_classes) for rows in inside.T])
    if kind == "none":
        return np.ones(counts.shape)
    balanced: NDArray[np.float64] = counts.sum(axis=1, keepdims=True) / (n_classes * counts)
    return balanced


class TrainingData:
    """Rows to fit on, as a whole and fold by fold.

    Parameters
    ----------
    X : ndarray of shape (n, n_features), float32
        Features as extracted. Normalised in place: the caller gives them up.
    y : ndarray of shape (n,), intp
        Class codes from 0, each present.
    kind : {"l2", "standard", "none"}
        "standard" is learned anew for every fold, inside it; the others know one row at a time.
    class_weight : {"none", "balanced"}
        "balanced": C of a class times ``n / (n_classes * rows of the class)``, counted in what is fitted: of
        one-vs-one in the two classes of each pair.

    Attributes
    ----------
    normalizer : Normalizer
        Learned on all rows.
    mean_square : float
        Mean squared length of the normalised rows; 1 if all are zero.
    """

    def __init__(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.intp],
        kind: Normalization,
        class_weight: ClassWeight = "none",
    ) -> None:
        self.y = y
        self.n_classes, self.n_features = int(y.max()) + 1, X.shape[1]
        self.class_weight: ClassWeight = class_weight
        self.normalizer = Normalizer.learn(kind, X)
        self._X = self.normalizer.apply(X, out=X)
        self._rotation = Rotation.of(X) if pays(X) else None
        square = float(np.einsum("ij,ij->", X, X, dtype=np.float64)) / max(len(X), 1)
        self.mean_square = square if square > 0 else 1.0

    def folds(self, head: Head, fold: NDArray[np.intp]) -> Path | PairPath:
        """Heads that have not seen one fold each, for rising values of C.

        Parameters
        ----------
        head : {"svm", "softmax", "svm-ovo"}
        fold : ndarray of shape (n,), intp
            As `make_folds` gives it.

        Returns
        -------
        Path or PairPath
            Choice f fits on all rows but those of the f-th of the folds that occur.
        """
        numbers = np.unique(fold[fold != ALWAYS_TRAINS])
        inside = fold[:, None] != numbers
        if self.normalizer.kind == "standard":
            design = self._standardised(inside)
        else:
            design = Design(self._X if head == "svm-ovo" else self._coordinates())
        if head == "svm-ovo":
            balanced = self.class_weight == "balanced"
            return PairPath(design, self.y, inside, balanced=balanced, tolerance=_FOLD_TOLERANCE[head])
        return Path(
            head,
            design=design,
            y=self.y,
            inside=inside,
            class_weight=self._weights(inside),
            tolerance=_FOLD_TOLERANCE[head],
        )

    def fit(self, head: Head, C: float, start: Fitted | None = None) -> Fitted:
        """The head on all rows, with weights on the normalised features.

        Parameters
        ----------
        head : {"svm", "softmax", "svm-ovo"}
        start : Fitted or None
            Where a softmax starts: `Path.average` of this object's `folds`.
        """
        if head == "svm-ovo":
            balanced = self.class_weight == "balanced"
            return fit_pairs(self._X, self.y, C, balanced=balanced, tolerance=_TOLERANCE[head])
        everything = np.ones((len(self.y), 1), np.bool_)
        if head == "svm" and is_quick(len(self.y), self.n_classes):
            return fit_few_rows(self._X, self.y, C, class_weight=self._weights(everything))
        rows = self._coordinates()
        fitter = HeadFitter(head, self.class_weight)
        if head == "svm" and rows.size <= _LARGEST_COPY:
            fitted = fitter.fit(self._X if self._rotation is None else self._rotation.coordinates, self.y, C)
        else:
            path = Path(
                head,
                design=Design(rows),
                y=self.y,
                inside=everything,
                class_weight=self._weights(everything),
                tolerance=_TOLERANCE[head],
            )
            # Standardised folds are fitted on the features, where the rows may now have coordinates.
            if start is not None and start.coef.shape[1] == rows.shape[1]:
                path.begin(start)
            path.fit(C)
            fitted = path.average()
            # Where it stops too early, L-BFGS goes on in float64: on many rows a copy that does not fit.
            if head == "softmax" and (rows.size <= _LARGEST_COPY or not fitted.converged):
                newton, fitted = fitted.solver, fitter.fit(rows, self.y, C, start=fitted)
                fitted = replace(fitted, solver=fitted.solver.after(newton))
        if self._rotation is None:
            return fitted
        return replace(fitted, coef=self._rotation.restore(fitted.coef))

    def _coordinates(self) -> NDArray[np.float32]:
        if self._rotation is None:
            return self._X
        return self._rotation.coordinates.astype(np.float32)

    def _weights(self, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Of each class in each choice of rows, (n_choices, n_classes)."""
        return class_weights(self.y, inside, self.n_classes, kind=self.class_weight)

    def _standardised(self, inside: NDArray[np.bool_]) -> Design:
        """The rows, standardised on all of them, as standardised on each fold's own.

        Both are a shift and a scaling of each feature, and so is the step from one to the other.
        """
        scale, shift = [], []
        for rows in inside.T:
            learned = Normalizer.learn("standard", self._X, rows)
            assert learned.mean is not None
            assert learned.std is not None
            scale.append(1 / learned.std)
            shift.append(-learned.mean / learned.std)
        columns = (np.stack(each, axis=1).astype(np.float32)[:, :, None] for each in (scale, shift))
        return Design(self._X, *columns)
