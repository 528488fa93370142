"""Pixel values that are not 8-bit RGB, turned into what is; plain NumPy. The rules: `extract.images`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.stages import Pixels
from models.errors import ImageError

# CIE 15: L*a*b* is linear below (6/29)**3; the D50 white is ICC.1's profile connection space.
_LAB_LINEAR_BELOW = 6 / 29
_D50_WHITE = np.array([0.9642, 1.0, 0.8249])
# D50 XYZ to linear sRGB, Bradford adaptation included: Lindbloom, "RGB/XYZ Matrices".
_XYZ_D50_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)
# At a time: a pixel takes 200 bytes on its way.
_LAB_PIXELS = 1 << 16


def grey_from_integers(values: NDArray[Any], bits: int, white_is_zero: bool = False) -> Pixels:
    """Whole numbers of `bits` bits spread over 0-255, rounded.

    Parameters
    ----------
    values : ndarray of integers
    bits : int
        9 to 16. The largest value, ``2**bits - 1``, becomes 255.
    white_is_zero : bool
        TIFF's PhotometricInterpretation 0: the scale is turned round.

    Raises
    ------
    ImageError
        If a value does not fit into `bits` bits: the range it was meant for is unknown.
    """
    top = (1 << bits) - 1
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > top:
        raise ImageError(
            f"its whole numbers reach from {low} to {high}; only 0-{top} is read (save it as 8 or 16 bits)"
        )
    # The divisor is odd, so no value lies half way and the rounding needs no rule.
    grey: Pixels = ((values.astype(np.uint32) * 255 + top // 2) // top).astype(np.uint8)
    return 255 - grey if white_is_zero else grey


def grey_from_floats(values: NDArray[np.float32], white_is_zero: bool = False) -> Pixels:
    """Floats of 0-1 spread over 0-255, rounded.

    Raises
    ------
    ImageError
        If a value lies outside 0-1 or is no number.
    """
    low, high = float(values.min()), float(values.max())
    # Written so that NaN, which makes min and max NaN, fails too.
    if not (low >= 0 and high <= 1):
        raise ImageError(
            f"its floating-point values reach from {low:g} to {high:g}; only 0-1 is read "
            "(save it as 8 or 16 bits)"
        )
    grey: Pixels = np.rint(values * np.float32(255)).astype(np.uint8)
    return 255 - grey if white_is_zero else grey


def rgb_from_lab(values: Pixels) -> Pixels:
    """8-bit CIE L*a*b* to sRGB.

    Parameters
    ----------
    values : ndarray of shape (h, w, 3), uint8
        L* as 0-255 for 0-100, a* and b* as bytes with a sign (TIFF 6.0, section 23).

    Returns
    -------
    ndarray of shape (h, w, 3), uint8
        Clipped where sRGB has no such colour.
    """
    pixels = np.empty_like(values)
    step = max(1, _LAB_PIXELS // values.shape[1])
    for top in range(0, len(values), step):
        pixels[top : top + step] = _rgb_from_lab(values[top : top + step])
    return pixels


def _rgb_from_lab(values: Pixels) -> Pixels:
    lightness = values[..., 0].astype(np.float64)
    a, b = np.moveaxis(np.ascontiguousarray(values[..., 1:]).view(np.int8).astype(np.float64), -1, 0)
    middle = (lightness * (100 / 255) + 16) / 116
    roots = np.stack([middle + a / 500, middle, middle - b / 200], axis=-1)
    linear = 3 * _LAB_LINEAR_BELOW**2 * (roots - 4 / 29)
    xyz = np.where(roots > _LAB_LINEAR_BELOW, roots**3, linear) * _D50_WHITE
    light = np.clip(xyz @ _XYZ_D50_TO_SRGB.T, 0, 1)
    # IEC 61966-2-1, the sRGB transfer curve.
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    pixels: Pixels = np.rint(encoded * 255).astype(np.uint8)
    return pixels
