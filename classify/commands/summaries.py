"""What commands say when they are done, for people and for programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fc7.classify.commands.metrics_text import evaluate_report, groups_report, metrics_json
from fc7.classify.data.rows import left_out_note
from fc7.classify.metrics.intervals import wilson_interval
from fc7.extract.records import Failure
from fc7.extract.summary import nodes_json, nodes_text
from fc7.models.common.names import shortened
from fc7.models.common.terminal import counted, one_line
from fc7.models.common.text_table import fitted_table

if TYPE_CHECKING:
    from fc7.classify.fit.learning_verdict import LearningCurve
    from fc7.classify.network_choice.result import NetworkChoice, NetworkResult
    from fc7.classify.predict.compare import Comparison
    from fc7.classify.predict.evaluate import Evaluation
    from fc7.classify.predict.predict import ClassifySummary

_FAILURES_SHOWN = 20
# Heading of the table of `choose` -> is it a number, set flush right?
_NETWORK_COLUMNS = {
    "NETWORK": False,
    "LAYER": False,
    "ACCURACY": True,
    "95 % INTERVAL": True,
    "IMAGES/S": True,
    "MB": True,
    "FEATURES": True,
    "FIT S": True,
}
_WIDTH = 100
# What gives way to the width, and how far.
_LEAST = (("LAYER", 12), ("NETWORK", 17))


def classify_report(summary: ClassifySummary) -> str:
    """A few lines: failures, how many of each label, the metrics, the file."""
    lines = _failures(summary.failures)
    counts = sorted(summary.counts.items(), key=lambda item: -item[1])
    found = [f"{n} {shortened(label)}" for label, n in counts if n][:10]
    if found:
        more = sum(1 for _, n in counts if n) - len(found)
        lines.append(", ".join(found) + (f", {counted(more, 'more label')}" if more > 0 else ""))
    if summary.n_rejected:
        lines.append(
            f"{counted(summary.n_rejected, 'image was', 'images were')} too unsure for a label and called "
            f"{shortened(summary.unknown)}; "
            "label_1 is the best guess"
        )
    if summary.n_novel:
        lines.append(
            f"{counted(summary.n_novel, 'image looks', 'images look')} unlike anything in training (novelty "
            "above 1): do not trust the label"
        )
    rate = f", {summary.classified / summary.seconds:.0f} images/s" if summary.seconds else ""
    figures = (
        f"{counted(summary.images, 'image')}, {summary.classified} classified, "
        f"{counted(len(summary.failures), 'failure')}, "
        f"{summary.seconds:.1f} s{rate}"
    )
    lines.append(", ".join([figures, *nodes_text(summary.nodes)]))
    if summary.out is not None:
        lines.append(f"wrote {summary.out}")
    return "\n".join(lines)


def classify_json(summary: ClassifySummary) -> dict[str, object]:
    """The same for a program."""
    return {
        "out": str(summary.out) if summary.out is not None else None,
        "images": summary.images,
        "classified": summary.classified,
        "failures": [{"path": failure.path, "reason": failure.reason} for failure in summary.failures],
        "counts": {label: n for label, n in summary.counts.items() if n},
        "rejected": summary.n_rejected,
        "rejected_label": summary.unknown,
        "novel": summary.n_novel,
        "seconds": round(summary.seconds, 3),
        "nodes": nodes_json(summary.nodes),
    }


def evaluation_report(evaluation: Evaluation) -> str:
    """The metrics, after what could not be evaluated."""
    lines = _unread(evaluation.failures)
    if evaluation.unlabelled:
        n = evaluation.metrics.n + evaluation.left_out + evaluation.unlabelled
        lines.append(left_out_note(evaluation.unlabelled, n))
    if evaluation.left_out:
        lines.append(f"left out: {counted(evaluation.left_out, 'image')} that the classifier learned from")
    if evaluation.n_in_train:
        lines.append(
            f"the classifier learned from {evaluation.n_in_train} of these {evaluation.metrics.n} images: "
            "the metrics are too good; --held-out leaves them out"
        )
    lines.append(evaluate_report(evaluation.metrics))
    if evaluation.groups:
        lines += ["", groups_report(evaluation.groups)]
    n_novel = int((evaluation.rows.novelty > 1).sum())
    if n_novel:
        lines += ["", f"{n_novel} of {evaluation.metrics.n} images look unlike anything in training"]
    return "\n".join(lines)


def evaluation_json(evaluation: Evaluation) -> dict[str, object]:
    """The same for a program."""
    return {
        **metrics_json(evaluation.metrics),
        "groups": [group.to_json() for group in evaluation.groups],
        "seen_in_training": evaluation.n_in_train,
        "left_out": evaluation.left_out,
        "novel": int((evaluation.rows.novelty > 1).sum()),
        "unlabelled": evaluation.unlabelled,
        "failures": [{"path": failure.path, "reason": failure.reason} for failure in evaluation.failures],
        "seconds": round(evaluation.seconds, 3),
    }


def comparison_report(comparison: Comparison) -> str:
    """Both accuracies, the test, the verdict, after what could not be read."""
    width = max(map(len, comparison.names))
    lines = _unread(comparison.failures)
    if comparison.n_in_train:
        lines.append(f"left out: {counted(comparison.n_in_train, 'image')} that one of them learned from")
    if comparison.n_unmatched:
        lines.append(
            f"left out: {counted(comparison.n_unmatched, 'image')} without a partner of the same label"
        )
    for name, right in zip(comparison.names, comparison.n_correct, strict=True):
        low, high = wilson_interval(right, comparison.n)
        lines.append(
            f"{name:{width}}  {right / comparison.n:.1%}  ({right} of {comparison.n}; "
            f"95 % interval {low:.1%} to {high:.1%})"
        )
    low, high = comparison.difference_interval
    test = comparison.test
    lines += [
        f"{comparison.names[1]} minus {comparison.names[0]}: 95 % interval {low:+.1%} to {high:+.1%}",
        f"McNemar's exact test, two-sided: p = {test.p_value:.3g} (mid-p {test.mid_p:.3g})",
        comparison.verdict,
        *(f"note: {note}" for note in comparison.notes),
    ]
    return "\n".join(lines)


def choice_report(choice: NetworkChoice) -> str:
    """A table of the networks, the test of the best two, which to take and how to go on."""
    rows = [_network_cells(result) for result in choice.results]
    lines = [
        *_unread(choice.failures),
        *choice.notes,
        f"trained on {choice.n_train} and tested on the same {counted(len(choice.paths), 'image')}:",
        fitted_table(_NETWORK_COLUMNS, rows, _WIDTH, _LEAST),
    ]
    if any(result.speed is not None and result.speed.measured_by == "bench" for result in choice.results):
        lines.append("*: by `models bench`, from pixels to features; the others from file to row")
    lines += [f"failed: {name}: {one_line(reason)}" for name, reason in choice.failed]
    if choice.comparison is not None:
        lines.append(f"the best two, by McNemar's exact test: {choice.comparison.verdict}")
    lines += [choice.recommendation, *([choice.caution] if choice.caution else [])]
    return "\n".join([*lines, f"go on with: {choice.next_command}"])


def _network_cells(result: NetworkResult) -> tuple[str, ...]:
    metrics, speed = result.fit.metrics, result.speed
    low, high = metrics.accuracy_interval
    mark = "" if speed is None or speed.measured_by == "extract" else "*"
    return (
        result.network,
        result.layer,
        f"{metrics.accuracy:.1%}",
        f"{low:.1%} to {high:.1%}",
        "-" if speed is None else f"{speed.images_per_second:.1f}{mark}",
        f"{result.size / 1e6:.1f}",
        str(result.dim),
        f"{result.fit.seconds:.1f}",
    )


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


def _unread(failures: list[Failure]) -> list[str]:
    """Those that are in no metric, and what follows."""
    if not failures:
        return []
    found = counted(len(failures), "image")
    return [
        *_failures(failures),
        f"{found} could not be read: not evaluated and in no metric, and the exit code is 1",
    ]


def _failures(failures: list[Failure]) -> list[str]:
    lines = [f"skipped {failure.text}" for failure in failures[:_FAILURES_SHOWN]]
    more = len(failures) - _FAILURES_SHOWN
    return [*lines, f"skipped {more} more"] if more > 0 else lines
