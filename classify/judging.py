"""Judge a classifier on labelled images or on a cache that it was not fitted on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classify.artifact import load_classifier
from classify.classifier import Classifier
from classify.evaluate import Metrics, judge
from classify.scoring import Notify, RunOptions, list_unless_cache, score_inputs
from extract.stages import Failure, Listing
from extract.stream import Clock
from models.errors import DataError
from models.progress import Progress, Silent


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate_images` found.

    Attributes
    ----------
    metrics : Metrics
    unlabelled : int
        Images without a label, which cannot be judged.
    failures : list of Failure
    seconds : float
    """

    metrics: Metrics
    unlabelled: int
    failures: list[Failure]
    seconds: float


def evaluate_images(
    inputs: Sequence[str | Path] | Listing,
    model: str | Path | Classifier = "classifier.onnx",
    *,
    options: RunOptions | None = None,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> Evaluation:
    """Accuracy and all the rest on labelled images.

    Parameters
    ----------
    inputs : sequence of str or Path, or Listing
        Folders of images whose labels are their folders' names, or one features.h5.
    model : str, Path or Classifier
    options : RunOptions or None
    progress : Progress or None
    notify : callable
        Is given one-line notes.

    Raises
    ------
    DataError
        If no image has a label.
    MismatchError, ClassifierError
    """
    started = time.perf_counter()
    classifier = model if isinstance(model, Classifier) else load_classifier(Path(model))
    y_true: list[str] = []
    probabilities = [np.empty((0, len(classifier.classes_)), np.float32)]
    listing = list_unless_cache(inputs, notify)
    unlabelled = 0
    failures = list(listing.failures) if isinstance(listing, Listing) else []
    for scored in score_inputs(
        listing,
        classifier,
        options or RunOptions(),
        clock=Clock(),
        progress=progress or Silent(),
        notify=notify,
    ):
        known = [i for i, label in enumerate(scored.labels) if label is not None]
        unlabelled += len(scored.labels) - len(known)
        y_true += [label for label in scored.labels if label is not None]
        probabilities.append(scored.probabilities[known])
        failures += scored.failures
    if not y_true:
        raise DataError(
            f"none of the {unlabelled} images has a label; put them into one folder per class, or "
            "use classify"
        )
    metrics = judge(y_true, np.concatenate(probabilities), classifier.classes_)
    return Evaluation(metrics, unlabelled, failures, time.perf_counter() - started)
