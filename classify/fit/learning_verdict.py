"""What a learning curve says: its points, and whether more images would help.

Whether they would is read off the last doubling. Let d be the accuracy of all training images minus the mean
accuracy of half of them, on the same test images, and s its standard error: the scatter of the images' own
differences and that of the draws, in quadrature. Learning curves flatten (Cortes et al. 1994,
"Learning curves: asymptotic values and rate of convergence"), so the next doubling brings d at most. Yes, if
d is at least one percentage point and above 1.645 s (one-sided 95 %); no, if d + 1.645 s is below one
percentage point; in between the test set is too small to tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fc7.classify.classifier.classifier import Head
from fc7.classify.kinds import CURVE_COLUMNS
from fc7.classify.metrics.intervals import wilson_interval
from fc7.extract.inputs.tables.corrections import Corrected
from fc7.models.common.record_repr import one_line_repr

# The quantile of the normal distribution for one-sided 95 %.
_Z = 1.6448536269514722
# A gain that is worth an effort: one percentage point.
_WORTH = 0.01

Verdict = Literal["yes", "no", "unclear"]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One size of the train set.

    Attributes
    ----------
    share : float
        Of each class's training images: 1, 1/2, 1/4, ...
    n_train : float
        Mean number of training images over the draws.
    images_per_class : float
        ``n_train`` over the number of classes.
    accuracies : tuple of float
        Of each draw, on the same test images; one for all images, of which there is one draw.
    """

    share: float
    n_train: float
    images_per_class: float
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean accuracy of the draws."""
        return float(np.mean(self.accuracies))

    @property
    def spread(self) -> float:
        """Standard deviation over the draws; NaN where there is one."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else math.nan


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """What `learning_curve` found.

    Attributes
    ----------
    points : tuple of CurvePoint
        By rising size; the last is the whole train set.
    n_test, n_correct : int
        Test images, and those that the head fitted on all training images has right.
    gain, gain_error : float
        Of the last doubling and its standard error; see the top. NaN if there is a single point.
    head : {"svm", "softmax", "svm-ovo"}
    n_failed : int
        Fits that did not converge.
    corrected : Corrected or None
        What corrections did to the labels.
    """

    points: tuple[CurvePoint, ...]
    n_test: int
    n_correct: int
    gain: float
    gain_error: float
    head: Head
    C: float
    seconds: float
    n_failed: int = 0
    corrected: Corrected | None = None

    __repr__ = one_line_repr

    @property
    def problem(self) -> str:
        """What failed; empty if nothing did."""
        if not self.n_failed:
            return ""
        fits = sum(len(point.accuracies) for point in self.points)
        return (
            f"{self.n_failed} of the {fits} fits of the learning curve did not converge at C = {self.C:g}; a "
            "smaller -C converges"
        )

    @property
    def more_would_help(self) -> Verdict:
        """By the rule at the top."""
        if self.gain >= _WORTH and self.gain > _Z * self.gain_error:
            return "yes"
        return "no" if self.gain + _Z * self.gain_error < _WORTH else "unclear"

    @property
    def verdict(self) -> str:
        """In plain words."""
        if math.isnan(self.gain):
            return "too few images per class to halve them: add images and ask again"
        did = f"the last doubling of the training images brought {self.gain:+.1%} ± {self.gain_error:.1%}"
        return {
            "yes": f"more images would probably help: {did}; the next brings that at most",
            "no": f"more images of this kind would bring less than {_WORTH:.0%}: {did}",
            "unclear": f"these {self.n_test} test images cannot tell whether more would help: {did}",
        }[self.more_would_help]

    def to_json(self, notes: Sequence[str] = ()) -> dict[str, object]:
        """For programs, with what else there is to note."""
        return {
            "points": [
                {
                    "share": point.share,
                    "n_train": point.n_train,
                    "images_per_class": point.images_per_class,
                    "accuracy": point.mean,
                    "spread": None if math.isnan(point.spread) else point.spread,
                    "accuracies": list(point.accuracies),
                }
                for point in self.points
            ],
            "n_test": self.n_test,
            "accuracy_interval": list(wilson_interval(self.n_correct, self.n_test)),
            "gain_of_last_doubling": None if math.isnan(self.gain) else self.gain,
            "standard_error": None if math.isnan(self.gain) else self.gain_error,
            "more_would_help": None if math.isnan(self.gain) else self.more_would_help,
            "verdict": self.verdict,
            "head": self.head,
            "C": self.C,
            "notes": [note for note in (self.problem, *notes) if note],
            "corrections": None if self.corrected is None else self.corrected.to_json(),
            "seconds": round(self.seconds, 3),
        }

    def table(self) -> Iterator[tuple[object, ...]]:
        """A row for each draw, after a header: for CSV."""
        yield CURVE_COLUMNS
        for point in self.points:
            for i, accuracy in enumerate(point.accuracies):
                yield point.share, point.n_train, point.images_per_class, i, accuracy
