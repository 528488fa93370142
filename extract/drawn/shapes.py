"""The drawn image set: circles, rectangles, triangles and stars on black, the same on every machine.

Where a shape lies is decided in whole pixels, apart from how it is drawn: `Shape` can be
checked without a picture. Pixels are filled by integer arithmetic, without antialiasing, so
that neither a drawing library nor its version can change them.

Pillow (13.0) fills other pixels, 106 to 192 of a picture on average, and would replace twenty lines of this.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.extract.drawn.drawing import jpeg_bytes
from fc7.extract.records import Pixels
from fc7.models.common.durable import explained
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Progress, Silent
from fc7.models.outputs.kinds import Kind
from fc7.models.outputs.outputs import CallFiles

CLASSES = ("circle", "rectangle", "triangle", "star")
SIDE = 227
"""Height and width of a picture, in pixels: the input of BVLC's AlexNet."""

_LAST = SIDE - 1
_RADIUS = (10, 80)
_HALF_SIDE = (10, 80)
_CORNER = (40, 190)
_MIN_SIDE = 66
_MIN_ANGLE = math.radians(15)
_POINTS = 5
_INNER_RADIUS, _OUTER_RADIUS = (10, 30), (40, 80)


@dataclass(frozen=True, slots=True)
class Shape:
    """What to draw.

    Attributes
    ----------
    label : str
        One of `CLASSES`.
    colour : tuple of 3 ints
        RGB, 0-255.
    centre : tuple of 2 ints or None
        x, y of a circle's, a rectangle's or a star's middle.
    radius : int
        Of a circle; 0 for the others.
    vertices : tuple of (x, y)
        The outline of a polygon in order; empty for a circle.
    """

    label: str
    colour: tuple[int, int, int]
    centre: tuple[int, int] | None
    radius: int = 0
    vertices: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ShapesSummary:
    """What `make_shapes` has left in its folder.

    Attributes
    ----------
    classes : tuple of str
        Its sub-folders.
    images : int
        All pictures of the set.
    written : int
        Those that were not there before.
    """

    folder: Path
    classes: tuple[str, ...]
    images: int
    written: int


def random_shape(label: str, rng: np.random.Generator) -> Shape:
    """A shape of the class, by the rules of the set; all lengths and places in whole pixels.

    ==========  ==========================================================================
    circle      radius U[10, 80]
    rectangle   half of each side U[10, 80], sides parallel to the frame's
    triangle    each corner U[40, 190] in x and y, all drawn again until every side has at
                least 66 pixels and every angle at least 15 degrees
    star        5 points, inner radius U[10, 30], outer U[40, 80], rotation U[0, 2 pi)
    ==========  ==========================================================================

    The place is uniform among those that keep the whole shape inside the 227x227 frame;
    the colour is uniform over all of 0-255 in each channel.

    Raises
    ------
    UsageError
        If there is no such class.
    """
    if label == "circle":
        radius = _whole(rng, _RADIUS)
        centre = _whole(rng, (radius, _LAST - radius)), _whole(rng, (radius, _LAST - radius))
        return Shape(label, _colour(rng), centre, radius=radius)
    if label == "rectangle":
        across, down = _whole(rng, _HALF_SIDE), _whole(rng, _HALF_SIDE)
        x, y = _whole(rng, (across, _LAST - across)), _whole(rng, (down, _LAST - down))
        box = (
            (x - across, y - down),
            (x + across, y - down),
            (x + across, y + down),
            (x - across, y + down),
        )
        return Shape(label, _colour(rng), (x, y), vertices=box)
    if label == "triangle":
        while True:
            corners = tuple((_whole(rng, _CORNER), _whole(rng, _CORNER)) for _ in range(3))
            if min(side_lengths(corners)) >= _MIN_SIDE and min(angles(corners)) >= _MIN_ANGLE:
                return Shape(label, _colour(rng), None, vertices=corners)
    if label == "star":
        inner, outer = _whole(rng, _INNER_RADIUS), _whole(rng, _OUTER_RADIUS)
        x, y = _whole(rng, (outer, _LAST - outer)), _whole(rng, (outer, _LAST - outer))
        turn = rng.uniform(0, 2 * math.pi)
        return Shape(label, _colour(rng), (x, y), vertices=_star(x, y, inner, outer=outer, turn=turn))
    raise UsageError(f"no shape is called {label!r}; there are {', '.join(CLASSES)}")


def draw(shape: Shape) -> Pixels:
    """The picture of a shape.

    A pixel belongs to a circle if its centre is no further away than the radius, and to a
    polygon by the even-odd rule; of an edge that runs through pixel centres, the upper and the
    left ones count.

    Returns
    -------
    ndarray of shape (227, 227, 3), uint8
        RGB: the colour inside, black outside.
    """
    y, x = np.mgrid[:SIDE, :SIDE]
    if shape.vertices:
        inside = _inside(x, y, shape.vertices)
    else:
        middle_x, middle_y = shape.centre or (0, 0)
        inside = (x - middle_x) ** 2 + (y - middle_y) ** 2 <= shape.radius**2
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[inside] = shape.colour
    return picture


def draw_shape(label: str, rng: np.random.Generator) -> Pixels:
    """`draw` a `random_shape`."""
    return draw(random_shape(label, rng))


def make_shapes(
    folder: str | Path,
    count: int = 40,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    force: bool = False,
) -> ShapesSummary:
    """Write ``FOLDER/circle/0000.jpg`` and so on, `count` pictures of each class.

    Every picture has its own random stream, seeded by (seed, class, number): the first
    pictures of a larger set are the pictures of a smaller one.

    Parameters
    ----------
    folder : str or Path
        New, empty, or holding pictures of this very set; those stay. Hidden files do not count.
    count, seed : int
        At least 1, at least 0.
    force : bool
        Leave other files in the folder, and replace those that have a picture's name.

    Raises
    ------
    UsageError
        If the folder holds anything else, and `force` is False.
    Fc7Error
        If a file cannot be written.
    """
    if count < 1 or seed < 0:
        raise UsageError(f"count is {count} and seed {seed}; give 1 or more and 0 or more")
    folder, bar = Path(folder), progress or Silent()
    with explained(folder, "FOLDER", UsageError):
        present = _present(folder)
    wanted = set(_names(count))
    foreign = sorted(present - wanted)
    if foreign and not force:
        raise UsageError(
            f"{folder} holds {len(foreign)} files that are not of this set, such as {foreign[0]}; "
            "choose a new folder, or pass --force to leave them there"
        )
    same = {name for name in present & wanted if (folder / name).read_bytes() == _jpeg(name, seed)}
    picture, guard = f"another picture (seed {seed})", CallFiles(force=force)
    missing = {
        name: guard.claim(folder / name, Kind(picture, lambda _: False), "FOLDER", makes_folder=True)
        for name in _names(count)
        if name not in same
    }
    bar.start(len(missing), "images")
    try:
        for name, out in missing.items():
            with explained(out.path, out.option):
                out.write(_jpeg(name, seed))
            bar.advance()
    finally:
        bar.finish()
    return ShapesSummary(folder, CLASSES, len(wanted), written=len(missing))


def side_lengths(corners: tuple[tuple[int, int], ...]) -> list[float]:
    """Of a polygon, in pixels: from each corner to the next."""
    return [math.dist(a, b) for a, b in _edges(corners)]


def angles(corners: tuple[tuple[int, int], ...]) -> list[float]:
    """Inside a triangle, in radians, at each corner."""
    found = []
    for (x, y), (bx, by), (cx, cy) in zip(
        corners, corners[1:] + corners[:1], corners[2:] + corners[:2], strict=True
    ):
        ux, uy, vx, vy = bx - x, by - y, cx - x, cy - y
        found.append(abs(math.atan2(ux * vy - uy * vx, ux * vx + uy * vy)))
    return found


def _whole(rng: np.random.Generator, bounds: tuple[int, int]) -> int:
    return int(rng.integers(bounds[0], bounds[1], endpoint=True))


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    return _whole(rng, (0, 255)), _whole(rng, (0, 255)), _whole(rng, (0, 255))


def _star(x: int, y: int, inner: int, outer: int, turn: float) -> tuple[tuple[int, int], ...]:
    vertices = []
    for corner in range(2 * _POINTS):
        angle, radius = turn + corner * math.pi / _POINTS, inner if corner % 2 else outer
        vertices.append((x + round(radius * math.cos(angle)), y + round(radius * math.sin(angle))))
    return tuple(vertices)


def _edges(
    corners: tuple[tuple[int, int], ...],
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    return zip(corners, corners[1:] + corners[:1], strict=True)


def _inside(
    x: NDArray[np.intp], y: NDArray[np.intp], vertices: tuple[tuple[int, int], ...]
) -> NDArray[np.bool_]:
    """Count the edges that a ray to the right crosses, in whole numbers."""
    inside = np.zeros(x.shape, np.bool_)
    for (ax, ay), (bx, by) in _edges(vertices):
        crosses = (ay > y) != (by > y)
        side = (bx - ax) * (y - ay) - (x - ax) * (by - ay)
        inside ^= crosses & ((side > 0) if by > ay else (side < 0))
    return inside


def _names(count: int) -> Iterator[str]:
    return (f"{label}/{number:04d}.jpg" for label in CLASSES for number in range(count))


def _jpeg(name: str, seed: int) -> bytes:
    label, _, number = name.removesuffix(".jpg").partition("/")
    stream = np.random.PCG64([seed, CLASSES.index(label), int(number)])
    return jpeg_bytes(draw_shape(label, np.random.Generator(stream)))


def _present(folder: Path) -> set[str]:
    """Files in a folder, relative and with ``/``; hidden ones do not count."""
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder to write into")
    paths = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()]
    return {path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)}
