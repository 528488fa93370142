"""What `fit` and `evaluate` print: counts, figures with their sample size, the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from unicodedata import combining, east_asian_width

from classify.evaluate import Metrics
from classify.records import FitResult
from classify.tune import Tuned

# A wider matrix does not fit a terminal's line, and its mistakes are listed too; one that no screen can
# show is left to --json.
_WIDEST_LINE, _WIDEST_MATRIX = 15, 60
_MISTAKES = 20
_LONGEST_LABEL = 24


def fit_report(result: FitResult) -> str:
    """Everything that `fit` found, for people."""
    lines = [_counts(result), "", *(_tuned(each) for each in result.tuned)]
    chosen = f"head: {result.classifier.head}, C = {result.C:g}, normalisation: {result.options.normalize}"
    if len(result.tuned) > 1:
        best, other = result.tuned[0], result.tuned[1]
        chosen += (
            f" ({best.head} {best.best.accuracy:.1%} against {other.head} {other.best.accuracy:.1%} in "
            "cross-validation: the better one is kept)"
        )
    lines += [
        chosen,
        "",
        f"judged on {len(result.test)} held-out images:",
        evaluate_report(result.metrics),
        "",
    ]
    lines += _doubts(result)
    kept = (
        "every labelled image, the held-out ones too"
        if result.options.refit_all
        else "the training part only"
    )
    lines.append(f"the classifier that is kept was fitted on {kept}")
    lines += [f"note: {note}" for note in result.notes]
    lines.append(f"fitted in {result.seconds:.1f} s")
    return "\n".join(lines)


def fit_json(result: FitResult) -> dict[str, object]:
    """The same for a program: the record that the classifier carries, and the split's sizes on top."""
    return {
        "head": result.classifier.head,
        "C": result.C,
        "normalize": result.options.normalize,
        "n_train": len(result.train),
        "n_test": len(result.test),
        "accuracy": result.metrics.accuracy,
        "seconds": round(result.seconds, 3),
        **result.record(),
    }


def evaluate_report(metrics: Metrics) -> str:
    """Figures and the confusion matrix, for people."""
    low, high = metrics.accuracy_interval
    lines = [
        f"accuracy           {metrics.accuracy:.1%}  ({metrics.n_correct} of {metrics.n}; "
        f"95 % interval {low:.1%} to {high:.1%})",
        f"mean class recall  {metrics.mean_recall:.1%}",
    ]
    lines += [f"top-{k} accuracy     {share:.1%}" for k, share in sorted(metrics.top_k.items()) if k > 1]
    if not math.isnan(metrics.log_loss):
        lines.append(f"log loss           {metrics.log_loss:.3f}")
    if metrics.unknown:
        unknown = ", ".join(f"{_short(label)} ({n})" for label, n in metrics.unknown.items())
        lines.append(f"labels the classifier does not know, counted as wrong: {unknown}")
    return "\n".join([*lines, "", _per_class(metrics), "", _confusion(metrics)])


def metrics_json(metrics: Metrics) -> dict[str, object]:
    """The figures for a program."""
    return metrics.to_json()


def _doubts(result: FitResult) -> list[str]:
    """The rejection threshold and the novelty limit, with what they did where the truth is known."""
    lines = []
    rejection, novelty = result.rejection, result.novelty
    if rejection is not None and rejection.below:
        accepted = rejection.n_correct / rejection.n_accepted if rejection.n_accepted else math.nan
        lines.append(
            f"rejected as {_short(result.classifier.rejection_label)}: images whose best probability is "
            f"below {rejection.below:.3f}; out of fold {rejection.n_accepted} of {rejection.n} images were "
            f"accepted, {_share(accepted)} of them right"
        )
    elif rejection is not None and rejection.reached:
        lines.append("nothing is rejected: all images together reach the precision that was asked for")
    if novelty is not None:
        lines.append(
            f"flagged as unlike the training images: {result.n_novel} of {len(result.test)} held-out images "
            f"(expected {novelty.false_alarm_rate:.1%} of ordinary ones)"
        )
    return lines


def _counts(result: FitResult) -> str:
    rows = [*result.counts.items(), ("all classes", (len(result.train), len(result.test)))]
    width = _width([label for label, _ in rows])
    lines = [f"{'class':{width}}  {'images':>7} {'train':>7} {'test':>7}"]
    lines += [f"{_padded(label, width)}  {a + b:7} {a:7} {b:7}" for label, (a, b) in rows]
    return "\n".join(lines)


def _tuned(tuned: Tuned) -> str:
    trials = ", ".join(f"C {trial.C:g}: {trial.accuracy:.1%}" for trial in tuned.trials)
    return f"{tuned.head}, {tuned.n_folds}-fold cross-validation in the training part: {trials}"


def _per_class(metrics: Metrics) -> str:
    width = _width(metrics.labels)
    lines = [f"{'class':{width}}  precision  recall      F1  support"]
    for label, p, r, f, n in zip(
        metrics.labels, metrics.precision, metrics.recall, metrics.f1, metrics.support, strict=True
    ):
        lines.append(f"{_padded(label, width)}  {_share(p):>9}  {_share(r):>6}  {_share(f):>6}  {n:7}")
    return "\n".join(lines)


def _confusion(metrics: Metrics) -> str:
    if len(metrics.labels) > _WIDEST_MATRIX:
        return f"{_mistakes(metrics)}\n(--json has the whole confusion matrix)"
    width = _width(metrics.labels)
    cell = max(len(str(metrics.confusion.max())), len(f"({len(metrics.labels)})")) + 1
    numbers = range(1, len(metrics.labels) + 1)
    lines = [
        "confusion matrix, rows are the truth, columns the prediction:",
        " " * (width + 5) + "".join(f"{f'({i})':>{cell}}" for i in numbers),
    ]
    for i, label, row in zip(numbers, metrics.labels, metrics.confusion, strict=True):
        lines.append(f"{f'({i})':5}{_padded(label, width)}" + "".join(f"{n:{cell}}" for n in row))
    if len(metrics.labels) > _WIDEST_LINE:
        lines += ["", _mistakes(metrics)]
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
    lines += [f"{n:5}  {_short(truth)} taken for {_short(guess)}" for n, truth, guess in pairs[:_MISTAKES]]
    return "\n".join(lines) if pairs else "no confusions"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"


def _short(label: str) -> str:
    """A label on one line of bounded width, whatever is in it."""
    plain = "".join(c if c.isprintable() else "?" for c in label)
    return plain if len(plain) <= _LONGEST_LABEL else plain[: _LONGEST_LABEL - 1] + "…"


def _columns(text: str) -> int:
    """Terminal columns: ideographs take two, combining marks none."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _width(labels: Sequence[str]) -> int:
    return max(_columns(text) for text in ("class", *map(_short, labels)))


def _padded(label: str, width: int) -> str:
    text = _short(label)
    return text + " " * (width - _columns(text))
