"""What `fit` prints: counts, how C was found, what was learned beside it."""

from __future__ import annotations

from collections.abc import Sequence

from fc7.classify.classifier.rejection import TradeOff
from fc7.classify.commands.texts.duplicates_text import duplicates_line
from fc7.classify.commands.texts.metrics_text import MOST_CLASSES, evaluate_report, novel_names, share_of
from fc7.classify.fit.cross_validate import Tuned
from fc7.classify.fit.next_steps import NO_ADVICE, Advice
from fc7.classify.fit.result import FitResult
from fc7.classify.metrics.intervals import Proportion
from fc7.models.common.names import padded, shortened, width_of
from fc7.models.common.terminal import counted, wrapped


def fit_report(result: FitResult, verbose: bool = False) -> str:
    """The accuracy, what it rests on, and what else `fit` found, for people.

    Parameters
    ----------
    verbose : bool
        Say every C that was tried, the solver and the thresholds too.
    """
    lines = [
        evaluate_report(result.metrics, _rests_on(result, verbose)),
        "",
        _counts(result),
        *_split(result),
        "",
        *cross_validation_report(result.tuned, verbose),
        _chosen(result),
    ]
    if verbose:
        lines.append(f"solver: {result.solver.describe()}{_folds_solver(result)}")
    lines += [*_rejection(result), *_novelty(result)]
    kept = "every labelled image, the held-out ones too" if result.options.refit_all else "the train set only"
    lines.append(f"the classifier that is kept was fitted on {kept}")
    lines += [f"note: {note}" for note in result.notes if note != result.group_hint]
    lines.append(f"fitted in {result.seconds:.1f} s")
    return "\n".join(lines)


def _rests_on(result: FitResult, verbose: bool) -> list[str]:
    test, train = len(result.test), len(result.train)
    return [
        f"evaluated on {counted(test, 'held-out image')}, fitted on {train}",
        *([] if result.corrected is None else result.corrected.lines),
        *_copies(result, verbose),
    ]


def _chosen(result: FitResult) -> str:
    """The head and its settings, and what it was preferred to."""
    kind = result.classifier.normalizer.kind
    chosen = f"head: {result.classifier.head}, C = {result.C:g}, normalisation: {kind}"
    if result.classifier.identity.layer and any(tuned.layer for tuned in result.tuned):
        chosen += f", layer: {result.classifier.identity.layer}"
    if result.options.class_weight != "none":
        chosen += f", class weight: {result.options.class_weight}"
    if result.options.one_se and result.tuned:
        chosen += f" (smallest C within one standard error of the best, {result.tuned[0].peak.C:g})"
    if len(result.tuned) > 1:
        best, other = result.tuned[0], max(result.tuned[1:], key=lambda tuned: tuned.peak.accuracy)
        chosen += (
            f" ({_named(best, result.tuned)} {best.peak.accuracy:.1%} against {_named(other, result.tuned)} "
            f"{other.peak.accuracy:.1%} in cross-validation: the better one is kept)"
        )
    return chosen


def _folds_solver(result: FitResult) -> str:
    """How the folds were fitted, where there were any."""
    if not result.tuned:
        return ""
    return f"; folds: {result.tuned[0].solver.describe()} at the best C"


def advice_report(advice: Advice) -> str:
    """What to try next; sentences are wrapped, and commands stay whole so that they can be pasted."""
    if not advice.steps:
        return ""
    lines = [wrapped(f"{advice.why}; to try next:") if advice.why else "to try next:"]
    for step in advice.steps:
        lines += [wrapped(f"- {step.sentence}"), f"  {step.command}"]
    return "\n".join(lines)


def fit_json(result: FitResult, advice: Advice = NO_ADVICE) -> dict[str, object]:
    """The same for a program: the record that the classifier carries, and the split's sizes on top."""
    return {
        "head": result.classifier.head,
        "C": result.C,
        "normalize": result.classifier.normalizer.kind,
        "layer": result.classifier.identity.layer,
        "n_train": len(result.train),
        "n_test": len(result.test),
        "accuracy": result.metrics.accuracy,
        "seconds": round(result.seconds, 3),
        **result.record(),
        "novel": list(result.novel),
        "next_steps": [step.to_json() for step in advice.steps],
    }


def _rejection(result: FitResult) -> list[str]:
    """What rejecting costs on the test set, by this threshold and by others."""
    if not result.trade_offs:
        return []
    used = result.classifier.reject_below
    m = result.metrics
    label = shortened(result.classifier.rejection_label)
    lines = [
        f"test images below the threshold are predicted {label}; fit --reject-below takes another one:",
        "threshold  accepted  accuracy of these  95% interval",
    ]
    if used:
        kept = TradeOff(used, Proportion(m.n_accepted_correct, m.n_accepted), m.n)
        lines.append(f"{_trade_off(kept)}  this classifier")
    elif result.rejection is not None and result.rejection.reached:
        lines.insert(0, "nothing is rejected: all images together reach the precision that was asked for")
    return [*lines, *map(_trade_off, result.trade_offs)]


def _trade_off(one: TradeOff) -> str:
    low, high = one.accepted.interval
    accuracy = share_of(one.accepted.accuracy)
    return f"{one.below:9.3f}  {one.accepted_share:8.1%}  {accuracy:>17}  {low:.1%} to {high:.1%}"


def _novelty(result: FitResult) -> list[str]:
    """Which test images the novelty limit flags."""
    if result.novelty is None:
        return []
    expected = f"(expected of ordinary images: {result.novelty.false_alarm_rate:.1%})"
    n, tested = len(result.novel), len(result.test)
    which = f": {novel_names(result.novel, n, '--json')}" if n else ""
    return [f"unlike anything in training: {n} of {tested} test images {expected}{which}"]


def _counts(result: FitResult) -> str:
    rows = list(result.counts.items())
    more = max(0, len(rows) - MOST_CLASSES)
    if more:
        rows = sorted(rows, key=lambda row: sum(row[1]))[:MOST_CLASSES]
    total = ("all classes", (len(result.train), len(result.test)))
    width = width_of([label for label, _ in (*rows, total)])
    lines = [f"{'class':{width}}  {'images':>7} {'train':>7} {'test':>7}"]
    lines += [f"{padded(label, width)}  {a + b:7} {a:7} {b:7}" for label, (a, b) in rows]
    if more:
        lines.append(f"and {counted(more, 'class', 'classes')} with as many images or more (--json has all)")
    label, (a, b) = total
    return "\n".join([*lines, f"{padded(label, width)}  {a + b:7} {a:7} {b:7}"])


def _split(result: FitResult) -> list[str]:
    """How the images were chosen and parted, where it is not the plain way."""
    options = result.options
    lines = []
    for name, names in (("only the classes", options.include), ("without the classes", options.exclude)):
        if names:
            lines.append(f"{name} {', '.join(names)}")
    if result.split_how == "stratified":
        if options.ordered:
            lines.append("split in the order of the paths: the last images of each class are the test set")
        if options.per_class is not None:
            lines.append(f"{options.per_class} images of each class train{_fewer(result, options.per_class)}")
    if options.balance:
        lines.append("the train set holds as many images of each class")
    return lines


def _fewer(result: FitResult, per_class: int) -> str:
    """Of the classes that have not enough images to train on so many and test."""
    # With --balance the counts lack what was left out, and a note says what trains.
    few = 0 if result.options.balance else sum(a + b <= per_class for a, b in result.counts.values())
    if not few:
        return ""
    has = "has" if few == 1 else "have"
    few_of = f"{few} of {len(result.counts)} classes {has} no more than that"
    return f", but {few_of}: one at least of each is in the test set"


def _copies(result: FitResult, verbose: bool) -> list[str]:
    """What was looked for so that no test image is known from training, what was found, and what was not."""
    return [_looked_for(result, verbose), *_leakage(result), *_sessions(result)]


def _looked_for(result: FitResult, verbose: bool) -> str:
    found, drawn = result.duplicates, result.split_how == "stratified"
    if result.options.duplicates == "off":
        return "copies and near-copies were not looked for (--duplicates off)"
    side = "; each picture is on one side of the split" if drawn else ""
    if found is None:
        return f"exact copies were looked for, near-copies were not{side}"
    line = duplicates_line(found, verbose)
    return f"copies and near-copies were looked for: {line}{side if found.groups else ''}"


def _leakage(result: FitResult) -> list[str]:
    """The second accuracy, if copies in training make one."""
    leak = result.leakage
    if leak is None:
        return []
    images = counted(leak.copied.n, "test image has", "test images have")
    if leak.how == "redrawn":
        return [
            f"accuracy with copies on both sides of the split: {leak.both_sides.describe()}, where {images} "
            f"a copy in training; {leak.comparison}"
        ]
    copied = f"{images} a copy{', or an image of its group,' if result.grouped else ''} in training"
    if not leak.one_side.n:
        return [f"{copied}: no other test image is left"]
    return [f"{copied}; accuracy of the others: {leak.one_side.describe()}; {leak.comparison}"]


def _sessions(result: FitResult) -> list[str]:
    if result.grouped:
        drawn = result.split_how == "stratified"
        return ["images of one group are on one side of the split"] if drawn else []
    photographs = "several photographs of one object or session (frames of a video, a track)"
    return [f"not looked for: {photographs}", *([result.group_hint] if result.group_hint else [])]


def cross_validation_report(tuned: Sequence[Tuned], verbose: bool) -> list[str]:
    """With `verbose` every C, and where layers or normalisations were tried, a table of what each reached."""
    lines = []
    for each in tuned if verbose else ():
        cv_results = ", ".join(
            f"C {cv_result.C:g}: {cv_result.accuracy:.1%}" for cv_result in each.cv_results
        )
        lines.append(
            f"{_named(each, tuned)}, {each.n_folds}-fold cross-validation in the train set: {cv_results}"
        )
    if len({(each.layer, each.normalize) for each in tuned}) > 1:
        layers = width_of([each.layer for each in tuned])
        lines += ["", f"{'layer':{layers}}  normalisation  head         C  accuracy  standard error"]
        lines += [
            f"{padded(each.layer or '-', layers)}  {each.normalize:13}  {each.head:7}  {each.best.C:5g}"
            f"  {each.best.accuracy:8.1%}  {each.best.standard_error:14.1%}"
            for each in sorted(tuned, key=lambda each: -each.best.accuracy)
        ]
        lines.append("")
    return lines


def _named(tuned: Tuned, among: Sequence[Tuned]) -> str:
    """The head, with its layer and normalisation where others were tried."""
    words: list[str] = [tuned.head]
    if len({each.normalize for each in among}) > 1:
        words.append(tuned.normalize)
    if len({each.layer for each in among}) > 1:
        words.append(f"on {tuned.layer}")
    return " ".join(words)
