"""Whether an exported file predicts as fc7 itself does: the same images to both, the predictions compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.export.check_images import CheckImages
from fc7.classify.predict.score import score_inputs
from fc7.classify.predict.scoring_run import ScoringRun
from fc7.extract.images.decode import prepare
from fc7.extract.options import RunOptions
from fc7.extract.records import Listing
from fc7.extract.worker.read_ahead import Care
from fc7.models.common.errors import ClassifierError
from fc7.models.common.progress import Notify, Progress
from fc7.models.network.spec import PreprocessSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fc7.extract.engine.engine import Engine
    from fc7.models.graph.fusion import Written

TOLERANCE = 1e-4
"""Largest difference that a probability may have from ours."""
# Of a novelty, as a share of it. It is a distance, in units of about the largest training image's.
_NOVELTY_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Predictions:
    """What is said of some images.

    Attributes
    ----------
    label : ndarray of shape (n,), int
    probabilities : ndarray of shape (n, n_classes), float32
    rejected : ndarray of shape (n,), bool
    novelty : ndarray of shape (n,), float32, or None
    """

    paths: list[str]
    label: NDArray[np.integer]
    probabilities: NDArray[np.float32]
    rejected: NDArray[np.bool_]
    novelty: NDArray[np.float32] | None


def our_predictions(
    classifier: Classifier, sample: CheckImages, care: Care, progress: Progress, notify: Notify
) -> Predictions:
    """Those of `classify`, in the order of the listing; `notify` is told which images gave none, and why."""
    options = RunOptions(device="cpu", precision="fp32", exact_decode=True)
    run = ScoringRun(options, progress, lambda note: None)
    found = list(score_inputs(sample.listing, classifier, run, care=care))
    for failure in (*sample.listing.failures, *(failure for scored in found for failure in scored.failures)):
        notify(f"not tried on {failure.text}")
    paths = [path for scored in found for path in scored.paths]
    if not paths:
        raise ClassifierError(
            f"none of the images of {sample.source} can be read, and the file is not written without having "
            "been tried; give other images with --images"
        )
    P = np.concatenate([scored.probabilities for scored in found])
    novelty = np.concatenate([scored.novelty for scored in found])
    return Predictions(paths, P.argmax(axis=1), P, rejected=classifier.rejected(P), novelty=novelty)


def predictions_of_file(
    engine: Engine, written: Written, listing: Listing, ours: Predictions, spec: PreprocessSpec, care: Care
) -> Predictions:
    """Those of the file to the same images: one image alone, then batches, as far as it takes any."""
    wanted = set(ours.paths)
    pixels = []
    for ref in listing.images:
        if ref.path in wanted:
            with care.watch(ref):
                pixels.append(prepare(ref.origin.read(ref), spec))
    batch = written.input_shape[0]
    if isinstance(batch, str):
        blocks = [pixels[:1], pixels[1:]] if len(pixels) > 1 else [pixels]
    else:
        step = batch // spec.crops
        blocks = [pixels[start : start + step] for start in range(0, len(pixels), step)]
        blocks[-1] += [blocks[-1][0]] * (step - len(blocks[-1]))
    parts = [engine.run(list(written.outputs), {"images": np.concatenate(block)}) for block in blocks]
    columns = [np.concatenate(column)[: len(pixels)] for column in zip(*parts, strict=True)]
    of = dict(zip(written.outputs, columns, strict=True))
    return Predictions(
        ours.paths, of["label"], of["probabilities"], rejected=of["rejected"], novelty=of.get("novelty")
    )


def compare(ours: Predictions, theirs: Predictions, classifier: Classifier, out: Path) -> float:
    """The largest difference of a probability, if it and all other predictions are within the tolerance.

    A label may differ where two classes are equally probable to the tolerance, a rejection where the
    largest probability is the threshold.
    """
    apart = np.abs(ours.probabilities - theirs.probabilities).max(axis=1)
    best = ours.probabilities.max(axis=1)
    chosen = ours.probabilities[np.arange(len(best)), theirs.label]
    on_edge = np.abs(best - classifier.reject_below) <= TOLERANCE
    right = (
        (apart <= TOLERANCE)
        & (best - chosen <= 2 * TOLERANCE)
        & ((ours.rejected == theirs.rejected) | on_edge)
    )
    if ours.novelty is not None and theirs.novelty is not None:
        right &= np.abs(ours.novelty - theirs.novelty) <= _NOVELTY_TOLERANCE * np.maximum(ours.novelty, 1)
    if right.all():
        return float(apart.max())
    wrong = np.flatnonzero(~right)
    raise ClassifierError(
        f"{out}: not written, since it would not predict as fc7 classify does: {len(wrong)} of {len(right)} "
        f"images differ, {ours.paths[wrong[0]]!r} first, by {apart[wrong[0]]:.1e} in a probability, and "
        f"{TOLERANCE:g} is allowed. Please report it, with the network"
    )
