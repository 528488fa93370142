"""Accuracy group by group: on which camera, patient or track a classifier fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.metrics.intervals import wilson_interval


@dataclass(frozen=True, slots=True)
class GroupMetrics:
    """One group's metrics.

    Attributes
    ----------
    group : str
        Empty for the images in no group.
    """

    group: str
    n: int
    n_correct: int

    @property
    def accuracy(self) -> float:
        """``n_correct / n``."""
        return self.n_correct / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        return wilson_interval(self.n_correct, self.n)

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "group": self.group,
            "n": self.n,
            "n_correct": self.n_correct,
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.interval),
        }


def group_metrics(groups: Sequence[str], correct: NDArray[np.bool_]) -> tuple[GroupMetrics, ...]:
    """Metrics of each group, sorted by name.

    Parameters
    ----------
    groups : sequence of n str
        Empty where there is none.
    correct : ndarray of shape (n,), bool

    Returns
    -------
    tuple of GroupMetrics
        Empty if no image has a group.
    """
    if not any(groups):
        return ()
    tally: dict[str, list[int]] = {}
    for group, right in zip(groups, correct.tolist(), strict=True):
        counts = tally.setdefault(group, [0, 0])
        counts[0] += 1
        counts[1] += right
    return tuple(GroupMetrics(group, n, right) for group, (n, right) in sorted(tally.items()))
