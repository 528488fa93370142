"""Thumbnails: the mean grey of 64 fields, kept with each row through segments, commits and merges."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest

from extract.cache.merge import merge
from extract.cache.reader import load_features
from extract.cache.verify import verify
from extract.thumbnails import LENGTH, SIDE, thumbnail
from tests.extract.cache_support import PETS, Folder, block, refs, writer


def by_loops(image: np.ndarray) -> np.ndarray:
    """The mean of each field, pixel by pixel, rounded half up; fields are of whole fours of rows, or twos."""
    height, width, _ = image.shape
    step = 4 if height // 2 >= 4 * SIDE else 2 if height >= 4 * SIDE else 1
    rows = [step * (y * (height // step) // SIDE) for y in range(SIDE)] + [height // step * step]
    columns = [x * width // SIDE for x in range(SIDE)] + [width]
    means = []
    for y in range(SIDE):
        for x in range(SIDE):
            field = image[rows[y] : rows[y + 1], columns[x] : columns[x + 1]].reshape(-1, 3).tolist()
            grey = Fraction(sum(77 * r + 150 * g + 29 * b for r, g, b in field), 256 * len(field))
            means.append(floor(grey + Fraction(1, 2)))
    return np.array(means, np.uint8)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (64, 64), (37, 53), (63, 9), (227, 227), (224, 299)])
def test_each_number_is_the_mean_grey_of_its_field(height: int, width: int) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    np.testing.assert_array_equal(thumbnail(image[None]), by_loops(image))


def test_grey_stays_grey_and_a_picture_smaller_than_the_thumbnail_has_one_too() -> None:
    assert set(thumbnail(np.full((1, 20, 20, 3), 137, np.uint8)).tolist()) == {137}
    assert thumbnail(np.full((1, 3, 5, 3), 9, np.uint8)).tolist() == [9] * LENGTH


def test_of_ten_crops_the_centre_counts() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(thumbnail(crops), thumbnail(crops[4:5]))


def thumbs(images: Folder) -> np.ndarray:
    """One for each path."""
    return np.array(
        [np.random.default_rng(len(p) + sum(p.encode())).integers(1, 256, LENGTH) for p in sorted(images)],
        np.uint8,
    )


def kept(path: Path, images: Folder, *, with_thumbnails: bool = True) -> None:
    rows = block(images)
    with writer(path) as cache:
        cache.write_segment(replace(rows, thumbnails=thumbs(images)) if with_thumbnails else rows, [])
        cache.commit(refs(images), [], roots=["imgs"])


def test_a_cache_keeps_them_and_a_run_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    kept(path, PETS)
    np.testing.assert_array_equal(load_features(path).thumbnails, thumbs(PETS))
    with writer(path) as cache:
        assert not cache.commit(refs(PETS), [], roots=["imgs"]).written
    assert verify(path).ok


def test_rows_without_keep_zeros_beside_new_ones_that_have_one(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    first = {name: image for name, image in PETS.items() if name.startswith("dog")}
    kept(path, first, with_thumbnails=False)
    before = path.read_bytes()
    assert not load_features(path).thumbnails.any()
    with writer(path) as cache:
        assert not cache.commit(refs(first), [], roots=["imgs"]).written
    assert path.read_bytes() == before
    others = {name: image for name, image in PETS.items() if name not in first}
    with writer(path) as cache:
        cache.write_segment(replace(block(others), thumbnails=thumbs(others)), [])
        cache.commit(refs(PETS), [], roots=["imgs"])
    found = load_features(path)
    for name, row in zip(found.paths, found.thumbnails, strict=True):
        assert row.any() == (name in others)
    np.testing.assert_array_equal(found.thumbnails[found.thumbnails.any(axis=1)], thumbs(others))


def test_a_merge_keeps_them(tmp_path: Path) -> None:
    first = {name: image for name, image in PETS.items() if name.startswith("dog")}
    others = {name: image for name, image in PETS.items() if name not in first}
    kept(tmp_path / "a.h5", first)
    kept(tmp_path / "b.h5", others)
    merge(tmp_path / "a.h5", tmp_path / "b.h5", tmp_path / "c.h5")
    np.testing.assert_array_equal(load_features(tmp_path / "c.h5").thumbnails, thumbs(PETS))
