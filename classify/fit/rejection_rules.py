"""What `fit` learns so that the classifier can say no: a threshold to reject by, and a novelty reference."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.classifier.novelty import LearnedNovelty, learn_novelty, learn_reference
from fc7.classify.classifier.rejection import Rejection, given_rejection, learn_rejection
from fc7.classify.fit.choose import Choice
from fc7.classify.fit.result import FitOptions


@dataclass(frozen=True, slots=True)
class RejectionRules:
    """When the classifier rejects an image, or flags it as novel.

    Attributes
    ----------
    rejection : Rejection or None
        None if none was asked for.
    novelty : LearnedNovelty or None
        None if no training row could be held out.
    """

    rejection: Rejection | None
    novelty: LearnedNovelty | None
    notes: tuple[str, ...]

    def applied_to(
        self,
        classifier: Classifier,
        X: NDArray[np.float32] | None = None,
        rows: NDArray[np.intp] | None = None,
    ) -> Classifier:
        """The classifier with both.

        Parameters
        ----------
        X : ndarray of shape (n_all, n_features), float32, or None
        rows : ndarray of shape (n,), intp, or None
            Rows of X that it was refitted on, if these are not the train set: the reference is learned
            from them, its limit stays the one learned out of fold.
        """
        reference = None if self.novelty is None else self.novelty.reference
        if reference is not None and X is not None:
            reference = learn_reference(X, reference.limit, rows)
        below = 0.0 if self.rejection is None else self.rejection.below
        return replace(classifier, reject_below=below, novelty=reference)


def learn_rejection_rules(
    X: NDArray[np.float32],
    rows: NDArray[np.intp],
    fold: NDArray[np.intp],
    choice: Choice,
    options: FitOptions,
) -> RejectionRules:
    """Learn both on out-of-fold rows of the train set.

    Parameters
    ----------
    X : ndarray of shape (n_all, n_features), float32
        Not normalised.
    rows : ndarray of shape (n,), intp
        Which of them are the train set.
    fold : ndarray of shape (n,), intp
        As `classify.data.folds.make_folds` gives it.
    choice : Choice
        Its confidences out of fold are what the threshold is learned from.
    """
    rejection, notes = _rejection(choice, options)
    return RejectionRules(rejection, learn_novelty(X, fold, rows), notes)


def _rejection(choice: Choice, options: FitOptions) -> tuple[Rejection | None, tuple[str, ...]]:
    if options.reject_below is not None:
        return given_rejection(choice.confidence, choice.correct, options.reject_below), ()
    target = options.reject_precision
    if target is None:
        return None, ()
    if not len(choice.confidence):
        return Rejection(0.0, target=target, reached=False, n=0, n_accepted=0, n_correct=0), (
            f"--reject-precision {target:g}: no image of the train set could be held out to learn a "
            "threshold from; nothing is rejected: add images, or give --reject-below",
        )
    rejection = learn_rejection(choice.confidence, choice.correct, target)
    if rejection.reached:
        return rejection, ()
    return rejection, (
        f"--reject-precision {target:g} is out of reach: at no threshold is it sure that the accepted images "
        f"are right that often. The surest threshold is used: {rejection.n_correct} right of "
        f"{rejection.n_accepted} accepted, of {rejection.n} out of fold",
    )
