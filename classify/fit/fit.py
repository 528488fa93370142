"""Features in memory to a classifier and its honest metrics; the steps are those of `classify.fit.flow`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.data.load import corrected_set, identity_given, table_of
from fc7.classify.data.rows import Table, make_table
from fc7.classify.fit.choose import Choice
from fc7.classify.fit.flow import fit_rows
from fc7.classify.fit.outcome import classifier_of
from fc7.classify.fit.problem import FittedClassifier, Positions, Problem
from fc7.classify.fit.result import FitOptions as FitOptions
from fc7.classify.fit.result import FitResult as FitResult
from fc7.classify.fit.training import TrainingData
from fc7.classify.image_columns import NOTHING_KNOWN, ImageColumns
from fc7.extract.cache.reader import FeatureSet
from fc7.models.common.errors import UsageError

if TYPE_CHECKING:
    from fc7.models.common.progress import Progress


@dataclass(frozen=True, slots=True)
class OtherLayer:
    """Features of the same rows from another layer, loaded when it is their turn.

    Attributes
    ----------
    load : callable
        Gives an array of shape (n, n_features), float32.
    """

    identity: FeatureIdentity
    load: Callable[[], NDArray[np.float32]]


def fit_classifier(
    X: ArrayLike | FeatureSet,
    y: Sequence[Any] | NDArray[Any] | None = None,
    known: ImageColumns = NOTHING_KNOWN,
    *,
    identity: FeatureIdentity | FeatureSet | None = None,
    options: FitOptions | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Fit a linear classifier on features and evaluate it on rows it has not seen.

    What `load_features` gave, whole, has all that the command `fit` goes by: the result is the command's.

    Everything that is learned (normalisation, C, which head, calibration) is learned on the training
    part. The same rows and options give the same classifier, bit for bit.

    Parameters
    ----------
    X : array_like of shape (n, n_features), or FeatureSet
        Converted to float32. A `FeatureSet` brings `y`, `known` and `identity` itself.
    y : sequence of n labels
        Anything with a text form; None, NaN and the empty text mean no label.
    known : ImageColumns
        What is known of the images: paths, content hashes, groups, splits, thumbnails.
    identity : FeatureIdentity, FeatureSet or None
        What made the features. It is stored: the classifier finds the network for new images by it, and
        refuses other features. Without it the classifier takes arrays only.
    progress : Progress or None
        Is told how far the cross-validation has come.

    Raises
    ------
    UsageError
        If a `FeatureSet` is given together with columns of its own, or corrections without one.
    DataError
        Under two classes, a class with one image, no labels, NaN, columns of unequal length.

    Examples
    --------
    >>> import fc7
    >>> options = fc7.FitOptions(head="svm", C=1.0)
    >>> fc7.fit_classifier(fc7.load_features("features.h5"), options=options).classifier
    Classifier(svm, C=1, normalize='l2': 4 classes, 192 features, tiles of tiles)

    Any other arrays will do:

    >>> import numpy as np
    >>> y = np.repeat(["cat", "dog", "newt"], 20)
    >>> X = np.repeat(np.eye(3), 20, axis=0) + np.random.default_rng(0).normal(0, 0.1, (60, 3))
    >>> result = fc7.fit_classifier(X, y, options=fc7.FitOptions(head="svm"))
    >>> result.metrics.accuracy, result.classifier.predict([[0.1, 0.9, 0]])
    (1.0, array(['dog'], dtype='<U4'))
    """
    if isinstance(X, FeatureSet):
        columns = {each.name: getattr(known, each.name) for each in fields(known)}
        _refuse_second({"y": y, **columns, "identity": identity})
        table, identity = table_of(corrected_set(X, None if options is None else options.corrections)), X
    elif y is None:
        raise UsageError("X came without y; give a label for each row, or what load_features gave, whole")
    elif options is not None and options.corrections is not None:
        raise UsageError(
            "FitOptions.corrections and a y were given; correct y itself, or give what load_features gave, "
            "whole"
        )
    else:
        table = make_table(X, y, known)
    return fit_table(table, identity=identity_given(identity), options=options, progress=progress)


def _refuse_second(columns: dict[str, Any]) -> None:
    given = [name for name, column in columns.items() if column is not None]
    if given:
        raise UsageError(
            f"a FeatureSet and {', '.join(given)} were given, and the set has its own; give the set alone, "
            "or its X with the columns of your choice"
        )


def fit_table(
    table: Table,
    *,
    identity: FeatureIdentity | None = None,
    others: Sequence[OtherLayer] = (),
    options: FitOptions | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """`fit_classifier` on rows that have been looked through.

    Parameters
    ----------
    others : sequence of OtherLayer
        Other features of the same rows. Cross-validation in the train set chooses between them and the
        table's; the split, its groups and the folds are those of the table.
    identity, options, progress
        As `fit_classifier`; the table has been corrected.

    Raises
    ------
    DataError
        Under two classes, or a class with one image.
    """
    fitter = _InMemory(identity or FeatureIdentity(), others)
    return fit_rows(table, fitter, options or FitOptions(), progress=progress)


@dataclass(frozen=True, slots=True)
class _TableRows:
    """Features that a table holds, as `FeatureRows`."""

    table: Table
    identity: FeatureIdentity

    def take(self, positions: Positions) -> NDArray[np.float32]:
        return self.table.X[self.table.rows[positions]]

    def parts(self, positions: Positions) -> Iterator[NDArray[np.float32]]:
        yield self.take(positions)

    def indexed(self, positions: Positions) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        return self.table.X, self.table.rows[positions]


@dataclass(frozen=True, slots=True)
class _InMemory:
    """A `Fitter` whose solvers see all training rows at once."""

    identity: FeatureIdentity
    others: Sequence[OtherLayer]

    @property
    def sample_size(self) -> None:
        return None

    def layers(self, table: Table) -> list[Callable[[], _TableRows]]:
        others = [partial(_loaded, table, other) for other in self.others]
        return [partial(_TableRows, table, self.identity), *others]

    def fit_train(
        self, problem: Problem, rows: _TableRows, choice: Choice, data: TrainingData | None
    ) -> tuple[FittedClassifier, Choice]:
        if data is None:
            data = _training_data(problem, rows, problem.train, choice=choice)
        head = data.fit(choice.head, choice.C, choice.start)
        classifier = classifier_of(
            head, choice, data.normalizer, classes=problem.classes, identity=rows.identity
        )
        return FittedClassifier(classifier, head), choice

    def fit(
        self, problem: Problem, rows: _TableRows, positions: Positions, choice: Choice
    ) -> FittedClassifier:
        data = _training_data(problem, rows, positions, choice=choice)
        head = data.fit(choice.head, choice.C)
        classifier = classifier_of(
            head, choice, data.normalizer, classes=problem.classes, identity=rows.identity
        )
        return FittedClassifier(classifier, head)


def _loaded(table: Table, layer: OtherLayer) -> _TableRows:
    return _TableRows(table.with_features(layer.load()), layer.identity)


def _training_data(problem: Problem, rows: _TableRows, positions: Positions, choice: Choice) -> TrainingData:
    y = problem.prepared.codes(positions)
    return TrainingData(rows.take(positions), y, choice.normalize, class_weight=problem.options.class_weight)
