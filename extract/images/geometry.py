"""Where the pixels of a network's input come from: sizes, resizing, crops.

Plain arithmetic and NumPy; antialiased resizing itself is Pillow's, in `extract.images.decode`.
Coordinates are (row, column), the origin is the top left corner.

torchvision's transforms need PyTorch (2.13), 699 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.extract.records import Pixels
from fc7.models.network.spec import Interpolation, PreprocessSpec

# The cubic of Keys (1981) with OpenCV's and PyTorch's parameter for resizing without
# antialiasing: modules/imgproc/src/resize.cpp, interpolateCubic; aten UpSample.h.
_CUBIC = -0.75

# A resized picture above this many pixels is never made whole: 30000x10 to a short side of 256
# would be 768000 wide.
_LARGEST_RESIZED = 1 << 24
# Pillow passes a resize box as float32: steps that are multiples of 1/1024 stay exact up to 2**14.
_EXACT_STEP, _EXACT_SIZE = 1024, 1 << 14


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle: its top left corner and its size, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Framing:
    """How one picture becomes a network's input: what `frame` decides.

    Attributes
    ----------
    height, width : int
        Size of the whole picture after resizing.
    canvas_height, canvas_width : int
        Size of what the crops are taken from: the same, or the padded square.
    top, left : int
        Where the resized picture lies on the canvas.
    crops : tuple of Window
        On the canvas: the centre, or top left, top right, bottom left, bottom right, centre.
    """

    height: int
    width: int
    canvas_height: int
    canvas_width: int
    top: int
    left: int
    crops: tuple[Window, ...]


def frame(height: int, width: int, spec: PreprocessSpec) -> Framing:
    """Sizes and offsets for a picture of `height` x `width` pixels.

    Notes
    -----
    "warp"
        Both sides as asked. Centre offset ``(size - crop) // 2``: 14 for 256 to 227, as in
        Caffe's data transformer (src/caffe/data_transformer.cpp, ``h_off = (height - crop_size) / 2``).
    "short"
        The short side as asked, the other ``int(short * long / short_side)`` and the centre
        offset ``int(round((size - crop) / 2.0))``, Python's rounding to even: torchvision
        (transforms/functional.py, ``_compute_resized_output_size`` and ``center_crop``). Where height
        and width are asked for that differ, one side as asked and the other, by the same rule, at least so.
    "pad"
        The largest size of the same shape that fits, each side rounded and at least 1, in the
        middle of the asked size; offsets rounded down.

    The ten crops are Krizhevsky et al. (2012), section 4.1: these five and their mirror images.
    """
    if spec.resize == "short":
        new_height, new_width = _covering(height, width, spec.resize_height, room_width=spec.resize_width)
        canvas_height, canvas_width = new_height, new_width
    elif spec.resize == "pad":
        new_height, new_width = _fitted(height, width, spec.resize_height, room_width=spec.resize_width)
        canvas_height, canvas_width = spec.resize_height, spec.resize_width
    else:
        new_height, new_width = spec.resize_height, spec.resize_width
        canvas_height, canvas_width = new_height, new_width
    spare_rows, spare_columns = canvas_height - spec.crop_height, canvas_width - spec.crop_width
    half = _half_to_even if spec.resize == "short" else _half_down
    corners = [(half(spare_rows), half(spare_columns))]
    if spec.crops == 10:
        corners = [(0, 0), (0, spare_columns), (spare_rows, 0), (spare_rows, spare_columns), *corners]
    return Framing(
        new_height,
        width=new_width,
        canvas_height=canvas_height,
        canvas_width=canvas_width,
        top=(canvas_height - new_height) // 2,
        left=(canvas_width - new_width) // 2,
        crops=tuple(Window(top, left, spec.crop_height, width=spec.crop_width) for top, left in corners),
    )


def _covering(height: int, width: int, room_height: int, room_width: int) -> tuple[int, int]:
    return (
        max(room_height, int(room_width * height / width)),
        max(room_width, int(room_height * width / height)),
    )


def _fitted(height: int, width: int, room_height: int, room_width: int) -> tuple[int, int]:
    scale = min(room_height / height, room_width / width)
    return (
        min(room_height, max(1, round(height * scale))),
        min(room_width, max(1, round(width * scale))),
    )


def _half_down(spare: int) -> int:
    return spare // 2


def _half_to_even(spare: int) -> int:
    return round(spare / 2)


def take_crops(
    resized: Callable[[Window], Pixels],
    size: tuple[int, int],
    wanted: Framing,
    spec: PreprocessSpec,
    exact: bool,
) -> list[Pixels]:
    """Cut the crops out of a picture.

    Parameters
    ----------
    resized : callable
        A part of the resized picture -> its pixels, RGB, shape (part.height, part.width, 3), uint8.
    size : tuple of 2 ints
        Height and width that the picture has before it is resized.
    exact : bool
        False allows each crop to be resized from its own part of the picture.

    Returns
    -------
    list of ndarray of shape (crop_height, crop_width, 3), uint8
        In the order of ``wanted.crops``.
    """
    whole = Window(0, 0, wanted.height, width=wanted.width)
    if spec.resize == "pad":
        picture = resized(whole)
        fill = round(picture.mean()) if spec.image_mean else mean_colour(spec)
        canvas = np.empty((wanted.canvas_height, wanted.canvas_width, 3), np.uint8)
        canvas[:] = fill
        canvas[wanted.top :, wanted.left :][: wanted.height, : wanted.width] = picture
    elif _in_parts(*size, wanted, spec, exact):
        return [resized(crop) for crop in wanted.crops]
    else:
        canvas = resized(whole)
    return [
        canvas[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width] for crop in wanted.crops
    ]


def _in_parts(height: int, width: int, wanted: Framing, spec: PreprocessSpec, exact: bool) -> bool:
    """Whether to resize each crop by itself, from its part of the picture, instead of the whole.

    True where that gives the same pixels in less time, where the whole would be too large,
    and for one crop if `exact` is False. Elsewhere about one value in a thousand would
    differ by 1.
    """
    if wanted.height * wanted.width > _LARGEST_RESIZED:
        return True
    if len(wanted.crops) > 1:
        return False
    return not exact or not spec.antialias or _same_in_part(height, width, wanted)


def _same_in_part(height: int, width: int, wanted: Framing) -> bool:
    """Whether Pillow (src/libImaging/Resample.c) computes a part exactly as it does within the whole.

    Its steps from pixel to pixel must be exact, as they are for a resize to 256, and its two
    passes, which round in between, must come in the same order: since version 13 it shrinks
    vertically first where there are many rows to lose.
    """
    for size, new_size in ((height, wanted.height), (width, wanted.width)):
        if size > _EXACT_SIZE or size * _EXACT_STEP % new_size:
            return False
    part = wanted.crops[0]
    return _vertical_first(height - wanted.height, width - wanted.width) == _vertical_first(
        height - part.height, width - part.width
    )


def _vertical_first(fewer_rows: int, fewer_columns: int) -> bool:
    return fewer_rows > 0 and fewer_rows > 2 * fewer_columns


def mean_colour(spec: PreprocessSpec) -> tuple[int, int, int]:
    """The RGB colour (0-255) that the network's arithmetic turns into about zero.

    For `image_mean` networks this is black; their padding takes each picture's own mean instead.
    """
    levels = [min(255, max(0, round(value / spec.scale))) for value in spec.mean]
    red, green, blue = levels if spec.channel_order == "RGB" else reversed(levels)
    return red, green, blue


def sample(
    image: Pixels, height: int, width: int, interpolation: Interpolation, window: Window | None = None
) -> Pixels:
    """Resize without antialiasing: each new pixel mixes its nearest neighbours, and skips the rest.

    Pixel centres lie at half integers and edges repeat, as in OpenCV's ``INTER_LINEAR`` and
    ``INTER_CUBIC`` and PyTorch's ``interpolate(align_corners=False)``; "nearest" takes the pixel
    that holds the new centre, as Pillow and PyTorch's "nearest-exact" do. Results are rounded
    half up, so OpenCV's fixed-point ones differ by at most 1. Pillow's own way without
    antialiasing, ``transform(EXTENT)``, rounds down, half a level too dark on average.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3) or (h, w), uint8
    height, width : int
        Size of the whole resized picture.
    interpolation : {"nearest", "bilinear", "bicubic"}
    window : Window, optional
        The part of the resized picture to compute; all of it by default.

    Returns
    -------
    ndarray of shape (window.height, window.width, 3) or (window.height, window.width), uint8
    """
    part = window or Window(0, 0, height, width=width)
    rows, row_weights = _taps(
        image.shape[0], height, part.top, count=part.height, interpolation=interpolation
    )
    columns, column_weights = _taps(
        image.shape[1], width, part.left, count=part.width, interpolation=interpolation
    )
    # A row as one run of numbers, channels side by side: NumPy is slow on a last axis of three.
    channels = image.shape[2] if image.ndim == 3 else 1
    lines = image.reshape(image.shape[0], -1)
    places = (columns[:, :, None] * channels + np.arange(channels)).reshape(len(columns), -1)
    place_weights = np.repeat(column_weights, channels, axis=1)
    mixed = np.zeros((part.height, part.width * channels), dtype=np.float32)
    for row, row_weight in zip(rows, row_weights, strict=True):
        strip = lines[row]
        across = np.zeros_like(mixed)
        for place, weight in zip(places, place_weights, strict=True):
            across += strip.take(place, axis=1) * weight
        mixed += across * row_weight[:, None]
    levels: Pixels = np.clip(np.floor(mixed + np.float32(0.5)), 0, 255).astype(np.uint8)
    return levels.reshape(part.height, part.width, *image.shape[2:])


def _taps(
    size: int, new_size: int, start: int, count: int, interpolation: Interpolation
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Source indices and weights, both of shape (taps, count), for `count` pixels from `start`."""
    numbers = np.arange(start, start + count)
    if interpolation == "nearest":
        # Whole numbers: a centre on the border of two pixels belongs to the second.
        return ((2 * numbers + 1) * size // (2 * new_size))[None], np.ones((1, count), np.float32)
    position = (numbers + 0.5) * (size / new_size) - 0.5
    base = np.floor(position)
    offsets = np.arange(0, 2) if interpolation == "bilinear" else np.arange(-1, 3)
    distance = np.abs(position - base - offsets[:, None])
    weights = 1 - distance if interpolation == "bilinear" else _cubic(distance)
    indices = np.clip(base.astype(np.intp) + offsets[:, None], 0, size - 1)
    return indices, weights.astype(np.float32)


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * _CUBIC - 4 * _CUBIC
    return np.where(distance <= 1, near, far)
