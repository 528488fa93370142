"""What a fit makes of a fitted head: a classifier, and all that is known of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.classifier.rejection import TradeOff
from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.data.leakage import Leakage
from fc7.classify.data.prepare import Prepared
from fc7.classify.data.record import NEITHER, TEST, TRAIN, SplitRecord
from fc7.classify.data.rows import Table, left_out_note
from fc7.classify.data.split import Split
from fc7.classify.fit.choose import Choice
from fc7.classify.fit.problem import FittedClassifier, Positions, Problem
from fc7.classify.fit.rejection_rules import RejectionRules
from fc7.classify.fit.result import FitResult
from fc7.classify.fit.solvers.heads import Fitted
from fc7.classify.metrics.metrics import Metrics
from fc7.models.common.label_names import lookalikes


def classifier_of(
    fitted: Fitted,
    choice: Choice,
    normalizer: Normalizer,
    classes: Sequence[str],
    identity: FeatureIdentity,
) -> Classifier:
    """A head as a classifier."""
    return Classifier(
        classes_=tuple(classes),
        coef_=fitted.coef,
        intercept_=fitted.intercept,
        normalizer=normalizer,
        scale=choice.scale,
        head=choice.head,
        C=choice.C,
        identity=identity,
    )


def right_predictions(
    probabilities: NDArray[np.float32], truth: Sequence[str], classes: Sequence[str]
) -> NDArray[np.bool_]:
    """Whether the most probable class of each row is the true one."""
    right: NDArray[np.bool_] = np.array(classes, np.str_)[probabilities.argmax(axis=1)] == np.array(truth)
    return right


@dataclass(frozen=True, slots=True)
class TestEvaluation:
    """What the test set, or copies in it, say of a classifier.

    Attributes
    ----------
    novel : ndarray of shape (n_novel,), intp
        Positions of test rows that are flagged as unlike the training images, the farthest first.
    trade_offs : tuple of TradeOff
        Empty unless images are to be rejected.
    """

    metrics: Metrics
    novel: Positions
    trade_offs: tuple[TradeOff, ...] = ()
    leakage: Leakage | None = None


def result_of(
    problem: Problem,
    choice: Choice,
    rules: RejectionRules,
    kept: FittedClassifier,
    evaluation: TestEvaluation,
    notes: Sequence[str],
) -> FitResult:
    """Everything that is known but for what `recorded` adds.

    Parameters
    ----------
    notes : sequence of str
        What the way of fitting has to say.
    """
    prepared = problem.prepared
    table, split = prepared.table, prepared.split
    return FitResult(
        classifier=kept.classifier,
        metrics=evaluation.metrics,
        train=table.rows[split.train],
        test=table.rows[split.test],
        train_groups=problem.group,
        parts=_parts(table, split),
        split_how=split.how,
        counts=_counts(table, split, evaluation.metrics),
        tuned=choice.tuned,
        rejection=rules.rejection,
        novelty=rules.novelty,
        novel=_names(table, evaluation.novel),
        trade_offs=evaluation.trade_offs,
        solver=kept.head.solver,
        notes=(*notes, *_notes(prepared, choice, rules, kept=kept), *_few_accepted(evaluation.metrics)),
        options=problem.options,
        seconds=0.0,
        grouped=any(table.groups or ()),
        group_hint=prepared.group_hint,
        duplicates=prepared.duplicates,
        leakage=evaluation.leakage,
    )


def recorded(result: FitResult, table: Table, started: float) -> FitResult:
    """With the time it took, rows left out, corrections, and the record in the classifier.

    Parameters
    ----------
    table : Table
        Of all labelled rows.
    started : float
        By `time.perf_counter`.
    """
    left_out = len(table.X) - len(table.rows)
    if table.corrected is not None:
        left_out -= table.corrected.n_removed
    notes = [left_out_note(left_out, len(table.X))] if left_out > 0 else []
    result = replace(
        result,
        notes=(*notes, *result.notes),
        seconds=time.perf_counter() - started,
        corrected=table.corrected,
    )
    record = SplitRecord.of(result.parts[table.rows].tolist(), table.content, table.paths)
    return replace(result, classifier=replace(result.classifier, metadata=result.record(), split=record))


def _parts(table: Table, split: Split) -> NDArray[np.str_]:
    parts = np.full(len(table.X), NEITHER, dtype="<U5")
    parts[table.rows[split.train]] = TRAIN
    parts[table.rows[split.test]] = TEST
    return parts


def _names(table: Table, positions: Positions) -> tuple[str, ...]:
    """Paths, or row numbers where there are none."""
    rows = table.rows[positions].tolist()
    names = table.paths
    return tuple(map(str, rows)) if names is None else tuple(names[i] for i in positions.tolist())


def _few_accepted(metrics: Metrics) -> list[str]:
    """A note if less than half of the test images are accepted."""
    if not metrics.reject_below or 2 * metrics.n_accepted >= metrics.n:
        return []
    return [
        f"{metrics.n_accepted} of {metrics.n} test images are accepted, less than half: a lower "
        "--reject-precision or --reject-below accepts more"
    ]


def _counts(table: Table, split: Split, metrics: Metrics) -> dict[str, tuple[int, int]]:
    in_training = Counter(table.labels[i] for i in split.train)
    in_test = zip(metrics.labels, metrics.support.tolist(), strict=True)
    return {label: (in_training[label], n) for label, n in in_test}


def _notes(prepared: Prepared, choice: Choice, rules: RejectionRules, kept: FittedClassifier) -> list[str]:
    identity = kept.classifier.identity
    notes = [*lookalikes(prepared.classes), *prepared.split.notes, *choice.notes, *rules.notes]
    if not identity.trained:
        notes.append(f"network {identity.network!r} has random weights: enough to try the tool, no more")
    if not kept.head.converged:
        notes.append(
            f"the {choice.head} did not converge at C = {choice.C:g}: its metrics are its own, but a better "
            "one exists; a smaller -C converges"
        )
    return notes
