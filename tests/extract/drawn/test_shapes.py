"""The drawn image set: its rules hold for every seed, and the pictures are what the rules say."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.extract.drawn.shapes import (
    CLASSES,
    SIDE,
    Shape,
    angles,
    draw,
    draw_shape,
    make_shapes,
    random_shape,
    side_lengths,
)
from fc7.models.common.errors import UsageError
from tests.support.extract.decoding import decode

SEEDS = st.integers(0, 2**63)


def stream(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def box(shape: Shape) -> tuple[int, int, int, int]:
    xs, ys = zip(*shape.vertices, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


@settings(deadline=None)
@given(SEEDS)
def test_a_circle_has_its_radius_and_lies_inside_the_frame(seed: int) -> None:
    shape = random_shape("circle", stream(seed))
    assert 10 <= shape.radius <= 80
    assert shape.centre is not None
    for middle in shape.centre:
        assert middle - shape.radius >= 0
        assert middle + shape.radius <= 226


@settings(deadline=None)
@given(SEEDS)
def test_a_rectangle_has_its_half_sides_and_lies_inside_the_frame(seed: int) -> None:
    shape = random_shape("rectangle", stream(seed))
    left, top, right, bottom = box(shape)
    assert 0 <= left < right <= 226
    assert 0 <= top < bottom <= 226
    for side in (right - left, bottom - top):
        assert 20 <= side <= 160
        assert side % 2 == 0
    assert len({x for x, _ in shape.vertices}) == len({y for _, y in shape.vertices}) == 2


@settings(deadline=None)
@given(SEEDS)
def test_a_triangle_is_neither_small_nor_thin(seed: int) -> None:
    corners = random_shape("triangle", stream(seed)).vertices
    assert len(corners) == 3
    assert all(40 <= value <= 190 for corner in corners for value in corner)
    for i in range(3):
        here, a, b = corners[i], corners[i - 1], corners[i - 2]
        assert math.dist(here, a) >= 66
        # The law of cosines, where the generator uses the cross product.
        to_a, to_b, across = math.dist(here, a), math.dist(here, b), math.dist(a, b)
        cosine = (to_a**2 + to_b**2 - across**2) / (2 * to_a * to_b)
        assert cosine <= math.cos(math.radians(15)) + 1e-12


@settings(deadline=None)
@given(SEEDS)
def test_a_star_has_five_points_between_its_radii(seed: int) -> None:
    shape = random_shape("star", stream(seed))
    assert shape.centre is not None
    assert len(shape.vertices) == 10
    reach = [math.dist(shape.centre, vertex) for vertex in shape.vertices]
    points, notches = reach[::2], reach[1::2]
    # Rounding to whole pixels moves a corner by at most 0.71.
    assert 40 - 0.71 <= min(points) <= max(points) <= 80 + 0.71
    assert 10 - 0.71 <= min(notches) <= max(notches) <= 30 + 0.71
    assert np.ptp(points) <= 1.42
    assert np.ptp(notches) <= 1.42
    left, top, right, bottom = box(shape)
    assert 0 <= left < right <= 226
    assert 0 <= top < bottom <= 226


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from(CLASSES))
def test_a_picture_is_its_shape_in_one_colour_on_black(seed: int, label: str) -> None:
    shape = random_shape(label, stream(seed))
    picture = draw(shape)
    assert picture.shape == (SIDE, SIDE, 3)
    inside = (picture == shape.colour).all(axis=2)
    assert (picture[~inside] == 0).all()
    if any(shape.colour):
        assert inside.sum() == pytest.approx(area(shape), abs=1.5 * outline(shape))


def area(shape: Shape) -> float:
    """By pi r^2, or by the shoelace formula."""
    if not shape.vertices:
        return math.pi * shape.radius**2
    pairs = zip(shape.vertices, shape.vertices[1:] + shape.vertices[:1], strict=True)
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs)) / 2


def outline(shape: Shape) -> float:
    return sum(side_lengths(shape.vertices)) if shape.vertices else 2 * math.pi * shape.radius


def test_every_pixel_is_inside_or_outside_by_exact_arithmetic() -> None:
    square = draw(Shape("rectangle", (9, 8, 7), None, vertices=((10, 20), (14, 20), (14, 23), (10, 23))))
    inside = np.argwhere(square.any(axis=2))
    # The upper and left edges belong to it, the lower and right ones do not.
    assert inside.min(axis=0).tolist() == [20, 10]
    assert inside.max(axis=0).tolist() == [22, 13]
    assert len(inside) == 12
    dot = draw(Shape("circle", (1, 1, 1), (50, 60), radius=1))
    assert np.argwhere(dot.any(axis=2)).tolist() == [[59, 50], [60, 49], [60, 50], [60, 51], [61, 50]]


def test_the_parameters_range_over_all_that_the_rules_allow() -> None:
    rng = stream(0)
    radii = {random_shape("circle", rng).radius for _ in range(1500)}
    assert radii == set(range(10, 81))
    colours = np.array([random_shape("circle", rng).colour for _ in range(800)])
    assert colours.min() < 5
    assert colours.max() > 250
    assert np.abs(colours.mean(axis=0) - 127.5).max() < 10
    assert angles(((0, 0), (10, 0), (0, 10))) == pytest.approx([math.pi / 2, math.pi / 4, math.pi / 4])


def test_the_pixels_are_the_same_everywhere() -> None:
    # Written down once: another machine, NumPy or Pillow must give the same.
    digests = {}
    for label in CLASSES:
        pixels = [draw_shape(label, stream(seed)).tobytes() for seed in range(5)]
        digests[label] = hashlib.sha256(b"".join(pixels)).hexdigest()[:16]
    assert digests == {
        "circle": "e3cc91e25f23179e",
        "rectangle": "1c02b9962f15de3f",
        "triangle": "776e1474706758af",
        "star": "ea21332695834579",
    }


def test_the_set_is_written_class_by_class_and_read_back(tmp_path: Path) -> None:
    summary = make_shapes(tmp_path / "set", 3, seed=7)
    assert (summary.images, summary.written, summary.classes) == (12, 12, CLASSES)
    files = sorted(path.relative_to(tmp_path / "set").as_posix() for path in (tmp_path / "set").rglob("*.*"))
    assert files == sorted(f"{label}/000{n}.jpg" for label in CLASSES for n in range(3))
    for place, label in enumerate(CLASSES):
        for number in range(3):
            pixels = draw_shape(label, np.random.Generator(np.random.PCG64([7, place, number])))
            found = decode((tmp_path / f"set/{label}/000{number}.jpg").read_bytes())
            assert found.shape == (227, 227, 3)
            # Within what JPEG loses at sharp edges.
            assert np.abs(found.astype(int) - pixels).mean() < 2


def test_a_larger_set_begins_with_the_smaller_one_and_keeps_its_files(tmp_path: Path) -> None:
    make_shapes(tmp_path / "small", 2, seed=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "small").rglob("*.jpg")}
    summary = make_shapes(tmp_path / "small", 3, seed=1)
    assert (summary.images, summary.written) == (12, 4)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    make_shapes(tmp_path / "large", 3, seed=1)
    for path in (tmp_path / "large").rglob("*.jpg"):
        assert path.read_bytes() == (tmp_path / "small" / path.relative_to(tmp_path / "large")).read_bytes()
    assert make_shapes(tmp_path / "large", 3, seed=1).written == 0


def test_foreign_files_are_never_overwritten(tmp_path: Path) -> None:
    make_shapes(tmp_path, 2, seed=1)
    (tmp_path / ".DS_Store").write_bytes(b"hidden files do not count")
    make_shapes(tmp_path, 2, seed=1)
    with pytest.raises(UsageError, match=r"0000\.jpg: a picture \(JPEG\) .*another picture \(seed 2\) was"):
        make_shapes(tmp_path, 2, seed=2)
    with pytest.raises(UsageError, match="holds 4 files that are not of this set"):
        make_shapes(tmp_path, 1, seed=1)
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"holds 1 files that are not of this set, such as holiday\.jpg"):
        make_shapes(tmp_path, 2, seed=1)
    with pytest.raises(UsageError, match="is a file; give a folder"):
        make_shapes(tmp_path / "holiday.jpg", 2)
    make_shapes(tmp_path, 2, seed=2, force=True)
    assert make_shapes(tmp_path, 2, seed=2, force=True).written == 0
    assert (tmp_path / "holiday.jpg").read_bytes() == b"mine"


def test_a_wrong_count_seed_or_class_is_refused(tmp_path: Path) -> None:
    for count, seed in ((0, 0), (-1, 0), (1, -1)):
        with pytest.raises(UsageError, match="give 1 or more and 0 or more"):
            make_shapes(tmp_path, count, seed)
    with pytest.raises(UsageError, match="there are circle, rectangle, triangle, star"):
        random_shape("hexagon", stream(0))


def test_progress_is_told_of_every_picture_and_ends(tmp_path: Path) -> None:
    class Told:
        def __init__(self) -> None:
            self.calls: list[object] = []

        def start(self, total: int, what: str) -> None:
            self.calls.append((total, what))

        def advance(self, n: int = 1) -> None:
            self.calls.append(n)

        def finish(self) -> None:
            self.calls.append("finish")

    told = Told()
    make_shapes(tmp_path, 1, progress=told)
    assert told.calls == [(4, "images"), 1, 1, 1, 1, "finish"]
