"""Which images are one picture: exact copies by content, near-duplicates by features and by thumbnails.

Copies altered a little (stored again, scaled, cropped, brightened) lie nearer to each other than different
pictures do; how near that is, `classify.duplicates.thresholds` learns from the cache, for features and for
thumbnails (`classify.duplicates.greys`). Pairs within either are grouped, nearest first
(`classify.duplicates.groups`), but for those whose colours differ (`classify.duplicates.colours`).

Perceptual hashes do not serve: of 300 altered copies among 400 photographs of clothes, with no more false
pairs, `imagehash` (4.3.2) finds 68 % by `phash`, 65 % by `dhash` and 64 % by `whash`, this 99 %
(tests/benchmarks/NOTES-duplicates.md). It brings 9.6 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fc7.classify.duplicates.colours import Colours
from fc7.classify.duplicates.distances import FeatureDistances
from fc7.classify.duplicates.greys import GreyDistances
from fc7.classify.duplicates.groups import FEATURES, GREYS, Links, join_groups
from fc7.classify.duplicates.thresholds import FALSE_SHARE, SAME, Thresholds, calibrate
from fc7.classify.image_columns import NOTHING_KNOWN, ImageColumns
from fc7.extract.images.thumbnails import GREYS as N_GREYS
from fc7.models.common.label_names import in_order
from fc7.models.common.progress import Progress, Silent
from fc7.models.common.record_repr import one_line_repr

Rows = NDArray[np.intp]

# Thumbnails are compared as they are and mirrored, so each way may pair half as many by chance.
_SHARE_OF_GREYS = FALSE_SHARE / 2


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
    greys : bool
        Found by their thumbnails; these are nearer, measured by what is usual, than their features.
    """

    first: int
    second: int
    cosine: float
    exact: bool
    greys: bool = False


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
    n_left_apart : int
        Pairs of `pairs` in two groups, kept apart by the rules against chains.
    thresholds : Thresholds
        As distances, 1 - cosine; ``inside`` is in the order of `classes`.
    greys : Thresholds or None
        The same for thumbnails; None if they were not looked at.
    """

    group: Rows
    pairs: tuple[Pair, ...]
    n_left_apart: int
    classes: tuple[str, ...]
    thresholds: Thresholds
    greys: Thresholds | None = None

    __repr__ = one_line_repr

    @property
    def group_names(self) -> list[str]:
        """A name for each image that shares a group, else empty: for `classify.data.split_groups`."""
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
        greys = self.greys
        return {
            "images": sum(map(len, self.groups)),
            "groups": len(self.groups),
            "exact_copies": self.n_exact,
            "pairs": len(self.pairs),
            "pairs_left_apart": self.n_left_apart,
            "found_by_thumbnails": sum(pair.greys for pair in self.pairs),
            "thumbnail_cosine_between_classes": None if greys is None else round(1 - greys.between, 8),
            "cosine_between_classes": round(1 - self.thresholds.between, 8),
            "cosine_inside": {c: round(cosine, 8) for c, cosine in zip(self.classes, inside, strict=True)},
        }

    def describe(self) -> str:
        """The thresholds in words."""
        words = f"cosine of centred features at least {_in_words(self.thresholds)}"
        return words if self.greys is None else f"{words}; or of thumbnails {_in_words(self.greys)}"


def find_duplicates(
    X: NDArray[np.float32],
    rows: Rows,
    labels: Sequence[str],
    known: ImageColumns = NOTHING_KNOWN,
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
    known : ImageColumns
        `sha256`, `groups` and `thumbnails` of those rows are used.
    cosine : float or None
        The threshold of the features, and then thumbnails are not looked at; None calibrates it.

    Returns
    -------
    Duplicates
        Memory beside X is bounded: blocks of 4096 rows, 256 numbers an image, and the pairs.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    >>> X[7] = X[3]
    >>> found = find_duplicates(X, np.arange(40), [""] * 40)
    >>> found.groups, found.pairs[0].cosine
    ([[3, 7]], 1.0)
    """
    progress = progress or Silent()
    classes, y = _coded(labels)
    groups, thumbnails = known.groups, known.thumbnails
    first = _first_of(known.sha256, len(rows))
    different = np.flatnonzero(first == np.arange(len(rows)))
    distances = FeatureDistances(X, rows[different])
    own = y[different]
    declared = _coded_or_alone(None if groups is None else [groups[i] or "" for i in different.tolist()], own)
    if cosine is None:
        thresholds = calibrate(distances, own, declared, n_classes=len(classes))
    else:
        thresholds = Thresholds(1 - cosine, np.full(len(classes), 1 - cosine))
    colours = Colours(thumbnails[different]) if cosine is None and thumbnails is not None else None
    links = _by_features(distances, thresholds, own, colours=colours, progress=progress)
    looks = [distances.sketches if len(links) else np.zeros((len(own), 1), np.float32)]
    greys = None
    if colours is not None and thumbnails is not None:
        grey_distances = GreyDistances(thumbnails[different, :N_GREYS])
        greys = calibrate(
            grey_distances.distances,
            own[grey_distances.rows],
            declared[grey_distances.rows],
            n_classes=len(classes),
            share=_SHARE_OF_GREYS,
        )
        links = links.merged(_by_greys(grey_distances, greys, own, colours=colours))
        looks = [distances.sketches if len(links) else looks[0], np.zeros((len(own), N_GREYS), np.float32)]
        looks[GREYS][grey_distances.rows] = grey_distances.directions
    joined = join_groups(links, looks, own)
    number = np.empty(len(rows), np.intp)
    number[different] = joined
    group = np.unique(number[first], return_inverse=True)[1].astype(np.intp)
    copies = [Pair(int(first[row]), row, 1.0, exact=True) for row in range(len(rows)) if first[row] != row]
    found = zip(
        different[links.i].tolist(),
        different[links.j].tolist(),
        (1 - distances.between(links.i, links.j)).tolist(),
        (links.look == GREYS).tolist(),
        strict=True,
    )
    pairs = (*copies, *(Pair(a, b, cosine, exact=False, greys=by_greys) for a, b, cosine, by_greys in found))
    n_left_apart = int(np.count_nonzero(joined[links.i] != joined[links.j]))
    return Duplicates(
        group, pairs=pairs, n_left_apart=n_left_apart, classes=classes, thresholds=thresholds, greys=greys
    )


class _Near(NamedTuple):
    """Pairs of rows that may be one picture.

    Attributes
    ----------
    i, j : ndarray of shape (n,), intp
    distance : ndarray of shape (n,), float64
    turned : ndarray of shape (n,), bool
        Whether the two are nearer mirrored.
    """

    i: Rows
    j: Rows
    distance: NDArray[np.float64]
    turned: NDArray[np.bool_]

    def only(self, kept: NDArray[np.bool_]) -> _Near:
        """Some of them."""
        return _Near(self.i[kept], self.j[kept], self.distance[kept], turned=self.turned[kept])


def _by_features(
    distances: FeatureDistances, thresholds: Thresholds, y: Rows, colours: Colours | None, progress: Progress
) -> Links:
    i, j, distance = distances.pairs_within(thresholds.between, progress)
    near = _Near(i, j, distance, turned=np.zeros(len(i), np.bool_))
    if colours is not None:
        near = near.only(~colours.differ_on_the_whole(i, j))
    return _links(near, thresholds, y, look=FEATURES)


def _by_greys(grey_distances: GreyDistances, thresholds: Thresholds, y: Rows, colours: Colours) -> Links:
    near_i, near_j, distance, turned = grey_distances.pairs_within(thresholds.between)
    near = _Near(grey_distances.rows[near_i], grey_distances.rows[near_j], distance, turned=turned)
    return _links(near.only(~colours.differ(near.i, near.j, turned)), thresholds, y, look=GREYS)


def _links(near: _Near, thresholds: Thresholds, y: Rows, look: int) -> Links:
    """Those pairs that are within what is allowed to their classes, by rising share of it."""
    inside = thresholds.inside
    of_i, of_j = y[near.i], y[near.j]
    most = np.where(of_i == of_j, inside[of_i], thresholds.between)
    # A drawing of a tight class under a wrong label is near to the whole class; its own copies are its group.
    allowed = np.minimum(inside[of_i], inside[of_j])
    within = near.distance <= most
    kept = near.only(within)
    share = kept.distance / np.maximum(most[within], SAME)
    looks = np.full(len(share), look)
    return Links(
        kept.i,
        j=kept.j,
        distance=kept.distance,
        share=share,
        allowed=allowed[within],
        look=looks,
        turned=kept.turned,
    ).sorted()


def _in_words(thresholds: Thresholds) -> str:
    inside = 1 - thresholds.inside
    span = f"{inside.min():.4g}" if np.ptp(inside) == 0 else f"{inside.min():.4g} to {inside.max():.4g}"
    return f"{1 - thresholds.between:.4g} between classes, {span} inside one"


def _coded(labels: Sequence[str]) -> tuple[tuple[str, ...], Rows]:
    classes = tuple(in_order(labels))
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
