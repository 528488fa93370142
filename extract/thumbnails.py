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
_LUMA = np.array([77, 150, 29], np.uint16)
_OF_TEN = 4  # `geometry`: four corners, then the centre


def thumbnail(pixels: Pixels) -> Thumbnails:
    """Mean grey of 8 x 8 fields of equal size.

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
    grey = image @ _LUMA >> 8
    edges = [np.arange(SIDE) * length // SIDE for length in grey.shape]
    sums = np.add.reduceat(np.add.reduceat(grey.astype(np.uint32), edges[0], axis=0), edges[1], axis=1)
    sizes = [
        np.maximum(np.diff(starts, append=length), 1)
        for starts, length in zip(edges, grey.shape, strict=True)
    ]
    area = np.outer(*sizes)
    means: Thumbnails = ((2 * sums + area) // (2 * area)).astype(np.uint8)
    return means.ravel()
