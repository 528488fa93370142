"""Which head, which C and which temperature: all that cross-validation decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classify.calibrate import fit_scale, log_loss, natural_scale, softmax
from classify.classifier import HEADS, Head
from classify.folds import ALWAYS_TRAINS
from classify.heads import Fitted
from classify.records import FitOptions
from classify.training import TrainingData
from classify.tune import Tuned, grid, tune
from models.progress import Progress


@dataclass(frozen=True, slots=True)
class Choice:
    """What to fit on the whole training part.

    Attributes
    ----------
    head : {"svm", "softmax"}
    C : float
    scale : float
        Of the decisions; see `classify.calibrate`.
    tuned : tuple of Tuned
        The kept head's first; empty if there was nothing to validate on.
    confidence : ndarray of shape (n_validated,), float32
        The largest probability of each row validated with the kept head, out of fold.
    correct : ndarray of shape (n_validated,), bool
        Whether its class was the true one.
    notes : tuple of str
    start : Fitted or None
        From where the fit on the same rows is near.
    """

    head: Head
    C: float
    scale: float
    tuned: tuple[Tuned, ...]
    confidence: NDArray[np.float32]
    correct: NDArray[np.bool_]
    notes: tuple[str, ...]
    start: Fitted | None = None


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
    data : TrainingData
    fold : ndarray of shape (n,), intp
        As `classify.folds.make_folds` gives it.
    n_classes : int
    options : FitOptions
    progress : Progress or None

    Returns
    -------
    Choice
        Where fewer than two classes can be validated: the SVM if no head was asked for, the middle of
        the range of C if no C was, and the scale that the head has by nature.
    """
    heads = HEADS if options.head is None else (options.head,)
    values = {head: [options.C] if options.C else grid(head, data.mean_square) for head in heads}
    judged = len(np.unique(data.y[fold != ALWAYS_TRAINS]))
    if judged < 2:
        head = heads[0]
        C = values[head][len(values[head]) // 2]
        note = (
            "too few images for cross-validation, which needs two classes with two training images each: "
            f"{head} at C = {C:g} unproved, probabilities not calibrated"
        )
        nothing = np.empty(0, np.float32)
        return Choice(head, C, natural_scale(head, n_classes), (), nothing, nothing > 0, (note,))

    tuned = [tune(head, data, fold, n_classes, values[head], progress) for head in heads]
    scale = {each.head: fit_scale(each.scores, data.y[each.rows]) for each in tuned}
    # More right answers first; of equals, the truer probabilities.
    tuned.sort(
        key=lambda each: (
            -each.best.accuracy,
            log_loss(each.scores * scale[each.head], data.y[each.rows]),
        )
    )
    kept = tuned[0]
    notes = []
    if judged < n_classes:
        notes.append(
            f"{n_classes - judged} of {n_classes} classes have one training image or group: they train in "
            "every fold and are validated in none"
        )
    notes += [
        f"the {each.head} did not converge at C = {trial.C:g} in cross-validation"
        for each in tuned
        for trial in each.trials
        if not trial.converged
    ]
    falls_at_once = (
        kept.best is kept.trials[0] and kept.trials[1:] and (kept.trials[1].accuracy < kept.best.accuracy)
    )
    if options.C is None and (falls_at_once or values[kept.head][-1] == kept.best.C):
        notes.append(f"the best C, {kept.best.C:g}, is at the end of the range that was tried")
    return Choice(
        kept.head,
        kept.best.C,
        scale[kept.head],
        tuple(tuned),
        softmax(kept.scores * scale[kept.head]).max(axis=1).astype(np.float32),
        kept.scores.argmax(axis=1) == data.y[kept.rows],
        tuple(notes),
        kept.start,
    )
