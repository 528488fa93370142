"""Decoded pictures of any mode, and arrays, to grey or RGB, alpha on white. Imports PIL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from fc7.extract.images import jpeg2000
from fc7.extract.images.codecs import png
from fc7.extract.images.colours import grey_from_floats, grey_from_integers, rgb_from_lab, to_bytes, widened
from fc7.extract.records import Pixels
from fc7.models.common.errors import ImageError


def flatten(image: ImageFile.ImageFile, data: bytes, kind: str) -> Image.Image:
    """Any mode of Pillow to L or RGB, by the table in `extract.images.decode`.

    Parameters
    ----------
    image : ImageFile.ImageFile
        Decoded.
    data : bytes
        Its whole file.
    kind : str
        As `extract.images.codecs.formats.sniff`.

    Raises
    ------
    ImageError
        If its values have no known range.
    """
    if kind == "JPEG 2000" and jpeg2000.is_deep(data):
        return composited(Image.frombytes(image.mode, image.size, jpeg2000.decode(data).tobytes()))
    if kind == "JPEG 2000":
        return composited(_from_jpeg2000(image, jpeg2000.depths(data)))
    mode, clear = image.mode, image.info.get("transparency")
    if mode in ("L", "RGB") and clear is None:
        return image
    if mode == "F":
        return Image.fromarray(grey_from_floats(np.asarray(image)))
    if mode == "I" or mode.startswith("I;16"):
        values = np.asarray(image)
        grey = grey_from_integers(values, 16)
        return Image.fromarray(grey if clear is None else np.where(values == clear, np.uint8(255), grey))
    if mode == "LAB":
        return Image.fromarray(rgb_from_lab(np.asarray(image), 8))
    if mode == "CMYK":
        # Pillow inverts every CMYK JPEG; only Adobe's are stored inverted.
        if kind == "JPEG" and "adobe" not in image.info:
            return image.point([255 - value for value in range(256)] * 4).convert("RGB")
        return image.convert("RGB")
    if kind == "PNG" and clear is not None:
        image.info["transparency"] = png.clear_colour(clear, data)
    return composited(image)


def composited(image: Image.Image) -> Image.Image:
    """On white, of mode L or RGB."""
    if not image.has_transparency_data:
        return image if image.mode == "L" else image.convert("RGB")
    # Pillow converts premultiplied grey only to plain grey with alpha.
    coloured = image.convert("LA") if image.mode == "La" else image
    # A picture of 169 megapixels is 676 MB: none is copied in vain.
    return _on_white(coloured if coloured.mode == "RGBA" else coloured.convert("RGBA"))


def _on_white(coloured: Image.Image) -> Image.Image:
    white = Image.new("RGB", coloured.size, "white")
    white.paste(coloured, mask=coloured)
    return white


def _from_jpeg2000(image: Image.Image, bits: Sequence[int]) -> Image.Image:
    """All channels on the scale 0-255."""
    if image.mode == "I;16":
        values = np.asarray(image) >> max(16 - bits[0], 0)
        return Image.fromarray(grey_from_integers(values, min(bits[0], 16)))
    if min(bits) >= 8:
        return image
    if image.mode in ("P", "PA"):
        raise ImageError(f"JPEG 2000 with a palette and {bits[0]} bits; with 8 it is read, convert it to PNG")
    # Of four channels Pillow makes RGBA or CMYK, of three RGB.
    channels = np.asarray(image)
    return Image.frombytes(image.mode, image.size, widened(channels, bits).tobytes())


def from_values(values: NDArray[Any]) -> Image.Image:
    """An array to an image of mode L or RGB, by the table in `extract.images.decode`.

    Parameters
    ----------
    values : ndarray of shape (h, w) or (h, w, 1 to 4), uint8, uint16 or floating point
        Grey or RGB, perhaps with alpha.

    Raises
    ------
    ImageError
        If there are more channels, or values of no known range.
    """
    n_channels = values.shape[2] if values.ndim == 3 else 1
    if n_channels > 4:
        raise ImageError(f"{n_channels} channels; grey or RGB with or without alpha is read")
    grey = n_channels == 1
    if values.dtype.kind == "f":
        values = grey_from_floats(values.astype(np.float32))
    elif values.dtype == np.uint16:
        values = grey_from_integers(values, 16) if grey else (values >> 8).astype(np.uint8)
    height, width = values.shape[:2]
    mode = ("L", "LA", "RGB", "RGBA")[n_channels - 1]
    return composited(Image.frombytes(mode, (width, height), np.ascontiguousarray(values).tobytes()))


def from_array(pixels: Pixels) -> Image.Image:
    """Pixels that a caller gives, to an image of mode L or RGB; alpha on white.

    Parameters
    ----------
    pixels : ndarray of shape (h, w), (h, w, 3) or (h, w, 4), uint8

    Raises
    ------
    ImageError
        If they are of another type or shape, or none.
    """
    if pixels.dtype != np.uint8:
        raise ImageError(f"an array of {pixels.dtype}; uint8 (0-255) is read; {to_bytes(pixels.dtype)}")
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,), (4,)):
        raise ImageError(f"an array of shape {pixels.shape}; (h, w, 3), (h, w, 4) or (h, w) is read")
    if 0 in pixels.shape:
        raise ImageError(f"an array of shape {pixels.shape} has no pixels")
    image = Image.fromarray(pixels)
    return _on_white(image) if image.mode == "RGBA" else image
