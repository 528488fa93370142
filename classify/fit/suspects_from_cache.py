"""The suspects among the labels of a features.h5: what the command `suspects` does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fc7.classify.data.load import one_layer, table_of
from fc7.classify.data.prepare import duplicates_of
from fc7.classify.data.selection import choose_classes
from fc7.classify.fit.out_of_fold import out_of_fold
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.suspects import Suspect, find_suspects
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
    options: FitOptions | None = None,
    *,
    layer: str | None = None,
    progress: Progress | None = None,
) -> FoundSuspects:
    """Classify every labelled image of a cache by heads that have not seen it.

    Parameters
    ----------
    options : FitOptions or None
        What `classify.fit.out_of_fold.out_of_fold` takes of it, its classes and its duplicates. Rows of
        other classes are neither classified nor learned from.
    layer : str or None
        The only or last one if None.

    Raises
    ------
    DataError
        If there are no labels, or too few of each.
    UsageError
        If a class was asked for that is not there, or the normalisation is "auto".
    CacheError
        If the cache cannot be read.
    """
    options = options or FitOptions()
    table = table_of(one_layer(features, layer), given_split=False)
    table = choose_classes(table, options.include, options.exclude)
    if options.duplicates == "off":
        table = replace(table, content=None)
    copies = duplicates_of(table, options, progress)
    alike = None if copies is None else copies.group_names
    held_out = out_of_fold(table, options, alike=alike, progress=progress)
    return FoundSuspects(
        suspects=tuple(find_suspects(table, held_out, None if copies is None else copies.groups)),
        labelled=len(table.rows),
        n_unknown=int((~held_out.known).sum()),
        C=held_out.C,
        problem=held_out.problem,
    )
