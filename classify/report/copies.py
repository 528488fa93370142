"""What a report says of duplicates: which images are one picture, and what that does to the accuracy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from fc7.classify.data.rows import Table
from fc7.classify.duplicates.find import Duplicates
from fc7.classify.metrics.intervals import wilson_interval
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
    return DuplicateGrids(shown, len(alike), sum(map(len, alike)), disagreeing, how, leakage_rows(made))


def leakage_rows(made: Mapping[str, Any]) -> tuple[tuple[str, float, float, float], ...]:
    """Both accuracies with their 95 % intervals, if fit tied copies that a split would have parted.

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
    if not isinstance(found, Mapping) or "leaky" not in found:
        return ()
    ignoring = (
        "given split, which parts copies"
        if found["leaky_split"] == "given"
        else "random split ignoring copies"
    )
    both = (
        ("copies kept on one side", found["clean"], found["n_clean"]),
        (ignoring, found["leaky"], found["n_leaky"]),
    )
    return tuple(
        (name, accuracy, *wilson_interval(round(accuracy * n), n))
        for name, accuracy, n in both
        if accuracy is not None
    )
