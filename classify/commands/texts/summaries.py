"""What commands say when they are done, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fc7.classify.commands.texts.metrics_text import evaluate_report, groups_report, metrics_json, novel_names
from fc7.classify.data.rows import left_out_note
from fc7.classify.metrics.intervals import wilson_interval
from fc7.extract.records import Failure
from fc7.extract.summary import nodes_json, nodes_text
from fc7.models.common.names import label_text, shortened
from fc7.models.common.terminal import counted, one_line
from fc7.models.common.text_table import fitted_table

if TYPE_CHECKING:
    from fc7.classify.fit.learning_verdict import LearningCurve
    from fc7.classify.network_choice.result import NetworkChoice, NetworkResult
    from fc7.classify.predict.compare import Comparison
    from fc7.classify.predict.evaluate import Evaluation
    from fc7.classify.predict.predict import ClassifySummary
    from fc7.classify.predict.predictions import Prediction

_FAILURES_SHOWN = 20
# Heading of the table of `choose` -> is it a number, set flush right?
_NETWORK_COLUMNS = {
    "NETWORK": False,
    "LAYER": False,
    "ACCURACY": True,
    "95% INTERVAL": True,
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
    found = [f"{n} {label_text(label)}" for label, n in counts if n][:10]
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
        where = f"column novelty of {summary.out}" if summary.out is not None else "--json"
        label = "the label" if summary.n_novel == 1 else "their labels"
        lines.append(
            f"{counted(summary.n_novel, 'image looks', 'images look')} unlike anything in training (novelty "
            f"above 1), do not trust {label}: {novel_names(summary.novel, summary.n_novel, where)}"
        )
    rate = f", {summary.classified / summary.seconds:.0f} images/s" if summary.seconds else ""
    done = (
        f"{counted(summary.images, 'image')}, {summary.classified} classified, "
        f"{counted(len(summary.failures), 'failure')}, "
        f"{summary.seconds:.1f} s{rate}"
    )
    lines.append(", ".join([done, *nodes_text(summary.nodes)]))
    if summary.out is not None:
        lines.append(f"wrote {summary.out}")
    return "\n".join(lines)


def predictions_table(predictions: Sequence[Prediction]) -> str:
    """Each path, and below it the labels with their probabilities, as `imagenet` has it."""
    lines: list[str] = []
    for each in predictions:
        lines.append(each.path)
        if each.rejected:
            lines.append(f"  {each.label}: too unsure for a label; the best guesses are")
        lines += [f"  {score:6.1%}  {label}" for label, score in each.pairs]
        if each.error:
            lines.append(f"  unreadable: {each.error}")
        if each.novelty > 1:
            lines.append("  unlike anything in training: do not trust the label")
    return "\n".join(map(one_line, lines))


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
        "predictions": [prediction.to_json() for prediction in summary.predictions],
    }


def _novel(evaluation: Evaluation) -> list[str]:
    """Paths of the images that are unlike those of training, the farthest first."""
    novelty = evaluation.rows.novelty
    return [evaluation.rows.paths[i] for i in (-novelty).argsort(kind="stable") if novelty[i] > 1]


def evaluation_report(evaluation: Evaluation) -> str:
    """The accuracy, what it rests on, and the other metrics."""
    rests_on = _unread(evaluation.failures)
    if evaluation.unlabelled:
        n = evaluation.metrics.n + evaluation.left_out + evaluation.unlabelled
        rests_on.append(left_out_note(evaluation.unlabelled, n))
    if evaluation.left_out:
        rests_on.append(f"left out: {counted(evaluation.left_out, 'image')} that the classifier learned from")
    if evaluation.n_in_train:
        rests_on.append(
            f"the classifier learned from {evaluation.n_in_train} of these {evaluation.metrics.n} images, "
            "which raises the accuracy; --held-out leaves them out"
        )
    rests_on += [*([] if evaluation.corrected is None else evaluation.corrected.lines), *evaluation.notes]
    lines = [evaluate_report(evaluation.metrics, rests_on)]
    if evaluation.groups:
        lines += ["", groups_report(evaluation.groups)]
    novel = _novel(evaluation)
    if novel:
        look = "looks" if len(novel) == 1 else "look"
        lines += [
            "",
            f"{len(novel)} of {evaluation.metrics.n} images {look} unlike anything in training: "
            f"{novel_names(novel, len(novel), '--json; column novelty of images.csv in --csv DIR')}",
        ]
    return "\n".join(lines)


def evaluation_json(evaluation: Evaluation) -> dict[str, object]:
    """The same for a program."""
    novel = _novel(evaluation)
    return {
        **metrics_json(evaluation.metrics),
        "groups": [group.to_json() for group in evaluation.groups],
        "seen_in_training": evaluation.n_in_train,
        "left_out": evaluation.left_out,
        "novel": len(novel),
        "novel_images": novel,
        "unlabelled": evaluation.unlabelled,
        "corrections": None if evaluation.corrected is None else evaluation.corrected.to_json(),
        "notes": list(evaluation.notes),
        "failures": [{"path": failure.path, "reason": failure.reason} for failure in evaluation.failures],
        "seconds": round(evaluation.seconds, 3),
    }


def comparison_report(comparison: Comparison) -> str:
    """Both accuracies, the verdict, the test, and which images it rests on."""
    width = max(map(len, comparison.names))
    lines: list[str] = []
    for name, right in zip(comparison.names, comparison.n_correct, strict=True):
        low, high = wilson_interval(right, comparison.n)
        lines.append(
            f"{name:{width}}  {right / comparison.n:.1%}  ({right} of {comparison.n}; "
            f"95% interval {low:.1%} to {high:.1%})"
        )
    low, high = comparison.difference_interval
    test = comparison.test
    lines += [
        comparison.verdict,
        f"{comparison.names[1]} minus {comparison.names[0]}: 95% interval {low:+.1%} to {high:+.1%}",
        f"McNemar's exact test, two-sided: p = {test.p_value:.3g} (mid-p {test.mid_p:.3g})",
    ]
    if comparison.corrected is not None:
        lines += comparison.corrected.lines
    if comparison.n_in_train:
        lines.append(f"left out: {counted(comparison.n_in_train, 'image')} that one of them learned from")
    if comparison.n_unmatched:
        lines.append(
            f"left out: {counted(comparison.n_unmatched, 'image')} without a partner of the same label"
        )
    lines += [*_unread(comparison.failures), *(f"note: {note}" for note in comparison.notes)]
    return "\n".join(lines)


def choice_report(choice: NetworkChoice) -> str:
    """A table of the networks, the test of the best two, which to take and how to go on."""
    rows = [_network_cells(result) for result in choice.results]
    lines = [
        *_unread(choice.failures),
        *choice.notes,
        f"trained on {choice.n_train} and tested on the same {counted(len(choice.paths), 'image')}:",
        fitted_table(_NETWORK_COLUMNS, rows, _WIDTH, least=_LEAST),
    ]
    if any(result.speed is not None and result.speed.measured_by == "bench" for result in choice.results):
        lines.append("*: by `models bench`, from pixels to features; the others from file to row")
    lines += [f"failed: {name}: {one_line(reason)}" for name, reason in choice.failed]
    if choice.comparison is not None:
        lines.append(f"the best two, by McNemar's exact test: {choice.comparison.verdict}")
    lines += [choice.recommendation, *([choice.caution] if choice.caution else [])]
    return "\n".join(lines)


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


def learning_curve_report(curve: LearningCurve, verbose: bool = False, notes: Sequence[str] = ()) -> str:
    """The accuracy, whether more images would help, and a line for each size of the train set.

    Parameters
    ----------
    verbose : bool
        Say with which C, and how long it took.
    notes : sequence of str
        What else is to be said.
    """
    low, high = wilson_interval(curve.n_correct, curve.n_test)
    lines = [
        f"accuracy  {curve.n_correct / curve.n_test:.1%}  with the whole train set ({curve.n_correct} of "
        f"{curve.n_test} held-out images; 95% interval {low:.1%} to {high:.1%})",
        *([] if curve.corrected is None else curve.corrected.lines),
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
    lines += [f"note: {note}" for note in (curve.problem, *notes) if note]
    return "\n".join(lines)


def _unread(failures: list[Failure]) -> list[str]:
    """Those that are in no metric, and what follows."""
    if not failures:
        return []
    found = counted(len(failures), "unreadable image is", "unreadable images are")
    return [*_failures(failures), f"{found} not evaluated, so the exit code is 1"]


def _failures(failures: list[Failure]) -> list[str]:
    lines = [f"skipped {failure.text}" for failure in failures[:_FAILURES_SHOWN]]
    more = len(failures) - _FAILURES_SHOWN
    return [*lines, f"skipped {more} more"] if more > 0 else lines
