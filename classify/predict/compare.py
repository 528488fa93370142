"""Two classifiers on the same images that neither has learned from: which is better, if any."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.kinds import COMPARISON_COLUMNS
from fc7.classify.metrics.intervals import wilson_interval
from fc7.classify.metrics.mcnemar import McNemar, difference_interval, mcnemar
from fc7.classify.predict.comparison_notes import comparison_notes
from fc7.classify.predict.evaluate import EvaluatedRows, Scoring, score_labelled
from fc7.classify.predict.options import CompareOptions
from fc7.classify.predict.recovery import recover_unless_cache
from fc7.classify.predict.score import list_unless_cache
from fc7.classify.predict.scoring_run import ScoringRun
from fc7.extract.inputs.tables.corrections import Corrected, Corrections
from fc7.extract.inputs.tables.corrections_table import corrections_given
from fc7.extract.records import Failure, Listing
from fc7.models.common.errors import DataError
from fc7.models.common.progress import Notify, Progress, Silent
from fc7.models.common.record_repr import one_line_repr

# The usual level; below it the difference is called one.
_LEVEL = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What `compare_classifiers` found; item i of every column is the same image.

    Attributes
    ----------
    names : (str, str)
        What the two classifiers are called.
    paths, truth, first, second : list of str
        The images, their labels, and what each classifier says. Rejection is not looked at: a classifier's
        best class counts, however unsure.
    first_correct, second_correct : ndarray of shape (n,), bool
    n_in_train : int
        Labelled images left out because one of the two has learned from them.
    n_unmatched : int
        Labelled images that only one of the two could be asked about, or with different labels.
    failures : list of Failure
        Images that could not be read, sorted by path; each once.
    corrected : Corrected or None
        What corrections did to the labels of the first's images.
    """

    names: tuple[str, str]
    paths: list[str]
    truth: list[str]
    first: list[str]
    second: list[str]
    first_correct: NDArray[np.bool_]
    second_correct: NDArray[np.bool_]
    test: McNemar
    n_in_train: int
    n_unmatched: int
    failures: list[Failure]
    notes: tuple[str, ...]
    seconds: float
    corrected: Corrected | None = None

    __repr__ = one_line_repr

    @property
    def n(self) -> int:
        """Images that both were evaluated on."""
        return len(self.paths)

    @property
    def n_correct(self) -> tuple[int, int]:
        """How many each has right."""
        return int(self.first_correct.sum()), int(self.second_correct.sum())

    @property
    def difference_interval(self) -> tuple[float, float]:
        """95 % interval of the second's accuracy minus the first's."""
        return difference_interval(self.test.b, self.test.c, self.n)

    @property
    def better(self) -> str | None:
        """The name of the better one, or None if the test does not tell them apart."""
        if self.test.p_value >= _LEVEL:
            return None
        return self.names[0] if self.test.b > self.test.c else self.names[1]

    @property
    def verdict(self) -> str:
        """In plain words."""
        b, c = self.test.b, self.test.c
        counts = (
            f"{b + c} of {self.n} images tell them apart; only {self.names[0]} is right on {b}, "
            f"only {self.names[1]} on {c}"
        )
        if self.better is not None:
            return f"{self.better} is better (p = {self.test.p_value:.2g}): {counts}"
        # The most uneven outcome of n throws has p = 2 / 2**n, which is below 0.05 from 6 on.
        few = "; fewer than 6 could not show a difference in any case" if b + c < 6 else ""
        return f"no difference that these images could show (p = {self.test.p_value:.2g}): {counts}{few}"

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "n": self.n,
            "classifiers": [
                {
                    "name": name,
                    "n_correct": right,
                    "accuracy": right / self.n,
                    "accuracy_interval": list(wilson_interval(right, self.n)),
                }
                for name, right in zip(self.names, self.n_correct, strict=True)
            ],
            "only_first_correct": self.test.b,
            "only_second_correct": self.test.c,
            "both_correct": int((self.first_correct & self.second_correct).sum()),
            "neither_correct": int((~self.first_correct & ~self.second_correct).sum()),
            "difference_interval": list(self.difference_interval),
            "test": "McNemar, exact, two-sided",
            "p_value": self.test.p_value,
            "mid_p": self.test.mid_p,
            "better": self.better,
            "verdict": self.verdict,
            "seen_in_training": self.n_in_train,
            "unmatched": self.n_unmatched,
            "failures": [{"path": failure.path, "reason": failure.reason} for failure in self.failures],
            "notes": list(self.notes),
            "corrections": None if self.corrected is None else self.corrected.to_json(),
            "seconds": round(self.seconds, 3),
        }

    def table(self) -> Iterator[tuple[object, ...]]:
        """A row for each image, after a header: for CSV."""
        yield COMPARISON_COLUMNS
        columns = (self.paths, self.truth, self.first, self.second)
        right = self.first_correct.tolist(), self.second_correct.tolist()
        yield from zip(*columns, *right, strict=True)


def compare_classifiers(
    first: str | Path,
    second: str | Path,
    inputs: Sequence[str | Path],
    options: CompareOptions | None = None,
    *,
    progress: Progress | None = None,
    notify: Notify = lambda note: None,
) -> Comparison:
    """McNemar's test of two classifiers on images that neither has learned from.

    Parameters
    ----------
    first, second : str or Path
        Classifiers; they may want features of different networks or layers.
    inputs : sequence of str or Path
        Labelled images and folders, each scored through both networks, or one features.h5 that holds the
        features of both.

    Raises
    ------
    DataError
        If no image is labelled, or none is left that neither has learned from.
    UsageError, MismatchError, ClassifierError
    """
    started = time.perf_counter()
    options = options or CompareOptions()
    corrections = corrections_given(options.corrections)
    labels = None if options.labels is None else Path(options.labels)
    files = Path(first), Path(second)
    classifiers = [load_classifier(path) for path in files]
    scored = _scored(
        classifiers,
        [
            list_unless_cache(given, notify, labels=labels)
            for given in (inputs, options.second_inputs)
            if given is not None
        ],
        ScoringRun(options, progress or Silent(), notify),
        corrections=corrections,
    )
    sides = [side.rows for side in scored]
    pairs, n_unmatched = _matched(*sides)
    if not len(pairs):
        raise DataError(
            "the two inputs have no labelled image in common; give the same images, by path and content"
        )
    left, right = sides[0].take(pairs[:, 0]), sides[1].take(pairs[:, 1])
    unseen = np.flatnonzero(~(left.in_train | right.in_train))
    if not len(unseen):
        raise DataError(
            f"one of the classifiers has learned from each of the {len(pairs)} labelled images; give images "
            "that are new to both, or fit both with the same --seed and --test-size"
        )
    left, right = left.take(unseen), right.take(unseen)
    predictions = [
        _predictions(classifier, rows) for classifier, rows in zip(classifiers, (left, right), strict=True)
    ]
    correct = [
        np.array([said == true for said, true in zip(predicted, left.truth, strict=True)], bool)
        for predicted in predictions
    ]
    return Comparison(
        names=_names(*files),
        paths=left.paths,
        truth=left.truth,
        first=predictions[0],
        second=predictions[1],
        first_correct=correct[0],
        second_correct=correct[1],
        test=mcnemar(int((correct[0] & ~correct[1]).sum()), int((correct[1] & ~correct[0]).sum())),
        n_in_train=len(pairs) - len(unseen),
        n_unmatched=n_unmatched,
        failures=_unread(scored),
        notes=comparison_notes(files, classifiers, scored),
        seconds=time.perf_counter() - started,
        corrected=scored[0].corrected,
    )


def _scored(
    classifiers: Sequence[Classifier],
    listings: Sequence[Listing | Path],
    run: ScoringRun,
    corrections: Corrections | None,
) -> list[Scoring]:
    """What each classifier says of its listing, or of the one that there is."""
    with ExitStack() as stack:
        # For both runs: an image that is given up in the first would else end the process in the second.
        recovered = [
            stack.enter_context(recover_unless_cache(listing, None, run.options, notify=run.notify))
            for listing in listings
        ]
        return [
            score_labelled(listing, classifier, run, care=care, corrections=corrections)
            for classifier, (listing, care) in zip(classifiers, (recovered[0], recovered[-1]), strict=True)
        ]


def _unread(scored: Sequence[Scoring]) -> list[Failure]:
    found = {failure.path: failure for side in scored for failure in side.failures}
    return [found[path] for path in sorted(found)]


def _matched(left: EvaluatedRows, right: EvaluatedRows) -> tuple[NDArray[np.intp], int]:
    """Pairs of row numbers of the same image, and how many rows of either side have no partner."""
    place = {path: i for i, path in enumerate(right.paths)}
    pairs = [
        (i, place[path])
        for i, path in enumerate(left.paths)
        if path in place
        and left.truth[i] == right.truth[place[path]]
        and left.sha256[i] == right.sha256[place[path]]
    ]
    unmatched = len({*left.paths, *right.paths}) - len(pairs)
    return np.array(pairs, np.intp).reshape(-1, 2), unmatched


def _predictions(classifier: Classifier, rows: EvaluatedRows) -> list[str]:
    return [classifier.classes_[best] for best in rows.probabilities.argmax(axis=1)]


def _names(first: Path, second: Path) -> tuple[str, str]:
    """The files' names; with their folders where these are the same."""
    return (first.name, second.name) if first.name != second.name else (str(first), str(second))
