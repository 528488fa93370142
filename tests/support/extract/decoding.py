"""Encoded bytes to all of a picture's pixels."""

from __future__ import annotations

from fc7.extract.images.decode import MAX_PIXELS, shrink
from fc7.extract.records import Pixels

_LARGER_THAN_ANY = 1 << 20


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """A picture at its full size, shape (height, width, 3)."""
    return shrink(data, _LARGER_THAN_ANY, max_pixels=max_pixels)
