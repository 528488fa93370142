"""What `fit` prints: counts, how C was found, what was learned beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fc7.classify.commands.metrics_text import MOST_CLASSES, evaluate_report, share_of
from fc7.classify.duplicates.find import Duplicates
from fc7.classify.fit.cross_validate import Tuned
from fc7.classify.fit.result import FitResult
from fc7.models.common.names import padded, shortened, width_of
from fc7.models.common.terminal import counted


def fit_report(result: FitResult, verbose: bool = False) -> str:
    """The accuracy, what it rests on, and what else `fit` found, for people.

    Parameters
    ----------
    verbose : bool
        Say every C that was tried, the solver and the thresholds too.
    """
    lines = [
        evaluate_report(result.metrics, _rests_on(result)),
        "",
        _counts(result),
        *_split(result, verbose),
        "",
        *cross_validation_report(result.tuned, verbose),
        _chosen(result),
    ]
    if verbose:
        lines.append(f"solver: {result.solver.describe()}{_folds_solver(result)}")
    lines += _rejection_and_novelty(result, verbose)
    kept = "every labelled image, the held-out ones too" if result.options.refit_all else "the train set only"
    lines.append(f"the classifier that is kept was fitted on {kept}")
    lines += [f"note: {note}" for note in result.notes]
    lines.append(f"fitted in {result.seconds:.1f} s")
    return "\n".join(lines)


def _rests_on(result: FitResult) -> list[str]:
    test, train = len(result.test), len(result.train)
    return [f"evaluated on {counted(test, 'held-out image')}, fitted on {train}", *_leakage(result)]


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


def fit_json(result: FitResult) -> dict[str, object]:
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
    }


def _rejection_and_novelty(result: FitResult, verbose: bool) -> list[str]:
    """What rejection and the novelty limit did where the truth is known, and with `verbose` the threshold."""
    lines = []
    rejection, novelty = result.rejection, result.novelty
    if rejection is not None and rejection.below:
        accepted = rejection.n_correct / rejection.n_accepted if rejection.n_accepted else math.nan
        below = f" (below a probability of {rejection.below:.3f})" if verbose else ""
        lines.append(
            f"rejected as {shortened(result.classifier.rejection_label)}: images that are too unsure{below}; "
            f"out of fold {rejection.n_accepted} of {rejection.n} images were "
            f"accepted, {share_of(accepted)} of them right"
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


def _split(result: FitResult, verbose: bool) -> list[str]:
    """How the images were chosen and parted, where it is not the plain way, and the duplicates among them."""
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
    found = result.duplicates
    if found is not None:
        lines.append(f"duplicates: {duplicates_line(found, verbose)}")
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


def duplicates_line(found: Duplicates, verbose: bool) -> str:
    """How many there are, and with `verbose` by which threshold, in a line."""
    how = f" ({found.describe()})" if verbose else ""
    if not found.pairs:
        return f"none{how}"
    grouped = sum(map(len, found.groups))
    left = counted(found.n_left_apart, "more pair is", "more pairs are")
    apart = f"; {left} near but not grouped, lest chains group a whole class" if found.n_left_apart else ""
    if not grouped:
        return f"none grouped{how}{apart}"
    exact = counted(found.n_exact, "of them an exact copy", "of them exact copies")
    return f"{grouped} images are {counted(len(found.groups), 'picture')}, {exact} of another{how}{apart}"


def _leakage(result: FitResult) -> list[str]:
    leak = result.leakage
    if leak is None:
        return []
    copied = f"{leak.straddling} of {leak.n_leaky} test images have a copy in training"
    if leak.how == "given":
        clean = "-" if math.isnan(leak.clean) else f"{leak.clean:.1%}"
        return [
            f"leaky {leak.leaky:.1%}  the given split: {copied}",
            f"clean {clean}  on the {leak.n_clean} others",
        ]
    return [
        f"clean {leak.clean:.1%}  duplicates kept on one side, as above",
        f"leaky {leak.leaky:.1%}  what a split without regard to them would have claimed: {copied}, "
        f"{leak.straddling_correct} of these right",
    ]


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
