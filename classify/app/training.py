"""Fits, the line of their accuracies, and what the classifier says of the images that it has not seen."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.classify.app.files import AppFiles
from fc7.classify.app.jobs import Job
from fc7.classify.app.labels import CachedImages, Labelled, Stamp, stamp_of
from fc7.classify.app.rounds import Rounds
from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.classifier.classifier import Classifier
from fc7.classify.data.matching import layer_for
from fc7.classify.data.record import TEST, TRAIN
from fc7.classify.fit.from_cache import fit_cache
from fc7.classify.fit.result import FitOptions
from fc7.classify.kinds import CLASSIFIER
from fc7.classify.metrics.intervals import Proportion, wilson_interval
from fc7.classify.metrics.metrics import Metrics, compute_metrics
from fc7.extract.cache.reader import CacheReader
from fc7.models.common.durable import explained
from fc7.models.common.errors import Fc7Error, UsageError
from fc7.models.outputs.outputs import CallFiles
from fc7.models.outputs.places import place

_BLOCK_ROWS = 4096
# What is written before it takes the classifier's place.
_FRESH = ".fitted"


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """A classifier, and its held-out images: item i of `rows`, `truth` and `probabilities` is the same one.

    Attributes
    ----------
    rows : ndarray of shape (n_test,), int64
        Of the cache; `images` says which one.
    truth : list of str
        Labels when this was looked up.
    n_train : int
    """

    classifier: Classifier
    stamp: Stamp
    images: CachedImages
    layer: str
    rows: NDArray[np.int64]
    truth: list[str]
    probabilities: NDArray[np.float32]
    metrics: Metrics
    n_train: int

    @property
    def predicted(self) -> list[str]:
        """The most probable label of each held-out image."""
        classes = self.classifier.classes_
        return [classes[best] for best in self.probabilities.argmax(axis=1)]

    def mistakes(self) -> list[tuple[int, str, float]]:
        """Row, predicted label and its probability of wrong held-out images, the surest first."""
        sure = self.probabilities.max(axis=1)
        wrong = [
            (int(row), guess, float(p))
            for row, truth, guess, p in zip(self.rows, self.truth, self.predicted, sure, strict=True)
            if truth != guess
        ]
        return sorted(wrong, key=lambda each: -each[2])

    def cell(self, true: str, predicted: str) -> list[tuple[int, str, float]]:
        """The same of one cell of the confusion matrix."""
        sure = self.probabilities.max(axis=1)
        found = [
            (int(row), guess, float(p))
            for row, truth, guess, p in zip(self.rows, self.truth, self.predicted, sure, strict=True)
            if truth == true and guess == predicted
        ]
        return sorted(found, key=lambda each: -each[2])

    def precision_above(self, least: float) -> Proportion:
        """Held-out images whose largest probability is at least `least`, and the right ones among them."""
        sure = self.probabilities.max(axis=1) >= np.float32(least)
        right = np.array([t == g for t, g in zip(self.truth, self.predicted, strict=True)], bool)
        return Proportion(int(np.count_nonzero(right & sure)), int(np.count_nonzero(sure)))

    def to_json(self) -> dict[str, Any]:
        """For the page."""
        metrics = self.metrics
        low, high = metrics.accuracy_interval
        support = metrics.support.tolist()
        right = metrics.confusion.diagonal().tolist()
        return {
            "accuracy": metrics.accuracy,
            "low": low,
            "high": high,
            "n_correct": metrics.n_correct,
            "n_test": metrics.n,
            "n_train": self.n_train,
            "head": self.classifier.head,
            "C": self.classifier.C,
            "classes": list(metrics.labels),
            "recall": [
                {
                    "class": label,
                    "n": n,
                    "recall": None if math.isnan(recall) else recall,
                    "low": wilson_interval(hits, n)[0] if n else None,
                    "high": wilson_interval(hits, n)[1] if n else None,
                }
                for label, n, hits, recall in zip(
                    metrics.labels, support, right, metrics.recall.tolist(), strict=True
                )
            ],
            "confusion": metrics.confusion.tolist(),
            "largest_class": max(support) / metrics.n,
        }


class Training:
    """Fits on the feature cache as the command `fit` does, and keeps what the page shows of the last fit."""

    def __init__(self, files: AppFiles) -> None:
        self._files = files
        self.rounds = Rounds(files.rounds)
        self._lock = threading.Lock()
        self._fitted: HeldOut | None = None
        self._problem: tuple[object, str] | None = None
        self._looking: object = None
        self._looked_at: object = None
        self._labels_of_fit: dict[str, str] | None = None
        self._finish_killed_fit()

    def fit(self, options: FitOptions, now: Labelled, job: Job) -> str:
        """Fit, write the classifier, and add to the rounds; what to say of it.

        Parameters
        ----------
        now : Labelled
            The images with the labels of the options' corrections.

        Raises
        ------
        UsageError
            If a classifier stands there that was made elsewhere.
        Fc7Error
            As `fit_cache`; or if the round cannot be kept.
        """
        self._check_replaceable()
        out = CallFiles([self._files.features], again=True).claim(self._files.model, CLASSIFIER, "-m")
        fresh = out.beside(_FRESH)
        result = fit_cache(self._files.features, fresh, options, progress=job)
        for note in result.notes:
            job.note(note)
        self._check_replaceable()
        # The round first: a classifier that no round knows would be somebody else's after a kill.
        self.rounds.add(result, fresh.path, now.n_corrected)
        self._labels_of_fit = _known_labels(now)
        with explained(out.path, out.option):
            out.put(fresh.path)
        low, high = result.metrics.accuracy_interval
        return (
            f"{result.metrics.accuracy:.1%} of {result.metrics.n} held-out images are right (95% interval "
            f"{low:.1%} to {high:.1%})"
        )

    def _is_replaceable(self) -> bool:
        model = self._files.model
        return self._files.force or not model.is_file() or self.rounds.made(model)

    def _check_replaceable(self) -> None:
        if not self._is_replaceable():
            raise UsageError(
                f"{self._files.model} stands there and was not trained here; start the app with another -m, "
                "or with --force to replace it"
            )

    def _finish_killed_fit(self) -> None:
        """Give the classifier of the last round its name, if a kill came between the two."""
        model = place(self._files.model).target
        fresh = model.with_name(model.name + _FRESH)
        if fresh.is_file() and self.rounds.made(fresh) and self._is_replaceable():
            with explained(model, "-m"):
                fresh.replace(model)

    def changed_since(self, now: Labelled | None) -> int:
        """How many images have another label now than the last fit gave them, or are new."""
        if now is None:
            return 0
        if self._labels_of_fit is None:
            # Of a fit before this process the rounds know how many were corrected, and not which.
            rounds = self.rounds.read()
            return abs(now.n_corrected - int(rounds[-1].get("n_corrections", 0))) if rounds else 0
        labels = _known_labels(now)
        before = self._labels_of_fit
        return sum(before.get(path) != labels.get(path) for path in labels.keys() | before.keys())

    def known(self, now: Labelled | None, changed: Callable[[], None]) -> tuple[HeldOut | None, bool]:
        """What `fitted` gives, if that takes no time, and else whether `changed` will be called about it."""
        stamp = stamp_of(self._files.model)
        if stamp is None or now is None:
            return None, False
        # Before the look: what becomes known meanwhile is not taken for nothing.
        key = (stamp, now.images.stamp)
        was_looking = self._looking == key
        fitted = self._fitted
        if fitted is not None and (fitted.stamp, fitted.images) == (stamp, now.images):
            return fitted, False
        if key in (self._looking, self._looked_at):
            return None, was_looking or self._looking == key
        # Of a large cache the held-out rows alone may take seconds to read.
        self._looking = key

        def look() -> None:
            try:
                self.fitted(now)
            finally:
                self._looked_at, self._looking = key, None
                changed()

        threading.Thread(target=look, name="held-out", daemon=True).start()
        return None, True

    def fitted(self, now: Labelled | None) -> HeldOut | None:
        """The classifier that stands at its place, and its held-out images among these; None without one."""
        stamp = stamp_of(self._files.model)
        if stamp is None or now is None:
            return None
        with self._lock:
            known = self._fitted
            if known is not None and (known.stamp, known.images) == (stamp, now.images):
                return known
            if self._problem is not None and self._problem[0] == (stamp, now.images.stamp):
                return None
            try:
                self._fitted = self._looked_up(stamp, now)
            except Fc7Error as exc:
                # A classifier of other features may stand there; the page says why it shows none.
                self._fitted, self._problem = None, ((stamp, now.images.stamp), str(exc))
            return self._fitted

    @property
    def problem(self) -> str:
        """Why the classifier that stands at its place cannot be shown; empty if it can."""
        return "" if self._fitted is not None or self._problem is None else self._problem[1]

    def _looked_up(self, stamp: Stamp, now: Labelled) -> HeldOut | None:
        classifier = load_classifier(self._files.model)
        images = now.images
        if classifier.split is None:
            return None
        part = classifier.split.part_of(images.sha256, images.paths)
        labelled = np.array([bool(label) for label in now.labels], bool)
        rows = np.flatnonzero((part == TEST) & labelled).astype(np.int64)
        if not len(rows):
            return None
        with CacheReader(self._files.features) as reader:
            layer = layer_for(reader, self._files.features, classifier.identity, remedy="fit again")
            probabilities = np.concatenate([classifier.predict_proba(X) for X in _parts(reader, layer, rows)])
        truth = [now.labels[row] for row in rows.tolist()]
        metrics = compute_metrics(
            truth, probabilities, classifier.classes_, reject_below=classifier.reject_below
        )
        n_train = int(np.count_nonzero(part == TRAIN))
        return HeldOut(
            classifier,
            stamp=stamp,
            images=images,
            layer=layer,
            rows=rows,
            truth=truth,
            probabilities=probabilities,
            metrics=metrics,
            n_train=n_train,
        )


def probabilities_of(features: Path, fitted: HeldOut, rows: Sequence[int]) -> NDArray[np.float32]:
    """What a classifier says of some rows of the cache: shape (n, n_classes).

    Raises
    ------
    CacheError, CacheCorruptError
    """
    some = np.array(rows, np.int64)
    empty = np.empty((0, len(fitted.classifier.classes_)), np.float32)
    with CacheReader(features) as reader:
        parts = [fitted.classifier.predict_proba(X) for X in _parts(reader, fitted.layer, some)]
    return np.concatenate([empty, *parts])


def _parts(reader: CacheReader, layer: str, rows: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(rows), _BLOCK_ROWS):
        yield reader.take(rows[start : start + _BLOCK_ROWS], layer)


def _known_labels(now: Labelled) -> dict[str, str]:
    return {path: label for path, label in zip(now.images.paths, now.labels, strict=True) if label}
