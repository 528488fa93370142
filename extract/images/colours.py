"""Pixel values that are not 8-bit RGB, turned into it; plain NumPy. The rules: `extract.images.decode`.

Pillow's own `convert` (13.0) cuts 16-bit greys off at 255 (99 % of evenly spread values are wrong), leaves
alpha out, and makes 0 and 1 of floating point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.records import Pixels
from fc7.models.common.errors import ImageError

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


def grey_from_integers(values: NDArray[Any], bits: int) -> Pixels:
    """Whole numbers of `bits` bits spread over 0-255, rounded.

    Parameters
    ----------
    values : ndarray of integers
    bits : int
        1 to 16. The largest value, ``2**bits - 1``, becomes 255.

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
    return grey


def widened(values: Pixels, bits: Sequence[int]) -> Pixels:
    """Channels of fewer than 8 bits, which stand in the high bits of their bytes, spread over 0-255.

    Parameters
    ----------
    values : ndarray of shape (h, w) or (h, w, n_channels), uint8
    bits : sequence of int
        Of each channel, 1 to 8.

    Examples
    --------
    >>> widened(np.array([[0, 16, 240]], np.uint8), [4])
    array([[  0,  17, 255]], dtype=uint8)
    """
    fewer = np.minimum(bits, 8) if values.ndim == 3 else min(*bits, 8)
    top = (1 << np.asarray(fewer)) - 1
    return ((values >> (8 - fewer)).astype(np.uint16) * 255 // top).astype(np.uint8)


def grey_from_floats(values: NDArray[np.float32]) -> Pixels:
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
    return grey


def on_white(colour: Pixels, alpha: Pixels, *, premultiplied: bool = False) -> Pixels:
    """Composite on white, rounded half up.

    Parameters
    ----------
    colour : ndarray of shape (h, w, c), uint8
    alpha : ndarray of shape (h, w), uint8
    premultiplied : bool
        Whether `colour` is already multiplied by alpha.

    Returns
    -------
    ndarray of shape (h, w, c), uint8
    """
    solid = alpha[..., None].astype(np.uint16)
    if premultiplied:
        mixed = np.minimum(colour + (255 - solid), 255)
        pixels: Pixels = mixed.astype(np.uint8)
        return pixels
    return divided_by_255(colour * solid + 255 * (255 - solid))


def divided_by_255(products: NDArray[np.uint16]) -> Pixels:
    """Numbers of at most 255 * 255 divided by 255 and rounded, without a slow division.

    Blinn (1995), "Three Wrongs Make a Right", IEEE Computer Graphics and Applications 15(6).
    """
    halved = products + np.uint16(128)
    pixels: Pixels = ((halved + (halved >> 8)) >> 8).astype(np.uint8)
    return pixels


def rgb_from_lab(codes: NDArray[Any], bits: int, *, signed: bool = True) -> Pixels:
    """CIE L*a*b* as TIFF stores it (TIFF 6.0, section 23) to sRGB, a few rows at a time.

    Parameters
    ----------
    codes : ndarray of shape (h, w, 3), integers
    bits : int
        8 or 16. L* is 0-100 over the whole range, a* and b* are in units of ``1 / 2**(bits - 8)``.
    signed : bool
        Whether a* and b* are two's complements; else they are stored 128 higher.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8
        Clipped where sRGB has no such colour.
    """
    pixels = np.empty(codes.shape, np.uint8)
    step = max(1, _LAB_PIXELS // codes.shape[1])
    for top in range(0, len(codes), step):
        lab = _lab_from_codes(codes[top : top + step], bits, signed=signed)
        pixels[top : top + step] = _rgb_from_lab(lab)
    return pixels


def _lab_from_codes(codes: NDArray[Any], bits: int, *, signed: bool) -> NDArray[np.float32]:
    """L* of 0-100, a* and b*."""
    lab = (codes.astype(np.int64) & ((1 << bits) - 1)).astype(np.float32)
    lab[..., 0] *= 100 / ((1 << bits) - 1)
    lab[..., 1:] /= 1 << (bits - 8)
    lab[..., 1:] -= 256 * (lab[..., 1:] >= 128) if signed else 128
    return lab


def _rgb_from_lab(lab: NDArray[np.float32]) -> Pixels:
    lightness, a, b = np.moveaxis(lab.astype(np.float64), -1, 0)
    middle = (lightness + 16) / 116
    roots = np.stack([middle + a / 500, middle, middle - b / 200], axis=-1)
    linear = 3 * _LAB_LINEAR_BELOW**2 * (roots - 4 / 29)
    xyz = np.where(roots > _LAB_LINEAR_BELOW, roots**3, linear) * _D50_WHITE
    light = np.clip(xyz @ _XYZ_D50_TO_SRGB.T, 0, 1)
    # IEC 61966-2-1, the sRGB transfer curve.
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    pixels: Pixels = np.rint(encoded * 255).astype(np.uint8)
    return pixels


def to_bytes(dtype: np.dtype[Any]) -> str:
    """How pixels ``x`` of another type become uint8, as advice: their range is for their owner to say.

    Examples
    --------
    >>> to_bytes(np.dtype("uint16"))
    "if they lie in 0-65535: (x // 257).astype('uint8'); if in 0-255: x.astype('uint8')"
    """
    if dtype.kind == "b":
        return "if False is black: 255 * x.astype('uint8')"
    if dtype.kind not in "iu":
        return "if they lie in 0-1: (255 * x).round().astype('uint8')"
    plain = "0-255: x.astype('uint8')"
    if dtype.kind == "i":
        return f"if they lie in {plain}"
    top = int(np.iinfo(dtype).max)
    return f"if they lie in 0-{top}: (x // {top // 255}).astype('uint8'); if in {plain}"
