"""What to do next with a classifier: advice that the data give, and none that they do not.

Each rule looks at what was measured and says nothing where that is not known; a set without a fault gets no
advice. tests/classify/fit/test_next_steps.py holds each rule to its edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fc7.classify.metrics.intervals import wilson_interval
from fc7.extract.inputs.tables.corrections import OPTION, Corrected
from fc7.models.common.names import shortened
from fc7.models.common.program import command_line
from fc7.models.common.terminal import counted

if TYPE_CHECKING:
    from fc7.classify.fit.learning_verdict import LearningCurve
    from fc7.classify.metrics.metrics import Metrics

_MOST_WEAK = 3
# Predictions are unsure if their mean probability is below this: a convention of this program.
_UNSURE = 0.7


@dataclass(frozen=True, slots=True)
class NextStep:
    """One piece of advice.

    Attributes
    ----------
    sentence : str
        What the data show, and what to do about it.
    command : str
        A line to paste that does it, or shows more.
    """

    sentence: str
    command: str

    def to_json(self) -> dict[str, str]:
        """For programs."""
        return {"sentence": self.sentence, "command": self.command}


@dataclass(frozen=True, slots=True)
class Advice:
    """What to try next, and why.

    Attributes
    ----------
    why : str
        A sentence on the accuracy; empty if it is not poor.
    """

    why: str = ""
    steps: tuple[NextStep, ...] = ()


NO_ADVICE = Advice()


@dataclass(frozen=True, slots=True)
class KnownBeside:
    """What else is known of a fit; None and empty where nobody looked.

    Attributes
    ----------
    features, model : str
        Files of the commands: the feature cache and the classifier.
    n_suspects : int
        Labels that may be wrong (`classify.fit.suspects`).
    n_disagreeing : int
        Groups of copies with more than one label.
    learning : LearningCurve or None
    untried_layers : tuple of str
        Layers of the cache that nobody has fitted.
    layer, classes, corrections : tuple of str
        Options that give a command the layer and the classes of the fit, where the cache has others, and its
        labels.
    """

    features: str
    model: str
    n_suspects: int = 0
    n_disagreeing: int = 0
    learning: LearningCurve | None = None
    untried_layers: tuple[str, ...] = ()
    layer: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    corrections: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[str, ...]:
        """The feature cache, and what names the rows of the fit in it and their labels."""
        return (self.features, *self.layer, *self.classes, *self.corrections)

    @property
    def fixes(self) -> str:
        """Where labels are to be corrected: no file that holds corrections already."""
        return "fixes.csv" if "fixes.csv" not in self.corrections else "fixes-2.csv"

    def classifier(self, suffix: str) -> tuple[str, str]:
        """``-o`` with another name than `model`, which a fit does not replace."""
        model = Path(self.model)
        return "-o", str(model.with_name(f"{model.stem}-{suffix}{model.suffix}"))


def option_of(corrected: Corrected | None) -> tuple[str, ...]:
    """The option that gives a command the corrections of the fit."""
    return () if corrected is None else (OPTION, corrected.file)


def untried_layers(layers: Sequence[str], tried: Iterable[str]) -> tuple[str, ...]:
    """Layers of a cache that no classifier was fitted on.

    Parameters
    ----------
    tried : iterable of str
        The classifier's own, and those of its cross-validation.

    Examples
    --------
    >>> untried_layers(["pool5", "fc6", "fc7"], ["fc7", "fc6", ""])
    ('pool5',)
    """
    known = set(tried)
    return tuple(layer for layer in layers if layer not in known)


def next_steps(
    metrics: Metrics | None, counts: Mapping[str, tuple[int, int]], known: KnownBeside
) -> tuple[NextStep, ...]:
    """What to do next, what is wrong with the data first.

    Parameters
    ----------
    metrics : Metrics or None
        On the test set (`FitResult.metrics`); None if nothing was evaluated.
    counts : mapping of str to (int, int)
        Label -> images in the train set and in the test set (`FitResult.counts`).

    Examples
    --------
    >>> known = KnownBeside("features.h5", "classifier.onnx", n_disagreeing=2)
    >>> for step in next_steps(None, {}, known):
    ...     print(step.sentence)
    ...     print(step.command)
    2 groups of look-alikes have different labels: look at each, and correct those that are wrong.
    fc7 duplicates features.h5
    """
    return (
        *_labels(known),
        *(_weak_classes(metrics, counts, known) if metrics is not None else ()),
        *_more_images(known),
        *_layers(known),
        *(_unsure(metrics, known) if metrics is not None else ()),
    )


def _labels(known: KnownBeside) -> Iterator[NextStep]:
    if known.n_disagreeing:
        have = counted(known.n_disagreeing, "group of look-alikes has", "groups of look-alikes have")
        yield NextStep(
            f"{have} different labels: look at each, and correct those that are wrong.",
            command_line("duplicates", known.features, *known.layer, *known.corrections),
        )
    if known.n_suspects:
        labels = counted(known.n_suspects, "label")
        yield NextStep(
            f"{labels} may be wrong: look at each, correct those that are, in the column label of "
            f"{known.fixes} (empty takes an image out), then fit with {OPTION} {known.fixes}.",
            command_line("suspects", *known.rows, "--csv", known.fixes),
        )


def _weak_classes(
    metrics: Metrics, counts: Mapping[str, tuple[int, int]], known: KnownBeside
) -> Iterator[NextStep]:
    """Classes whose recall is below the accuracy of all even at the upper end of its 95 % interval."""
    right, n = metrics.confusion.diagonal().tolist(), metrics.support.tolist()
    # Labels that the classifier does not know come after its classes, and no image of them can be right.
    weak = [
        i for i in range(metrics.n_classes) if n[i] and wilson_interval(right[i], n[i])[1] < metrics.accuracy
    ]
    if not weak:
        return
    worst = sorted(weak, key=lambda i: right[i] / n[i])[:_MOST_WEAK]
    named = "; ".join(
        f"class {shortened(metrics.labels[i])} ({right[i]} of {n[i]} test "
        f"images right, {counts.get(metrics.labels[i], (0, 0))[0]} in the train set)"
        for i in worst
    )
    more = f"; and {len(weak) - len(worst)} more" if len(weak) > len(worst) else ""
    yield NextStep(
        f"{counted(len(weak), 'class is', 'classes are')} weaker than the rest, add images there first: "
        f"{named}{more}.",
        command_line("evaluate", known.features, "-m", known.model, "--held-out", *known.corrections),
    )


def _more_images(known: KnownBeside) -> Iterator[NextStep]:
    if known.learning is not None and known.learning.more_would_help == "yes":
        yield NextStep(
            f"The learning curve still rises: {known.learning.verdict}.",
            command_line("learning-curve", *known.rows),
        )


def _layers(known: KnownBeside) -> Iterator[NextStep]:
    if known.untried_layers:
        have = counted(len(known.untried_layers), "layer", "layers")
        yield NextStep(
            f"The feature cache has {have} that no classifier was fitted on here "
            f"({', '.join(known.untried_layers)}): compare all of them.",
            command_line(
                "fit", known.features, "--layer", "auto", *known.corrections, *known.classifier("layers")
            ),
        )


def _unsure(metrics: Metrics, known: KnownBeside) -> Iterator[NextStep]:
    mean = metrics.reliability.mean_confidence
    if mean < _UNSURE and not metrics.reject_below:
        yield NextStep(
            f"Predictions have a probability of {mean:.1%} on average: let the classifier answer unknown "
            "where it is unsure.",
            command_line("fit", *known.rows, "--reject-precision", "0.95", *known.classifier("rejecting")),
        )
