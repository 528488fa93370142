"""What a report says of duplicates: which images are one picture, and what that does to the accuracy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from fc7.classify.data.leakage import Leakage
from fc7.classify.data.rows import Table
from fc7.classify.duplicates.find import Duplicates
from fc7.classify.report import image_grids
from fc7.classify.report.report_data import DuplicateGrids
from fc7.extract.cache.reader import FeatureSet


def duplicate_grids(
    cache: FeatureSet, table: Table | None, copies: Duplicates | None, made: Mapping[str, Any]
) -> DuplicateGrids:
    """The groups, those whose labels differ first.

    Parameters
    ----------
    table : Table or None
        The labelled rows of `cache`; without them only files of equal content are found.
    copies : Duplicates or None
        Among the rows of `table`.
    made : mapping
        The classifier's metadata.
    """
    if table is None or copies is None:
        same: dict[str, list[int]] = defaultdict(list)
        for row, digest in enumerate(cache.sha256):
            if digest:
                same[digest].append(row)
        alike, how = [group for group in same.values() if len(group) > 1], "files with the same content"
    else:
        alike = [table.rows[group].tolist() for group in copies.groups]
        how = f"labelled images that are one picture ({copies.describe()})"
    shown, disagreeing = image_grids.groups(alike, cache.y.tolist(), cache.paths)
    return DuplicateGrids(
        shown,
        n_groups=len(alike),
        n_images=sum(map(len, alike)),
        n_disagreeing=disagreeing,
        how=how,
        leakage=leakage_rows(made),
    )


def leakage_rows(made: Mapping[str, Any]) -> tuple[tuple[str, float, float, float], ...]:
    """Both accuracies with their 95 % intervals, if fit grouped copies that a split would have parted.

    Parameters
    ----------
    made : mapping
        The classifier's metadata.

    Returns
    -------
    tuple of (name, accuracy, low, high)
        Empty if no test image has a copy in training.
    """
    found = made.get("duplicates")
    leak = Leakage.from_json(found) if isinstance(found, Mapping) else None
    if leak is None:
        return ()
    ignoring = "given split, which parts copies" if leak.how == "given" else "random split ignoring copies"
    both = ("copies kept on one side", leak.one_side), (ignoring, leak.both_sides)
    return tuple((name, right.accuracy, *right.interval) for name, right in both if right.n)
