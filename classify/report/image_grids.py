"""Which images a report shows: few enough that the file stays small, chosen by a stated rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fc7.classify.report.evaluated import EvaluatedImages
from fc7.classify.report.report_data import ImageGrid, Shown
from fc7.models.common.label_names import in_order

# About 4 KB an image in the file.
MOST_SAMPLES, MOST_OF_A_CLASS = 160, 8
MOST_MISTAKES = 36
MOST_SUSPECTS = 36
MOST_WRONG, MOST_OF_A_WRONG_CELL = 240, 12
MOST_RIGHT, MOST_OF_A_RIGHT_CELL = 100, 4
MOST_NAMED = 20
MOST_GROUPS, MOST_OF_A_GROUP = 24, 4


def samples(
    labels: Sequence[str], rows: NDArray[np.intp], paths: Sequence[str], seed: int = 0
) -> tuple[ImageGrid, ...]:
    """Some images of each class, drawn by `seed`; no classes are left out while there is room for one each.

    Parameters
    ----------
    labels : sequence of n str
        Of the labelled rows.
    rows : ndarray of shape (n,), intp
        Where these are in the cache.
    paths : sequence of str
        Of all rows of the cache.
    """
    of_class: dict[str, list[int]] = defaultdict(list)
    for i in np.random.default_rng(seed).permutation(len(rows)):
        of_class[labels[i]].append(int(rows[i]))
    classes = in_order(of_class)[:MOST_SAMPLES]
    each = min(MOST_OF_A_CLASS, max(1, MOST_SAMPLES // max(1, len(classes))))
    return tuple(
        ImageGrid(
            name,
            tuple(Shown(row, paths[row], "") for row in sorted(of_class[name][:each])),
            len(of_class[name]),
        )
        for name in classes
    )


def mistakes(evaluated: EvaluatedImages, paths: Sequence[str]) -> tuple[Shown, ...]:
    """The wrong predictions with the highest probability, highest first."""
    wrong = np.flatnonzero(~evaluated.right)
    order = wrong[np.argsort(-evaluated.confidence[wrong], kind="stable")]
    return tuple(_answered(evaluated, int(i), paths) for i in order[:MOST_MISTAKES])


def cells(evaluated: EvaluatedImages, paths: Sequence[str]) -> dict[tuple[int, int], ImageGrid]:
    """What lies behind the cells of the confusion matrix.

    Wrong predictions go first, the fullest cells before the others; in a cell the surest predictions. Every
    cell that is not empty is there, if need be with names in place of images.
    """
    behind: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i in np.argsort(-evaluated.confidence, kind="stable"):
        behind[int(evaluated.truth[i]), int(evaluated.predicted[i])].append(int(i))
    room = {True: MOST_RIGHT, False: MOST_WRONG}
    grids: dict[tuple[int, int], ImageGrid] = {}
    for (t, p), members in sorted(behind.items(), key=lambda item: (-len(item[1]), item[0])):
        most = MOST_OF_A_RIGHT_CELL if t == p else MOST_OF_A_WRONG_CELL
        shown = members[: min(most, room[t == p])]
        room[t == p] -= len(shown)
        title = evaluated.labels[t] if t == p else f"{evaluated.labels[t]} taken for {evaluated.labels[p]}"
        others = tuple(paths[evaluated.rows[i]] for i in members[len(shown) : len(shown) + MOST_NAMED])
        grids[t, p] = ImageGrid(
            title, tuple(_answered(evaluated, i, paths) for i in shown), len(members), others=others
        )
    return grids


def groups(
    alike: Iterable[Sequence[int]], labels: Sequence[str], paths: Sequence[str]
) -> tuple[tuple[ImageGrid, ...], int]:
    """Groups of rows that show one image; those whose labels differ first, then the largest.

    Parameters
    ----------
    alike : iterable of sequences of int
        Rows of the cache.
    labels, paths : sequence of str
        Of all rows; empty where there is no label.

    Returns
    -------
    grids : tuple of ImageGrid
        As many as are shown.
    n_disagreeing : int
        Groups, of all, with more than one label.
    """
    found = [sorted(group) for group in alike]
    differs = {tuple(group): len({labels[row] for row in group if labels[row]}) > 1 for group in found}
    found.sort(key=lambda group: (not differs[tuple(group)], -len(group), group))
    grids = tuple(
        ImageGrid(
            "labels differ" if differs[tuple(group)] else "one label",
            tuple(
                Shown(row, paths[row], f"labelled {labels[row]}" if labels[row] else "no label")
                for row in _varied(group, labels)[:MOST_OF_A_GROUP]
            ),
            len(group),
        )
        for group in found[:MOST_GROUPS]
    )
    return grids, sum(differs.values())


def _varied(group: list[int], labels: Sequence[str]) -> list[int]:
    """One of each label first."""
    first = {labels[row]: row for row in reversed(group)}.values()
    return sorted(first) + [row for row in group if row not in first]


def _answered(evaluated: EvaluatedImages, i: int, paths: Sequence[str]) -> Shown:
    row = int(evaluated.rows[i])
    truth, predicted = evaluated.labels[evaluated.truth[i]], evaluated.labels[evaluated.predicted[i]]
    said = f"{predicted}, {evaluated.confidence[i]:.1%}"
    return Shown(row, paths[row], said if evaluated.right[i] else f"{truth} taken for {said}")
