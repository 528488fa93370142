"""Features and labels to a classifier and its honest metrics: check, split, tune, fit, evaluate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.normalizer import KINDS, Normalization
from fc7.classify.data.folds import make_folds
from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.data.leakage import measure_leakage
from fc7.classify.data.load import identity_given, table_of
from fc7.classify.data.prepare import Prepared, prepare_split
from fc7.classify.data.rows import Table, make_table
from fc7.classify.fit.choose import Choice, choose
from fc7.classify.fit.outcome import TestEvaluation, classifier_of, recorded, result_of, right_predictions
from fc7.classify.fit.rejection_rules import learn_rejection_rules
from fc7.classify.fit.result import FitOptions as FitOptions
from fc7.classify.fit.result import FitResult as FitResult
from fc7.classify.fit.solvers.heads import Fitted
from fc7.classify.fit.training import TrainingData
from fc7.classify.metrics.metrics import compute_metrics
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
    *,
    paths: Sequence[str] | None = None,
    sha256: Sequence[str] | None = None,
    groups: Sequence[str | None] | NDArray[np.str_] | None = None,
    splits: Sequence[str | None] | NDArray[np.str_] | None = None,
    thumbnails: NDArray[np.uint8] | None = None,
    identity: FeatureIdentity | FeatureSet | None = None,
    others: Sequence[OtherLayer] = (),
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
        Converted to float32. A `FeatureSet` brings `y` to `identity` itself.
    y : sequence of n labels
        Anything with a text form; None, NaN and the empty text mean no label.
    paths : sequence of n str, or None
        For messages, and to draw the split by where `sha256` is not known.
    sha256 : sequence of n str, or None
        Content hashes: copies of an image stay on one side. Without `sha256` and `paths` the feature
        rows themselves are hashed.
    groups : sequence of n (str or None), or None
        Rows of one group stay on one side.
    splits : sequence of n (str or None), or None
        ``train`` or ``test`` for each row, if the split is given; all empty counts as none.
    thumbnails : ndarray of shape (n, 96), uint8, or None
        `extract.images.thumbnails` of the images, zeros where there is none; they find near-duplicates too.
    identity : FeatureIdentity, FeatureSet or None
        What made the features. It is stored: the classifier finds the network for new images by it, and
        refuses other features. Without it the classifier takes arrays only.
    others : sequence of OtherLayer
        Other features of the same rows. Cross-validation in the train set chooses between them and `X`;
        the split, its groups and the folds are those of `X`.
    progress : Progress or None
        Is told how far the cross-validation has come.

    Raises
    ------
    UsageError
        If a `FeatureSet` is given together with columns of its own.
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
    columns: dict[str, Any] = {"paths": paths, "sha256": sha256, "groups": groups, "splits": splits}
    columns["thumbnails"] = thumbnails
    if isinstance(X, FeatureSet):
        _refuse_second({"y": y, **columns, "identity": identity})
        table, identity = table_of(X), X
    elif y is None:
        raise UsageError("X came without y; give a label for each row, or what load_features gave, whole")
    else:
        table = make_table(X, y, **columns)
    identity = identity_given(identity)
    return fit_table(table, identity=identity, others=others, options=options, progress=progress)


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
    identity, others, options, progress
        As `fit_classifier`.

    Raises
    ------
    DataError
        Under two classes, or a class with one image.
    """
    started = time.perf_counter()
    options = options or FitOptions()
    # Images are compared on all cores; what is found does not depend on their number.
    prepared = prepare_split(table, options, progress)
    with one_blas_thread():
        result = _fit_prepared(prepared, options, identity or FeatureIdentity(), others, progress)
    return recorded(result, table, started)


def _fit_prepared(
    prepared: Prepared,
    options: FitOptions,
    identity: FeatureIdentity,
    others: Sequence[OtherLayer],
    progress: Progress | None,
) -> FitResult:
    """All but the time it took and the record in the classifier."""
    split, classes, group = prepared.split, prepared.classes, prepared.group
    code = {label: i for i, label in enumerate(classes)}
    y = np.array([code[prepared.table.labels[i]] for i in split.train], np.intp)
    train_groups = np.unique(group[split.train], return_inverse=True)[1]
    fold = make_folds(y, train_groups, len(classes))
    choice, classifier, fitted, table = _choose_and_fit(prepared, fold, options, identity, others, progress)
    identity = classifier.identity
    prepared = replace(prepared, table=table)
    rules = learn_rejection_rules(table.X, table.rows[split.train], fold, choice, options)
    classifier = rules.applied_to(classifier)

    truth = [table.labels[i] for i in split.test]
    X_test = table.X[table.rows[split.test]]
    probabilities = classifier.predict_proba(X_test)
    metrics = compute_metrics(truth, probabilities, classes, classifier.reject_below)
    n_novel = int(np.count_nonzero(classifier.novelty_score(X_test) > 1))
    # What copies would have claimed takes as much memory again.
    del X_test

    notes: list[str] = []

    def fit_and_evaluate(train: NDArray[np.intp], test: NDArray[np.intp]) -> NDArray[np.bool_]:
        # The rows are given up with the call: those of `test` may then take their place.
        other, its = _fit(
            _training_data(table, train, code, options, choice.normalize), choice, classes, identity
        )
        if not its.converged:
            notes.append("the classifier behind the metric 'leaky' did not converge: a better one exists")
        return right_predictions(
            other.predict_proba(table.X[table.rows[test]]), [table.labels[i] for i in test], classes
        )

    leakage = measure_leakage(prepared, right_predictions(probabilities, truth, classes), fit_and_evaluate)
    if options.refit_all:
        known = [i for i in sorted([*split.train, *split.test]) if table.labels[i] in code]
        data = _training_data(table, np.array(known, np.intp), code, options, choice.normalize)
        classifier, fitted = _fit(data, choice, classes, identity)
        classifier = rules.applied_to(classifier, table.X, table.rows[known])

    evaluation = TestEvaluation(metrics, n_novel, leakage)
    return result_of(prepared, train_groups, choice, rules, classifier, fitted, evaluation, options, notes)


def _choose_and_fit(
    prepared: Prepared,
    fold: NDArray[np.intp],
    options: FitOptions,
    identity: FeatureIdentity,
    others: Sequence[OtherLayer],
    progress: Progress | None,
) -> tuple[Choice, Classifier, Fitted, Table]:
    """What cross-validation chose, a classifier so fitted on the train set, and the rows of its layer.

    Beside a layer's rows one copy of their train set is alive at a time.
    """
    kinds = KINDS if options.normalize == "auto" else (options.normalize,)
    code = {label: i for i, label in enumerate(prepared.classes)}
    train = prepared.split.train
    tried: list[Choice] = []
    best: Choice | None = None
    chosen = prepared.table, identity
    data: TrainingData | None = None
    for layer in (None, *others):
        table, its = prepared.table, identity
        if layer is not None:
            table, its = prepared.table.with_features(layer.load()), layer.identity
        for kind in kinds:
            data = None
            data = _training_data(table, train, code, options, kind)
            choice = choose(data, fold, len(prepared.classes), options, progress)
            tried.append(choice.on_layer(its.layer) if others else choice)
            if tried[-1].beats(best):
                best, chosen = tried[-1], (table, its)
    assert best is not None
    table, identity = chosen
    if best is not tried[-1]:
        data = None
        data = _training_data(table, train, code, options, best.normalize)
    assert data is not None
    classifier, fitted = _fit(data, best, prepared.classes, identity, best.start)
    return best.with_rivals(tried), classifier, fitted, table


def _training_data(
    table: Table, positions: NDArray[np.intp], code: dict[str, int], options: FitOptions, kind: Normalization
) -> TrainingData:
    y = np.array([code[table.labels[i]] for i in positions], np.intp)
    return TrainingData(table.X[table.rows[positions]], y, kind, options.class_weight)


def _fit(
    data: TrainingData,
    choice: Choice,
    classes: list[str],
    identity: FeatureIdentity,
    start: Fitted | None = None,
) -> tuple[Classifier, Fitted]:
    """The classifier, and what its solver says."""
    fitted = data.fit(choice.head, choice.C, start)
    return classifier_of(fitted, choice, data.normalizer, classes, identity), fitted
