"""What is fitted on, whatever its size: a split as numbers, feature rows, and who fits heads on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.data.prepare import Prepared
from fc7.classify.data.rows import Table
from fc7.classify.fit.choose import Choice
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.solvers.heads import Fitted
from fc7.classify.fit.training import TrainingData

Positions = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A split and how to fit on it; positions count within the prepared table.

    Attributes
    ----------
    y : ndarray of shape (n_train,), intp
        Class codes of the train set.
    group : ndarray of shape (n_train,), intp
        From 0: rows with the same number are of one group, or copies.
    """

    prepared: Prepared
    options: FitOptions
    y: NDArray[np.intp]
    group: NDArray[np.intp]

    @classmethod
    def of(cls, prepared: Prepared, options: FitOptions) -> Problem:
        """With labels and groups as numbers."""
        train = prepared.split.train
        group = np.unique(prepared.group[train], return_inverse=True)[1]
        return cls(prepared, options, prepared.codes(train), group)

    @property
    def classes(self) -> list[str]:
        """Those that can be predicted."""
        return self.prepared.classes

    @property
    def train(self) -> Positions:
        """Positions of the train set."""
        return self.prepared.split.train


@dataclass(frozen=True, slots=True)
class FittedClassifier:
    """A classifier and its head as the solver left it."""

    classifier: Classifier
    head: Fitted


class FeatureRows(Protocol):
    """Features of a table's labelled rows, wherever they lie."""

    @property
    def identity(self) -> FeatureIdentity:
        """What made them."""

    def take(self, positions: Positions) -> NDArray[np.float32]:
        """Some rows, (n, n_features), a new array."""

    def parts(self, positions: Positions) -> Iterator[NDArray[np.float32]]:
        """All of them in order, as many at a time as may be held."""

    def indexed(self, positions: Positions) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """An array, and which of its rows are meant; not a copy where they lie in memory."""


Rows = TypeVar("Rows", bound=FeatureRows)


class Fitter(Protocol[Rows]):
    """Fits heads on rows of one kind.

    Attributes
    ----------
    sample_size : int or None
        On so many training rows choices are made, and novelty is learned; None if all can be held.
    """

    @property
    def sample_size(self) -> int | None: ...

    def layers(self, table: Table) -> Sequence[Callable[[], Rows]]:
        """Features of the table's rows to choose from, each loaded when it is its turn."""

    def fit_train(
        self, problem: Problem, rows: Rows, choice: Choice, data: TrainingData | None
    ) -> tuple[FittedClassifier, Choice]:
        """Fit on the train set; the choice comes back calibrated.

        Parameters
        ----------
        data : TrainingData or None
            All training rows as `choice` normalises them, where they still are in memory.
        """

    def fit(self, problem: Problem, rows: Rows, positions: Positions, choice: Choice) -> FittedClassifier:
        """Fit on other rows, all of known classes."""
