"""Drawn pictures whose classes differ in colour or in shape, as a red square and a blue one."""

from __future__ import annotations

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {
    "red": (214, 39, 40),
    "orange": (245, 140, 30),
    "yellow": (240, 220, 50),
    "green": (44, 150, 60),
    "turquoise": (40, 190, 190),
    "blue": (40, 80, 200),
    "purple": (130, 60, 170),
    "pink": (240, 130, 180),
    "brown": (120, 75, 40),
    "black": (25, 25, 25),
}
CORNERS = {"triangle": 3, "square": 4, "hexagon": 6, "star": 10, "circle": 48}
PER_CLASS, _SIDE = 12, 160


def drawn_set(folder: Path, seed: int = 0) -> Path:
    """Write 600 pictures of 50 classes, each with its own place, size and turn; nothing if they are there."""
    target = folder / "drawn"
    if not target.exists():
        part = folder / "drawn.part"
        for colour, rgb in COLOURS.items():
            for shape in CORNERS:
                place = part / f"{colour}-{shape}"
                place.mkdir(parents=True, exist_ok=True)
                for i in range(PER_CLASS):
                    picture = _picture(random.Random(f"{seed} {colour} {shape} {i}"), rgb, shape)
                    picture.save(place / f"{i:02}.png")
        part.rename(target)
    return target


def _picture(rng: random.Random, rgb: tuple[int, int, int], shape: str) -> Image.Image:
    large = 3 * _SIDE  # drawn large and made smaller: smooth edges
    image = Image.new("RGB", (large, large), (rng.randint(235, 255),) * 3)
    radius = rng.uniform(0.15, 0.35) * large
    x, y = (rng.uniform(radius, large - radius) for _ in range(2))
    turn, n = rng.uniform(-0.3, 0.3), CORNERS[shape]
    corners = []
    for k in range(n):
        length = radius * (0.45 if shape == "star" and k % 2 else 1)
        angle = 2 * math.pi * k / n + turn - math.pi / 2
        corners.append((x + length * math.cos(angle), y + length * math.sin(angle)))
    fill = tuple(min(255, max(0, level + rng.randint(-10, 10))) for level in rgb)
    ImageDraw.Draw(image).polygon(corners, fill=fill)
    return image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
