"""The report's colours: readable in light and dark, and apart for those who see fewer of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from fc7.classify.report.palette import DARK, LIGHT, Palette, stand_ins, variables

both = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])

# Machado, Oliveira & Fernandes 2009, "A physiologically-based model for simulation of color vision
# deficiency", severity 1.0, on linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def oklab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ottosson 2020, "A perceptual color space for image processing"."""
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    opponents = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    result: NDArray[np.float64] = opponents @ np.cbrt(cones @ np.clip(light, 0, 1))
    return result


def linear(colour: str) -> tuple[float, float, float]:
    """The sRGB colour ``#rrggbb`` as light of red, green and blue, 0 to 1 (IEC 61966-2-1)."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return red, green, blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21: WCAG 2.2, "contrast ratio" and "relative luminance"."""
    lights = (float(np.dot((0.2126, 0.7152, 0.0722), linear(colour))) for colour in (one, other))
    low, high = sorted(lights)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_published_pairs() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # WebAIM's example
    assert contrast("#ff0000", "#ffffff") == pytest.approx(4.0, abs=0.005)


@both
def test_text_can_be_read(palette: Palette) -> None:
    for ground in (palette.page, palette.panel):
        for ink in (palette.ink, palette.faint, palette.link, palette.bad):
            assert contrast(ink, ground) >= 4.5, (ink, ground)
    for ink, cell in zip(palette.cell_ink, palette.cell, strict=True):
        assert contrast(ink, cell) >= 4.5, (ink, cell)


@both
def test_marks_stand_out(palette: Palette) -> None:
    for colour in (palette.one, palette.two, palette.faint, *palette.classes):
        assert contrast(colour, palette.page) >= 3, colour


@both
@pytest.mark.parametrize("sight", SIGHT)
def test_colours_of_classes_stay_apart(palette: Palette, sight: str) -> None:
    seen = [oklab(np.array(SIGHT[sight]) @ np.array(linear(colour))) for colour in palette.classes]
    # Twice the 0.02 at which two patches side by side are just told apart, three times over.
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) >= 0.12


@both
def test_shades_of_the_matrix_rise_evenly_from_the_page(palette: Palette) -> None:
    lightness = [oklab(np.array(linear(colour)))[0] for colour in palette.cell]
    steps = np.diff(lightness)
    assert palette.cell[0] == palette.page
    assert (steps < -0.03).all() or (steps > 0.03).all()


def test_every_colour_has_a_variable_in_both_modes() -> None:
    assert LIGHT.names().keys() == DARK.names().keys()
    assert list(stand_ins().names()) == list(LIGHT.names())
    assert len(set(variables())) == len(LIGHT.names())
    assert variables()[stand_ins().classes[3]] == "var(--classes-3)"
