"""Evaluate a classifier on labelled images or on a cache."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.metrics.metrics import Metrics, compute_metrics
from fc7.classify.predict.group_metrics import GroupMetrics, group_metrics
from fc7.classify.predict.options import EvaluateOptions
from fc7.classify.predict.recovery import recover_unless_cache
from fc7.classify.predict.same_truth import other_truth
from fc7.classify.predict.score import list_unless_cache, score_inputs
from fc7.classify.predict.scoring_run import ScoringRun
from fc7.classify.predict.train_overlap import in_train_set
from fc7.extract.inputs.labels.grouping import OPTION, compile_pattern, group_of
from fc7.extract.inputs.tables.corrections import Corrected, Corrections
from fc7.extract.inputs.tables.corrections_table import corrections_given
from fc7.extract.records import Failure, Listing
from fc7.extract.worker.read_ahead import Care
from fc7.models.common.errors import DataError, UsageError
from fc7.models.common.files import Inputs
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.common.record_repr import one_line_repr


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedRows:
    """Labelled images and what a classifier said of them; item i of every field is the same image.

    Attributes
    ----------
    paths, truth, groups, sha256 : list of str
        `groups` holds empty texts where there is no group.
    probabilities : ndarray of shape (n, n_classes), float32
    novelty : ndarray of shape (n,), float32
    in_train : ndarray of shape (n,), bool
        Whether the classifier learned from it.
    """

    paths: list[str]
    truth: list[str]
    groups: list[str]
    sha256: list[str]
    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32]
    in_train: NDArray[np.bool_]

    __repr__ = one_line_repr

    def take(self, which: NDArray[np.intp]) -> EvaluatedRows:
        """Some of the rows."""
        chosen = which.tolist()
        paths, truth, groups, sha256 = (
            [column[i] for i in chosen] for column in (self.paths, self.truth, self.groups, self.sha256)
        )
        return EvaluatedRows(
            paths,
            truth=truth,
            groups=groups,
            sha256=sha256,
            probabilities=self.probabilities[which],
            novelty=self.novelty[which],
            in_train=self.in_train[which],
        )


@dataclass(frozen=True, slots=True)
class Scoring:
    """All labelled images of some inputs, scored.

    Attributes
    ----------
    unlabelled : int
        Images without a label, which cannot be evaluated.
    corrected : Corrected or None
        What corrections did to the labels.
    """

    rows: EvaluatedRows
    unlabelled: int
    failures: list[Failure]
    corrected: Corrected | None = None

    __repr__ = one_line_repr


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate_images` found.

    Attributes
    ----------
    groups : tuple of GroupMetrics
        Empty if no image has a group.
    rows : EvaluatedRows
        The images that were evaluated.
    n_in_train : int
        Those of them that the classifier learned from.
    left_out : int
        Images that it learned from and that were not evaluated for that.
    unlabelled : int
        Images without a label, which cannot be evaluated.
    corrected : Corrected or None
        What corrections did to the labels.
    notes : tuple of str
        Whether the labels are those of the fit (`classify.predict.same_truth`), a sentence each.
    """

    metrics: Metrics
    groups: tuple[GroupMetrics, ...]
    classifier: Classifier
    rows: EvaluatedRows
    n_in_train: int
    left_out: int
    unlabelled: int
    failures: list[Failure]
    seconds: float
    corrected: Corrected | None = None
    notes: tuple[str, ...] = ()

    __repr__ = one_line_repr


def evaluate_images(
    inputs: Inputs | Listing,
    model: str | Path | Classifier = "classifier.onnx",
    options: EvaluateOptions | None = None,
    *,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> Evaluation:
    """Accuracy and all the rest on labelled images.

    Parameters
    ----------
    inputs : sequence of str or Path, or Listing
        Folders of images whose labels are their folders' names, or one features.h5.
    notify : callable
        Is given one-line notes.

    Raises
    ------
    DataError
        If no image has a label, or none is left to evaluate on.
    UsageError, MismatchError, ClassifierError
    """
    started = time.perf_counter()
    options = options or EvaluateOptions()
    corrections = corrections_given(options.corrections)
    classifier = model if isinstance(model, Classifier) else load_classifier(Path(model))
    if options.held_out and classifier.split is None:
        raise UsageError(
            "--held-out needs a classifier that keeps its split, and this one was made by an "
            "older fc7: fit again"
        )
    listing = list_unless_cache(
        inputs,
        notify,
        labels=None if options.labels is None else Path(options.labels),
        group_by=options.group_by,
        label_by=options.label_by,
    )
    with recover_unless_cache(listing, None, options, notify=notify) as (listing, care):
        run = ScoringRun(options, progress or Silent(), notify)
        scoring = score_labelled(
            listing, classifier, run, care=care, group_by=options.group_by, corrections=corrections
        )
    rows = scoring.rows
    if options.held_out:
        rows = rows.take(np.flatnonzero(~rows.in_train))
        if not rows.paths:
            raise DataError(
                f"the classifier learned from all {len(scoring.rows.paths)} labelled images; give others"
            )
    metrics = compute_metrics(
        rows.truth, rows.probabilities, classifier.classes_, reject_below=classifier.reject_below
    )
    correct = [
        classifier.classes_[best] == label
        for best, label in zip(rows.probabilities.argmax(axis=1), rows.truth, strict=True)
    ]
    return Evaluation(
        metrics=metrics,
        groups=group_metrics(rows.groups, np.array(correct, bool)),
        classifier=classifier,
        rows=rows,
        n_in_train=int(np.count_nonzero(rows.in_train)),
        left_out=len(scoring.rows.paths) - len(rows.paths),
        unlabelled=scoring.unlabelled,
        failures=scoring.failures,
        seconds=time.perf_counter() - started,
        corrected=scoring.corrected,
        notes=tuple(
            other_truth(classifier, scoring.corrected, scoring.rows.sha256, paths=scoring.rows.paths)
        ),
    )


def score_labelled(
    listing: Listing | Path,
    classifier: Classifier,
    run: ScoringRun,
    care: Care,
    *,
    group_by: str | None = None,
    corrections: Corrections | None = None,
) -> Scoring:
    """Score every labelled image of a listing or a cache.

    Parameters
    ----------
    listing, care
        As `classify.predict.recovery.recover_unless_cache` gives them.
    group_by : str or None
        As for `evaluate_images`; a listing has its groups already.
    corrections : Corrections or None
        Labels that go before those of the listing or the cache.

    Raises
    ------
    DataError
        If no image has a label.
    UsageError, MismatchError
    """
    paths: list[str] = []
    truth: list[str] = []
    groups: list[str] = []
    sha256: list[str] = []
    probabilities = [np.empty((0, len(classifier.classes_)), np.float32)]
    novelty = [np.empty(0, np.float32)]
    failures = list(listing.failures) if isinstance(listing, Listing) else []
    with closing(score_inputs(listing, classifier, run, care=care)) as done:
        for scored in done:
            truth += [label or "" for label in scored.labels]
            paths += scored.paths
            groups += scored.groups
            sha256 += scored.sha256
            probabilities.append(scored.probabilities)
            novelty.append(scored.novelty)
            failures += scored.failures
    corrected = None
    if corrections is not None:
        truth, corrected = corrections.over(paths, sha256, truth)
    known = np.array([i for i, label in enumerate(truth) if label], np.intp)
    if not len(known):
        raise DataError(
            f"none of the {len(truth)} images has a label; put them into one folder per class, or give "
            "--labels or --label-by; classify needs no labels"
        )
    if group_by is not None and not isinstance(listing, Listing):
        groups = _groups_by_path(paths, groups, group_by)
    rows = EvaluatedRows(
        paths,
        truth=truth,
        groups=groups,
        sha256=sha256,
        probabilities=np.concatenate(probabilities),
        novelty=np.concatenate(novelty),
        in_train=in_train_set(classifier, sha256, paths),
    )
    removed = 0 if corrected is None else corrected.n_removed
    rows = rows if len(known) == len(truth) else rows.take(known)
    return Scoring(rows, len(truth) - len(known) - removed, failures, corrected=corrected)


def _groups_by_path(paths: Sequence[str], groups: Sequence[str], pattern: str) -> list[str]:
    """Groups of a cache's rows: its own where it has one, else what the path says."""
    compiled = compile_pattern(OPTION, pattern)
    return [group or group_of(path, compiled) or "" for path, group in zip(paths, groups, strict=True)]
