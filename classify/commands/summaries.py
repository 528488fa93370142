"""What `classify` and `evaluate` say when they are done, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fc7.classify.commands.metrics_text import evaluate_report, groups_report, metrics_json
from fc7.classify.data.rows import left_out_note
from fc7.classify.metrics.intervals import wilson_interval
from fc7.extract.records import Failure
from fc7.extract.summary import nodes_json, nodes_text
from fc7.models.common.names import shortened
from fc7.models.common.terminal import counted, one_line

if TYPE_CHECKING:
    from fc7.classify.predict.compare import Comparison
    from fc7.classify.predict.evaluate import Evaluation
    from fc7.classify.predict.predict import ClassifySummary
    from fc7.classify.predict.predictions import Prediction

_FAILURES_SHOWN = 20


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
            f"the classifier learned from {evaluation.n_in_train} of these {evaluation.metrics.n} images: "
            "the metrics are too good; --held-out leaves them out"
        )
    lines = [evaluate_report(evaluation.metrics, rests_on)]
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
    if comparison.n_in_train:
        lines.append(f"left out: {counted(comparison.n_in_train, 'image')} that one of them learned from")
    if comparison.n_unmatched:
        lines.append(
            f"left out: {counted(comparison.n_unmatched, 'image')} without a partner of the same label"
        )
    lines += [*_unread(comparison.failures), *(f"note: {note}" for note in comparison.notes)]
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
