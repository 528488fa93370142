"""The suspects among the labels of a features.h5: what the command `suspects` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fc7.classify.classifier.normalizer import Normalization
from fc7.classify.data.load import one_layer, table_of
from fc7.classify.data.prepare import duplicates_of
from fc7.classify.data.selection import choose_classes
from fc7.classify.fit.out_of_fold import out_of_fold
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.suspects import Suspect, find_suspects
from fc7.classify.fit.training import ClassWeight
from fc7.models.common.progress import Progress
from fc7.models.common.record_repr import one_line_repr


@dataclass(frozen=True, slots=True)
class FoundSuspects:
    """What `cache_suspects` found.

    Attributes
    ----------
    suspects : tuple of Suspect
        The most suspicious first.
    labelled : int
        Images with a label.
    n_unknown : int
        Those among them that nothing could classify: the only image or group of their class.
    C : float
        Of the heads that classified them.
    problem : str
        Which folds' heads did not converge; empty if all did.
    """

    suspects: tuple[Suspect, ...]
    labelled: int
    n_unknown: int
    C: float
    problem: str

    __repr__ = one_line_repr


def cache_suspects(
    features: str | Path,
    *,
    layer: str | None = None,
    C: float | None = None,
    normalize: Normalization = "l2",
    class_weight: ClassWeight = "none",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    duplicates: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> FoundSuspects:
    """Classify every labelled image of a cache by heads that have not seen it.

    Parameters
    ----------
    layer : str or None
        The only or last one if None.
    C, normalize, class_weight, seed, progress
        As `classify.fit.out_of_fold.out_of_fold`.
    include, exclude, duplicates
        As `classify.fit.result.FitOptions`. Rows of other classes are neither classified nor learned from.

    Raises
    ------
    DataError
        If there are no labels, or too few of each.
    UsageError
        If a class was asked for that is not there.
    CacheError
        If the cache cannot be read.
    """
    table = table_of(one_layer(features, layer), given_split=False)
    options = FitOptions(
        include=tuple(include), exclude=tuple(exclude), duplicates=duplicates, class_weight=class_weight
    )
    table = choose_classes(table, options.include, options.exclude)
    if duplicates == "off":
        table = replace(table, content=None)
    copies = duplicates_of(table, options, progress)
    held_out = out_of_fold(
        table,
        alike=None if copies is None else copies.group_names,
        C=C,
        normalize=normalize,
        class_weight=class_weight,
        seed=seed,
        progress=progress,
    )
    return FoundSuspects(
        suspects=tuple(find_suspects(table, held_out, None if copies is None else copies.groups)),
        labelled=len(table.rows),
        n_unknown=int((~held_out.known).sum()),
        C=held_out.C,
        problem=held_out.problem,
    )
