"""The suspects among the labels of a features.h5: what the command `suspects` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fc7.classify.data.load import one_layer, table_of
from fc7.classify.data.prepare import duplicates_of
from fc7.classify.data.rows import Table
from fc7.classify.data.selection import choose_classes
from fc7.classify.duplicates.find import Duplicates
from fc7.classify.fit.out_of_fold import out_of_fold
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.suspects import Suspects, find_suspects
from fc7.models.common.progress import Progress


def cache_suspects(
    features: str | Path,
    options: FitOptions | None = None,
    *,
    layer: str | None = None,
    progress: Progress | None = None,
) -> Suspects:
    """Classify every labelled image of a cache by heads that have not seen it.

    Parameters
    ----------
    options : FitOptions or None
        What `classify.fit.out_of_fold.out_of_fold` takes of it, its classes, duplicates and corrections.
        Rows of other classes are neither classified nor learned from.
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
    table = table_of(one_layer(features, layer, options.corrections), given_split=False)
    table = choose_classes(table, options.include, options.exclude)
    if options.duplicates == "off":
        table = replace(table, content=None)
    return search_table(table, duplicates_of(table, options, progress), options, progress=progress)


def search_table(
    table: Table,
    copies: Duplicates | None,
    options: FitOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Suspects:
    """The same on rows that are loaded: the one search that `suspects` and `report` share.

    Parameters
    ----------
    copies : Duplicates or None
        Of this table.

    Raises
    ------
    DataError
        If there are too few labels of each.
    """
    alike = None if copies is None else copies.group_names
    held_out = out_of_fold(table, options, alike=alike, progress=progress)
    return find_suspects(table, held_out, None if copies is None else copies.groups)
