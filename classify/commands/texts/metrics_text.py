"""Metrics as `fit` and `evaluate` print them, with their sample size, and the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fc7.classify.classifier.novelty import NOVEL_SHOWN
from fc7.classify.metrics.intervals import wilson_interval
from fc7.classify.metrics.metrics import Metrics
from fc7.classify.predict.group_metrics import GroupMetrics
from fc7.models.common.names import columns, label_text, padded, shortened, width_of
from fc7.models.common.terminal import counted

# Above these a confusion matrix is left to --json, and the most frequent mistakes are listed.
MOST_CLASSES = 20
_WIDEST_LINE = 100
_MISTAKES = 20


def evaluate_report(metrics: Metrics, rests_on: Sequence[str] = ()) -> str:
    """Metrics and the confusion matrix, for people.

    Parameters
    ----------
    rests_on : sequence of str
        Lines that stand right below the accuracy.
    """
    low, high = metrics.accuracy_interval
    lines = [
        f"accuracy           {metrics.accuracy:.1%}  ({metrics.n_correct} of {metrics.n}; "
        f"95% interval {low:.1%} to {high:.1%})",
        *rests_on,
        f"mean class recall  {metrics.mean_recall:.1%}",
    ]
    lines += [f"top-{k} accuracy     {share:.1%}" for k, share in sorted(metrics.top_k.items()) if k > 1]
    if not math.isnan(metrics.log_loss):
        lines += [
            f"mean avg precision {metrics.mean_average_precision:.1%}",
            f"log loss           {metrics.log_loss:.3f}{_of_known(metrics)}",
            f"Brier score        {metrics.brier:.3f}  (0 to 2){_of_known(metrics)}",
        ]
    bins = counted(len(metrics.reliability.n), "bin")
    lines.append(f"calibration error  {metrics.reliability.expected_error:.1%}  ({bins} of equal counts)")
    if metrics.reject_below:
        lines.append(_at_threshold(metrics))
    if metrics.unknown:
        unknown = ", ".join(f"{shortened(label)} ({n})" for label, n in metrics.unknown.items())
        lines.append(
            "labels the classifier does not know, counted as wrong and left out of log loss and Brier score, "
            f"which need their probability: {unknown}"
        )
    return "\n".join([*lines, "", _per_class(metrics), "", _confusion(metrics)])


def _of_known(metrics: Metrics) -> str:
    return f"  (of the {metrics.n_known} of {metrics.n} with a known label)" if metrics.unknown else ""


def _at_threshold(metrics: Metrics) -> str:
    accepted, right = metrics.n_accepted, metrics.n_accepted_correct
    shares = f"accepted           {accepted / metrics.n:.1%}  ({accepted} of {metrics.n} at a probability of "
    shares += f"{metrics.reject_below:.3f} or more"
    if not accepted:
        return shares + ")"
    low, high = wilson_interval(right, accepted)
    return f"{shares}), {right / accepted:.1%} of them right (95% interval {low:.1%} to {high:.1%})"


def groups_report(groups: Sequence[GroupMetrics]) -> str:
    """Accuracy of the groups, the worst first."""
    shown = sorted(groups, key=lambda g: (g.accuracy, -g.n, g.group))[:_MISTAKES]
    width = max(columns(text) for text in ("group", *(shortened(g.group) for g in shown), "(none)"))
    lines = [f"{'group':{width}}  accuracy  images  95% interval"]
    for g in shown:
        name = shortened(g.group) or "(none)"
        low, high = g.interval
        lines.append(
            f"{name}{' ' * (width - columns(name))}  {g.accuracy:>8.1%} {g.n:7}  {low:.1%} to {high:.1%}"
        )
    more = len(groups) - len(shown)
    return "\n".join([*lines, f"and {more} better groups (--csv and --json have them)"] if more else lines)


def metrics_json(metrics: Metrics) -> dict[str, object]:
    """The metrics for a program."""
    return metrics.to_json()


def _per_class(metrics: Metrics) -> str:
    table = zip(
        metrics.labels,
        metrics.precision,
        metrics.recall,
        metrics.f1,
        metrics.average_precision,
        metrics.support,
        strict=True,
    )
    rows = list(table)
    more = max(0, len(rows) - MOST_CLASSES)
    if more:
        # Where there are too many to read, those to look at first; a metric that is undefined is no fault.
        rows = sorted(rows, key=lambda row: (math.isnan(row[3]), row[3]))[:MOST_CLASSES]
    width = width_of([row[0] for row in rows])
    lines = [f"{'class':{width}}  precision  recall      F1  avg prec  support"]
    lines += [
        f"{padded(label, width)}  {share_of(p):>9}  {share_of(r):>6}  {share_of(f):>6}  "
        f"{share_of(ap):>8}  {n:7}"
        for label, p, r, f, ap, n in rows
    ]
    if more:
        lines.append(f"and {counted(more, 'class', 'classes')} with a better F1 (--json has all)")
    return "\n".join(lines)


def _confusion(metrics: Metrics) -> str:
    width = width_of(metrics.labels)
    cell = max(len(str(metrics.confusion.max())), len(f"({len(metrics.labels)})")) + 1
    line = width + len("(10) ") + cell * len(metrics.labels)
    if len(metrics.labels) > MOST_CLASSES or line > _WIDEST_LINE:
        return f"{_mistakes(metrics)}\n(--json has the whole confusion matrix)"
    numbers = range(1, len(metrics.labels) + 1)
    lines = [
        "confusion matrix, rows are the truth, columns the prediction:",
        " " * (width + 5) + "".join(f"{f'({i})':>{cell}}" for i in numbers),
    ]
    for i, label, row in zip(numbers, metrics.labels, metrics.confusion, strict=True):
        lines.append(f"{f'({i})':5}{padded(label, width)}" + "".join(f"{n:{cell}}" for n in row))
    return "\n".join(lines)


def _mistakes(metrics: Metrics) -> str:
    pairs = [
        (int(n), metrics.labels[i], metrics.labels[j])
        for i, row in enumerate(metrics.confusion)
        for j, n in enumerate(row)
        if n and i != j
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    lines = ["most frequent confusions:"]
    lines += [
        f"{n:5}  {label_text(truth)} taken for {label_text(guess)}" for n, truth, guess in pairs[:_MISTAKES]
    ]
    return "\n".join(lines) if pairs else "no confusions"


def share_of(value: float) -> str:
    """In per cent; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.1%}"


def novel_names(paths: Sequence[str], n: int, where: str) -> str:
    """The first of n paths, and where all of them are.

    Examples
    --------
    >>> novel_names(["a.jpg", "b.jpg"], 2, "--json")
    'a.jpg, b.jpg'
    >>> novel_names(["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"], 9, "--json")
    'a.jpg, b.jpg, c.jpg, d.jpg, e.jpg and 4 more (all: --json)'
    """
    shown = ", ".join(paths[:NOVEL_SHOWN])
    more = n - len(paths[:NOVEL_SHOWN])
    return f"{shown} and {more} more (all: {where})" if more else shown
