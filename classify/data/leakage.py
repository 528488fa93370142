"""What copies on both sides of a split would have claimed: `leaky` beside `clean`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fc7.classify.data.prepare import Prepared

Positions = NDArray[np.intp]
# Whether a classifier fitted on the first positions, as the kept one was, is right on each of the second.
FitAndEvaluate = Callable[[Positions, Positions], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Leakage:
    """The accuracy with copies on both sides of the split, and without.

    Attributes
    ----------
    how : {"redrawn", "given"}
        ``redrawn``: `clean` is the split that was used; `leaky` is one drawn by the same rules, but for the
        copies, and fitted anew with the same head and C. ``given``: the split came with the data and is
        `leaky`; `clean` tests the same classifier on the test images without a copy in training.
    leaky, clean : float
        Accuracies; `clean` is NaN if every test image has a copy in training.
    n_leaky, n_clean : int
        Test images of each.
    straddling : int
        Test images of the leaky split with a copy in training.
    straddling_correct : int
        How many of these were right.
    """

    how: Literal["redrawn", "given"]
    leaky: float
    clean: float
    n_leaky: int
    n_clean: int
    straddling: int
    straddling_correct: int

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "leaky": self.leaky,
            "clean": None if np.isnan(self.clean) else self.clean,
            "n_leaky": self.n_leaky,
            "n_clean": self.n_clean,
            "leaky_split": self.how,
            "straddling": self.straddling,
            "straddling_correct": self.straddling_correct,
        }


def measure_leakage(
    prepared: Prepared, right: NDArray[np.bool_], fit_and_evaluate: FitAndEvaluate
) -> Leakage | None:
    """Judge the split that regard for copies prevented, or a given one without its copies.

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
        return _leakage("given", right, right[~copied], copied)
    leaky = prepared.untied_split
    right_leaky = fit_and_evaluate(leaky.train, leaky.test)
    return _leakage("redrawn", right_leaky, right, np.isin(leaky.test, prepared.straddling))


def _leakage(
    how: Literal["redrawn", "given"],
    leaky: NDArray[np.bool_],
    clean: NDArray[np.bool_],
    copied: NDArray[np.bool_],
) -> Leakage:
    return Leakage(
        how=how,
        leaky=float(leaky.mean()),
        clean=float(clean.mean()) if len(clean) else float("nan"),
        n_leaky=len(leaky),
        n_clean=len(clean),
        straddling=int(copied.sum()),
        straddling_correct=int(leaky[copied].sum()),
    )
