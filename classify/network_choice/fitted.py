"""A classifier on the features of each network, all on one split, and tests of the best against others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fc7.classify.data.load import identity_of
from fc7.classify.data.prepare import duplicates_of
from fc7.classify.fit.fit import fit_table
from fc7.classify.fit.result import FitOptions
from fc7.classify.metrics.mcnemar import mcnemar
from fc7.classify.network_choice.common_rows import CommonSplit, common_rows, common_split
from fc7.classify.network_choice.extracted import Extracted
from fc7.classify.network_choice.labelled_progress import LabelledProgress
from fc7.classify.network_choice.result import NetworkResult
from fc7.classify.predict.compare import Comparison
from fc7.extract.cache.reader import CacheReader
from fc7.extract.inputs.tables.corrections_table import corrections_given
from fc7.models.common.errors import CacheError, DataError
from fc7.models.common.progress import Progress


@dataclass(frozen=True, slots=True)
class FittedNetworks:
    """What `fit_all` found; as `NetworkChoice` has it."""

    results: tuple[NetworkResult, ...]
    comparisons: tuple[Comparison, ...]
    failed: tuple[tuple[str, str], ...]
    split: CommonSplit
    notes: tuple[str, ...]


def fit_all(extracted: Sequence[Extracted], options: FitOptions, progress: Progress) -> FittedNetworks:
    """Fit and test on the same images with the features of every network.

    Parameters
    ----------
    extracted : sequence of Extracted
        At least one.

    Raises
    ------
    DataError
        If the images that all have in common cannot be split, or no network's features are finite.
    UsageError, CacheError
    """
    rows = common_rows([each.cache for each in extracted], corrections_given(options.corrections))
    chosen = rows.of_classes(options)
    near: list[list[str]] = []
    usable: list[tuple[Extracted, str]] = []
    failed: list[tuple[str, str]] = []
    for each, layer in [(network, layer) for network in extracted for layer in network.layers]:
        try:
            table = chosen.with_features(each.cache, layer)
        except (CacheError, DataError) as exc:
            failed.append((each.name(layer), str(exc)))
            continue
        found = duplicates_of(table, options, LabelledProgress(progress, each.name(layer)))
        near += [] if found is None else [found.group_names]
        usable.append((each, layer))
    if not usable:
        raise DataError("; ".join(f"{name}: {reason}" for name, reason in failed))
    split = common_split(chosen, near, options)
    _load_solvers()
    results = [
        _fitted(each, layer, split, progress=LabelledProgress(progress, each.name(layer)))
        for each, layer in usable
    ]
    results.sort(key=lambda result: (-result.n_correct, result.size))
    return FittedNetworks(
        results=tuple(results),
        comparisons=tuple(_tested(results[0], other, split) for other in results[1:]),
        failed=tuple(failed),
        split=split,
        notes=(*rows.notes, *split.notes, *_notes(results)),
    )


def _load_solvers() -> None:
    """Import what every fit needs: it would count as time of the first network."""
    import sklearn.linear_model
    import sklearn.svm  # noqa: F401


def _fitted(each: Extracted, layer: str, split: CommonSplit, progress: Progress) -> NetworkResult:
    with CacheReader(each.cache) as reader:
        identity = identity_of(reader.identity, layer)
    table = split.rows.with_features(each.cache, layer)
    fit = fit_table(table, identity=identity, options=split.options, progress=progress)
    # The table says of near-duplicates that they are of one content.
    fit = replace(fit, classifier=replace(fit.classifier, split=split.record))
    classes = fit.classifier.classes_
    best = fit.classifier.predict_proba(table.X[fit.test]).argmax(axis=1)
    predictions = [classes[i] for i in best]
    return NetworkResult(
        name=each.name(layer),
        network=each.network,
        layer=layer,
        features=each.cache,
        size=each.size,
        dim=table.X.shape[1],
        speed=each.speed(layer),
        fit=fit,
        predictions=predictions,
        correct=np.array([said == true for said, true in zip(predictions, split.truth, strict=True)], bool),
    )


def _tested(best: NetworkResult, other: NetworkResult, split: CommonSplit) -> Comparison:
    """McNemar's test of two networks on the test set."""
    only_best = int((best.correct & ~other.correct).sum())
    only_other = int((other.correct & ~best.correct).sum())
    return Comparison(
        names=(best.name, other.name),
        paths=split.paths,
        truth=split.truth,
        first=best.predictions,
        second=other.predictions,
        first_correct=best.correct,
        second_correct=other.correct,
        test=mcnemar(only_best, only_other),
        n_in_train=0,
        n_unmatched=0,
        failures=[],
        notes=(),
        seconds=0.0,
    )


def _notes(results: Sequence[NetworkResult]) -> list[str]:
    """What the fits have to say: once what all of them say, else after the name of the network."""
    shared = [note for note in results[0].fit.notes if all(note in each.fit.notes for each in results)]
    own = [f"{each.name}: {note}" for each in results for note in each.fit.notes if note not in shared]
    return [*shared, *own]
