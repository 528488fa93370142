"""When to say "unknown": a threshold on the largest probability, learned where the truth is known.

scikit-learn's `TunedThresholdClassifierCV` (1.9.1) takes two classes and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.metrics.intervals import Proportion, wilson_lower

# The 80 % quantile of the normal distribution, one-sided. On three sets, four networks and six splits each, a
# target of 0.95 was met on the held-out images by 75 % of the fits, 0.961 of the accepted images were right,
# and 82 % of the fits found a threshold. Without a bound 59 % met it (0.945), with one of 95 % confidence
# 85 % did (0.970), but only 57 % found a threshold.
_Z = 0.8416212335729143

# Of the out-of-fold images; what `trade_offs` accepts.
_ACCEPTED_SHARES = (0.9, 0.75, 0.5, 0.25)

# What a rejected image is called, the first of these that is no class.
_WORDS = ("unknown", "rejected", "none of the classes")


@dataclass(frozen=True, slots=True)
class Coverage:
    """What accepting only the surest images gives, for every threshold that makes a difference.

    Attributes
    ----------
    threshold : ndarray of shape (m,), float64
        Falling: every confidence that occurs. An image is accepted if its largest probability is at least
        the threshold.
    n_accepted, n_correct : ndarray of shape (m,), int64
        Images accepted, and those of them that are right.
    n : int
        All images.
    """

    threshold: NDArray[np.float64]
    n_accepted: NDArray[np.int64]
    n_correct: NDArray[np.int64]
    n: int

    @property
    def coverage(self) -> NDArray[np.float64]:
        """Accepted share of all images."""
        share: NDArray[np.float64] = self.n_accepted / max(self.n, 1)
        return share

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Right share of the accepted ones."""
        share: NDArray[np.float64] = self.n_correct / self.n_accepted
        return share


@dataclass(frozen=True, slots=True)
class Rejection:
    """A threshold, and how it came to be.

    Attributes
    ----------
    below : float
        Images whose largest probability is below it are rejected; 0 rejects none.
    target : float or None
        The precision that was asked for; None if the threshold was given.
    reached : bool
        Whether any threshold reaches the target; if none does, `below` is that of the highest bound.
    n, n_accepted, n_correct : int
        Out-of-fold images of the train set, those accepted, and those of them that were right.
    """

    below: float
    target: float | None
    reached: bool
    n: int
    n_accepted: int
    n_correct: int

    def to_json(self) -> dict[str, object]:
        """For the record in classifier.onnx and for programs."""
        return {
            "below": self.below,
            "target_precision": self.target,
            "reached": self.reached,
            "n": self.n,
            "n_accepted": self.n_accepted,
            "n_correct": self.n_correct,
        }


@dataclass(frozen=True, slots=True)
class TradeOff:
    """What a threshold does on the test set.

    Attributes
    ----------
    below : float
        Images whose largest probability is below it are rejected.
    accepted : Proportion
        Test images that are accepted, and those of them that are right.
    n : int
        All test images.
    """

    below: float
    accepted: Proportion
    n: int

    @property
    def accepted_share(self) -> float:
        """Of all test images."""
        return self.accepted.n / self.n

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "below": self.below,
            "accepted_share": self.accepted_share,
            "n": self.n,
            "accepted": self.accepted.to_json(),
        }


def coverage_curve(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> Coverage:
    """Coverage against accuracy (the risk-coverage curve; El-Yaniv & Wiener 2010).

    Parameters
    ----------
    confidence : ndarray of shape (n,), floating
        Largest probability of each image; taken as float32.
    correct : ndarray of shape (n,), bool
    """
    sure = np.asarray(confidence, np.float32).astype(np.float64)
    order = np.argsort(-sure, kind="stable")
    sure, right = sure[order], np.asarray(correct, np.int64)[order].cumsum()
    # Images of one confidence are accepted together.
    last = np.flatnonzero(np.append(sure[1:] != sure[:-1], len(sure) > 0))
    return Coverage(sure[last], last + 1, right[last], n=len(sure))


def learn_rejection(confidence: NDArray[np.floating], correct: NDArray[np.bool_], target: float) -> Rejection:
    """The smallest threshold at which the accepted images are surely right as often as asked.

    Sure is that the lower end of the share's Wilson interval, one-sided with 80 % confidence, reaches the
    target: the share itself is looked at for every threshold there is, and the highest of many is too high.

    Parameters
    ----------
    confidence, correct : ndarray of shape (n,)
        Of out-of-fold predictions; at least one.
    target : float
        Precision to reach, in (0, 1).

    Returns
    -------
    Rejection
        The threshold lies midway between the last confidence accepted and the first rejected. It is a
        number of float32, as the probabilities are that are compared with it.
    """
    curve = coverage_curve(confidence, correct)
    bound = wilson_lower(curve.n_correct, curve.n_accepted, _Z)
    enough = np.flatnonzero(bound >= target)
    best = int(np.flatnonzero(bound == bound.max())[-1])
    i = int(enough[-1]) if len(enough) else best
    return Rejection(
        _threshold(curve, i),
        target=target,
        reached=bool(len(enough)),
        n=curve.n,
        n_accepted=int(curve.n_accepted[i]),
        n_correct=int(curve.n_correct[i]),
    )


def _threshold(curve: Coverage, i: int) -> float:
    """A number of float32 that accepts what ``curve.threshold[i]`` does, midway to the first rejected."""
    if i + 1 == len(curve.threshold):
        return 0.0
    middle = np.float32((curve.threshold[i] + curve.threshold[i + 1]) / 2)
    # Neighbouring numbers of float32 have no middle.
    return float(middle if middle > curve.threshold[i + 1] else curve.threshold[i])


def trade_offs(
    out_of_fold: NDArray[np.floating], confidence: NDArray[np.floating], correct: NDArray[np.bool_]
) -> Iterator[TradeOff]:
    """What thresholds that accept 90, 75, 50 and 25 % of the out-of-fold images do on the test set.

    Thresholds that fall together, as where many images are equally sure, are given once.

    Parameters
    ----------
    out_of_fold : ndarray of shape (n,), floating
        Largest probability of each out-of-fold image of the train set; at least one.
    confidence, correct : ndarray of shape (n_test,)
        Largest probability of each test image, and whether its class is right.
    """
    curve = coverage_curve(out_of_fold, np.zeros(len(out_of_fold), np.bool_))
    sure = np.asarray(confidence, np.float32)
    for i in dict.fromkeys(np.searchsorted(curve.coverage, _ACCEPTED_SHARES).tolist()):
        below = _threshold(curve, i)
        accepted = sure >= below
        right = int(np.count_nonzero(accepted & correct))
        yield TradeOff(below, Proportion(right, int(accepted.sum())), len(sure))


def given_rejection(confidence: NDArray[np.floating], correct: NDArray[np.bool_], below: float) -> Rejection:
    """A threshold that the user gave, with what it would have done out of fold.

    Parameters
    ----------
    confidence, correct : ndarray of shape (n,)
        May be empty.
    below : float
        In (0, 1).
    """
    below = float(np.float32(below))
    accepted = np.asarray(confidence, np.float32) >= below
    return Rejection(
        below,
        target=None,
        reached=True,
        n=len(confidence),
        n_accepted=int(np.count_nonzero(accepted)),
        n_correct=int(np.count_nonzero(accepted & correct)),
    )


def rejection_label(classes: Iterable[str]) -> str:
    """What rejected images are called: ``unknown``, or another word if that is the name of a class.

    Names that differ only in case or outer spaces count as the same, so that no reader takes one for the
    other.
    """
    taken = {name.strip().casefold() for name in classes}
    for word in _WORDS:
        if word not in taken:
            return word
    number = 2
    while f"{_WORDS[0]} {number}" in taken:
        number += 1
    return f"{_WORDS[0]} {number}"
