"""How near images lie to each other by their thumbnails, as they are and mirrored.

A network moves the features of a drawing by more when it is stored again than those of two drawings differ;
of traffic signs GoogLeNet's features find 7 % of the copies stored as JPEG of quality 90. The 8 x 8 greys of
`extract.images.thumbnails` hardly move, so both are looked at (`tests.benchmarks.planted_duplicates`).
Brightness and contrast are taken out: from each thumbnail its own mean is taken away, and it is scaled to
length 1. Then, as with features, the mean of all is taken away, made symmetric so that a mirrored thumbnail
is as far from a mirrored other as the two are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fc7.classify.duplicates.distances import FeatureDistances, nearest

Rows = NDArray[np.intp]
Floats = NDArray[np.float32]

# Rounding to whole greys moves each by up to half a level; of thumbnails that vary less than this (standard
# deviation) it would make copies of pictures that differ, and copies differ.
_LEAST_CONTRAST = 4.0
# 32 MiB of products.
_BLOCK = 2896
_ROUNDING = 2e-6


class GreyDistances:
    """Distances among the thumbnails that show something.

    Parameters
    ----------
    thumbnails : ndarray of shape (n, 64), uint8
        Zeros where there is none.

    Attributes
    ----------
    rows : ndarray of shape (n_shown,), intp
        Which of the n have contrast enough to be told apart; everything else counts within them.
    distances : FeatureDistances
        Of these as they are.
    directions : ndarray of shape (n_shown, 64), float32
        Unit rows: a distance is ``1 - product``.
    """

    def __init__(self, thumbnails: NDArray[np.uint8]) -> None:
        contrast = thumbnails.std(axis=1, dtype=np.float64)
        self.rows = np.flatnonzero(contrast >= _LEAST_CONTRAST)
        shown = thumbnails[self.rows].astype(np.float32)
        shown -= shown.mean(axis=1, keepdims=True)
        shown /= np.sqrt(np.einsum("ij,ij->i", shown, shown))[:, None]
        mean = shown.mean(axis=0, dtype=np.float64) if len(shown) else np.zeros(thumbnails.shape[1])
        symmetric = ((mean + mirrored(mean[None])[0]) / 2).astype(np.float32)
        self.distances = FeatureDistances(shown, np.arange(len(shown)), symmetric)
        self.directions = self.distances.directions(slice(None))

    def pairs_within(self, most: float) -> tuple[Rows, Rows, NDArray[np.float64], NDArray[np.bool_]]:
        """All pairs whose distance is at most `most`, as they are or one of them mirrored.

        Returns
        -------
        i, j : ndarray of shape (n_pairs,), intp
            ``i < j``; each pair once, the nearer way.
        distance : ndarray of shape (n_pairs,), float64
        turned : ndarray of shape (n_pairs,), bool
            Whether the nearer way is mirrored.
        """
        n, bound = len(self.rows), np.float32(most + _ROUNDING)
        ways = (self.directions, mirrored(self.directions))
        found: list[tuple[Rows, Rows, Rows]] = []
        for a in range(0, n, _BLOCK):
            for b in range(a, n, _BLOCK):
                for turned, other in enumerate(ways):
                    distance = self.directions[a : a + _BLOCK] @ other[b : b + _BLOCK].T
                    np.subtract(1, distance, out=distance)
                    i, j = nearest(distance, bound, diagonal=a == b)
                    found.append((i + a, j + b, np.full(len(i), turned)))
        none = np.empty(0, np.intp)
        first, second, way_of = (np.concatenate([none, *(parts[k] for parts in found)]) for k in range(3))
        exact = np.empty(len(first))
        for way, there in enumerate(ways):
            of = way_of == way
            difference = self.directions[first[of]].astype(np.float64) - there[second[of]]
            exact[of] = 0.5 * np.einsum("ij,ij->i", difference, difference)
        order = np.lexsort((exact, second, first))
        order = order[exact[order] <= most]
        nearer = np.ones(len(order), np.bool_)
        nearer[1:] = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
        order = order[nearer]
        return first[order], second[order], exact[order], way_of[order] == 1


def mirrored(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Thumbnails with left and right exchanged: shape (n, 64)."""
    side = round(rows.shape[1] ** 0.5)
    return np.ascontiguousarray(rows.reshape(-1, side, side)[:, :, ::-1]).reshape(rows.shape)
