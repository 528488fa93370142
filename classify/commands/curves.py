"""Curves as text."""

from __future__ import annotations

import math

from fc7.classify.fit.learning_verdict import LearningCurve
from fc7.classify.metrics.intervals import wilson_interval


def learning_curve_report(curve: LearningCurve, verbose: bool = False) -> str:
    """The accuracy, whether more images would help, and a line for each size of the train set.

    Parameters
    ----------
    verbose : bool
        Say with which C, and how long it took.
    """
    low, high = wilson_interval(curve.n_correct, curve.n_test)
    lines = [
        f"accuracy  {curve.n_correct / curve.n_test:.1%}  with the whole train set ({curve.n_correct} of "
        f"{curve.n_test} held-out images; 95% interval {low:.1%} to {high:.1%})",
        curve.verdict,
        "",
        "images per class  training images  accuracy  spread  repeats",
    ]
    for point in curve.points:
        spread = "-" if math.isnan(point.spread) else f"{point.spread:.1%}"
        lines.append(
            f"{point.images_per_class:16.1f}  {point.n_train:15.0f}  {point.mean:8.1%}  {spread:>6}  "
            f"{len(point.accuracies):5}"
        )
    if verbose:
        lines.append(f"{curve.head}, C = {curve.C:g}, measured in {curve.seconds:.1f} s")
    if curve.problem:
        lines.append(f"note: {curve.problem}")
    return "\n".join(lines)
