"""Copies of a picture as they come about: stored again, scaled, cropped, mirrored, brightened, and so on."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

Picture = Image.Image


def _jpeg(quality: int) -> Callable[[Picture], Picture]:
    def alter(picture: Picture) -> Picture:
        stored = io.BytesIO()
        picture.save(stored, "JPEG", quality=quality)
        return Image.open(stored).convert("RGB")

    return alter


def _scaled(factor: float) -> Callable[[Picture], Picture]:
    def alter(picture: Picture) -> Picture:
        width, height = (max(1, round(side * factor)) for side in picture.size)
        return picture.resize((width, height), Image.Resampling.LANCZOS)

    return alter


def _cropped(share: float) -> Callable[[Picture], Picture]:
    """Off one corner, so that what is left moves."""

    def alter(picture: Picture) -> Picture:
        width, height = picture.size
        return picture.crop((max(1, round(width * share)), max(1, round(height * share)), width, height))

    return alter


def _framed(share: float) -> Callable[[Picture], Picture]:
    def alter(picture: Picture) -> Picture:
        return ImageOps.expand(picture, max(1, round(share * min(picture.size))), "white")

    return alter


def _noisy(picture: Picture) -> Picture:
    pixels = np.asarray(picture, np.float32)
    noise = np.random.default_rng(pixels.size).normal(0, 6, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def _stamped(picture: Picture) -> Picture:
    """A light patch in a corner, a tenth of each side, as a watermark."""
    stamped = picture.copy()
    width, height = picture.size
    box = (round(width * 0.85), round(height * 0.85), round(width * 0.95) + 1, round(height * 0.95) + 1)
    stamped.paste((220, 220, 220), box)
    return stamped


ALTERATIONS: Mapping[str, Callable[[Picture], Picture]] = MappingProxyType(
    {
        "stored as PNG": lambda picture: picture,
        "JPEG quality 90": _jpeg(90),
        "JPEG quality 50": _jpeg(50),
        "half the size": _scaled(0.5),
        "double the size": _scaled(2),
        "blurred, radius 1": lambda picture: picture.filter(ImageFilter.GaussianBlur(1)),
        "noise of 6 in 255": _noisy,
        "brighter by 15 %": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
        "contrast 15 % less": lambda picture: ImageEnhance.Contrast(picture).enhance(0.85),
        "made grey": lambda picture: picture.convert("L").convert("RGB"),
        "stamped in a corner": _stamped,
        "cropped by 2 %": _cropped(0.02),
        "cropped by 6 %": _cropped(0.06),
        "white border of 4 %": _framed(0.04),
        "mirrored": ImageOps.mirror,
        "turned by 3 degrees": lambda picture: picture.rotate(3, Image.Resampling.BILINEAR),
    }
)
"""Name of an alteration -> what it makes of an RGB picture."""
