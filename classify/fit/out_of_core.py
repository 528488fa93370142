"""Fit on a cache whose rows do not fit into memory: the same split and metrics, rows a part at a time.

Which head, which normalisation, which C and what is novel is learned as `classify.fit.fit` does, on training
rows drawn class by class. The head itself is fitted on every training row by `classify.fit.solvers.sgd`, and
beside it one that has not seen the first fold, on whose decisions about that fold probabilities are
calibrated and the threshold of `--reject-precision` is learned.

Not `classify.fit.solvers.newton` on memory-mapped rows: it goes over the file some two hundred times, SGD ten
times, and where memory was short it took more than three times as long (tests/benchmarks/NOTES-fitting.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.calibration import fit_scale, softmax
from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.data.folds import make_folds
from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.data.rows import Table, check_finite
from fc7.classify.fit.choose import Choice
from fc7.classify.fit.flow import fit_rows
from fc7.classify.fit.outcome import classifier_of
from fc7.classify.fit.problem import FittedClassifier, Positions, Problem
from fc7.classify.fit.result import FitOptions, FitResult
from fc7.classify.fit.solvers.sgd import Normalised, RowSource, SgdFitter
from fc7.classify.fit.training import TrainingData, class_weights
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Progress, Silent

# Choices are made on so many rows at most: of 20,000 an accuracy is known to a third of a point.
_SAMPLE_ROWS = 20_000
# The sample, its copy that is normalised, and the rows that are held on the way each take this share.
_SHARE = 4


class LayerSource(RowSource, Protocol):
    """A layer's rows where they are stored."""

    @property
    def n_features(self) -> int:
        """Of each row."""

    @property
    def identity(self) -> FeatureIdentity:
        """What made them."""


def fit_out_of_core(
    table: Table, source: LayerSource, memory: int, options: FitOptions, progress: Progress | None = None
) -> FitResult:
    """Fit on rows that stay where they are.

    Parameters
    ----------
    table : Table
        `classify.data.rows.make_table` without features.
    source : LayerSource
        Of the rows that the table counts.
    memory : int
        Bytes that feature rows may take.
    options : FitOptions
        Every row would have to be compared with every other to find near-duplicates: `duplicates` ``auto``
        and cosines become ``exact``.

    Returns
    -------
    FitResult
        The same for the same rows, options and memory. Without `leakage` where the split was drawn: it
        would take another fit.

    Raises
    ------
    DataError, UsageError
        As `classify.fit.fit.fit_classifier`.
    """
    if options.head == "svm-ovo":
        raise UsageError(
            "--ovo holds the features in memory, and these take more than --memory: raise it, or fit "
            "without --ovo"
        )
    notes = []
    if options.duplicates not in ("exact", "off"):
        options = replace(options, duplicates="exact")
        notes.append("near-duplicates were not searched for among so many images; exact copies were")
    held = max(source.block, memory // (_SHARE * 4 * source.n_features))
    return fit_rows(
        table, _InParts(source, held, progress or Silent()), options, progress=progress, notes=notes
    )


@dataclass(frozen=True, slots=True)
class _StoredRows:
    """The labelled rows of a source as `FeatureRows`; they count as in the table, and must be finite.

    Attributes
    ----------
    table : Table
        Without features: its X has no columns.
    held : int
        Rows that are held at a time.
    """

    table: Table
    source: LayerSource
    held: int

    @property
    def identity(self) -> FeatureIdentity:
        return self.source.identity

    @property
    def block(self) -> int:
        """See `RowSource`; where some rows have no label, about so many."""
        return self.source.block

    def take(self, positions: Positions) -> NDArray[np.float32]:
        X = self.source.take(self.table.rows[positions])
        check_finite(X, np.arange(len(X)), lambda i: self.table.name(int(positions[i])))
        return X

    def parts(self, positions: Positions) -> Iterator[NDArray[np.float32]]:
        starts = range(0, len(positions), self.held)
        return (self.take(positions[start : start + self.held]) for start in starts)

    def indexed(self, positions: Positions) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        return self.take(positions), np.arange(len(positions))


@dataclass(frozen=True, slots=True)
class _InParts:
    """A `Fitter` that goes over the stored rows a part at a time."""

    source: LayerSource
    held: int
    progress: Progress

    @property
    def sample_size(self) -> int:
        return min(self.held, _SAMPLE_ROWS)

    def layers(self, table: Table) -> list[Callable[[], _StoredRows]]:
        return [lambda: _StoredRows(table, self.source, self.held)]

    def fit_train(
        self, problem: Problem, rows: _StoredRows, choice: Choice, data: TrainingData | None
    ) -> tuple[FittedClassifier, Choice]:
        held_out = make_folds(problem.y, problem.group, len(problem.classes)) == 0
        inside = np.stack([np.ones(len(problem.y), np.bool_), ~held_out], axis=1)
        kept, unseeing = self._heads(problem, rows, problem.train, choice=choice, inside=inside)
        if not held_out.any():
            return kept, choice
        parts = rows.parts(problem.train[held_out])
        scores = np.concatenate([unseeing.classifier.decision_function(X) for X in parts])
        choice = _calibrated(choice, scores.astype(np.float64), problem.y[held_out])
        return replace(kept, classifier=replace(kept.classifier, scale=choice.scale)), choice

    def fit(
        self, problem: Problem, rows: _StoredRows, positions: Positions, choice: Choice
    ) -> FittedClassifier:
        (kept,) = self._heads(
            problem, rows, positions, choice=choice, inside=np.ones((len(positions), 1), np.bool_)
        )
        return kept

    def _heads(
        self,
        problem: Problem,
        rows: _StoredRows,
        positions: Positions,
        choice: Choice,
        inside: NDArray[np.bool_],
    ) -> list[FittedClassifier]:
        """A classifier for each choice of rows, a column of `inside`; all are fitted in the same passes."""
        normalizer = Normalizer.learn_in_parts(choice.normalize, lambda: rows.parts(positions))
        y, classes = problem.prepared.codes(positions), problem.classes
        weights = class_weights(y, inside, len(classes), kind=problem.options.class_weight)
        fitter = SgdFitter(choice.head, self.held, problem.options.seed, progress=self.progress)
        heads = fitter.fit(
            Normalised(rows, normalizer), positions, y, inside=inside, C=choice.C, class_weight=weights
        )
        return [
            FittedClassifier(
                classifier_of(head, choice, normalizer, classes=classes, identity=rows.identity), head
            )
            for head in heads
        ]


def _calibrated(choice: Choice, scores: NDArray[np.float64], y: NDArray[np.intp]) -> Choice:
    """The choice with what a head says of rows that it has not seen."""
    scale = fit_scale(scores, y)
    return replace(
        choice,
        scale=scale,
        confidence=softmax(scale * scores).max(axis=1).astype(np.float32),
        correct=scores.argmax(axis=1) == y,
    )
