"""The report's plots.

Each is a pure function: facts and a palette in, a figure out. Text is never parsed (a class may be called
``$x``), colours come from the palette alone, and no figure knows where it will be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.rejection import Coverage
from fc7.classify.fit.learning_verdict import LearningCurve
from fc7.classify.metrics.intervals import wilson_interval
from fc7.classify.metrics.reliability import Reliability
from fc7.classify.report.canvas import Figure, figure_of, fill, legend_of, share_axis, whole_numbers
from fc7.classify.report.palette import Palette
from fc7.classify.report.report_data import ClassCount, CvPoint, Projection
from fc7.models.common.names import shortened

# Colour and shape change from class to class; 8 colours by 6 shapes tell 48 classes apart.
MARKERS = "osD^vP"
# More names than this cannot be read beside bars.
NAMED_BARS = 45
_LEGEND_ROWS = 24
Drawing = Callable[[Palette], Figure]
"""What draws one plot in given colours."""


def marker_of(code: int) -> int:
    """The marker of a class, an index into `MARKERS`; beside it goes colour ``code % 8``."""
    return (code + code // 24) % len(MARKERS)


def draw_classes(counts: Sequence[ClassCount], palette: Palette) -> Figure:
    """Images of each class, training and test set; beyond 45 classes by rank, without names."""
    if len(counts) > NAMED_BARS:
        return _draw_ranks(counts, palette)
    figure, axes = figure_of(palette, height=1.0 + 0.24 * len(counts))
    place = np.arange(len(counts))
    start = np.zeros(len(counts))
    series = (
        ("training", [c.train for c in counts], palette.one, ""),
        ("test", [c.test for c in counts], palette.two, "////"),
        ("in neither set", [c.other for c in counts], palette.faint, "...."),
    )
    for name, sizes, colour, hatch in series:
        if any(sizes):
            axes.barh(
                place,
                sizes,
                left=start,
                height=0.7,
                color=colour,
                label=name,
                hatch=hatch,
                edgecolor=palette.page,
                linewidth=0.5,
            )
            start = start + np.array(sizes)
    axes.set_yticks(place)
    axes.set_yticklabels([shortened(c.label) for c in counts], parse_math=False)
    axes.set_ylim(len(counts) - 0.5, -0.5)
    axes.set_xlabel("images")
    whole_numbers(axes, "x", float(start.max()))
    legend_of(axes, palette, above=True)
    return figure


def _draw_ranks(counts: Sequence[ClassCount], palette: Palette) -> Figure:
    figure, axes = figure_of(palette)
    total = np.sort([c.train + c.test + c.other for c in counts])[::-1]
    axes.fill_between(np.arange(len(total)) + 0.5, total, step="mid", color=palette.one)
    axes.set_xlabel(f"{len(counts)} classes, the largest first")
    axes.set_ylabel("images")
    axes.set_xlim(0, len(total))
    axes.set_ylim(bottom=0)
    return figure


def draw_confusion(confusion: NDArray[np.int64], labels: Sequence[str], palette: Palette) -> Figure:
    """Confusion matrix, each row as shares of its class; with numbers up to 12 labels."""
    n = len(labels)
    named = n <= NAMED_BARS
    side = max(3.2, 1.2 + 0.3 * n) if named else 6.5
    figure, axes = figure_of(palette, width=side + 1.0, height=side)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    level = shade(shares)
    for k, colour in enumerate(palette.cell):
        if k and (level == k).any():
            rows, columns = np.nonzero(level == k)
            boxes = [
                [(c, r), (c + 1, r), (c + 1, r + 1), (c, r + 1)] for r, c in zip(rows, columns, strict=True)
            ]
            fill(axes, boxes, colour)
    if n <= 12:
        for r, c in zip(*np.nonzero(confusion), strict=True):
            ink = palette.cell_ink[int(level[r, c])]
            axes.text(c + 0.5, r + 0.5, str(confusion[r, c]), ha="center", va="center", color=ink)
    axes.set_xlim(0, n)
    axes.set_ylim(n, 0)
    axes.set_aspect("equal")
    axes.set_xlabel("predicted" if named else "predicted, classes in order")
    axes.set_ylabel("truth" if named else "truth, classes in order")
    if named:
        names = [shortened(label, 18) for label in labels]
        axes.set_xticks(np.arange(n) + 0.5)
        axes.set_xticklabels(names, rotation=90, parse_math=False)
        axes.set_yticks(np.arange(n) + 0.5)
        axes.set_yticklabels(names, parse_math=False)
    axes.grid(visible=False)
    return figure


def shade(shares: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which of the 7 shades a share of a row gets: 0 for none at all, then six equal steps."""
    steps: NDArray[np.intp] = np.ceil(np.clip(shares, 0, 1) * 6).astype(np.intp)
    return steps


def draw_reliability(found: Reliability, palette: Palette) -> Figure:
    """Accuracy against mean confidence, bin by bin, with 95 % intervals and the line of equality."""
    figure, axes = figure_of(palette, height=4.0)
    axes.plot([0, 1], [0, 1], color=palette.faint, linestyle="--", linewidth=1, label="as sure as right")
    x, y = found.confidence, found.accuracy
    right = np.rint(y * found.n).astype(int).tolist()
    bounds = [wilson_interval(k, n) for k, n in zip(right, found.n.tolist(), strict=True)]
    low, high = np.array(bounds).T
    axes.errorbar(
        x,
        y,
        yerr=[np.maximum(y - low, 0), np.maximum(high - y, 0)],
        color=palette.one,
        marker="o",
        capsize=3,
        linewidth=1.5,
        elinewidth=1,
        label="test images of a bin, 95% interval",
    )
    axes.set_xlabel("probability of the prediction")
    axes.set_ylabel("share of right predictions")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    legend_of(axes, palette, above=True)
    return figure


def draw_coverage(found: Coverage, reject_below: float | None, palette: Palette) -> Figure:
    """Accuracy of the accepted images against the share that is accepted."""
    figure, axes = figure_of(palette)
    axes.plot(found.coverage, found.accuracy, color=palette.one, linewidth=1.5)
    if reject_below:
        accepted = int((found.threshold >= reject_below).sum()) - 1
        if accepted >= 0:
            axes.plot(
                found.coverage[accepted],
                found.accuracy[accepted],
                marker="D",
                linestyle="none",
                color=palette.two,
                label=f"the classifier's threshold, {reject_below:.3g}",
            )
            legend_of(axes, palette)
    axes.set_xlabel("share of images accepted, the surest first")
    axes.set_ylabel("share of right predictions")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(float(found.accuracy.min()) - 0.05, 1.02)
    share_axis(axes)
    return figure


def draw_tuning(points: Sequence[CvPoint], palette: Palette) -> Figure:
    """Cross-validated accuracy against C, a line for each head, with standard errors."""
    figure, axes = figure_of(palette)
    looks = ((palette.one, "o", "-"), (palette.two, "s", "--"))
    for (colour, marker, line), head in zip(looks, dict.fromkeys(t.head for t in points), strict=False):
        own = [t for t in points if t.head == head]
        axes.errorbar(
            [t.C for t in own],
            [t.accuracy for t in own],
            yerr=[t.standard_error for t in own],
            color=colour,
            marker=marker,
            linestyle=line,
            capsize=3,
            linewidth=1.5,
            label=head,
        )
    kept = [t for t in points if t.kept]
    axes.plot(
        [t.C for t in kept],
        [t.accuracy for t in kept],
        marker="o",
        markersize=13,
        linestyle="none",
        markerfacecolor="none",
        markeredgecolor=palette.ink,
        label="kept",
    )
    axes.set_xscale("log")
    axes.set_xlabel("C")
    axes.set_ylabel("accuracy in cross-validation")
    share_axis(axes)
    legend_of(axes, palette)
    return figure


def draw_learning(found: LearningCurve, palette: Palette) -> Figure:
    """Accuracy against images per class, with the spread over draws."""
    figure, axes = figure_of(palette)
    x = [point.images_per_class for point in found.points]
    axes.errorbar(
        x,
        [point.mean for point in found.points],
        yerr=[0 if np.isnan(point.spread) else point.spread for point in found.points],
        color=palette.one,
        marker="o",
        capsize=3,
        linewidth=1.5,
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(x)
    axes.set_xticklabels([f"{n:.3g}" for n in x])
    axes.minorticks_off()
    axes.set_xlabel("training images per class")
    axes.set_ylabel("accuracy")
    share_axis(axes)
    return figure


def draw_map(found: Projection, classes: Sequence[str], palette: Palette) -> Figure:
    """Feature rows in two dimensions, colour and marker by class; its name at its middle."""
    figure, axes = figure_of(palette, width=7.0, height=5.2)
    present = [int(c) for c in np.unique(found.code)]
    size = 26.0 if len(found.points) < 600 else 12.0
    for c in present:
        points = found.points[found.code == c]
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=size,
            marker=MARKERS[marker_of(c)],
            color=palette.classes[c % len(palette.classes)],
            alpha=0.85,
            linewidths=0,
            label=shortened(classes[c]),
        )
    for c in present if len(present) <= NAMED_BARS else ():
        x, y = np.median(found.points[found.code == c], axis=0)
        axes.annotate(
            shortened(classes[c], 12),
            (x, y),
            ha="center",
            va="center",
            fontsize=8,
            parse_math=False,
            color=palette.ink,
            bbox={
                "boxstyle": "round,pad=0.2",
                "facecolor": palette.page,
                "edgecolor": palette.ink,
                "alpha": 0.8,
                "linewidth": 0.5,
            },
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(f"{found.method} 1")
    axes.set_ylabel(f"{found.method} 2")
    if len(present) <= _LEGEND_ROWS:
        legend_of(axes, palette, beside=True)
    return figure
