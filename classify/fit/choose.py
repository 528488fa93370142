"""Which head, which C and which temperature: all that cross-validation decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.calibration import fit_scale, log_loss, natural_scale, softmax
from fc7.classify.classifier.classifier import Head
from fc7.classify.classifier.normalizer import Normalization
from fc7.classify.data.folds import ALWAYS_TRAINS
from fc7.classify.fit.cross_validate import Tuned, grid, tune
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.solvers.heads import Fitted
from fc7.classify.fit.solvers.one_vs_one import check_pairs
from fc7.classify.fit.training import TrainingData
from fc7.models.common.progress import Progress

# Without a head asked for; one-vs-one costs more and must be.
_TRIED: tuple[Head, ...] = ("svm", "softmax")


@dataclass(frozen=True, slots=True)
class Choice:
    """What to fit on the whole train set.

    Attributes
    ----------
    head : {"svm", "softmax", "svm-ovo"}
    scale : float
        Of the decisions; see `classify.classifier.calibration`.
    tuned : tuple of Tuned
        The kept head's first; empty if there was nothing to validate on.
    confidence : ndarray of shape (n_validated,), float32
        The largest probability of each row validated with the kept head, out of fold.
    correct : ndarray of shape (n_validated,), bool
        Whether its class was the true one.
    start : Fitted or None
        From where the fit on the same rows is near.
    normalize : {"l2", "standard", "none"}
    loss : float
        Log loss of the validated rows under calibrated probabilities; ranks choices of equal accuracy.
    """

    head: Head
    C: float
    scale: float
    tuned: tuple[Tuned, ...]
    confidence: NDArray[np.float32]
    correct: NDArray[np.bool_]
    notes: tuple[str, ...]
    start: Fitted | None = None
    normalize: Normalization = "l2"
    loss: float = math.inf

    def beats(self, other: Choice | None) -> bool:
        """Whether cross-validation ranks it before another; of equals the one that was tried first."""
        if other is None or not other.tuned:
            return other is None
        return self._rank() < other._rank()

    def _rank(self) -> tuple[float, float]:
        return (-self.tuned[0].peak.accuracy if self.tuned else 0.0, self.loss)

    def on_layer(self, layer: str) -> Choice:
        """Saying which layer it is about."""
        return replace(
            self,
            tuned=tuple(replace(tuned, layer=layer) for tuned in self.tuned),
            notes=tuple(
                f"{note}, layer {layer}" if "did not converge" in note else note for note in self.notes
            ),
        )

    def with_rivals(self, rivals: Sequence[Choice]) -> Choice:
        """With what cross-validation found of others that were tried, after its own."""
        others = [rival for rival in rivals if rival is not self]
        tuned = [tuned for rival in others for tuned in rival.tuned]
        failed = [note for rival in others for note in rival.notes if "did not converge" in note]
        return replace(self, tuned=(*self.tuned, *tuned), notes=(*self.notes, *failed))


def choose(
    data: TrainingData,
    fold: NDArray[np.intp],
    n_classes: int,
    options: FitOptions,
    progress: Progress | None = None,
) -> Choice:
    """Cross-validate what the options leave open, and calibrate.

    Parameters
    ----------
    fold : ndarray of shape (n,), intp
        As `classify.data.folds.make_folds` gives it.

    Returns
    -------
    Choice
        Where fewer than two classes can be validated: the SVM if no head was asked for, the middle of
        the range of C if no C was, and the scale that the head has by nature.
    """
    if options.head == "svm-ovo":
        check_pairs(n_classes, data.n_features)
    heads = _TRIED if options.head is None else (options.head,)
    values = {head: [options.C] if options.C else grid(head, data.mean_square) for head in heads}
    n_evaluated = len(np.unique(data.y[fold != ALWAYS_TRAINS]))
    if n_evaluated < 2:
        head = heads[0]
        C = values[head][len(values[head]) // 2]
        note = (
            "too few images for cross-validation, which needs two classes with two training images each: "
            f"{head} at C = {C:g} unproved, probabilities not calibrated"
        )
        nothing = np.empty(0, np.float32)
        return Choice(
            head,
            C=C,
            scale=natural_scale(head, n_classes),
            tuned=(),
            confidence=nothing,
            correct=nothing > 0,
            notes=(note,),
            normalize=data.normalizer.kind,
        )

    tuned = [
        tune(head, data, fold, values=values[head], progress=progress, one_se=options.one_se)
        for head in heads
    ]
    scale = {each.head: fit_scale(each.scores, data.y[each.rows]) for each in tuned}
    # More right answers first; of equals, the truer probabilities.
    tuned.sort(
        key=lambda each: (
            -each.peak.accuracy,
            log_loss(each.scores * scale[each.head], data.y[each.rows]),
        )
    )
    kept = tuned[0]
    notes = []
    of_kind = f" (normalisation {data.normalizer.kind})" if options.normalize == "auto" else ""
    if n_evaluated < n_classes:
        notes.append(
            f"{n_classes - n_evaluated} of {n_classes} classes have one training image or group: they train "
            "in every fold and are validated in none"
        )
    notes += [
        cv_result.problem(each.head, each.n_folds) + of_kind
        for each in tuned
        for cv_result in each.cv_results
        if not cv_result.converged
    ]
    falls_at_once = (
        kept.peak is kept.cv_results[0]
        and kept.cv_results[1:]
        and (kept.cv_results[1].accuracy < kept.peak.accuracy)
    )
    if options.C is None and (falls_at_once or values[kept.head][-1] == kept.peak.C):
        notes.append(f"the best C, {kept.peak.C:g}, is at the end of the range that was tried")
    return Choice(
        kept.head,
        C=kept.best.C,
        scale=scale[kept.head],
        tuned=tuple(tuned),
        confidence=softmax(kept.scores * scale[kept.head]).max(axis=1).astype(np.float32),
        correct=kept.scores.argmax(axis=1) == data.y[kept.rows],
        notes=tuple(notes),
        start=kept.start,
        normalize=data.normalizer.kind,
        loss=log_loss(kept.scores * scale[kept.head], data.y[kept.rows]),
    )
