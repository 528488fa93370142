"""The same picture, however it is stored: 8 x 8 greys and 4 x 4 colours of every image, beside its features.

Stored again, scaled, blurred or brightened, a picture keeps its coarse greys to about one level in 255,
while the features of a network move by as much as those of different pictures differ where all are alike
(`classify.duplicates.find`). Its colours keep their hues, which tell a red square from a blue one
(`classify.duplicates.colours`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fc7.extract.records import Pixels

Thumbnails = NDArray[np.uint8]

SIDE, COLOUR_SIDE = 8, 4
GREYS, COLOURS = SIDE * SIDE, 2 * COLOUR_SIDE * COLOUR_SIDE
LENGTH = GREYS + COLOURS
"""Numbers of a thumbnail: greys first."""
NEUTRAL = 128
"""Cb and Cr of grey. They are never 0, which says that the colour is not known."""

# Rec. ITU-R BT.601: Y, Cb and Cr of R, G and B, in 256ths.
_OF_RGB = np.array([[77, 150, 29], [-43, -85, 128], [128, -107, -21]]).T
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
    grid = _grid(*image.shape[:2])
    rows = image.astype(grid.kind)
    bands = np.empty((SIDE, *image.shape[1:]), np.int64)
    for band, (first, end) in zip(bands, grid.bands, strict=True):
        band[:] = rows[first:end].sum(axis=0, dtype=grid.kind)
    sums = np.add.reduceat(bands, grid.left, axis=1) @ _OF_RGB
    greys = _rounded(sums[..., 0], grid.area)
    colours = _by_two(sums[..., 1:])
    levels = np.minimum(_rounded(colours, grid.area_by_two[..., None]) + NEUTRAL, 255)
    found: Thumbnails = np.concatenate(
        [greys.ravel(), levels[..., 0].ravel(), levels[..., 1].ravel()]
    ).astype(np.uint8)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Where the fields of images of one size lie.

    Attributes
    ----------
    kind : numpy type
        Whole numbers in which the rows of a band can be added: the smaller, the more at once.
    bands : list of (int, int)
        Rows of the eight bands, whole fours of rows from 64 on, whole twos from 32 on.
    left : ndarray of shape (8,), intp
    area, area_by_two : ndarray of shape (8, 8) and (4, 4), int64
        What the weighted sums of a field, and of two by two, are to be divided by.
    """

    kind: type[np.uint16] | type[np.uint32]
    bands: list[tuple[int, int]]
    left: NDArray[np.intp]
    area: NDArray[np.int64]
    area_by_two: NDArray[np.int64]


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> _Grid:
    step = 1 if height < 4 * SIDE else 2 if height < 8 * SIDE else 4
    (top, heights), (left, widths) = _fields(height // step), _fields(width)
    top, heights = step * top, step * heights
    area = 256 * np.outer(heights, widths)
    return _Grid(
        # 257 bytes add up to 65535 at most.
        kind=np.uint16 if heights.max() <= 257 else np.uint32,
        bands=list(zip(top.tolist(), (top + heights).tolist(), strict=True)),
        left=left,
        area=area,
        area_by_two=_by_two(area),
    )


def _fields(length: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where eight fields begin, and how long they are; of fewer than eight pixels some lie in several."""
    start = np.arange(SIDE) * length // SIDE
    return start, np.maximum(np.diff(start, append=length), 1)


def _by_two(fields: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums of two by two fields: shape (4, 4, ...)."""
    return fields[::2, ::2] + fields[1::2, ::2] + fields[::2, 1::2] + fields[1::2, 1::2]


def _rounded(sums: NDArray[np.int64], area: NDArray[np.int64]) -> NDArray[np.int64]:
    """To the nearest whole number, halves up."""
    means: NDArray[np.int64] = (2 * sums + area) // (2 * area)
    return means
