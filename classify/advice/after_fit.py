"""What to try after a fit whose accuracy is poor; each piece is read off the data.

The accuracy is poor if, by the upper end of its 95 % interval, more than a quarter of the errors remain that
one would make by always predicting the class with the most training images. The quarter is a convention of
this program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fc7.classify.advice.other_features import another_network, earlier_layers, options_of_before
from fc7.classify.data.load import table_of
from fc7.classify.data.rows import Table, first_of
from fc7.classify.data.selection import choose_classes
from fc7.classify.fit.learning_curve_from_cache import curve_of_fit
from fc7.classify.fit.next_steps import (
    NO_ADVICE,
    Advice,
    KnownBeside,
    NextStep,
    next_steps,
    option_of,
    untried_layers,
)
from fc7.classify.fit.result import FitOptions, FitResult
from fc7.classify.fit.suspects_from_cache import search_table
from fc7.extract.cache.reader import CacheReader
from fc7.models.common.errors import DataError
from fc7.models.common.names import label_text, shortened
from fc7.models.common.program import command_line
from fc7.models.common.progress import Progress
from fc7.models.common.terminal import counted

# Errors of always predicting one class that a classifier which is not poor avoids.
_AVOIDED = 0.75
# Numbers in the rows of the cache, which are all read, times classes. Out-of-fold predictions and a learning
# curve of two draws took 5 s of processor time at 1.9e7 (860 traffic signs of 43 classes, 512 features).
# Above this limit their commands are named instead.
_MOST = 5e7
_REPEATS = 2
# A class with fewer training images is named; a convention of this program.
_FEW = 10
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Baseline:
    """Always predicting the class with the most training images.

    Attributes
    ----------
    accuracy : float
        Its share of the test images.
    """

    label: str
    accuracy: float

    @classmethod
    def of(cls, result: FitResult) -> Baseline:
        """On the test set of a fit."""
        label, (_, n) = max(result.counts.items(), key=lambda item: item[1][0])
        return cls(label, n / result.metrics.n)

    def leaves_poor(self, high: float) -> bool:
        """Whether an accuracy with this upper end of its interval is poor.

        Examples
        --------
        >>> [Baseline("cat", 0.2).leaves_poor(high) for high in (0.79, 0.81)]
        [True, False]
        """
        return high < self.accuracy + _AVOIDED * (1 - self.accuracy)


def after_fit(
    result: FitResult,
    features: Path,
    model: Path,
    *,
    wants_layers: bool = False,
    progress: Progress | None = None,
) -> Advice:
    """Advice after a poor accuracy, or where layers to choose from were wanted and the cache has one.

    Parameters
    ----------
    features, model : Path
        The feature cache that was fitted on, and the classifier that was written.
    wants_layers : bool
        Whether the layer was to be chosen.

    Raises
    ------
    CacheError
        If the cache cannot be read.
    """
    baseline = Baseline.of(result)
    with CacheReader(features, result.options.corrections) as reader:
        if not baseline.leaves_poor(result.metrics.accuracy_interval[1]):
            lacks = wants_layers and len(reader.layers) == 1
            if not lacks:
                return NO_ADVICE
            return Advice(steps=tuple(earlier_layers(reader, options_of_before(reader))))
        known, before = _known(result, reader, model, progress=progress), options_of_before(reader)
        why = (
            f"the accuracy is poor: always predicting {label_text(baseline.label)} would reach "
            f"{baseline.accuracy:.1%}, and more than a quarter of those errors remain"
        )
        steps = (
            *next_steps(result.metrics, result.counts, known),
            *_few_images(result, features),
            *(() if known.untried_layers else earlier_layers(reader, before)),
            *another_network(reader, before),
            *_unmeasured(result, reader, known),
            *_report(result, known),
        )
    return Advice(why, steps)


def _known(result: FitResult, reader: CacheReader, model: Path, progress: Progress | None) -> KnownBeside:
    layer = result.classifier.identity.layer
    known = KnownBeside(
        str(reader.path),
        str(model),
        untried_layers=untried_layers(reader.layers, [layer, *(tuned.layer for tuned in result.tuned)]),
        layer=("--layer", layer) if len(reader.layers) > 1 else (),
        classes=_classes(result.options),
        corrections=option_of(result.corrected),
    )
    if _is_large(result, reader):
        return known
    found = reader.features(layer)
    options = result.chosen
    table = choose_classes(table_of(found, given_split=False), options.include, options.exclude)
    groups = () if result.duplicates is None else result.duplicates.groups
    return replace(
        known,
        n_suspects=_n_suspects(table, result, progress),
        n_disagreeing=sum(len({table.labels[i] for i in group}) > 1 for group in groups),
        learning=curve_of_fit(found, result, repeats=_REPEATS, progress=progress),
    )


def _classes(options: FitOptions) -> tuple[str, ...]:
    """Options with which a command reads the classes that were fitted on."""
    include = [word for name in options.include for word in ("--include", name)]
    return (*include, *(word for name in options.exclude for word in ("--exclude", name)))


def _n_suspects(table: Table, result: FitResult, progress: Progress | None) -> int:
    """As many as the command `suspects` names."""
    try:
        return len(search_table(table, result.duplicates, progress=progress).named)
    except DataError:  # too few images of each class to hold any out
        return 0


def _is_large(result: FitResult, reader: CacheReader) -> bool:
    classifier = result.classifier
    return reader.n_rows * classifier.n_features * len(classifier.classes_) > _MOST


def _few_images(result: FitResult, features: Path) -> Iterator[NextStep]:
    few = sorted((n, label) for label, (n, _) in result.counts.items() if 0 < n < _FEW)
    if not few:
        return
    named = first_of([f"{shortened(label)} ({n})" for n, label in few], _MOST_NAMED)
    have = counted(len(few), "class trains", "classes train")
    yield NextStep(
        f"{have} on fewer than {_FEW} images, add images there: {named}.",
        command_line("cache", "info", str(features)),
    )


def _unmeasured(result: FitResult, reader: CacheReader, known: KnownBeside) -> Iterator[NextStep]:
    if not _is_large(result, reader):
        return
    n = len(result.train)
    yield NextStep(
        f"Whether more images would help was not measured here, with {n} training images.",
        command_line("learning-curve", *known.rows),
    )
    yield NextStep(
        f"Whether labels are wrong was not measured here, with {n} training images.",
        command_line("suspects", *known.rows),
    )


def _report(result: FitResult, known: KnownBeside) -> Iterator[NextStep]:
    wrong = result.metrics.n - result.metrics.n_correct
    images = counted(wrong, "test image that is predicted wrong", "test images that are predicted wrong")
    yield NextStep(
        f"The report shows the {images}.",
        command_line("report", known.features, "-m", known.model, *known.corrections),
    )
