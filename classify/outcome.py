"""What both ways of fitting, in memory and out of core, make of a fitted head."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from classify.choice import Choice
from classify.classifier import Classifier, FeatureIdentity
from classify.doubt import Doubt
from classify.evaluate import Metrics
from classify.heads import Fitted
from classify.normalize import Normalizer
from classify.records import FitResult
from classify.rows import Table, lookalikes
from classify.split import Split
from classify.split_record import NEITHER, TEST, TRAIN, SplitRecord
from classify.splitting import Prepared


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


def right_answers(
    probabilities: NDArray[np.float32], truth: Sequence[str], classes: Sequence[str]
) -> NDArray[np.bool_]:
    """Whether the most probable class of each row is the true one."""
    right: NDArray[np.bool_] = np.array(classes, np.str_)[probabilities.argmax(axis=1)] == np.array(truth)
    return right


def parts_of(table: Table, split: Split) -> NDArray[np.str_]:
    """For each row of X its part of the split."""
    parts = np.full(len(table.X), NEITHER, dtype="<U5")
    parts[table.rows[split.train]] = TRAIN
    parts[table.rows[split.test]] = TEST
    return parts


def counts_of(table: Table, split: Split, metrics: Metrics) -> dict[str, tuple[int, int]]:
    """Label -> images in training and in the test part."""
    in_training = Counter(table.labels[i] for i in split.train)
    in_test = zip(metrics.labels, metrics.support.tolist(), strict=True)
    return {label: (in_training[label], n) for label, n in in_test}


def notes_of(
    prepared: Prepared, choice: Choice, doubt: Doubt, fitted: Fitted, identity: FeatureIdentity
) -> list[str]:
    """What the user should know."""
    notes = [*lookalikes(prepared.classes), *prepared.split.notes, *choice.notes, *doubt.notes]
    if not identity.trained:
        notes.append(f"network {identity.network!r} has random weights: enough to try the tool, no more")
    if not fitted.converged:
        notes.append(
            f"the {choice.head} did not converge at C = {choice.C:g}: its figures are its own, but a better "
            "one exists; a smaller -C converges"
        )
    return notes


def recorded(result: FitResult, table: Table, started: float) -> FitResult:
    """With the time it took, rows left out, and the record in the classifier.

    Parameters
    ----------
    result : FitResult
    table : Table
        Of all labelled rows.
    started : float
        By `time.perf_counter`.
    """
    left_out = len(table.X) - len(table.rows)
    notes = [f"{left_out} of {len(table.X)} images have no label and were left out"] if left_out else []
    result = replace(result, notes=(*notes, *result.notes), seconds=time.perf_counter() - started)
    record = SplitRecord.of(result.parts[table.rows].tolist(), table.content, table.paths)
    return replace(result, classifier=replace(result.classifier, metadata=result.record(), split=record))
