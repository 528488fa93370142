"""The steps of every fit: split, choose, fit, calibrate, learn when to reject, evaluate, refit.

Rows that fit into memory and rows that do not go through the same steps. What differs is a
`classify.fit.problem.Fitter`: where its rows lie, and which solver goes over them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.blas import one_blas_thread
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.normalizer import KINDS
from fc7.classify.classifier.rejection import trade_offs
from fc7.classify.data.folds import make_folds
from fc7.classify.data.leakage import Leakage, measure_leakage
from fc7.classify.data.prepare import prepare_split
from fc7.classify.data.rows import Table
from fc7.classify.data.selection import draw_sample
from fc7.classify.fit.choose import Choice, choose
from fc7.classify.fit.outcome import TestEvaluation, recorded, result_of, right_predictions
from fc7.classify.fit.problem import FeatureRows, FittedClassifier, Fitter, Positions, Problem, Rows
from fc7.classify.fit.rejection_rules import learn_rejection_rules
from fc7.classify.fit.result import FitOptions, FitResult
from fc7.classify.fit.training import TrainingData
from fc7.classify.metrics.metrics import compute_metrics
from fc7.models.common.progress import Progress


def fit_rows(
    table: Table,
    fitter: Fitter[Rows],
    options: FitOptions,
    progress: Progress | None = None,
    notes: Sequence[str] = (),
) -> FitResult:
    """Fit on a table's labelled rows, and evaluate on those that are held out.

    Parameters
    ----------
    notes : sequence of str
        What the caller has to say; they come first.

    Raises
    ------
    UsageError, DataError
        As `classify.data.prepare.prepare_split`.
    """
    started = time.perf_counter()
    # Images are compared on all cores; what is found does not depend on their number.
    problem = Problem.of(prepare_split(table, options, progress), options)
    # Rows in parts have their novelty axes found on all cores; one would change the last bits.
    with one_blas_thread() if fitter.sample_size is None else nullcontext():
        result = _fit_problem(problem, fitter, progress, notes=notes)
    return recorded(result, table, started)


def _fit_problem(
    problem: Problem, fitter: Fitter[Rows], progress: Progress | None, notes: Sequence[str]
) -> FitResult:
    """All but the time it took and the record in the classifier."""
    options, whole = problem.options, fitter.sample_size is None
    said = list(notes)
    sample = draw_sample(problem.y, problem.group, fitter.sample_size)
    if not whole:
        said.append(
            "the rows take more than --memory: head, normalisation and C were chosen on "
            f"{len(sample)} of {len(problem.y)} training images, and the classifier was fitted on all of "
            "them in parts"
        )
    group = np.unique(problem.group[sample], return_inverse=True)[1]
    fold = make_folds(problem.y[sample], group, len(problem.classes))
    kept, choice, rows = _choose_and_fit(problem, fitter, sample, fold=fold, progress=progress)
    rules = learn_rejection_rules(*rows.indexed(problem.train[sample]), fold, choice, options)
    kept = replace(kept, classifier=rules.applied_to(kept.classifier))

    evaluation, right = _evaluate(problem, rows, kept.classifier, out_of_fold=choice.confidence)
    # Of rows that are read in parts another fit would take as long again.
    if whole or problem.prepared.untied_split is None:
        leakage, found = _leakage(problem, fitter, rows, choice=choice, right=right)
        evaluation = replace(evaluation, leakage=leakage)
        said += found
    if options.refit_all:
        known = problem.prepared.known
        kept = fitter.fit(problem, rows, known, choice)
        seen = rows.indexed(known) if whole else ()
        kept = replace(kept, classifier=rules.applied_to(kept.classifier, *seen))
    return result_of(problem, choice, rules, kept=kept, evaluation=evaluation, notes=said)


def _choose_and_fit(
    problem: Problem,
    fitter: Fitter[Rows],
    sample: Positions,
    fold: NDArray[np.intp],
    progress: Progress | None,
) -> tuple[FittedClassifier, Choice, Rows]:
    """A classifier fitted on the train set as cross-validation chose, that choice, and the rows of its layer.

    Beside a layer's rows one copy of those to choose on is alive at a time.
    """
    options = problem.options
    layers = fitter.layers(problem.prepared.table)
    tried: list[Choice] = []
    best: tuple[Choice, Rows] | None = None
    rows: Rows | None = None
    data: TrainingData | None = None
    for layer in layers:
        rows = None
        rows = layer()
        for kind in KINDS if options.normalize == "auto" else (options.normalize,):
            data = None
            data = TrainingData(
                rows.take(problem.train[sample]), problem.y[sample], kind, class_weight=options.class_weight
            )
            choice = choose(data, fold, len(problem.classes), options=options, progress=progress)
            tried.append(choice.on_layer(rows.identity.layer) if len(layers) > 1 else choice)
            if best is None or tried[-1].beats(best[0]):
                best = tried[-1], rows
    assert best is not None
    choice, rows = best
    if choice is not tried[-1] or fitter.sample_size is not None:
        data = None
    kept, choice = fitter.fit_train(problem, rows, choice.with_rivals(tried), data=data)
    return kept, choice, rows


def _evaluate(
    problem: Problem, rows: FeatureRows, classifier: Classifier, out_of_fold: NDArray[np.float32]
) -> tuple[TestEvaluation, NDArray[np.bool_]]:
    """What the test set says of a classifier, and which of its rows are predicted right.

    Parameters
    ----------
    out_of_fold : ndarray of shape (n_validated,), float32
        `Choice.confidence`, which other thresholds to reject by come from.
    """
    test = problem.prepared.split.test
    truth = problem.prepared.labels(test)
    probabilities, novelty = _predictions(classifier, rows, test)
    metrics = compute_metrics(truth, probabilities, problem.classes, reject_below=classifier.reject_below)
    right = right_predictions(probabilities, truth, problem.classes)
    others = (
        tuple(trade_offs(out_of_fold, probabilities.max(axis=1), right))
        if problem.options.rejects and len(out_of_fold)
        else ()
    )
    farthest = np.argsort(-novelty, kind="stable")
    return TestEvaluation(metrics, test[farthest[novelty[farthest] > 1]], others), right


def _leakage(
    problem: Problem, fitter: Fitter[Rows], rows: Rows, choice: Choice, right: NDArray[np.bool_]
) -> tuple[Leakage | None, list[str]]:
    """The accuracy with copies on both sides of the split, and what to say of the fit it took."""
    notes: list[str] = []

    def fit_and_evaluate(train: Positions, test: Positions) -> NDArray[np.bool_]:
        # The rows are given up with the call: those of `test` may then take their place.
        other = fitter.fit(problem, rows, train, choice)
        if not other.head.converged:
            notes.append(
                "the classifier that was fitted with copies on both sides of the split did not converge: a "
                "better one exists"
            )
        probabilities, _ = _predictions(other.classifier, rows, test)
        return right_predictions(probabilities, problem.prepared.labels(test), problem.classes)

    return measure_leakage(problem.prepared, right, fit_and_evaluate), notes


def _predictions(
    classifier: Classifier, rows: FeatureRows, positions: Positions
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities (n, n_classes) and novelty (n,)."""
    parts = [classifier.proba_and_novelty(X) for X in rows.parts(positions)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
