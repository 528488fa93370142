"""Thumbnails: mean greys of 64 fields and colours of 16, kept with each row by segments, commits, merges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from math import floor
from pathlib import Path

import h5py
import numpy as np
import pytest

from fc7.extract.cache.commit import thumbnail_columns as cached
from fc7.extract.cache.merge import merge
from fc7.extract.cache.reader import load_features
from fc7.extract.cache.verify import verify
from fc7.extract.images.thumbnails import COLOURS, GREYS, LENGTH, NEUTRAL, SIDE, thumbnail
from tests.support import ROOT
from tests.support.extract.cache_support import PETS, Folder, block, refs, writer

DATA = ROOT / "tests/data"


def by_loops(image: np.ndarray) -> np.ndarray:
    """Means of the fields, pixel by pixel, rounded half up; fields are of whole fours of rows, or twos."""
    height, width, _ = image.shape
    step = 4 if height // 2 >= 4 * SIDE else 2 if height >= 4 * SIDE else 1
    rows = [step * (y * (height // step) // SIDE) for y in range(SIDE)] + [height // step * step]
    columns = [x * width // SIDE for x in range(SIDE)] + [width]

    def means(weights: tuple[int, int, int], fields: int) -> list[int]:
        found = []
        for y in range(0, SIDE, fields):
            for x in range(0, SIDE, fields):
                field = image[rows[y] : rows[y + fields], columns[x] : columns[x + fields]].reshape(-1, 3)
                total = sum(weights[k] * int(field[:, k].astype(np.int64).sum()) for k in range(3))
                found.append(floor(Fraction(total, 256 * len(field)) + Fraction(1, 2)))
        return found

    greys, cb, cr = means((77, 150, 29), 1), means((-43, -85, 128), 2), means((128, -107, -21), 2)
    return np.array([*greys, *(min(level + 128, 255) for level in [*cb, *cr])], np.uint8)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (64, 64), (37, 53), (63, 9), (227, 227), (224, 299)])
def test_each_number_is_the_mean_of_its_field(height: int, width: int) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    np.testing.assert_array_equal(thumbnail(image[None]), by_loops(image))


def test_grey_has_no_colour_and_a_picture_smaller_than_the_thumbnail_has_one_too() -> None:
    grey = thumbnail(np.full((1, 20, 20, 3), 137, np.uint8))
    assert (set(grey[:GREYS].tolist()), set(grey[GREYS:].tolist())) == ({137}, {NEUTRAL})
    assert thumbnail(np.full((1, 3, 5, 3), 9, np.uint8)).tolist() == [9] * GREYS + [NEUTRAL] * COLOURS


@pytest.mark.parametrize("height", [2048, 2056, 2064, 2100])
def test_a_tall_picture_does_not_overflow(height: int) -> None:
    assert set(thumbnail(np.full((1, height, 9, 3), 255, np.uint8))[:GREYS].tolist()) == {255}


@pytest.mark.parametrize(
    ("rgb", "cb", "cr"),
    [((255, 0, 0), 85, 255), ((0, 0, 255), 255, 107), ((255, 255, 0), 1, 149), ((0, 255, 255), 171, 1)],
)
def test_the_strongest_colours_fit_a_byte_and_none_is_zero(
    rgb: tuple[int, int, int], cb: int, cr: int
) -> None:
    image = np.full((1, 64, 64, 3), rgb, np.uint8)
    assert thumbnail(image)[GREYS:].tolist() == [cb] * 16 + [cr] * 16


def test_of_ten_crops_the_centre_counts() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(thumbnail(crops), thumbnail(crops[4:5]))


def thumbs(images: Folder) -> np.ndarray:
    """One for each path."""
    return np.array(
        [np.random.default_rng(len(p) + sum(p.encode())).integers(1, 256, LENGTH) for p in sorted(images)],
        np.uint8,
    )


KEPT = {"none": 0, "greys": GREYS, "greys and colours": LENGTH}
"""How many numbers caches of each time keep."""
TIMES = pytest.mark.parametrize("time", list(KEPT))


@contextmanager
def as_made(time: str) -> Iterator[None]:
    """Files as they were made then."""
    with pytest.MonkeyPatch.context() as patch:
        parts = {name: part for name, part in cached._PARTS.items() if part.stop <= KEPT[time]}
        patch.setattr(cached, "_PARTS", parts)
        yield


def kept(path: Path, images: Folder, time: str = "greys and colours", *, commit: bool = True) -> None:
    with as_made(time), writer(path) as cache:
        cache.write_segment(replace(block(images), thumbnails=thumbs(images)))
        if commit:
            cache.commit(refs(images), [], roots=["imgs"])


def check_rows(path: Path, older: Folder, time: str) -> None:
    """Rows of `older` have what was kept then, all others all of it; the file is whole."""
    assert verify(path).ok
    wanted = thumbs(PETS)
    for row, name in enumerate(sorted(PETS)):
        wanted[row, KEPT[time] if name in older else LENGTH :] = 0
    np.testing.assert_array_equal(load_features(path).thumbnails, wanted)


DOGS = {name: image for name, image in PETS.items() if name.startswith("dog")}
CATS = {name: image for name, image in PETS.items() if name not in DOGS}


@TIMES
def test_a_cache_keeps_them_and_a_run_that_changes_nothing_writes_nothing(tmp_path: Path, time: str) -> None:
    path = tmp_path / "features.h5"
    kept(path, PETS, time)
    check_rows(path, PETS, time)
    before = path.read_bytes()
    with writer(path) as cache:
        assert not cache.commit(refs(PETS), [], roots=["imgs"]).written
    assert path.read_bytes() == before


@TIMES
def test_rows_of_an_older_cache_keep_what_they_have_beside_new_ones(tmp_path: Path, time: str) -> None:
    path = tmp_path / "features.h5"
    kept(path, DOGS, time)
    with writer(path) as cache:
        cache.write_segment(replace(block(CATS), thumbnails=thumbs(CATS)))
        cache.commit(refs(PETS), [], roots=["imgs"])
    check_rows(path, DOGS, time)


@TIMES
def test_a_run_that_an_older_one_left_is_gone_on_with(tmp_path: Path, time: str) -> None:
    path = tmp_path / "features.h5"
    kept(path, DOGS, time, commit=False)
    assert not path.exists()
    with writer(path) as cache:
        assert set(cache.known) == set(DOGS)
        cache.write_segment(replace(block(CATS), thumbnails=thumbs(CATS)))
        cache.commit(refs(PETS), [], roots=["imgs"])
    check_rows(path, DOGS, time)


@TIMES
@pytest.mark.parametrize("older_first", [False, True])
def test_a_merge_of_older_and_new_keeps_what_each_has(tmp_path: Path, time: str, older_first: bool) -> None:
    kept(tmp_path / "a.h5", DOGS, time)
    kept(tmp_path / "b.h5", CATS)
    first, second = ("a.h5", "b.h5") if older_first else ("b.h5", "a.h5")
    merge(tmp_path / first, tmp_path / second, tmp_path / "c.h5")
    check_rows(tmp_path / "c.h5", DOGS, time)


def test_a_cache_of_the_last_release_that_kept_greys_alone_is_read(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    path.write_bytes((DATA / "cache-v1-greys.h5").read_bytes())
    check_rows(path, PETS, "greys")
    with h5py.File(path) as file:
        assert ("thumbnail" in file, "colour" in file) == (True, False)


@pytest.mark.parametrize("name", ["thumbnail", "colour"])
def test_verify_finds_a_damaged_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / "features.h5"
    kept(path, PETS)
    with h5py.File(path, "r+") as file:
        file[name][2, 3] ^= 1
    report = verify(path)
    assert not report.ok
    assert f"dataset {name}, rows 0-5" in " ".join(report.problems)
