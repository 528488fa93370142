"""What each plot shows, in words: its caption, and its text for those who do not see it."""

from __future__ import annotations

import numpy as np

from fc7.classify.report.report_data import ReportData
from fc7.models.common.names import shortened


def alternative_texts(data: ReportData) -> dict[str, str]:
    """Name of the plot -> a sentence or two; only of plots that `data` has something for."""
    texts = {}
    if data.counts:
        sizes = [c.train + c.test + c.other for c in data.counts]
        least, most = int(np.argmin(sizes)), int(np.argmax(sizes))
        span = (
            f"{sizes[least]} each"
            if sizes[least] == sizes[most]
            else f"from {sizes[least]} ({shortened(data.counts[least].label)}) to {sizes[most]} "
            f"({shortened(data.counts[most].label)})"
        )
        texts["classes"] = f"Labelled images of each of {len(sizes)} classes: {span}."
    if data.metrics is not None:
        m = data.metrics
        texts["confusion"] = (
            f"Confusion matrix of {m.n} test images, rows the truth, columns the predictions, each row as "
            f"shares: {m.n_correct} lie on the diagonal."
        )
    if data.reliability is not None:
        texts["reliability"] = (
            "Reliability: how often predictions of a given probability are right, with 95 % intervals. On "
            f"the dashed line they are as sure as they are right. Expected calibration error "
            f"{data.reliability.expected_error:.1%} in {len(data.reliability.n)} bins of equal width."
        )
    if data.coverage is not None:
        curve = data.coverage
        half = curve.accuracy[min(int(np.searchsorted(curve.coverage, 0.5)), len(curve.accuracy) - 1)]
        texts["coverage"] = (
            "Coverage and accuracy: predicting only the surest images. "
            f"All of them: {curve.accuracy[-1]:.1%} right; the surest half: {half:.1%}."
        )
    if data.tuning:
        kept = next((point for point in data.tuning if point.kept), data.tuning[0])
        texts["tuning"] = (
            "Accuracy in cross-validation inside the train set against C, with standard errors. Kept: "
            f"{kept.head} at C = {kept.C:g}, {kept.accuracy:.1%}."
        )
    if data.learning is not None:
        first, last = data.learning.points[0], data.learning.points[-1]
        texts["learning"] = (
            f"Accuracy on the same held-out images against training images per class: {first.mean:.1%} with "
            f"{first.images_per_class:.3g}, {last.mean:.1%} with {last.images_per_class:.3g}; bars are one "
            f"standard deviation over repeats. {data.learning.verdict.capitalize()}."
        )
    if data.map is not None:
        part = (
            f"{len(data.map.points):,} of {data.map.n_rows:,}"
            if len(data.map.points) < data.map.n_rows
            else f"{data.map.n_rows:,}"
        )
        explained = (
            ""
            if data.map.explained is None
            else f" Two dimensions hold {data.map.explained:.0%} of the variance."
        )
        texts["map"] = (
            f"{data.map.method} of the features of {part} labelled images, a colour and a shape for each "
            f"class, a class's number at its middle.{explained}"
        )
    return texts
