"""Classify images or cached features: one line out for every image in, in the order of the listing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.novelty import NOVEL_SHOWN
from fc7.classify.kinds import PREDICTIONS
from fc7.classify.predict.options import ClassifyOptions
from fc7.classify.predict.predictions import (
    ListedFailures,
    Prediction,
    PredictionFormat,
    is_stdout,
    open_predictions,
    shown_root,
)
from fc7.classify.predict.recovery import recover_unless_cache
from fc7.classify.predict.score import list_unless_cache, score_inputs
from fc7.classify.predict.scoring_run import ScoringRun
from fc7.extract.call_inputs import guard_for
from fc7.extract.clock import Clock
from fc7.extract.records import Failure, Listing
from fc7.models.common.files import Inputs
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.common.terminal import counted
from fc7.models.outputs.outputs import Destination, Output


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
    classes : tuple of str
        The classifier's, in its order.
    predictions : list of Prediction
        In the order of the listing; empty if they were not kept.
    inputs : Listing or Path
        What was classified: images as they were listed, or a feature cache.
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
    nodes: Mapping[str, tuple[int, float]]
    classes: tuple[str, ...]
    predictions: list[Prediction]
    inputs: Listing | Path
    novel: tuple[str, ...] = ()

    def __repr__(self) -> str:
        where = "no file" if self.out is None else repr(str(self.out))
        failed = counted(len(self.failures), "failure")
        counts = f"{self.classified} classified, {failed}, {self.n_rejected} rejected"
        return f"ClassifySummary({where}: {counted(self.images, 'image')}, {counts})"

    @property
    def rows(self) -> list[tuple[str, str, NDArray[np.float32]]]:
        """Path, label and probabilities of each image that could be read."""
        return [(each.path, each.label, each.probabilities) for each in self.predictions if not each.error]


def classify_images(
    inputs: Inputs | Listing,
    model: str | Path | Classifier = "classifier.onnx",
    out: Destination | None = None,
    options: ClassifyOptions | None = None,
    *,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> ClassifySummary:
    """Classify images, folders or a feature cache; give the predictions, and write them if a file is named.

    Parameters
    ----------
    inputs : str, Path, sequence of these, or Listing
        Images and folders, or one features.h5.
    out : str, Path, Output or None
        A file of predictions, which appears under its name when it is complete; ``-`` for stdout. None
        writes nothing.
    notify : callable
        Is given one-line notes.

    Returns
    -------
    ClassifySummary
        An image that cannot be read is one of `failures`, and a line of the file with an ``error``.

    Raises
    ------
    UsageError
        If the inputs are none, something else stands at `out`, or nothing can be written there.
    MismatchError, ClassifierError

    Examples
    --------
    >>> import fc7
    >>> done = fc7.classify_images(["drawn/star"], "classifier.onnx")
    >>> done
    ClassifySummary(no file: 8 images, 8 classified, 0 failures, 0 rejected)
    >>> path, label, probabilities = done.rows[0]
    >>> path, done.classes, probabilities.shape
    ('drawn/star/0000.jpg', ('circle', 'rectangle', 'star', 'triangle'), (4,))

    >>> two = fc7.ClassifyOptions(top_k=2)
    >>> done = fc7.classify_images(["drawn/star"], "classifier.onnx", "new.csv", options=two)
    >>> Path("new.csv").read_text().splitlines()[0]
    'path,label,score,label_1,score_1,label_2,score_2,rejected,novelty,error'
    """
    started = time.perf_counter()
    if out is not None and not isinstance(out, Output) and not is_stdout(out):
        files = () if isinstance(model, Classifier) else (model,)
        out = guard_for(inputs, *files, again=True).claim(out, PREDICTIONS)
    classifier = model if isinstance(model, Classifier) else load_classifier(Path(model))
    listing = listed = list_unless_cache(inputs, notify, labelled=False)
    options = options or ClassifyOptions()
    run = ScoringRun(options, progress or Silent(), notify)
    failures: list[Failure] = []
    counts = Counter[str]()
    n_novel, novel = 0, list[str]()
    root = shown_root(listing) if isinstance(listing, Listing) else ""
    lines = PredictionFormat(
        classifier.classes_,
        top_k=options.top_k,
        root=root,
        unknown=classifier.rejection_label,
        form=options.form,
        keep=options.keep_rows,
    )
    with (
        recover_unless_cache(listing, out, options, notify=notify) as (listing, care),
        open_predictions(out, lines) as writer,
        closing(score_inputs(listing, classifier, run, care=care)) as done,
    ):
        early = ListedFailures(listing.failures if isinstance(listing, Listing) else ())
        for scored in done:
            failed = early.merged_into(scored.paths, scored.failures)
            failures += failed
            rejected = classifier.rejected(scored.probabilities)
            counts.update(
                writer.write(
                    scored.paths,
                    scored.probabilities,
                    failed,
                    rejected=rejected,
                    novelty=scored.novelty,
                    sha256=scored.sha256,
                )
            )
            unlike = np.flatnonzero(scored.novelty > 1).tolist()
            n_novel += len(unlike)
            novel += [root + scored.paths[i] for i in unlike[: NOVEL_SHOWN - len(novel)]]
        writer.write([], np.empty((0, len(classifier.classes_)), np.float32), early.left)
        failures += early.left
    classified = counts.total()
    return ClassifySummary(
        out.path if isinstance(out, Output) else None,
        images=classified + len(failures),
        classified=classified,
        failures=failures,
        counts={**dict.fromkeys(classifier.classes_, 0), **counts},
        unknown=classifier.rejection_label,
        n_rejected=counts[classifier.rejection_label],
        n_novel=n_novel,
        seconds=time.perf_counter() - started,
        clock=run.clock,
        nodes={name: (work.images, work.seconds) for name, work in run.nodes.items()},
        classes=classifier.classes_,
        predictions=writer.kept,
        inputs=listed,
        novel=tuple(novel),
    )
