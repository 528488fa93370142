"""Colours keep pictures apart that are alike in greys, and keep no copy from its picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageEnhance

from fc7.classify.duplicates.colours import Colours
from fc7.classify.duplicates.find import Duplicates, find_duplicates
from fc7.classify.image_columns import ImageColumns
from fc7.extract.images.thumbnails import GREYS, LENGTH, thumbnail
from tests.benchmarks.altered import ALTERATIONS
from tests.benchmarks.drawn import COLOURS

NO, YES = np.array([False]), np.array([True])


def square(rgb: tuple[int, int, int], left: int = 20, top: int = 60, side: int = 70) -> Image.Image:
    image = Image.new("RGB", (160, 160), (250, 250, 250))
    image.paste(rgb, (left, top, left + side, top + side))
    return image


def small(*pictures: Image.Image) -> np.ndarray:
    return np.stack([thumbnail(np.asarray(picture)[None]) for picture in pictures])


def differ(one: Image.Image, other: Image.Image, *, turned: bool = False) -> bool:
    both = Colours(small(one, other))
    first, second = np.array([0]), np.array([1])
    answers = {
        bool(both.differ(i, j, YES if turned else NO)[0]) for i, j in ((first, second), (second, first))
    }
    assert len(answers) == 1
    return answers.pop()


@pytest.mark.parametrize("one", COLOURS)
@pytest.mark.parametrize("other", COLOURS)
def test_squares_of_two_colours_differ(one: str, other: str) -> None:
    assert differ(square(COLOURS[one]), square(COLOURS[other])) == (one != other)


@pytest.mark.parametrize("name", ALTERATIONS)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_copy_does_not_differ_from_its_picture(name: str, colour: str) -> None:
    picture = square(COLOURS[colour])
    picture.paste((60, 160, 90), (100, 10, 150, 40))
    copy = ALTERATIONS[name](picture).convert("RGB")
    assert not differ(picture, copy, turned=name == "mirrored")
    pair = Colours(small(picture, copy))
    assert not pair.differ_on_the_whole(np.array([0]), np.array([1]))[0]


@pytest.mark.parametrize("saturation", [0.0, 0.6, 1.7])
def test_a_faded_copy_does_not_differ(saturation: float) -> None:
    picture = square(COLOURS["orange"])
    assert not differ(picture, ImageEnhance.Color(picture).enhance(saturation))


def test_a_mirrored_picture_is_compared_field_by_mirrored_field() -> None:
    picture = square(COLOURS["red"])
    picture.paste(COLOURS["blue"], (100, 60, 160, 130))
    mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert not differ(picture, mirrored, turned=True)
    assert differ(picture, mirrored)


def test_the_mean_hue_tells_pictures_apart_that_do_not_lie_over_each_other() -> None:
    pair = Colours(
        small(square(COLOURS["red"]), square(COLOURS["blue"], 80, 10), square(COLOURS["red"], 80, 10))
    )
    zero = np.array([0, 0])
    assert pair.differ_on_the_whole(zero, np.array([1, 2])).tolist() == [True, False]


@pytest.mark.parametrize("other", ["blue", "black"])
def test_colours_that_are_not_known_differ_from_none(other: str) -> None:
    both = small(square(COLOURS["red"]), square(COLOURS[other]))
    first, second = np.array([0]), np.array([1])
    assert Colours(both).differ(first, second, NO)[0]
    both[1, GREYS:] = 0
    for thumbnails in (both, both[:, :GREYS]):
        pair = Colours(thumbnails)
        assert not pair.differ(first, second, NO)[0]
        assert not pair.differ(second, first, NO)[0]
        assert not pair.differ_on_the_whole(first, second)[0]


def turn(rows: np.ndarray) -> np.ndarray:
    """With left and right exchanged."""
    greys, colours = rows[:, :GREYS].reshape(-1, 8, 8), rows[:, GREYS:].reshape(-1, 2, 4, 4)
    return np.concatenate(
        [greys[..., ::-1].reshape(len(rows), -1), colours[..., ::-1].reshape(len(rows), -1)], axis=1
    )


@settings(deadline=None)
@given(arrays(np.uint8, (6, LENGTH), elements=st.integers(0, 255)), st.booleans())
def test_the_rule_is_symmetric_in_the_pictures_and_in_mirroring(rows: np.ndarray, turned: bool) -> None:
    i, j = (side.ravel() for side in np.indices((6, 6)))
    way, other_way = np.full(36, turned), np.full(36, not turned)
    colours, there = Colours(rows), Colours(turn(rows))
    answer = colours.differ(i, j, way)
    np.testing.assert_array_equal(answer, colours.differ(j, i, way))
    np.testing.assert_array_equal(answer, there.differ(i, j, way))
    half = Colours(np.concatenate([rows, turn(rows)]))
    np.testing.assert_array_equal(answer, half.differ(i, j + 6, other_way))
    whole = colours.differ_on_the_whole(i, j)
    np.testing.assert_array_equal(whole, colours.differ_on_the_whole(j, i))
    itself = i == j
    assert not colours.differ(i, j, np.zeros(36, np.bool_))[itself].any()
    assert not whole[itself].any()


def squares(n: int) -> tuple[list[Image.Image], list[str]]:
    """Red and blue ones at places of their own."""
    rng = np.random.default_rng(3)
    names = ["red", "blue"]
    places = rng.integers(5, 75, (n, 2)).tolist()
    sides = rng.integers(40, 80, n).tolist()
    pictures = [square(COLOURS[names[k % 2]], places[k][0], places[k][1], sides[k]) for k in range(n)]
    return pictures, [names[k % 2] for k in range(n)]


def find(thumbnails: np.ndarray, y: list[str]) -> Duplicates:
    """With features that are noise."""
    X = np.random.default_rng(9).normal(size=(len(y), 40)).astype(np.float32)
    return find_duplicates(X, np.arange(len(y)), y, ImageColumns(thumbnails=thumbnails))


def test_a_square_is_tied_to_its_copies_and_not_to_one_of_another_colour() -> None:
    pictures, y = squares(60)
    recoloured = np.asarray(pictures[0]).copy()
    recoloured[(recoloured != 250).any(axis=2)] = COLOURS["blue"]
    extra = [
        Image.fromarray(recoloured),
        ALTERATIONS["JPEG quality 50"](pictures[4]),
        ALTERATIONS["made grey"](pictures[7]),
        ALTERATIONS["mirrored"](pictures[10]),
    ]
    thumbnails, labels = small(*pictures, *extra), [*y, "blue", "blue", y[7], y[10]]
    found = find(thumbnails, labels)
    assert {frozenset(pair) for pair in ((4, 61), (7, 62), (10, 63))} <= {
        frozenset((pair.first, pair.second)) for pair in found.pairs
    }
    assert found.group[0] != found.group[60]
    # Without colours it is found: what keeps them apart is the rule.
    assert find(thumbnails[:, :GREYS], labels).group[0] == find(thumbnails[:, :GREYS], labels).group[60]


def test_features_that_are_alike_tie_no_two_colours() -> None:
    pictures, y = squares(60)
    X = np.random.default_rng(9).normal(size=(62, 40)).astype(np.float32)
    X[60], X[61] = X[0] + 1e-3, X[2] + 1e-3
    blank = np.full((160, 160, 3), 250, np.uint8)
    blank[10:30] = COLOURS["blue"]
    thumbnails = small(*pictures, Image.fromarray(blank), pictures[2].crop((10, 10, 150, 150)))
    found = find_duplicates(X, np.arange(62), [*y, "blue", "red"], ImageColumns(thumbnails=thumbnails))
    assert found.group[0] != found.group[60]
    assert found.group[2] == found.group[61]
