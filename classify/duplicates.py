"""Which images are one picture: exact copies by content, near-duplicates by their features.

Copies altered a little (stored again, scaled, cropped, brightened) lie nearer to each other than different
pictures do; how near that is, `classify.chance` learns from the cache. Pairs within it are tied, nearest
first. A chain of pairs could tie a whole class, so two groups of images are not joined

- by a pair of two classes that is not within what is allowed inside both of them; or
- if the distances from one to the other are on average above twice the threshold: two copies of one
  picture, each altered in its own way, are twice as far apart as each is from the picture; or
- if more than ten images and more than half of a class would then be one group: no class is copies of one
  picture to that extent, and one that only looks so must stay possible to split; or
- if a whole class would then be one group, unless they are within a quarter of the threshold: such a class
  cannot be judged, which a class of two images should not come to by chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classify.chance import Thresholds, calibrate
from classify.closeness import Closeness
from models.progress import Progress, Silent

Rows = NDArray[np.intp]

_TWICE = 2.0
_LARGEST, _SHARE = 10, 0.5
_QUARTER = 0.25


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images that are one picture.

    Attributes
    ----------
    first, second : int
        Rows, ``first < second``.
    cosine : float
        Of the centred features; 1 for exact copies.
    exact : bool
        Of equal content.
    """

    first: int
    second: int
    cosine: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found among n images.

    Attributes
    ----------
    group : ndarray of shape (n,), intp
        Images of equal number are one picture; most have a number of their own.
    pairs : tuple of Pair
        All that were found, nearest first: each exact copy with the first of its content, and
        near-duplicates among the first ones of each content.
    untied : int
        Pairs of `pairs` in two groups, kept apart by the rules against chains.
    classes : tuple of str
    thresholds : Thresholds
        As distances, 1 - cosine; ``inside`` is in the order of `classes`.
    """

    group: Rows
    pairs: tuple[Pair, ...]
    untied: int
    classes: tuple[str, ...]
    thresholds: Thresholds

    @property
    def ties(self) -> list[str]:
        """A name for each image that shares a group, empty for others: as `classify.units` takes them."""
        size = np.bincount(self.group) if len(self.group) else np.empty(0, np.intp)
        return [f"duplicate {g}" if size[g] > 1 else "" for g in self.group.tolist()]

    @property
    def n_exact(self) -> int:
        """Images that are exact copies of an earlier one."""
        return sum(pair.exact for pair in self.pairs)

    @property
    def groups(self) -> list[list[int]]:
        """Rows of each group of two images or more, the largest first."""
        rows: dict[int, list[int]] = {}
        for row, g in enumerate(self.group.tolist()):
            rows.setdefault(g, []).append(row)
        return sorted((r for r in rows.values() if len(r) > 1), key=lambda r: (-len(r), r))

    def to_json(self) -> dict[str, object]:
        """Counts and thresholds, for programs."""
        inside = (1 - self.thresholds.inside).tolist()
        return {
            "images": sum(map(len, self.groups)),
            "groups": len(self.groups),
            "exact_copies": self.n_exact,
            "pairs": len(self.pairs),
            "pairs_left_apart": self.untied,
            "cosine_between_classes": round(1 - self.thresholds.between, 8),
            "cosine_inside": {c: round(cosine, 8) for c, cosine in zip(self.classes, inside, strict=True)},
        }

    def describe(self) -> str:
        """The thresholds in words."""
        inside = 1 - self.thresholds.inside
        span = f"{inside.min():.4g}" if np.ptp(inside) == 0 else f"{inside.min():.4g} to {inside.max():.4g}"
        return (
            f"cosine of centred features at least {1 - self.thresholds.between:.4g} between classes, "
            f"{span} inside one"
        )


def find_duplicates(
    X: NDArray[np.float32],
    rows: Rows,
    labels: Sequence[str],
    content: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    *,
    cosine: float | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Find exact copies and near-duplicates.

    Parameters
    ----------
    X : ndarray of shape (n_all, n_features), float32
    rows : ndarray of shape (n,), intp
        Which rows of X; everything else counts within them.
    labels : sequence of n str
        Empty for none. Calibration uses them; grouping only against chains.
    content : sequence of n str, or None
        Content hashes, empty where unknown.
    groups : sequence of n str, or None
        Declared groups, empty where there is none: what is near inside them is no evidence of chance.
    cosine : float or None
        The threshold; None calibrates it.
    progress : Progress or None

    Returns
    -------
    Duplicates
        Memory beside X is bounded: blocks of 4096 rows, 256 numbers an image, and the pairs.
    """
    progress = progress or Silent()
    classes, y = _coded(labels)
    first = _first_of(content, len(rows))
    different = np.flatnonzero(first == np.arange(len(rows)))
    near = Closeness(X, rows[different])
    own = y[different]
    if cosine is None:
        declared = _coded_or_alone(None if groups is None else [groups[i] for i in different.tolist()], own)
        thresholds = calibrate(near, own, declared, len(classes))
    else:
        thresholds = Thresholds(1 - cosine, np.full(len(classes), 1 - cosine))
    i, j, distance = near.pairs_within(thresholds.between, progress)
    allowed = np.where(own[i] == own[j], thresholds.inside[own[i]], thresholds.between)
    kept = np.flatnonzero(distance <= allowed)
    kept = kept[np.lexsort((j[kept], i[kept], distance[kept]))]
    i, j, distance = i[kept], j[kept], distance[kept]
    # A figure of a tight class under a wrong label is near to the whole class; it is tied to its own copies.
    allowed = np.minimum(thresholds.inside[own[i]], thresholds.inside[own[j]])
    joined, untied = _tie(i, j, distance, allowed, own, near)
    number = np.empty(len(rows), np.intp)
    number[different] = joined
    group = np.unique(number[first], return_inverse=True)[1].astype(np.intp)
    copies = [Pair(int(first[row]), row, 1.0, True) for row in range(len(rows)) if first[row] != row]
    found = zip(different[i].tolist(), different[j].tolist(), distance.tolist(), strict=True)
    pairs = (*copies, *(Pair(a, b, 1 - d, False) for a, b, d in found))
    return Duplicates(group, pairs, untied, classes, thresholds)


def _coded(labels: Sequence[str]) -> tuple[tuple[str, ...], Rows]:
    classes = tuple(sorted(set(labels)))
    code = {label: i for i, label in enumerate(classes)}
    return classes, np.array([code[label] for label in labels], np.intp)


def _first_of(content: Sequence[str] | None, n: int) -> Rows:
    """For each row the first of its content."""
    first: dict[str, int] = {}
    if content is None:
        return np.arange(n)
    return np.array([first.setdefault(text, i) if text else i for i, text in enumerate(content)], np.intp)


def _coded_or_alone(groups: Sequence[str] | None, y: Rows) -> Rows:
    n = len(y)
    return np.arange(n) if groups is None else _coded([g or f"\0{i}" for i, g in enumerate(groups)])[1]


def _tie(
    i: Rows, j: Rows, distance: NDArray[np.float64], allowed: NDArray[np.float64], y: Rows, near: Closeness
) -> tuple[Rows, int]:
    """Join pairs in their order by the rules above; gives a number for each row, and the pairs left apart."""
    sketches = near.sketches if len(i) else np.empty((0, 0), np.float32)
    total = Counter(y.tolist())
    parent: dict[int, int] = {}
    bundles: dict[int, _Bundle] = {}

    def root(row: int) -> int:
        while (above := parent.setdefault(row, row)) != row:
            parent[row] = parent[above]
            row = above
        return row

    for a, b, d, most in zip(i.tolist(), j.tolist(), distance.tolist(), allowed.tolist(), strict=True):
        u, v = root(a), root(b)
        if u == v or d > most:
            continue
        one, other = (bundles.get(r) or _Bundle.of(sketches[r], int(y[r])) for r in (u, v))
        # A pair of single images has been measured exactly.
        if one.n + other.n > 2 and one.mean_distance(other) > _TWICE * most:
            continue
        both = one.joined(other)
        if any(n > max(_LARGEST, _SHARE * total[c]) for c, n in both.counts.items()):
            continue
        if d > _QUARTER * most and any(n == total[c] for c, n in both.counts.items()):
            continue
        parent[v] = u
        bundles[u] = both
        bundles.pop(v, None)
    number = np.arange(len(y))
    for row in parent:
        number[row] = root(row)
    return number, int(np.count_nonzero(number[i] != number[j]))


@dataclass(frozen=True, slots=True)
class _Bundle:
    """What is needed of a group to know its mean distance to another: |a - b|² / 2 on average."""

    n: int
    total: NDArray[np.float64]
    squares: float
    counts: Counter[int]

    @classmethod
    def of(cls, row: NDArray[np.float32], c: int) -> _Bundle:
        exact = row.astype(np.float64)
        return cls(1, exact, float(exact @ exact), Counter({c: 1}))

    def mean_distance(self, other: _Bundle) -> float:
        """Over all pairs of one row here and one there."""
        product = float(self.total @ other.total) / (self.n * other.n)
        return 0.5 * (self.squares / self.n + other.squares / other.n) - product

    def joined(self, other: _Bundle) -> _Bundle:
        return _Bundle(
            self.n + other.n,
            self.total + other.total,
            self.squares + other.squares,
            self.counts + other.counts,
        )
