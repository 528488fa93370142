"""What each plot shows, in words: its caption, and its text for those who do not see it."""

from __future__ import annotations

import numpy as np

from fc7.classify.metrics.reliability import IMAGES_OF_A_BIN, MOST_BINS
from fc7.classify.report.report_data import ReportData
from fc7.models.common.names import shortened
from fc7.models.common.terminal import counted


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
        n = data.reliability.n.tolist()
        texts["reliability"] = (
            "Reliability: how often predictions of a given probability are right, with 95% intervals. On "
            f"the dashed line they are as sure as they are right. {counted(sum(n), 'test image')} make "
            f"{counted(len(n), 'bin')} of equal counts ({', '.join(map(str, n))}), one for each "
            f"{IMAGES_OF_A_BIN} up to {MOST_BINS}; images of equal probability share a bin "
            "(Nguyen & O'Connor 2015; Nixon et al. 2019). Expected calibration error, the mean distance from "
            f"the line: {data.reliability.expected_error:.1%}."
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
        pictured = sum(point.pictured for point in data.map_points)
        which = "each has" if pictured == len(data.map_points) else f"{pictured} of them have"
        texts["map"] = (
            f"{data.map.method} of the features of {part} labelled images, a colour and a shape for each "
            f"class.{explained} {which.capitalize()} a picture here"
            + ("." if pictured == len(data.map_points) else ": mistakes first, the others drawn at random.")
        )
    return texts
