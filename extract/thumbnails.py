"""The same picture, however it is stored: 8 x 8 grey values of every image, kept beside its features.

Stored again, scaled, blurred or brightened, a picture keeps its coarse greys to about one level in 255,
while the features of a network move by as much as those of different pictures differ where all are alike
(`classify.duplicates`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from extract.stages import Pixels

Thumbnails = NDArray[np.uint8]

SIDE = 8
LENGTH = SIDE * SIDE
"""Numbers of a thumbnail."""

# Rec. ITU-R BT.601, luma of R, G and B, in 256ths.
_LUMA = np.array([77, 150, 29])
_OF_TEN = 4  # `geometry`: four corners, then the centre


def thumbnail(pixels: Pixels) -> Thumbnails:
    """Mean grey of 8 x 8 fields of equal size; up to three rows at the lower edge are left out.

    Parameters
    ----------
    pixels : ndarray of shape (crops, height, width, 3), uint8
        RGB as the network is given it; of ten crops the centre one counts.

    Returns
    -------
    ndarray of shape (64,), uint8
        Row by row, in whole numbers throughout: the same on every machine. An image without a field that
        is not black gives zeros, which a cache takes for no thumbnail.
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
    sums = np.add.reduceat(np.add.reduceat(rows, top, axis=0), left, axis=1, dtype=np.int64) @ _LUMA
    area = 256 * np.outer(heights, widths)
    means: Thumbnails = ((2 * sums + area) // (2 * area)).astype(np.uint8)
    return means.ravel()
