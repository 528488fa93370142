"""Photograph-like JPEGs of any size: big soft structure, edges, texture; neither noise nor flat colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw


def picture(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """One picture: 1/f noise in three correlated channels, with some filled shapes for edges.

    Natural images have amplitude spectra near 1/f (Field 1987, "Relations between the statistics
    of natural images and the response properties of cortical cells").
    """
    rng = np.random.default_rng(seed)
    small_h, small_w = min(height, 512), min(width, 512)
    frequency = np.hypot(*np.meshgrid(np.fft.rfftfreq(small_w), np.fft.fftfreq(small_h)))
    frequency[0, 0] = 1 / max(small_h, small_w)
    grey = _spectrum(rng, frequency, (small_h, small_w))
    channels = [0.8 * grey + 0.2 * _spectrum(rng, frequency, (small_h, small_w)) for _ in range(3)]
    values = np.clip(128 + 45 * np.stack(channels, -1), 0, 255).astype(np.uint8)
    image = Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.integers(0, width), rng.integers(0, height)
        w, h = rng.integers(width // 20 + 1, width // 4 + 2), rng.integers(height // 20 + 1, height // 4 + 2)
        draw.ellipse(
            (int(x), int(y), int(x + w), int(y + h)), fill=tuple(int(c) for c in rng.integers(0, 256, 3))
        )
    texture = rng.normal(0, 4, (height, width, 1))
    mixed: NDArray[np.uint8] = np.clip(np.asarray(image) + texture, 0, 255).astype(np.uint8)
    return mixed


def _spectrum(rng: np.random.Generator, frequency: Any, shape: tuple[int, int]) -> NDArray[np.float64]:
    phase = rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)
    field = np.fft.irfft2(phase / frequency, s=shape)
    normalised: NDArray[np.float64] = (field - field.mean()) / field.std()
    return normalised


SETS = {
    "500x375 jpeg": (375, 500, "jpg", 200),
    "1600x1067 jpeg": (1067, 1600, "jpg", 60),
    "4000x2667 jpeg": (2667, 4000, "jpg", 16),
    "64x64 png": (64, 64, "png", 400),
}


PHOTOGRAPHS = "1000 photographs"
"""A set of JPEGs of 500x375 and about 110 KB each, as those of ImageNet are."""


def make_set(folder: Path, name: str) -> Path:
    """Write a set (of `SETS` or `PHOTOGRAPHS`) into its own folder, two classes, unless it is there."""
    height, width, suffix, count = (375, 500, "jpg", 1000) if name == PHOTOGRAPHS else SETS[name]
    quality = 92 if name == PHOTOGRAPHS else 88
    target = folder / name.replace(" ", "-")
    if target.exists():
        return target
    part = folder / f"{target.name}.part"
    for i in range(count):
        place = part / f"class-{i % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(height, width, i)).save(place / f"{i:05}.{suffix}", quality=quality)
    part.rename(target)
    return target
