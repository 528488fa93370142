"""A linear head on rows that do not fit into memory: stochastic gradient descent, a part of them at a time.

`sklearn.linear_model.SGDClassifier` by `partial_fit`: one class against the rest, hinge loss for "svm",
logistic loss for "softmax", L2 penalty, the step size 1 / (alpha (t0 + t)) (Bottou 2012, "Stochastic gradient
descent tricks"). Its objective is the mean loss plus ``alpha / 2 |w|^2``, that of LinearSVC and
LogisticRegression ``0.5 |w|^2`` plus C times the sum of the losses: alpha = 1 / (C n).

LinearSVC's own loss, the squared hinge, does badly here: of 4,000 drawn rows with 10 classes it got 88.4 %
right where the hinge got 91.7 % and LinearSVC 92.7 % (C = 1, ten epochs; tests/benchmarks/NOTES-fitting.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.linear_model import SGDClassifier

from fc7.classify.classifier.classifier import Head
from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.classifier.products import each_part
from fc7.classify.fit.solvers.heads import Fitted, Solver
from fc7.models.common.progress import Progress

# Passes over the rows: ten, and of few rows as many as give so many steps. From 10 to 20 passes 2,800 drawn
# rows gained at most 0.3 points, from 5 to 10 up to 1.3.
_EPOCHS, _STEPS = 10, 5_000
# A part is made of so many pieces of the cache at least, so that neighbours do not fill it.
_PIECES = 64

Rows = NDArray[np.intp]
_LOSS: dict[Head, str] = {"svm": "hinge", "softmax": "log_loss"}


class RowSource(Protocol):
    """Where feature rows come from."""

    @property
    def block(self) -> int:
        """Rows that are read together, whether one is wanted or all."""

    def take(self, rows: Rows) -> NDArray[np.float32]:
        """Some rows, (n, n_features), a new array."""


def shuffled(
    source: RowSource, rows: Rows, size: int, rng: np.random.Generator
) -> Iterator[tuple[Rows, NDArray[np.float32]]]:
    """All rows once in random order: blocks of the file at random, about `size` rows held, these mixed.

    A cache is sorted by path, so that neighbours are of one class; a part made of many blocks is not.

    Yields
    ------
    ndarray of intp
        Positions among `rows`.
    ndarray of shape (n, n_features), float32
    """
    piece = min(source.block, max(1, size // _PIECES))
    number = rows // piece
    order = rng.permutation(np.unique(number))
    place = np.empty(int(number.max()) + 1, np.intp)
    place[order] = np.arange(len(order))
    by_piece = np.argsort(place[number], kind="stable")
    # Of one size: a short part at the end would be of one class.
    for part in np.array_split(by_piece, -(-len(rows) // size)):
        part = np.sort(part)
        X = source.take(rows[part])
        mixed = rng.permutation(len(part))
        yield part[mixed], X[mixed]


class Sgd:
    """One class against the rest, given rows a part at a time.

    Parameters
    ----------
    head : {"svm", "softmax"}
    n : int
        Rows of an epoch.
    weight : float, rest : float
        Multiply C for rows of the class, and of the rest.
    """

    def __init__(self, head: Head, C: float, n: int, weight: float, rest: float) -> None:
        self.estimator: Any = SGDClassifier(
            loss=_LOSS[head],
            alpha=1 / (C * n),
            shuffle=False,
            class_weight={0: rest, 1: weight},
            random_state=0,
        )
        self._classes: list[int] | None = [0, 1]

    def learn(self, X: NDArray[np.float32], own: NDArray[np.bool_]) -> None:
        """Take a step for each row of X, normalised, in their order."""
        # Rows were looked at when they were read; here they would be once for every class.
        with config_context(assume_finite=True):
            self.estimator.partial_fit(X, own.astype(np.intp), classes=self._classes)
        self._classes = None


@dataclass(frozen=True, slots=True)
class Normalised:
    """The rows of a source, normalised."""

    source: RowSource
    normalizer: Normalizer

    @property
    def block(self) -> int:
        """See `RowSource`."""
        return self.source.block

    def take(self, rows: Rows) -> NDArray[np.float32]:
        """See `RowSource`."""
        X = self.source.take(rows)
        return self.normalizer.apply(X, out=X)


@dataclass(frozen=True, slots=True)
class SgdFitter:
    """Fits one head on rows that are read a part at a time.

    Attributes
    ----------
    head : {"svm", "softmax"}
    held : int
        Rows that are held at a time.
    seed : int
        Decides the order of the rows.
    """

    head: Head
    held: int
    seed: int
    progress: Progress

    def fit(
        self,
        source: RowSource,
        rows: Rows,
        y: NDArray[np.intp],
        inside: NDArray[np.bool_],
        C: float,
        class_weight: NDArray[np.float64],
    ) -> list[Fitted]:
        """Heads on several choices of the same rows, which are read once an epoch for all of them.

        Parameters
        ----------
        source : RowSource
            Of normalised rows.
        rows : ndarray of shape (n,), intp
            Of the source, ascending.
        y : ndarray of shape (n,), intp
            Class codes; each choice holds every class.
        inside : ndarray of shape (n, n_choices), bool
        class_weight : ndarray of shape (n_choices, n_classes), float64

        Returns
        -------
        list of Fitted
            The same for the same rows, order and `held`.
        """
        n_choices, n_classes = class_weight.shape
        # Of two classes one is told from the other.
        fitted_classes = range(1, 2) if n_classes == 2 else range(n_classes)
        heads = [
            [
                Sgd(
                    self.head,
                    C,
                    int(inside[:, i].sum()),
                    weight=w[c],
                    rest=w[1 - c] if n_classes == 2 else 1.0,
                )
                for c in fitted_classes
            ]
            for i, w in enumerate(class_weight)
        ]
        epochs = max(_EPOCHS, -(-_STEPS // len(rows)))
        rng = np.random.default_rng(self.seed)
        self.progress.start(epochs * len(rows), f"fitting {self.head} in parts")
        for _ in range(epochs):
            for which, X in shuffled(source, rows, self.held, rng=rng):
                for i in range(n_choices):
                    chosen = inside[which, i]
                    if chosen.any():
                        _learn(heads[i], fitted_classes, X if chosen.all() else X[chosen], y=y[which[chosen]])
                self.progress.advance(len(X))
        self.progress.finish()
        return [_fitted(each, self.head, epochs) for each in heads]


def _learn(heads: list[Sgd], classes: range, X: NDArray[np.float32], y: NDArray[np.intp]) -> None:
    """Classes side by side on all cores; each is its own problem, so that no bit depends on them."""

    def work(part: slice) -> None:
        for one, c in zip(heads[part], classes[part], strict=True):
            one.learn(X, y == c)

    each_part(work, len(heads), float(X.size) * len(heads), step=1)


def _fitted(heads: list[Sgd], head: Head, epochs: int) -> Fitted:
    coef = np.concatenate([one.estimator.coef_ for one in heads]).astype(np.float64)
    intercept = np.concatenate([one.estimator.intercept_ for one in heads]).astype(np.float64)
    if len(coef) == 1:
        coef, intercept = np.concatenate([-coef, coef]), np.concatenate([-intercept, intercept])
    finite = bool(np.isfinite(coef).all() and np.isfinite(intercept).all())
    solver = Solver(f"SGD, {_LOSS[head]} (SGDClassifier, out of core)", None, epochs)
    return Fitted(coef, intercept, finite, solver=solver)
