"""Resizing and cropping, against sizes worked out by hand and against independent resizers."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from fc7.extract.images.decode import prepare
from fc7.extract.images.geometry import Window, frame, mean_colour, sample
from fc7.extract.records import Pixels
from fc7.models.common.errors import ImageError
from fc7.models.network.spec import Interpolation, PreprocessSpec, caffe_preprocess, torch_preprocess
from tests.support.extract.decoding import decode
from tests.support.extract.odd_files import encoded, photo, with_exif

CAFFE, TORCH = caffe_preprocess(), torch_preprocess()


def triangle_resize(image: Pixels, height: int, width: int) -> NDArray[np.float64]:
    """Antialiased bilinear resizing by its definition: a tent as wide as the step, or as one pixel."""

    def weights(size: int, new_size: int) -> NDArray[np.float64]:
        step = size / new_size
        reach = max(step, 1.0)
        centres = (np.arange(new_size) + 0.5) * step
        tent = 1 - np.abs((np.arange(size) + 0.5)[None] - centres[:, None]) / reach
        tent = np.clip(tent, 0, None)
        total: NDArray[np.float64] = tent / tent.sum(axis=1, keepdims=True)
        return total

    down, across = weights(image.shape[0], height), weights(image.shape[1], width)
    mixed: NDArray[np.float64] = np.einsum("yh,hwc,xw->yxc", down, image.astype(float), across, optimize=True)
    return mixed


def test_bvlc_is_a_warp_to_256_and_a_centre_227_at_offset_14() -> None:
    framing = frame(375, 500, CAFFE)
    assert (framing.height, framing.width) == (256, 256)
    assert framing.crops == (Window(14, 14, 227, 227),)
    picture = photo(375, 500)
    whole = triangle_resize(picture, 256, 256)
    found = prepare(picture, CAFFE)
    assert found.shape == (1, 227, 227, 3)
    assert found.dtype == np.uint8
    # Pillow rounds between its two passes.
    assert np.abs(found[0] - whole[14:241, 14:241]).max() <= 1.01


# torchvision: resize(256) of h x w gives int(256 * long / short); center_crop(224) starts at
# int(round((size - 224) / 2.0)), and Python rounds halves to even.
@pytest.mark.parametrize(
    ("size", "resized", "corner"),
    [
        ((375, 500), (256, 341), (16, 58)),
        ((500, 375), (341, 256), (58, 16)),
        ((333, 447), (256, 343), (16, 60)),
        ((256, 256), (256, 256), (16, 16)),
        ((100, 37), (691, 256), (234, 16)),
        ((1, 1), (256, 256), (16, 16)),
    ],
)
def test_the_short_side_follows_torchvisions_rounding(
    size: tuple[int, int], resized: tuple[int, int], corner: tuple[int, int]
) -> None:
    framing = frame(*size, TORCH)
    assert (framing.height, framing.width) == resized
    assert framing.crops == (Window(*corner, 224, 224),)
    picture = photo(*size)
    whole = triangle_resize(picture, *resized)
    part = whole[corner[0] : corner[0] + 224, corner[1] : corner[1] + 224]
    assert np.abs(prepare(picture, TORCH)[0] - part).max() <= 1.01


# One side as asked; the other int(asked * side / side), as torchvision rounds the long side.
@pytest.mark.parametrize(
    ("size", "resized", "corner"),
    [
        ((375, 500), (219, 293), (46, 18)),
        ((500, 375), (390, 293), (131, 18)),
        ((100, 900), (146, 1314), (9, 529)),
        ((128, 256), (146, 293), (9, 18)),
        ((146, 293), (146, 293), (9, 18)),
        ((1, 1), (293, 293), (82, 18)),
    ],
)
def test_an_input_that_is_not_square_is_covered_with_the_aspect_ratio_kept(
    size: tuple[int, int], resized: tuple[int, int], corner: tuple[int, int]
) -> None:
    spec = dataclasses.replace(TORCH, resize_height=146, resize_width=293, crop_height=128, crop_width=256)
    framing = frame(*size, spec)
    assert (framing.height, framing.width) == resized
    assert framing.crops == (Window(*corner, 128, 256),)
    picture = photo(*size)
    part = triangle_resize(picture, *resized)[corner[0] : corner[0] + 128, corner[1] : corner[1] + 256]
    assert np.abs(prepare(picture, spec)[0] - part).max() <= 1.01


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 500), st.integers(1, 500))
def test_covering_is_the_smallest_size_of_the_same_shape_that_leaves_nothing_open(
    height: int, width: int, room_height: int, room_width: int
) -> None:
    spec = PreprocessSpec("short", room_height, room_width, room_height, room_width, "RGB")
    framing = frame(height, width, spec)
    ratio = max(Fraction(room_height, height), Fraction(room_width, width))
    assert framing.height >= room_height
    assert framing.width >= room_width
    assert framing.height == room_height or framing.width == room_width
    # Rounded down by less than a pixel, and by float's error at most one more.
    assert -1 - 1e-6 < framing.height - height * ratio <= 1e-6
    assert -1 - 1e-6 < framing.width - width * ratio <= 1e-6


def test_the_torch_recipe_equals_pytorchs_own_antialiased_resize() -> None:
    torch = pytest.importorskip("torch")
    picture = photo(375, 500)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(tensor, (256, 341), mode="bilinear", antialias=True)[0]
    expected = resized.permute(1, 2, 0).numpy()[16:240, 58:282]
    assert np.abs(prepare(picture, TORCH)[0] - expected).max() <= 1.01


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(61, 90), (300, 17), (3, 2), (1, 1), (512, 512)])
def test_resizing_without_antialiasing_equals_pytorch(mode: Interpolation, size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].double()
    resized = torch.nn.functional.interpolate(tensor, (64, 48), mode=mode, align_corners=False)[0]
    expected = resized.permute(1, 2, 0).numpy().clip(0, 255)
    found = sample(picture, 64, 48, mode)
    assert np.abs(found - expected).max() <= 0.501


def test_bilinear_without_antialiasing_is_the_mean_of_four_neighbours() -> None:
    picture = np.array([[0, 100], [200, 50]], np.uint8)
    # New centres 0.25 and 0.75 of a step in: weights 3/4 and 1/4, worked out by hand.
    assert sample(picture, 4, 4, "bilinear").tolist() == [
        [0, 25, 75, 100],
        [50, 59, 78, 88],
        [150, 128, 84, 63],
        [200, 163, 88, 50],
    ]


def test_a_network_without_antialiasing_skips_pixels_and_one_with_it_averages() -> None:
    stripes = np.zeros((512, 512), np.uint8)
    stripes[:, 1::4] = 255
    spec = dataclasses.replace(CAFFE, antialias=False)
    assert set(np.unique(prepare(stripes, spec))) == {0, 128}
    assert np.ptp(prepare(stripes, CAFFE)) <= 1 + 2 * 32
    assert np.array_equal(prepare(stripes, spec, exact=False), prepare(stripes, spec))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.data())
def test_nearest_takes_the_pixel_under_the_centre_and_a_window_is_that_part_of_the_whole(
    height: int, width: int, new_height: int, new_width: int, data: st.DataObject
) -> None:
    picture = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    whole = sample(picture, new_height, new_width, "nearest")
    rows = [int(Fraction(2 * y + 1, 2) * height / new_height) for y in range(new_height)]
    columns = [int(Fraction(2 * x + 1, 2) * width / new_width) for x in range(new_width)]
    assert np.array_equal(whole, picture[rows][:, columns])
    top = data.draw(st.integers(0, new_height - 1))
    left = data.draw(st.integers(0, new_width - 1))
    window = Window(top, left, new_height - top, new_width - left)
    modes: tuple[Interpolation, ...] = ("nearest", "bilinear", "bicubic")
    for mode in modes:
        all_of_it = sample(picture, new_height, new_width, mode)
        assert np.array_equal(sample(picture, new_height, new_width, mode, window), all_of_it[top:, left:])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700))
def test_resizing_only_the_cropped_part_gives_the_pixels_of_the_whole(height: int, width: int) -> None:
    picture = np.random.default_rng(height + 1000 * width).integers(0, 256, (height, width), dtype=np.uint8)
    filters: dict[Interpolation, Image.Resampling] = {
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
    }
    for interpolation, filtering in filters.items():
        spec = dataclasses.replace(CAFFE, interpolation=interpolation)
        whole = np.asarray(Image.fromarray(picture).resize((256, 256), filtering))
        assert np.array_equal(prepare(picture, spec)[0, :, :, 1], whole[14:241, 14:241])
        short = dataclasses.replace(TORCH, interpolation=interpolation)
        framing = frame(height, width, short)
        if framing.height * framing.width < 1_000_000:
            whole = np.asarray(Image.fromarray(picture).resize((framing.width, framing.height), filtering))
            crop = framing.crops[0]
            part = whole[crop.top : crop.top + 224, crop.left : crop.left + 224]
            assert np.array_equal(prepare(picture, short)[0, :, :, 2], part)


def test_ten_crops_are_the_corners_the_centre_and_their_mirror_images() -> None:
    picture = photo(256, 256)
    found = prepare(picture, dataclasses.replace(CAFFE, crops=10))
    corners = [(0, 0), (0, 29), (29, 0), (29, 29), (14, 14)]
    assert found.shape == (10, 227, 227, 3)
    for number, (top, left) in enumerate(corners):
        crop = picture[top : top + 227, left : left + 227]
        assert np.array_equal(found[number], crop)
        assert np.array_equal(found[number + 5], crop[:, ::-1])
    assert np.array_equal(found[4], prepare(picture, CAFFE)[0])


def pad_spec(**changes: Any) -> PreprocessSpec:
    return dataclasses.replace(
        PreprocessSpec("pad", 64, 64, 64, 64, "BGR", mean=(104.0, 117.0, 123.0)), **changes
    )


def test_padding_keeps_the_shape_and_fills_with_the_mean_colour() -> None:
    found = prepare(np.full((30, 60, 3), 200, np.uint8), pad_spec())[0]
    assert (found[16:48] == 200).all()
    for row in (0, 15, 48, 63):
        assert (found[row] == [123, 117, 104]).all()
    tall = prepare(np.full((300, 10, 3), 200, np.uint8), pad_spec())[0]
    assert (tall[0] == 200).all(axis=1).sum() == 2
    assert mean_colour(TORCH) == (124, 116, 104)
    # A network that subtracts each picture's own mean is padded with that.
    own = prepare(np.full((30, 60, 3), 77, np.uint8), pad_spec(image_mean=True))
    assert (own == 77).all()


@pytest.mark.parametrize("spec", [CAFFE, TORCH, pad_spec()])
@pytest.mark.parametrize("size", [(1, 1), (10, 30000), (30000, 10), (1, 700)])
def test_extreme_shapes_are_carried_out_without_a_huge_picture(
    spec: PreprocessSpec, size: tuple[int, int]
) -> None:
    picture = np.full((*size, 3), 90, np.uint8)
    picture[size[0] // 2 :] = 110
    found = prepare(picture, spec)[0]
    assert found.shape == (spec.crop_height, spec.crop_width, 3)
    assert spec.resize == "pad" or 90 <= found.min() <= found.max() <= 110


def test_the_middle_of_a_long_strip_is_what_the_crop_shows() -> None:
    strip = np.zeros((10, 30000), np.uint8)
    strip[:, 14990:15010] = 255
    found = prepare(strip, TORCH)[0, 112, :, 0]
    # 224 of 768000 columns are 8.75 source columns, all within the bright middle.
    assert (found == 255).all()


@pytest.mark.parametrize("spec", [CAFFE, TORCH, pad_spec(), dataclasses.replace(CAFFE, crops=10)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_fast_decode_stays_close_to_the_exact_one(spec: PreprocessSpec, orientation: int) -> None:
    data = encoded(photo(1101, 1301), "JPEG", quality=90, exif=with_exif(orientation))
    exact, fast = prepare(data, spec), prepare(data, spec, exact=False)
    difference = np.abs(exact.astype(int) - fast)
    assert difference.mean() < 2
    assert difference.max() <= 24
    # It was decoded at a fraction, or all would be the same.
    assert difference.any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_fast_decode_does_not_move_the_picture(orientation: int) -> None:
    # 1025 and 1033 at an eighth are 128.125 and 129.125, in an image of 129 and 130: taken for whole
    # pixels, the far edge of a ramp would be off by 0.7 % of it.
    rows, columns = np.mgrid[0:1033, 0:1025]
    ramp = np.stack([columns / 1025, rows / 1033, (rows + columns) / 2058], axis=2)
    data = encoded((256 * ramp).astype(np.uint8), "JPEG", quality=95, exif=with_exif(orientation))
    spec = dataclasses.replace(CAFFE, resize_height=64, resize_width=64, crop_height=64, crop_width=64)
    difference = prepare(data, spec).astype(int) - prepare(data, spec, exact=False)
    assert np.abs(difference[0].mean((0, 1))).max() < 0.5
    assert np.abs(difference[0, -1].mean(0)).max() < 0.9
    assert np.abs(difference[0, :, -1].mean(0)).max() < 0.9
    assert difference.any()


def test_the_fast_decode_changes_nothing_where_there_is_nothing_to_save() -> None:
    for data in (encoded(photo(300, 400), "JPEG"), encoded(photo(900, 1301), "PNG")):
        assert np.array_equal(prepare(data, CAFFE, exact=False), prepare(data, CAFFE))


def test_bytes_and_their_pixels_give_the_same() -> None:
    picture = photo(70, 90)
    for data in (encoded(picture, "PNG"), encoded(picture[..., 0], "PNG"), encoded(picture, "JPEG")):
        assert np.array_equal(prepare(data, TORCH), prepare(decode(data), TORCH))
    grey = prepare(picture[..., 0], TORCH)
    assert (grey == grey[..., :1]).all()


@pytest.mark.parametrize("shape", [(4, 4, 5), (4,), (0, 4, 3), (2, 4, 4, 3)])
def test_other_arrays_are_refused_with_their_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="array of"):
        prepare(np.zeros(shape, np.uint8), CAFFE)
    with pytest.raises(ImageError, match="float32"):
        prepare(np.zeros((4, 4, 3), np.float32), CAFFE)
