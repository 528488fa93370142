"""Which of the labelled images take part: classes by name, train sets of equal size, samples of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fc7.classify.data.rows import Table, name_some
from fc7.models.common.errors import UsageError
from fc7.models.common.label_names import in_order
from fc7.models.common.unicode_forms import normal

_NEAR = 3  # names that a message offers for an unknown one


def choose_classes(table: Table, include: Sequence[str], exclude: Sequence[str]) -> Table:
    """The rows of the classes that were asked for.

    Parameters
    ----------
    include, exclude : sequence of str
        Each a class, or several with commas between them; a class whose own name holds a comma is
        taken as written. Empty `include` means all.

    Raises
    ------
    UsageError
        If a name is no class, or nothing is left; classes of similar names are offered.
    """
    if not include and not exclude:
        return table
    known = in_order(table.labels)
    wanted = _names("--include", include, known) or set(known)
    wanted -= _names("--exclude", exclude, known)
    if not wanted:
        raise UsageError("--include and --exclude together leave no class")
    return keep_rows(table, [i for i, label in enumerate(table.labels) if label in wanted])


def keep_rows(table: Table, positions: Sequence[int]) -> Table:
    """The table of some labelled rows, in the given order."""

    def kept(column: list[str] | None) -> list[str] | None:
        return None if column is None else [column[i] for i in positions]

    at = np.asarray(positions, np.intp)
    return replace(
        table,
        rows=table.rows[at],
        labels=[table.labels[i] for i in positions],
        paths=kept(table.paths),
        content=kept(table.content),
        groups=kept(table.groups),
        splits=kept(table.splits),
        thumbnails=None if table.thumbnails is None else table.thumbnails[at],
    )


def _names(option: str, given: Sequence[str], known: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for text in map(normal, given):
        for name in [text] if text in known else [part.strip() for part in text.split(",") if part.strip()]:
            if name not in known:
                near = difflib.get_close_matches(name, known, _NEAR, 0.5)
                near += [k for k in known if k.casefold() == name.casefold() and k not in near]
                hint = f"similar are {name_some(near)}" if near else f"there are {name_some(known)}"
                raise UsageError(f"{option} {name}: no labelled image is of that class; {hint}")
            found.add(name)
    return found


def trim_to_smallest(
    train: NDArray[np.intp], y: NDArray[np.intp], group: NDArray[np.intp], keys: Sequence[str]
) -> NDArray[np.intp]:
    """As many training rows of every class as the smallest has.

    Parameters
    ----------
    train : ndarray of shape (n_train,), intp
        Positions among the rows.
    y, group : ndarray of shape (n,), intp
        Class codes; groups in their order.
    keys : sequence of n str
        Tells the rows of a group apart, whatever their position.

    Returns
    -------
    ndarray of intp
        Ascending. Each class keeps those whose groups come first, so that images that are added change
        little.
    """
    smallest = np.bincount(y[train])
    fewest = int(smallest[smallest > 0].min())
    kept: list[int] = []
    for c in np.unique(y[train]).tolist():
        rows = [i for i in train.tolist() if y[i] == c]
        kept += sorted(rows, key=lambda i: (group[i], keys[i]))[:fewest]
    return np.array(sorted(kept), np.intp)


def draw_sample(y: NDArray[np.intp], group: NDArray[np.intp], size: int | None) -> NDArray[np.intp]:
    """About `size` rows, the same share of each class.

    Parameters
    ----------
    y, group : ndarray of shape (n,), intp
        Class codes; groups in the order in which they were dealt out, which is random.
    size : int or None
        None for all.

    Returns
    -------
    ndarray of intp
        Ascending. Of each class those rows whose groups come first; two at least, or all that there are.
    """
    if size is None or size >= len(y):
        return np.arange(len(y))
    order = np.lexsort((np.arange(len(y)), group, y))
    count = np.bincount(y)
    place = np.arange(len(y)) - np.repeat(np.cumsum(count) - count, count)
    most = np.maximum(2, count * size // len(y))
    return np.sort(order[place < most[y[order]]])
