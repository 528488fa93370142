"""The images of which every network has a row, and one split of them for all networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.classify.data.load import one_layer
from fc7.classify.data.options import SplitOptions
from fc7.classify.data.prepare import prepare_split
from fc7.classify.data.record import TEST, TRAIN, SplitRecord
from fc7.classify.data.rows import Table, check_finite, left_out_note, make_table
from fc7.classify.data.selection import choose_classes, keep_rows
from fc7.classify.data.split_groups import make_groups, row_keys
from fc7.classify.data.split_values import GIVEN
from fc7.classify.fit.result import FitOptions
from fc7.classify.image_columns import ImageColumns
from fc7.extract.cache.reader import CacheReader, RowColumns
from fc7.extract.inputs.tables.corrections import Corrections
from fc7.models.common.errors import DataError
from fc7.models.common.terminal import counted


@dataclass(frozen=True, slots=True)
class CommonRows:
    """Labelled images that lie in each of several feature caches.

    Attributes
    ----------
    table : Table
        Without features; its rows count within `places`.
    places : mapping of Path to ndarray of shape (n,), intp
        Feature cache -> where in it the common images are, labelled or not.
    n_left_out : int
        Images that some of the caches have a row of, but not all, or not of the same content and label.
    """

    table: Table
    places: dict[Path, NDArray[np.intp]]
    n_left_out: int

    def with_features(self, cache: Path, layer: str) -> Table:
        """The table with features and thumbnails of one cache, and with no other row.

        Thumbnails differ a little between networks, as a large JPEG is decoded at the size that one needs.

        Raises
        ------
        DataError
            If a row is not finite.
        CacheError
        """
        found = one_layer(cache, layer)
        at = self.places[cache][self.table.rows]
        rows = np.arange(len(at))
        X = found.X if len(at) == len(found.X) else found.X[at]
        table = replace(self.table, X=X, rows=rows, thumbnails=found.thumbnails[at])
        check_finite(table.X, rows, table.name)
        return table

    def of_classes(self, options: SplitOptions) -> CommonRows:
        """The images of the classes that were asked for.

        Raises
        ------
        UsageError
            If there is no such class.
        """
        return replace(self, table=choose_classes(self.table, options.include, options.exclude))

    @property
    def notes(self) -> list[str]:
        """Which images take no part, a sentence each."""
        n_common = len(next(iter(self.places.values())))
        notes = []
        if self.n_left_out:
            found = counted(self.n_left_out, "image")
            notes.append(f"left out: {found} of which not every network has a row")
        unlabelled = n_common - len(self.table.rows)
        if (corrected := self.table.corrected) is not None:
            notes += corrected.lines
            unlabelled -= corrected.n_removed
        if unlabelled > 0:
            notes.append(left_out_note(unlabelled, n_common))
        return notes


def common_rows(caches: Sequence[Path], corrections: Corrections | None = None) -> CommonRows:
    """Find the images that are in each of `caches`, by path, content and label.

    Group and split are those of the first cache.

    Raises
    ------
    DataError
        If they have no image in common, or none of those has a label.
    CacheError
    UsageError
        If the corrections contradict themselves or name no image of a cache.
    """
    columns = []
    corrected = []
    for cache in caches:
        with CacheReader(cache, corrections) as reader:
            columns.append(reader.columns())
            corrected.append(reader.corrected)
    places = [{key: i for i, key in enumerate(_keys(found))} for found in columns]
    common = sorted(set(places[0]).intersection(*places[1:]))
    if not common:
        raise DataError(
            f"{', '.join(map(str, caches))} have no image in common; "
            "remove these files, and run the same command again"
        )
    at = [np.array([place[key] for key in common], np.intp) for place in places]
    first = columns[0]
    chosen = at[0].tolist()
    table = make_table(
        None,
        [first.label[i] for i in chosen],
        ImageColumns(
            paths=[first.path[i] for i in chosen],
            sha256=[first.sha256[i] for i in chosen],
            groups=[first.group[i] for i in chosen],
            splits=[first.split[i] for i in chosen],
        ),
        corrected=corrected[0],
    )
    n_all = len({path for found in columns for path in found.path})
    return CommonRows(table, dict(zip(caches, at, strict=True)), n_all - len(common))


def _keys(found: RowColumns) -> list[tuple[str, str, str]]:
    return list(zip(found.path, found.sha256, found.label, strict=True))


@dataclass(frozen=True, slots=True)
class CommonSplit:
    """One split for the features of every network.

    Attributes
    ----------
    rows : CommonRows
        Of the images that train or test. Its table holds the split, and one content for all images that are
        one picture.
    record : SplitRecord
        The same by content, for a classifier's file.
    options : FitOptions
        With which every network is fitted on that table.
    notes : tuple of str
        What the user should know of the split, a sentence each.
    """

    rows: CommonRows
    record: SplitRecord
    options: FitOptions
    notes: tuple[str, ...]

    @property
    def paths(self) -> list[str]:
        """The test set, sorted."""
        return self._of_test(self.rows.table.paths or [])

    @property
    def truth(self) -> list[str]:
        """The labels of `paths`."""
        return self._of_test(self.rows.table.labels)

    @property
    def n_train(self) -> int:
        """Images that train."""
        return (self.rows.table.splits or []).count(TRAIN)

    def _of_test(self, column: Sequence[str]) -> list[str]:
        parts = self.rows.table.splits or []
        return [value for value, part in zip(column, parts, strict=True) if part == TEST]


def common_split(rows: CommonRows, near: Sequence[Sequence[str]], options: FitOptions) -> CommonSplit:
    """Draw one split for all networks, which does not depend on the order they are named in.

    Parameters
    ----------
    near : sequence of sequences of n str
        For each network that was asked `classify.duplicates.find.Duplicates.group_names` of `rows`; what
        any of them takes for one picture stays on one side.
    options : FitOptions
        Its classes are those of `rows` already.

    Raises
    ------
    DataError
        As `classify.data.prepare.prepare_split`.
    """
    as_given = replace(options, include=(), exclude=(), refit_all=False)
    if near:
        as_given = replace(as_given, duplicates="exact")
    copies = _with_copies(rows.table, near, options.seed)
    prepared = prepare_split(copies, as_given)
    parts = [""] * len(copies.labels)
    for part, at in ((TRAIN, prepared.split.train), (TEST, prepared.split.test)):
        for i in at.tolist():
            parts[i] = part
    kept = [i for i, part in enumerate(parts) if part]
    return CommonSplit(
        rows=replace(rows, table=keep_rows(replace(copies, splits=parts), kept)),
        record=SplitRecord.of(parts, rows.table.content, rows.table.paths),
        # All that the others decide is in the table.
        options=replace(as_given, split=GIVEN, keep_split=None, ordered=False, per_class=None, balance=False),
        notes=prepared.split.notes,
    )


def _with_copies(table: Table, near: Sequence[Sequence[str]], seed: int) -> Table:
    """The table with one content for all images that are one picture: that of the first in the split's order.

    So they have the place in that order which `fit` gives to them.
    """
    keys, names = row_keys(None, table.content, table.paths)
    own = make_groups(keys, [], seed).tolist()
    joined = make_groups(keys, [*names, *near], seed).tolist()
    first = {joined[i]: i for i in sorted(range(len(own)), key=own.__getitem__, reverse=True)}
    content = table.content or []
    return replace(table, content=[content[first[group]] for group in joined])
