"""Groups, in a seeded order: rows of one declared group, or of copies, stay together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def row_keys(
    groups: Sequence[str] | None, content: Sequence[str] | None, paths: Sequence[str] | None
) -> tuple[list[str], list[list[str]]]:
    """What a row's place in the order hangs on, and the names that groups are made of.

    A row's key is its group; without one its content; without that its path. It never is its position,
    so that rows keep their side when others are added or the order changes.

    Parameters
    ----------
    groups : sequence of n str, or None
        Empty where there is none.
    content : sequence of n str, or None
        Content hashes, empty where unknown. Rows of equal hash are copies.
    paths : sequence of n str, or None
        Not None if `content` is.

    Returns
    -------
    keys : list of n str
    group_names : list of lists of n str
        In each list, rows with the same text that is not empty belong together.
    """
    keys = [f"path {path}" for path in paths] if paths is not None else []
    group_names = []
    if content is not None:
        keys = [f"content {digest}" if digest else keys[i] for i, digest in enumerate(content)]
        group_names.append(list(content))
    if groups is not None:
        keys = [f"group {group}" if group else key for group, key in zip(groups, keys, strict=True)]
        group_names.append(list(groups))
    return keys, group_names


def make_groups(
    keys: Sequence[str], group_names: Sequence[Sequence[str]], seed: int, place: Sequence[int] | None = None
) -> NDArray[np.intp]:
    """Number the sets of rows that stay together, in an order that only keys and seed decide.

    Parameters
    ----------
    keys : sequence of n str
    group_names : sequence of sequences of n str
        As `row_keys` gives them. A row that shares a group with one row and its content with another
        puts all three into one group.
    place : sequence of n int, or None
        The order that is given, in place of the seeded one: a group stands where its first row does.

    Returns
    -------
    ndarray of shape (n,), intp
        The group of each row. Group 0 comes first in the order: it has the smallest SHA-256 of
        (seed, key) of all rows, or the smallest place.
    """
    parent = list(range(len(keys)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for names in group_names:
        first: dict[str, int] = {}
        for row, name in enumerate(names):
            if name:
                parent[root(row)] = root(first.setdefault(name, row))

    ranks: Sequence[bytes] | Sequence[int]
    if place is None:
        ranks = [hashlib.sha256(f"{seed}\n{key}".encode("utf-8", "surrogatepass")).digest() for key in keys]
    else:
        ranks = place
    roots = [root(row) for row in range(len(keys))]
    earliest: dict[int, Any] = {}
    for row, own in zip(roots, ranks, strict=True):
        earliest[row] = min(own, earliest.get(row, own))
    rank = {row: i for i, row in enumerate(sorted(earliest, key=lambda row: (earliest[row], row)))}
    return np.array([rank[row] for row in roots], np.intp)


def count_table(y: NDArray[np.intp], group: NDArray[np.intp], n_classes: int) -> list[dict[int, int]]:
    """For each group, class -> number of its rows.

    Parameters
    ----------
    y : ndarray of shape (n,), intp
        Class codes from 0.
    group : ndarray of shape (n,), intp
    """
    n_groups = int(group.max()) + 1 if len(group) else 0
    pairs, counts = np.unique(group.astype(np.int64) * n_classes + y, return_counts=True)
    table: list[dict[int, int]] = [{} for _ in range(n_groups)]
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        table[pair // n_classes][pair % n_classes] = count
    return table
