"""Classify images or cached features: one line out for every image in, in the order of the listing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.kinds import PREDICTIONS
from fc7.classify.predict.predictions import (
    ListedFailures,
    Prediction,
    is_stdout,
    open_predictions,
    shown_root,
)
from fc7.classify.predict.recovery import recover_unless_cache
from fc7.classify.predict.score import list_unless_cache, score_inputs
from fc7.classify.predict.scoring_run import ScoringRun
from fc7.extract.call_inputs import guard_for
from fc7.extract.clock import Clock
from fc7.extract.options import RunOptions
from fc7.extract.records import Failure, Listing
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.outputs.outputs import Destination, Output

NOVEL_SHOWN = 5
"""So many images that are unlike those of training are named."""


@dataclass(frozen=True, slots=True)
class ClassifySummary:
    """What `classify_images` did; images = classified + failures.

    Attributes
    ----------
    out : Path or None
        None if no file was written.
    counts : dict of str to int
        Predicted label -> images; rejected ones are under `unknown`.
    unknown : str
        What rejected images are called.
    n_rejected, n_novel : int
        Images that the classifier was too unsure of, and those unlike the images of training.
    nodes : mapping of str to (int, float)
        On a cluster, for each node its name, the images it did and the seconds it worked.
    predictions : sequence of Prediction
        In the order of the listing; empty unless they were to be kept.
    novel : tuple of str
        Paths of the first `NOVEL_SHOWN` images that are unlike those of training.
    """

    out: Path | None
    images: int
    classified: int
    failures: list[Failure]
    counts: dict[str, int]
    unknown: str
    n_rejected: int
    n_novel: int
    seconds: float
    clock: Clock
    nodes: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    predictions: Sequence[Prediction] = ()
    novel: tuple[str, ...] = ()


def classify_images(
    inputs: Sequence[str | Path] | Listing,
    model: str | Path | Classifier = "classifier.onnx",
    out: Destination | None = "predictions.csv",
    *,
    top_k: int = 5,
    form: Literal["csv", "jsonl"] | None = None,
    options: RunOptions | None = None,
    keep: bool = False,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> ClassifySummary:
    """Classify images, folders or a feature cache into a file of predictions.

    Parameters
    ----------
    inputs : sequence of str or Path, or Listing
        Images and folders, or one features.h5.
    out : str, Path, Output or None
        ``-`` for stdout, None for no file. The file appears under its name when it is complete.
    top_k : int
        How many label-score pairs a line gets, at most the number of classes.
    form : {"csv", "jsonl"} or None
        None goes by the suffix of `out`; CSV for any other than ``.jsonl``.
    keep : bool
        Keep all predictions in the summary, about 1 kB each.
    notify : callable
        Is given one-line notes.

    Returns
    -------
    ClassifySummary
        An image that cannot be read is a line with an ``error`` and one of `failures`.

    Raises
    ------
    UsageError
        If the inputs are none, something else stands at `out`, or nothing can be written there.
    MismatchError, ClassifierError

    Examples
    --------
    >>> import fc7
    >>> done = fc7.classify_images(["drawn/star"], "classifier.onnx", "new.csv", top_k=2)
    >>> done.images, done.classified, done.failures
    (8, 8, [])
    >>> Path("new.csv").read_text().splitlines()[0]
    'path,label,score,label_1,score_1,label_2,score_2,rejected,novelty,error'
    """
    started = time.perf_counter()
    if out is not None and not isinstance(out, Output) and not is_stdout(out):
        files = () if isinstance(model, Classifier) else (model,)
        out = guard_for(inputs, *files, again=True).claim(out, PREDICTIONS)
    classifier = model if isinstance(model, Classifier) else load_classifier(Path(model))
    listing = list_unless_cache(inputs, notify, labelled=False)
    options = options or RunOptions()
    run = ScoringRun(options, progress or Silent(), notify)
    failures: list[Failure] = []
    unknown = classifier.rejection_label
    counts = dict.fromkeys(classifier.classes_, 0)
    n_novel, novel = 0, list[str]()
    root = shown_root(listing) if isinstance(listing, Listing) else ""
    with (
        recover_unless_cache(listing, out, options, notify) as (listing, care),
        open_predictions(out, form, classifier.classes_, top_k, root, unknown, keep=keep) as writer,
        closing(score_inputs(listing, classifier, run, care)) as done,
    ):
        early = ListedFailures(listing.failures if isinstance(listing, Listing) else ())
        for scored in done:
            failed = early.merged_into(scored.paths, scored.failures)
            failures += failed
            rejected = classifier.rejected(scored.probabilities)
            for label in writer.write(
                scored.paths, scored.probabilities, failed, rejected, scored.novelty, scored.sha256
            ):
                counts[label] = counts.get(label, 0) + 1
            unlike = np.flatnonzero(scored.novelty > 1).tolist()
            n_novel += len(unlike)
            novel += [root + scored.paths[i] for i in unlike[: NOVEL_SHOWN - len(novel)]]
        writer.write([], np.empty((0, len(classifier.classes_)), np.float32), early.left)
        failures += early.left
    classified = sum(counts.values())
    return ClassifySummary(
        out.path if isinstance(out, Output) else None,
        classified + len(failures),
        classified,
        failures,
        counts,
        unknown,
        counts.get(unknown, 0),
        n_novel,
        time.perf_counter() - started,
        run.clock,
        {name: (work.images, work.seconds) for name, work in run.nodes.items()},
        writer.kept,
        tuple(novel),
    )
