"""Which images a report shows: few enough that the file stays small, chosen by a stated rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fc7.classify.report.facts import Sheet, Shown
from fc7.classify.report.judged import EvaluatedImages
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
) -> tuple[Sheet, ...]:
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
        Sheet(
            name,
            tuple(Shown(row, paths[row], "") for row in sorted(of_class[name][:each])),
            len(of_class[name]),
        )
        for name in classes
    )


def mistakes(judged: EvaluatedImages, paths: Sequence[str]) -> tuple[Shown, ...]:
    """The wrong answers with the highest probability, highest first."""
    wrong = np.flatnonzero(~judged.right)
    order = wrong[np.argsort(-judged.confidence[wrong], kind="stable")]
    return tuple(_answered(judged, int(i), paths) for i in order[:MOST_MISTAKES])


def cells(judged: EvaluatedImages, paths: Sequence[str]) -> dict[tuple[int, int], Sheet]:
    """What lies behind the cells of the confusion matrix.

    Wrong answers go first, the fullest cells before the others; in a cell the surest answers. Every cell
    that is not empty is there, if need be with names in place of images.
    """
    behind: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i in np.argsort(-judged.confidence, kind="stable"):
        behind[int(judged.truth[i]), int(judged.answer[i])].append(int(i))
    room = {True: MOST_RIGHT, False: MOST_WRONG}
    sheets: dict[tuple[int, int], Sheet] = {}
    for (t, p), members in sorted(behind.items(), key=lambda item: (-len(item[1]), item[0])):
        most = MOST_OF_A_RIGHT_CELL if t == p else MOST_OF_A_WRONG_CELL
        shown = members[: min(most, room[t == p])]
        room[t == p] -= len(shown)
        title = judged.labels[t] if t == p else f"{judged.labels[t]} taken for {judged.labels[p]}"
        others = tuple(paths[judged.rows[i]] for i in members[len(shown) : len(shown) + MOST_NAMED])
        sheets[t, p] = Sheet(title, tuple(_answered(judged, i, paths) for i in shown), len(members), others)
    return sheets


def groups(
    alike: Iterable[Sequence[int]], labels: Sequence[str], paths: Sequence[str]
) -> tuple[tuple[Sheet, ...], int]:
    """Groups of rows that show one image; those whose labels differ first, then the largest.

    Parameters
    ----------
    alike : iterable of sequences of int
        Rows of the cache.
    labels, paths : sequence of str
        Of all rows; empty where there is no label.

    Returns
    -------
    sheets : tuple of Sheet
        As many as are shown.
    n_disagreeing : int
        Groups, of all, with more than one label.
    """
    found = [sorted(group) for group in alike]
    differs = {tuple(group): len({labels[row] for row in group if labels[row]}) > 1 for group in found}
    found.sort(key=lambda group: (not differs[tuple(group)], -len(group), group))
    sheets = tuple(
        Sheet(
            "labels differ" if differs[tuple(group)] else "one label",
            tuple(
                Shown(row, paths[row], f"labelled {labels[row]}" if labels[row] else "no label")
                for row in _varied(group, labels)[:MOST_OF_A_GROUP]
            ),
            len(group),
        )
        for group in found[:MOST_GROUPS]
    )
    return sheets, sum(differs.values())


def _varied(group: list[int], labels: Sequence[str]) -> list[int]:
    """One of each label first."""
    first = {labels[row]: row for row in reversed(group)}.values()
    return sorted(first) + [row for row in group if row not in first]


def _answered(judged: EvaluatedImages, i: int, paths: Sequence[str]) -> Shown:
    row = int(judged.rows[i])
    truth, answer = judged.labels[judged.truth[i]], judged.labels[judged.answer[i]]
    said = f"{answer}, {judged.confidence[i]:.1%}"
    return Shown(row, paths[row], said if judged.right[i] else f"{truth} taken for {said}")
