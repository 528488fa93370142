"""How near two different images come by chance: the distances below which images count as copies.

No fixed number serves. Between two photographs GoogLeNet's features have distances of about 0.5, random
weights leave 0.05 between drawings of one class. So the threshold is learned from the cache:

- *between classes*: each image's distance to the nearest image of another class. Those are different
  pictures, but for label errors.
- *inside a class*: each image's distance to the nearest of its own class, and the distances of all pairs of
  the class. A class that is drawn or photographed alike is tighter than the rest and gets a smaller one.

The distance to the nearest of many points in a space of dimension k has a Weibull distribution with shape
k (the minimum of many distances whose distribution begins as d**k; extreme value theory), so that two
quantiles give its lower tail: P(nearest < t) = 1 - exp(-(t / scale)**k). The threshold is the t below which
that tail expects `FALSE_SHARE` of the images. Copies among the images distort the lowest quantiles, several
kinds of class the others; each makes a threshold too small. So it is computed from three pairs of
quantiles and the largest is taken: copies of up to half of the images do no harm. Where a tail is heavier
than Weibull's (dark, blurred pictures that are all alike) that is too large. It is therefore bounded by the
same tail of the next nearest: the nearest image of a third class (of two classes the second image of the
other), which a copy leaves where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.duplicates.distances import FeatureDistances
from fc7.models.common.record_repr import one_line_repr

FALSE_SHARE = 0.01
"""Share of images that calibration expects in a group with another by chance, between classes as inside."""

# Quantiles that give the tail. Those of all pairs of a class are lower: each image has many of them.
_OF_NEAREST = ((0.05, 0.25), (0.25, 0.5), (0.5, 0.75))
_OF_PAIRS = ((0.05, 0.25), (0.1, 0.5))
# Shapes measured on photographs, signs and hands were 3 to 5; a larger one, of quantiles that happen to be
# close, would put the threshold among the distances themselves.
_LARGEST_SHAPE = 5.0
# A shape from two quantiles of n distances has a relative standard error of about 1.3 / sqrt(n) (the delta
# method on quartile and median); two of them are taken off, so that among few images only clear copies count.
_SHAPE_ERROR = 1.3
# The pixels of one picture, stored twice, differ by rounding alone.
SAME = 1e-6
_FEWEST = 6  # distances that a threshold can be learned from
_FEWEST_OF_CLASS = 12  # ... for a class of its own; smaller classes share one
_SAMPLE, _SAMPLE_OF_CLASS = 1024, 16


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Distances up to which two images count as copies of one picture.

    Attributes
    ----------
    between : float
        For images of two classes.
    inside : ndarray of shape (n_classes,), float64
        For images of one class; never above `between`.
    """

    between: float
    inside: NDArray[np.float64]

    __repr__ = one_line_repr


def calibrate(
    distances: FeatureDistances,
    y: NDArray[np.intp],
    group: NDArray[np.intp],
    n_classes: int,
    share: float = FALSE_SHARE,
) -> Thresholds:
    """Learn the thresholds; see the top of this file.

    Parameters
    ----------
    distances : FeatureDistances
        Of n images, no two of the same content.
    y, group : ndarray of shape (n,), intp
        Class codes, and declared groups; images of one group say nothing about chance.
    share : float
        Of the images that may be grouped by chance.
    """
    some = _sample(y, n_classes)
    sample = _Distances([], [], [], fourth_own=[], pairs=[[] for _ in range(n_classes)])
    for block, distance in distances.from_some(some):
        sample.add(distance, y[block], y, group[block][:, None] == group)
    size = np.bincount(y, minlength=n_classes).astype(float)
    own, codes = _joined(sample.own), y[some]
    pairs = [_joined(rows) for rows in sample.pairs]
    inside = np.full(
        n_classes, _inside(own, _joined(pairs), float(size.sum()) / max(n_classes, 1), share=share)
    )
    for c in range(n_classes):
        if np.isfinite(own[codes == c]).sum() >= _FEWEST_OF_CLASS:
            inside[c] = _inside(own[codes == c], pairs[c], size[c], share=share)
    other = _joined(sample.other)
    if np.isfinite(other).sum() >= _FEWEST:
        between = min(_tail(other, _OF_NEAREST, share), _bound(_joined(sample.second_other), share))
    else:  # one class, no labels, or a handful of images
        between = min([*inside.tolist(), _bound(_joined(sample.fourth_own), share)], default=SAME)
    return Thresholds(between, np.minimum(inside, between))


@dataclass(frozen=True, slots=True)
class _Distances:
    """What calibration keeps of the distances of some images, an entry or an array for each."""

    other: list[NDArray[np.floating]]
    second_other: list[NDArray[np.floating]]
    own: list[NDArray[np.floating]]
    fourth_own: list[NDArray[np.floating]]
    pairs: list[list[NDArray[np.floating]]]

    def add(
        self,
        distance: NDArray[np.float32],
        mine: NDArray[np.intp],
        y: NDArray[np.intp],
        related: NDArray[np.bool_],
    ) -> None:
        """Images of classes `mine` with their distances to all images, of classes `y`."""
        same = mine[:, None] == y
        far = np.where(same | related, np.inf, distance)
        self.other.append(far.min(axis=1))
        nearest = far.argmin(axis=1)
        if len(self.pairs) > 2:
            far[y[nearest][:, None] == y] = np.inf
        else:
            far[np.arange(len(far)), nearest] = np.inf
        self.second_other.append(far.min(axis=1))
        same &= ~related
        far = np.where(same, distance, np.inf)
        self.own.append(far.min(axis=1))
        self.fourth_own.append(np.partition(far, 3, axis=1)[:, 3] if far.shape[1] > 3 else far.max(axis=1))
        for row, c in enumerate(mine.tolist()):
            self.pairs[c].append(distance[row, same[row]])


def _joined(parts: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    return np.concatenate([np.empty(0), *parts])


def _sample(y: NDArray[np.intp], n_classes: int) -> NDArray[np.intp]:
    """All rows, or some of each class, evenly spread."""
    if len(y) <= _SAMPLE:
        return np.arange(len(y))
    quota = max(_SAMPLE // n_classes, _SAMPLE_OF_CLASS)
    chosen = []
    for c in range(n_classes):
        rows = np.flatnonzero(y == c)
        chosen.append(rows[np.unique(np.linspace(0, len(rows) - 1, min(quota, len(rows))).astype(np.intp))])
    return np.sort(np.concatenate(chosen))


def _inside(nearest: NDArray[np.float64], pairs: NDArray[np.float64], size: float, share: float) -> float:
    # If more than half of the images have a copy, the nearest are the copies; among all pairs of a class
    # they are few.
    return max(_tail(nearest, _OF_NEAREST, share), _tail(pairs, _OF_PAIRS, share / max(size - 1, 1)))


def _bound(second: NDArray[np.float64], share: float) -> float:
    """What no threshold should exceed: the next nearest after a possible copy comes nearer than that too
    often. A copy does not disturb it, so that its quantiles may be taken as they are.
    """
    second = second[np.isfinite(second)]
    if len(second) < _FEWEST:
        return np.inf
    as_seen = np.quantile(second, share, method="lower") if len(second) * share >= 1 else 0.0
    return max(_tail(second, _OF_NEAREST[:1], share), _rounded(float(as_seen)), SAME)


def _tail(
    distances: NDArray[np.float64], windows: tuple[tuple[float, float], ...], probability: float
) -> float:
    """The distance that a Weibull tail undercuts with a probability, rounded down to two digits."""
    distances = distances[np.isfinite(distances)]
    if len(distances) < _FEWEST:
        return SAME
    best = SAME
    for low, high in windows:
        a, b = np.quantile(distances, [low, high])
        if a > 0:
            hazard = -np.log1p(-np.array([low, high, probability]))
            ratio = np.log(b / a)
            shape = np.log(hazard[1] / hazard[0]) / ratio if ratio > 0 else np.inf
            shape = min(shape, _LARGEST_SHAPE) / (1 + 2 * _SHAPE_ERROR / np.sqrt(len(distances)))
            best = max(best, float(a * (hazard[2] / hazard[0]) ** (1 / shape)))
    return _rounded(best)


def _rounded(distance: float) -> float:
    """Down to two digits: a few images more or less should not move a pair across the line."""
    if distance <= 0:
        return 0.0
    unit = 10.0 ** (np.floor(np.log10(distance)) - 1)
    return float(f"{np.floor(distance / unit + 1e-9) * unit:.2g}")
