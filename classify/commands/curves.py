"""Curves as text."""

from __future__ import annotations

import math

from fc7.classify.fit.learning_verdict import LearningCurve
from fc7.classify.metrics.intervals import wilson_interval


def learning_curve_report(curve: LearningCurve) -> str:
    """A line for each size of the train set, and whether more images would help."""
    low, high = wilson_interval(curve.n_correct, curve.n_test)
    lines = [
        f"{curve.head}, C = {curve.C:g}, evaluated on the same {curve.n_test} held-out images:",
        "images per class  training images  accuracy  spread  repeats",
    ]
    for point in curve.points:
        spread = "-" if math.isnan(point.spread) else f"{point.spread:.1%}"
        lines.append(
            f"{point.images_per_class:16.1f}  {point.n_train:15.0f}  {point.mean:8.1%}  {spread:>6}  "
            f"{len(point.accuracies):5}"
        )
    lines += [
        f"95 % interval of the last: {low:.1%} to {high:.1%}",
        curve.verdict,
        *([f"note: {curve.problem}"] if curve.problem else []),
        f"measured in {curve.seconds:.1f} s",
    ]
    return "\n".join(lines)
