"""Whether two pictures that are alike in greys or features differ in colour, and so are no copies.

A copy may be brighter, flatter, more or less saturated, or made grey; it is not of another hue. So two
pictures are told apart by

- *hue*: field by field, the angle between (Cb, Cr) of one and of the other, weighted by how saturated both
  are, so that a field that is grey in one of them says nothing; or
- *saturation*: it differs by more than twice what contrast does, and the fainter one is not as good as
  grey. A picture made grey keeps its contrast; a black square is not the copy of a red one.

Found of the copies of `tests.benchmarks.altered` (drawn shapes, hands, traffic signs, clothes; 4 x 4
colours): hues differ by 0.04 at most, crops aside (0.08), saturation by 1.88 times at most, where white is
clipped. Hues of a red and an orange square differ by 0.15, of an orange and a yellow one by 0.09.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fc7.extract.images.thumbnails import COLOUR_SIDE, COLOURS, GREYS, NEUTRAL

Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float32]

# 1 - cosine on average; 0.06 is an angle of 20 degrees.
_HUE = 0.06
# ... and what it comes to in levels of all 16 fields, root of the sum of squares: less is rounding and JPEG.
_LEVELS = 12.0
# The same for the mean of all fields, for pictures that need not lie over each other; times 4, as if all
# fields were alike. Borders and crops of copies came to 15.
_LEVELS_OF_MEAN = 16.0
# Root of the sum of squares of all fields; less is taken for grey.
_COLOURED = 30.0
_TWICE, _AS_GOOD_AS_GREY, _SAME_CONTRAST = 2.0, 7.0, 1.2
_STEP = 1 << 14


class Colours:
    """Colours of images, compared in pairs; both ways round give the same.

    Parameters
    ----------
    thumbnails : ndarray of shape (n, 96) or (n, 64), uint8
        As `extract.images.thumbnails` makes them; zeros, or no column, for colours that are not known. Images
        with such differ from none.
    """

    def __init__(self, thumbnails: NDArray[np.uint8]) -> None:
        n = len(thumbnails)
        stored = np.zeros((n, COLOURS), np.uint8)
        stored[:, : thumbnails.shape[1] - GREYS] = thumbnails[:, GREYS:]
        self._known: Flags = stored.max(axis=1) > 0
        levels = stored.reshape(n, 2, COLOUR_SIDE, COLOUR_SIDE).astype(np.float32) - NEUTRAL
        levels[~self._known] = 0
        self._levels: Floats = levels
        self._mean: Floats = COLOUR_SIDE * levels.mean(axis=(2, 3))
        # Whole numbers, so that a mirrored picture has the very same.
        squares = np.square(levels, dtype=np.float64).sum(axis=(1, 2, 3))
        self._coloured = squares > _COLOURED**2
        greys = thumbnails[:, :GREYS].astype(np.int64)
        variance = GREYS * np.square(greys).sum(axis=1) - greys.sum(axis=1) ** 2
        # The contrast is at least a level.
        self._contrast = np.log(np.maximum(variance, GREYS**2)) / 2
        self._saturation = np.log(np.maximum(squares, 1)) / 2 - self._contrast

    def differ(self, i: Rows, j: Rows, turned: Flags) -> Flags:
        """For pairs that lie over each other: shape (n_pairs,).

        Parameters
        ----------
        i, j : ndarray of shape (n_pairs,), intp
        turned : ndarray of shape (n_pairs,), bool
            Whether one of the two is mirrored.
        """
        out = np.zeros(len(i), np.bool_)
        for start in range(0, len(i), _STEP):
            part = slice(start, start + _STEP)
            one, other = self._levels[i[part]], self._levels[j[part]]
            mirrored = turned[part][:, None, None, None]
            other = np.where(mirrored, other[..., ::-1], other)
            fields = (len(one), 2, COLOUR_SIDE * COLOUR_SIDE)
            out[part] = _hues_differ(one.reshape(fields), other.reshape(fields), _LEVELS)
        out |= self._saturations_differ(i, j)
        out &= self._known[i] & self._known[j]
        return out

    def differ_on_the_whole(self, i: Rows, j: Rows) -> Flags:
        """By the mean hue of each, wherever it lies in the picture: shape (n_pairs,)."""
        return _hues_differ(self._mean[i][..., None], self._mean[j][..., None], _LEVELS_OF_MEAN)

    def _saturations_differ(self, i: Rows, j: Rows) -> Flags:
        contrast = np.abs(self._contrast[i] - self._contrast[j])
        saturation = np.abs(self._saturation[i] - self._saturation[j])
        made_grey = (saturation >= np.log(_AS_GOOD_AS_GREY)) & (contrast <= np.log(_SAME_CONTRAST))
        unlike = (contrast > np.log(_TWICE)) | ((saturation > np.log(_TWICE)) & ~made_grey)
        differ: Flags = unlike & (self._coloured[i] | self._coloured[j])
        return differ


def _hues_differ(one: Floats, other: Floats, levels: float) -> Flags:
    """Of arrays of shape (n_pairs, 2, n_fields)."""
    weight = np.hypot(one[:, 0], one[:, 1]) * np.hypot(other[:, 0], other[:, 1])
    total = weight.sum(axis=1)
    apart = total - (one * other).sum(axis=(1, 2))
    differ: Flags = (apart > _HUE * total) & (apart > levels**2)
    return differ
