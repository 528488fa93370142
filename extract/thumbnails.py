"""The same picture, however it is stored: 8 x 8 greys and 4 x 4 colours of every image, beside its features.

Stored again, scaled, blurred or brightened, a picture keeps its coarse greys to about one level in 255,
while the features of a network move by as much as those of different pictures differ where all are alike
(`classify.duplicates`). Its colours keep their hues, which tell a red square from a blue one
(`classify.hues`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from extract.stages import Pixels

Thumbnails = NDArray[np.uint8]

SIDE, COLOUR_SIDE = 8, 4
GREYS, COLOURS = SIDE * SIDE, 2 * COLOUR_SIDE * COLOUR_SIDE
LENGTH = GREYS + COLOURS
"""Numbers of a thumbnail: greys first."""
NEUTRAL = 128
"""Cb and Cr of grey. They are never 0, which says that the colour is not known."""

# Rec. ITU-R BT.601: Y, Cb and Cr of R, G and B, in 256ths.
_OF_RGB = np.array([[77, 150, 29], [-43, -85, 128], [128, -107, -21]]).T
_EVEN = np.arange(0, SIDE, SIDE // COLOUR_SIDE)
_OF_TEN = 4  # `geometry`: four corners, then the centre


def thumbnail(pixels: Pixels) -> Thumbnails:
    """Mean grey of 8 x 8 fields of equal size, and mean colour of 4 x 4; up to three rows at the lower edge
    are left out.

    Parameters
    ----------
    pixels : ndarray of shape (crops, height, width, 3), uint8
        RGB as the network is given it; of ten crops the centre one counts.

    Returns
    -------
    ndarray of shape (96,), uint8
        64 greys, 16 Cb, 16 Cr, each row by row, in whole numbers throughout: the same on every machine. An
        image without a field that is not black has zeros as greys, which a cache takes for no thumbnail.
    """
    image = pixels[_OF_TEN if len(pixels) > _OF_TEN else 0]
    # Sums of up to 257 bytes fit 16 bits, and those are added several at a time.
    rows = image.astype(np.uint16 if len(image) <= 256 * SIDE else np.uint32)
    together = 1
    while len(rows) >= 4 * SIDE and together < 4:
        # Four rows at once before the fields: a third of the time.
        rows = rows[: len(rows) // 2 * 2 : 2] + rows[1::2]
        together *= 2
    top, left = (np.arange(SIDE) * length // SIDE for length in rows.shape[:2])
    heights = together * np.maximum(np.diff(top, append=len(rows)), 1)
    widths = np.maximum(np.diff(left, append=rows.shape[1]), 1)
    sums = np.add.reduceat(np.add.reduceat(rows, top, axis=0), left, axis=1, dtype=np.int64) @ _OF_RGB
    area = 256 * np.outer(heights, widths)
    greys = _rounded(sums[..., 0], area)
    # Two fields by two.
    colours = np.add.reduceat(np.add.reduceat(sums[..., 1:], _EVEN, axis=0), _EVEN, axis=1)
    area = np.add.reduceat(np.add.reduceat(area, _EVEN, axis=0), _EVEN, axis=1)
    levels = np.minimum(_rounded(colours, area[..., None]) + NEUTRAL, 255)
    found: Thumbnails = np.concatenate(
        [greys.ravel(), levels[..., 0].ravel(), levels[..., 1].ravel()]
    ).astype(np.uint8)
    return found


def _rounded(sums: NDArray[np.int64], area: NDArray[np.int64]) -> NDArray[np.int64]:
    """To the nearest whole number, halves up."""
    means: NDArray[np.int64] = (2 * sums + area) // (2 * area)
    return means
