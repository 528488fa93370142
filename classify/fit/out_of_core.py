"""Fit on a cache whose rows do not fit into memory: the same split and metrics, rows a part at a time.

Which head, which normalisation, which C and what is novel is learned as `classify.fit.fit` does, on training
rows drawn class by class. The head itself is fitted on every training row by `classify.fit.solvers.sgd`, and
beside it one that has not seen the first fold, on whose decisions about that fold probabilities are
calibrated and the threshold of `--reject-precision` is learned.

Not `classify.fit.solvers.newton` on memory-mapped rows: it goes over the file some two hundred times, SGD ten
times, and where memory was short it took more than three times as long (tests/benchmarks/NOTES-fitting.md).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.calibration import fit_scale, softmax
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.normalizer import KINDS, Normalizer
from fc7.classify.data.folds import make_folds
from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.data.leakage import measure_leakage
from fc7.classify.data.prepare import prepare_split
from fc7.classify.data.rows import Table, check_finite
from fc7.classify.fit.choose import Choice, choose
from fc7.classify.fit.outcome import TestEvaluation, classifier_of, recorded, result_of, right_predictions
from fc7.classify.fit.rejection_rules import learn_rejection_rules
from fc7.classify.fit.result import FitOptions, FitResult
from fc7.classify.fit.solvers.heads import Fitted
from fc7.classify.fit.solvers.sgd import RowSource, fit_in_parts
from fc7.classify.fit.training import TrainingData, class_weights
from fc7.classify.metrics.metrics import compute_metrics
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Progress, Silent

# Choices are made on so many rows at most: of 20,000 an accuracy is known to a third of a point.
_SAMPLE_ROWS = 20_000
# The sample, its copy that is normalised, and the rows that are held on the way each take this share.
_SHARE = 4

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labelled rows of a source; they count as in the table, and must be finite.

    Attributes
    ----------
    table : Table
        Without features: its X has no columns.
    held : int
        Rows that are held at a time.
    """

    table: Table
    source: RowSource
    held: int

    @property
    def block(self) -> int:
        """See `RowSource`; where some rows have no label, about so many."""
        return self.source.block

    def take(self, rows: Rows) -> NDArray[np.float32]:
        """See `RowSource`."""
        X = self.source.take(self.table.rows[rows])
        check_finite(X, np.arange(len(X)), lambda i: self.table.name(int(rows[i])))
        return X

    def parts(self, rows: Rows) -> Iterator[NDArray[np.float32]]:
        """All of them in order, as many at a time as are held."""
        return (self.take(rows[start : start + self.held]) for start in range(0, len(rows), self.held))


def fit_out_of_core(
    table: Table,
    source: RowSource,
    n_features: int,
    memory: int,
    *,
    identity: FeatureIdentity,
    options: FitOptions,
    progress: Progress | None = None,
) -> FitResult:
    """Fit on rows that stay where they are.

    Parameters
    ----------
    table : Table
        `classify.data.rows.make_table` without features.
    source : RowSource
        Of the rows that the table counts.
    memory : int
        Bytes that feature rows may take.
    options : FitOptions
        Every row would have to be compared with every other to find near-duplicates: `duplicates` ``auto``
        and cosines become ``exact``.

    Returns
    -------
    FitResult
        The same for the same rows, options and memory. Without `leakage` where the split was drawn: it
        would take another fit.

    Raises
    ------
    DataError, UsageError
        As `classify.fit.fit.fit_classifier`.
    """
    started = time.perf_counter()
    if options.head == "svm-ovo":
        raise UsageError(
            "--ovo holds the features in memory, and these take more than --memory: raise it, or fit "
            "without --ovo"
        )
    notes = []
    if options.duplicates not in ("exact", "off"):
        options = replace(options, duplicates="exact")
        notes.append("near-duplicates were not searched for among so many images; exact copies were")
    progress = progress or Silent()
    prepared = prepare_split(table, options)
    table, split, classes = prepared.table, prepared.split, prepared.classes
    held = max(source.block, memory // (_SHARE * 4 * n_features))
    rows = Labelled(table, source, held)
    code = {label: i for i, label in enumerate(classes)}
    y = np.array([code[table.labels[i]] for i in split.train], np.intp)
    group = np.unique(prepared.group[split.train], return_inverse=True)[1]

    sample = draw_sample(y, group, min(held, _SAMPLE_ROWS))
    some = split.train[sample]
    fold_of_some = make_folds(y[sample], np.unique(group[sample], return_inverse=True)[1], len(classes))
    choice = _choose(rows, some, y[sample], fold_of_some, len(classes), options, progress)
    notes.append(
        f"the rows take more than --memory: head, normalisation and C were chosen on {len(sample)} of "
        f"{len(y)} training images, and the classifier was fitted on all of them in parts"
    )

    solvers: list[Fitted] = []

    def fit(positions: Rows, y: NDArray[np.intp], inside: NDArray[np.bool_]) -> list[Classifier]:
        normalizer = Normalizer.learn_in_parts(choice.normalize, lambda: rows.parts(positions))
        weights = class_weights(y, inside, len(classes), options.class_weight)
        heads = fit_in_parts(
            rows, positions, y, inside, choice.head, choice.C, weights, normalizer,
            size=held, seed=options.seed, progress=progress,
        )  # fmt: skip
        solvers.append(heads[0])
        return [classifier_of(head, choice, normalizer, classes, identity) for head in heads]

    held_out = make_folds(y, group, len(classes)) == 0
    inside = np.stack([np.ones(len(y), np.bool_), ~held_out], axis=1)
    classifier, unseeing = fit(split.train, y, inside)
    if held_out.any():
        scores = [unseeing.decision_function(X) for X in rows.parts(split.train[held_out])]
        choice = _calibrated(choice, np.concatenate(scores).astype(np.float64), y[held_out])
        classifier = replace(classifier, scale=choice.scale)
    rules = learn_rejection_rules(rows.take(some), np.arange(len(some)), fold_of_some, choice, options)
    classifier = rules.applied_to(classifier)

    predictions = [classifier.proba_and_novelty(X) for X in rows.parts(split.test)]
    probabilities = np.concatenate([each[0] for each in predictions])
    n_novel = sum(int(np.count_nonzero(each[1] > 1)) for each in predictions)
    truth = [table.labels[i] for i in split.test]
    metrics = compute_metrics(truth, probabilities, classes, classifier.reject_below)
    right = right_predictions(probabilities, truth, classes)
    given = prepared.untied_split is None
    if options.refit_all:
        known = np.array([i for i in sorted([*split.train, *split.test]) if table.labels[i] in code], np.intp)
        y_known = np.array([code[table.labels[i]] for i in known], np.intp)
        (classifier,) = fit(known, y_known, np.ones((len(known), 1), np.bool_))
        classifier = rules.applied_to(replace(classifier, scale=choice.scale))
    evaluation = TestEvaluation(
        metrics, n_novel, measure_leakage(prepared, right, _cannot) if given else None
    )
    result = result_of(prepared, group, choice, rules, classifier, solvers[-1], evaluation, options, notes)
    return recorded(result, table, started)


def draw_sample(y: NDArray[np.intp], group: NDArray[np.intp], size: int) -> Rows:
    """About `size` rows, the same share of each class.

    Parameters
    ----------
    y, group : ndarray of shape (n,), intp
        Class codes; groups in the order in which they were dealt out, which is random.

    Returns
    -------
    ndarray of intp
        Ascending. Of each class those rows whose groups come first; two at least, or all that there are.
    """
    if size >= len(y):
        return np.arange(len(y))
    order = np.lexsort((np.arange(len(y)), group, y))
    count = np.bincount(y)
    place = np.arange(len(y)) - np.repeat(np.cumsum(count) - count, count)
    most = np.maximum(2, count * size // len(y))
    return np.sort(order[place < most[y[order]]])


def _choose(
    rows: Labelled,
    some: Rows,
    y: NDArray[np.intp],
    fold: NDArray[np.intp],
    n_classes: int,
    options: FitOptions,
    progress: Progress,
) -> Choice:
    """What cross-validation chooses on some rows."""
    tried: list[Choice] = []
    best: Choice | None = None
    for kind in KINDS if options.normalize == "auto" else (options.normalize,):
        data = TrainingData(rows.take(some), y, kind, options.class_weight)
        tried.append(choose(data, fold, n_classes, options, progress))
        del data
        if tried[-1].beats(best):
            best = tried[-1]
    assert best is not None
    return best.with_rivals(tried)


def _calibrated(choice: Choice, scores: NDArray[np.float64], y: NDArray[np.intp]) -> Choice:
    """The choice with what a head says of rows that it has not seen."""
    scale = fit_scale(scores, y)
    return replace(
        choice,
        scale=scale,
        confidence=softmax(scale * scores).max(axis=1).astype(np.float32),
        correct=scores.argmax(axis=1) == y,
    )


def _cannot(train: Rows, test: Rows) -> NDArray[np.bool_]:
    raise AssertionError("a given split is tested as it is")
