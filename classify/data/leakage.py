"""What copies on both sides of a split do to the accuracy (leakage), and how to read it in a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fc7.classify.metrics.intervals import Proportion

if TYPE_CHECKING:
    from fc7.classify.data.prepare import Prepared

Positions = NDArray[np.intp]
# Whether a classifier fitted on the first positions, as the kept one was, is right on each of the second.
FitAndEvaluate = Callable[[Positions, Positions], NDArray[np.bool_]]
SplitKind = Literal["redrawn", "given"]


@dataclass(frozen=True, slots=True)
class Leakage:
    """The accuracy with copies on both sides of a split, and with each picture on one side.

    Attributes
    ----------
    how : {"redrawn", "given"}
        ``redrawn``: `one_side` is the split that was used; `both_sides` is one drawn by the same rules, but
        for the copies, and fitted anew with the same head and C. ``given``: the split came with the data and
        is `both_sides`; `one_side` tests the same classifier on the test images without a copy in training.
    both_sides, one_side : Proportion
        Test images that are right; `one_side` has none if every test image has a copy in training.
    copied : Proportion
        Test images of `both_sides` with a copy in training that are right.
    """

    how: SplitKind
    both_sides: Proportion
    one_side: Proportion
    copied: Proportion

    @property
    def within_noise(self) -> bool | None:
        """Whether the 95 % intervals overlap, so that these test images cannot tell the accuracies apart.

        None where every test image has a copy in training.
        """
        return self.both_sides.overlaps(self.one_side) if self.one_side.n else None

    @property
    def comparison(self) -> str:
        """The same as a clause; empty for None."""
        if self.within_noise is None:
            return ""
        noise = "within" if self.within_noise else "more than"
        return f"the difference is {noise} the noise of {min(self.both_sides.n, self.one_side.n)} images"

    def to_json(self) -> dict[str, object]:
        """For the record in classifier.onnx and for programs."""
        return {
            "both_sides_split": self.how,
            "copies_on_both_sides": self.both_sides.to_json(),
            "copies_on_one_side": self.one_side.to_json(),
            "test_images_with_copies_in_training": self.copied.to_json(),
            "within_noise": self.within_noise,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Leakage | None:
        """What `to_json` gave, here or in an older fc7; None if nothing was measured.

        Examples
        --------
        >>> found = {"leaky_split": "given", "leaky": 0.9, "n_leaky": 10, "clean": 0.75, "n_clean": 8}
        >>> Leakage.from_json({**found, "straddling": 2, "straddling_correct": 2}).one_side
        Proportion(n_correct=6, n=8)
        """
        names = "copies_on_both_sides", "copies_on_one_side", "test_images_with_copies_in_training"
        try:
            if names[0] in found:
                both, one, copied = (_proportion(found[name]) for name in names)
                return cls(found["both_sides_split"], both, one, copied)
            n_both, n_one = found["n_leaky"], found["n_clean"]
            return cls(
                found["leaky_split"],
                Proportion(round(found["leaky"] * n_both), n_both),
                Proportion(round((found["clean"] or 0) * n_one), n_one),
                Proportion(found["straddling_correct"], found["straddling"]),
            )
        except (KeyError, TypeError, ValueError):  # a record without it, or one that fc7 did not write
            return None


def _proportion(found: Mapping[str, Any] | None) -> Proportion:
    return Proportion(0, 0) if found is None else Proportion(found["n_correct"], found["n"])


def measure_leakage(
    prepared: Prepared, right: NDArray[np.bool_], fit_and_evaluate: FitAndEvaluate
) -> Leakage | None:
    """Evaluate the split that regard for copies prevented, or a given one without its copies.

    Parameters
    ----------
    right : ndarray of shape (n_test,), bool
        Whether each test row of the split that was used was predicted right.
    fit_and_evaluate : callable
        Called once, and only for a split that is drawn.

    Returns
    -------
    Leakage or None
        None if no test image has a copy in training.
    """
    if not len(prepared.straddling):
        return None
    if prepared.untied_split is None:
        copied = np.isin(prepared.split.test, prepared.straddling)
        return Leakage("given", _right(right), _right(right[~copied]), copied=_right(right[copied]))
    untied = prepared.untied_split
    right_untied = fit_and_evaluate(untied.train, untied.test)
    copied = np.isin(untied.test, prepared.straddling)
    return Leakage("redrawn", _right(right_untied), _right(right), copied=_right(right_untied[copied]))


def _right(right: NDArray[np.bool_]) -> Proportion:
    return Proportion(int(right.sum()), len(right))
