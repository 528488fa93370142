"""A TIFF's numbers to RGB, by the table in `extract.images.decode`; plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.images.colours import (
    divided_by_255,
    grey_from_floats,
    grey_from_integers,
    on_white,
    rgb_from_lab,
)
from fc7.extract.images.tiff.layout import (
    ASSOCIATED,
    CMYK,
    FLOAT,
    ICC_LAB,
    LAB,
    PALETTE,
    WHITE_IS_ZERO,
    YCBCR,
    TiffLayout,
)
from fc7.extract.records import Pixels

# Whole numbers of more bits are read as if they had 16.
_MOST_BITS = 16
# Pixels.
_AT_ONCE = 1 << 15


def rgb_from_samples(samples: NDArray[Any], layout: TiffLayout) -> Pixels:
    """Stored numbers to pixels, not yet turned upright.

    Parameters
    ----------
    samples : ndarray of shape (height, width, channels)
        Colours and, if `layout` says so, alpha behind them.

    Returns
    -------
    ndarray of shape (height, width, 3) or (height, width), uint8
        RGB or grey, 0-255.

    Raises
    ------
    ImageError
        If numbers lie outside the range that is read.
    """
    if layout.photometric not in (PALETTE, LAB, ICC_LAB):
        samples = _levels(samples, layout)
    # In pieces that fit into the cache: compositing and conversions take several times a picture's memory.
    step = max(1, _AT_ONCE // layout.width)
    bands = [_rgb(samples[top : top + step], layout) for top in range(0, layout.height, step)]
    return np.concatenate(bands) if len(bands) > 1 else bands[0]


def _rgb(samples: NDArray[Any], layout: TiffLayout) -> Pixels:
    """Levels, palette indices or codes of L*a*b*, and alpha, to grey or RGB."""
    colours = _colours(samples[..., : layout.colours], layout)
    if not layout.alpha:
        return colours[..., 0] if colours.shape[2] == 1 else colours
    alpha = samples[..., layout.colours]
    if layout.photometric in (PALETTE, LAB, ICC_LAB):
        alpha = _levels(alpha, layout)
    mixed = on_white(colours, alpha, premultiplied=layout.alpha == ASSOCIATED)
    return mixed[..., 0] if mixed.shape[2] == 1 else mixed


def _colours(samples: NDArray[Any], layout: TiffLayout) -> Pixels:
    if layout.photometric == PALETTE:
        return _looked_up(samples[..., 0], layout)
    if layout.photometric in (LAB, ICC_LAB):
        return rgb_from_lab(samples, layout.bits, signed=layout.photometric == LAB)
    if layout.photometric == CMYK:
        light = np.invert(samples).astype(np.uint16)
        return divided_by_255(light[..., :3] * light[..., 3:])
    if layout.photometric == YCBCR:
        return _from_ycbcr(samples, layout)
    return np.invert(samples) if layout.photometric == WHITE_IS_ZERO else samples


def _levels(samples: NDArray[Any], layout: TiffLayout) -> Pixels:
    """Numbers of any width to 0-255."""
    if layout.number == FLOAT:
        return grey_from_floats(samples)
    if samples.dtype == np.uint8 and layout.bits == 8:
        return samples
    if samples.dtype == np.uint16 and layout.bits == 16 and (layout.colours > 1 or layout.alpha):
        high = np.empty(samples.shape, np.uint8)
        np.right_shift(samples, 8, out=high, casting="unsafe")
        return high
    return grey_from_integers(samples, min(layout.bits, _MOST_BITS))


def _looked_up(samples: NDArray[Any], layout: TiffLayout) -> Pixels:
    table = np.array(layout.colour_map[: 3 << layout.bits], np.uint16).reshape(3, -1).T
    # Old programs store 8 bits; libtiff (tif_getimage.c, checkcmap) tells them apart in the same way.
    shift = 8 if table.max() > 255 else 0
    return np.take(_bytes(table >> shift), samples, axis=0)


def _from_ycbcr(levels: Pixels, layout: TiffLayout) -> Pixels:
    """TIFF 6.0, section 21; with its defaults, JFIF's formulas."""
    black, white = np.array(layout.black_white, np.float32).reshape(3, 2).T
    span = np.where(white == black, 1, white - black)
    codes = (levels - black) * np.array([255, 127, 127], np.float32) / span
    y, cb, cr = np.moveaxis(codes, -1, 0)
    red_weight, green_weight, blue_weight = layout.luma
    red, blue = y + cr * (2 - 2 * red_weight), y + cb * (2 - 2 * blue_weight)
    green = (y - red_weight * red - blue_weight * blue) / (green_weight or 1)
    return _bytes(np.clip(np.rint(np.stack([red, green, blue], axis=-1)), 0, 255))


def _bytes(values: NDArray[Any]) -> Pixels:
    pixels: Pixels = values.astype(np.uint8)
    return pixels
