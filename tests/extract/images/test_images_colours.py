"""One rule for each kind of picture: expected pixels are computed here, by hand or in NumPy."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import PIL
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from fc7.extract.records import Pixels
from fc7.models.common.errors import ImageError
from tests.support.extract.decoding import decode
from tests.support.extract.odd_files import encoded, photo, png, tiff, with_exif, without_adobe_marker

# The project allows Pillow from 11 on; before 13 it refuses these two kinds of TIFF, as an ImageError.
needs_pillow_13 = pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow below 13")


def spread(values: NDArray[Any]) -> Pixels:
    """A grey picture in three channels."""
    return np.repeat(np.asarray(values, np.uint8)[:, :, None], 3, axis=2)


def on_white(colour: NDArray[Any], alpha: NDArray[Any]) -> Pixels:
    """The rule for alpha, rounded half up in whole numbers."""
    whole, sheer = colour.astype(np.int64), alpha.astype(np.int64)[..., None]
    mixed: Pixels = ((2 * (whole * sheer + 255 * (255 - sheer)) + 255) // 510).astype(np.uint8)
    return mixed


def test_greyscale_goes_into_all_three_channels() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for form in ("PNG", "BMP", "TIFF", "PPM", "GIF"):
        assert np.array_equal(decode(encoded(grey, form)), spread(grey)), form


@pytest.mark.parametrize(("depth", "step"), [(1, 255), (2, 85), (4, 17)])
def test_shallow_greys_spread_over_the_whole_range(depth: int, step: int) -> None:
    row = bytes([0b00011011]) if depth == 2 else bytes([0b01000000]) if depth == 1 else bytes([0x1F])
    values = {1: [0, 1, 0, 0], 2: [0, 1, 2, 3], 4: [1, 15]}[depth]
    data = png([row], len(values), 1, depth, 0)
    assert np.array_equal(decode(data), spread(np.array([values]) * step))


@pytest.mark.parametrize(
    ("depth", "clear", "values"), [(1, 1, [0, 1]), (2, 2, [1, 2]), (4, 7, [7, 8]), (8, 9, [9, 10])]
)
def test_a_transparent_grey_turns_white_at_every_depth(depth: int, clear: int, values: list[int]) -> None:
    row = int("".join(f"{value:0{depth}b}" for value in values).ljust(16, "0"), 2).to_bytes(2, "big")
    data = png([row[: (depth * 2 + 7) // 8]], 2, 1, depth, 0, [(b"tRNS", struct.pack(">H", clear))])
    top = (1 << depth) - 1
    expected = [255 if value == clear else value * 255 // top for value in values]
    assert np.array_equal(decode(data), spread(np.array([expected])))


def test_palette_colours_are_looked_up_and_transparent_entries_composited_on_white() -> None:
    palette = bytes([10, 20, 30, 200, 100, 50, 0, 0, 0])
    plain = png([bytes([0, 1, 2])], 3, 1, 8, 3, [(b"PLTE", palette)])
    colours = np.frombuffer(palette, np.uint8).reshape(1, 3, 3)
    assert np.array_equal(decode(plain), colours)
    sheer = png([bytes([0, 1, 2])], 3, 1, 8, 3, [(b"PLTE", palette), (b"tRNS", bytes([255, 128, 0]))])
    assert np.array_equal(decode(sheer), on_white(colours, np.array([[255, 128, 0]])))


def test_alpha_is_composited_on_white() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (31, 17, 4), dtype=np.uint8)
    expected = on_white(pixels[..., :3], pixels[..., 3])
    lossless: dict[str, Any] = {"lossless": True, "exact": True}
    for form, options in (("PNG", {}), ("TIFF", {}), ("WebP", lossless)):
        assert np.array_equal(decode(encoded(pixels, form, **options)), expected), form
    grey = encoded(Image.merge("LA", [Image.fromarray(pixels[..., i]) for i in (0, 3)]), "PNG")
    assert np.array_equal(decode(grey), on_white(np.repeat(pixels[..., :1], 3, axis=2), pixels[..., 3]))


def test_a_transparent_colour_turns_white() -> None:
    rows = [bytes([1, 2, 3, 4, 5, 6])]
    data = png(rows, 2, 1, 8, 2, [(b"tRNS", struct.pack(">HHH", 1, 2, 3))])
    assert decode(data).tolist() == [[[255, 255, 255], [4, 5, 6]]]
    deep = png(
        [struct.pack(">6H", 0x0102, 0x0304, 0x0506, 0x0A00, 0, 0)],
        2,
        1,
        16,
        2,
        [(b"tRNS", struct.pack(">HHH", 0x0102, 0x0304, 0x0506))],
    )
    assert decode(deep).tolist() == [[[255, 255, 255], [10, 0, 0]]]


@needs_pillow_13
def test_premultiplied_grey_alpha_of_a_tiff_is_divided_out_first() -> None:
    data = tiff(bytes([50, 100, 0, 0, 200, 255]), 3, 1, t258=8, t277=2, t338=1)
    # Entry 258 counts once for both samples here; Pillow wants it per sample.
    value = struct.pack("<HH", 8, 8)
    at = data.index(struct.pack("<HHI", 258, 3, 1))
    data = data[:at] + struct.pack("<HHI", 258, 3, 2) + value + data[at + 12 :]
    # 50 of 100 is grey 127 (libImaging truncates), then 127 at alpha 100 on white.
    expected = on_white(np.array([[[127] * 3, [0] * 3, [200] * 3]]), np.array([[100, 0, 255]]))
    assert np.abs(decode(data).astype(int) - expected).max() <= 1


def test_sixteen_bit_grey_is_divided_by_257_and_rounded() -> None:
    values = np.array([[0, 1, 128, 129, 257, 385, 386, 32768, 65406, 65407, 65535]], np.uint16)
    expected = spread(np.floor(values / 257 + 0.5))
    assert np.array_equal(decode(png([values.astype(">u2").tobytes()], 11, 1, 16, 0)), expected)
    assert np.array_equal(decode(tiff(values.astype("<u2").tobytes(), 11, 1, t258=16)), expected)
    assert np.array_equal(decode(b"P5 11 1 65535\n" + values.astype(">u2").tobytes()), expected)
    white_is_zero = tiff(values.astype("<u2").tobytes(), 11, 1, t258=16, t262=0)
    assert np.array_equal(decode(white_is_zero), 255 - expected)


def test_a_transparent_sixteen_bit_grey_is_compared_with_all_its_bits() -> None:
    row = struct.pack(">HH", 1000, 1001)
    data = png([row], 2, 1, 16, 0, [(b"tRNS", struct.pack(">H", 1000))])
    assert decode(data)[0, :, 0].tolist() == [255, round(1001 / 257)]


def test_twelve_bit_tiff_and_ten_bit_pgm_use_their_own_range() -> None:
    # 12 bits a value, packed: 0xFFF, 0x800.
    assert decode(tiff(bytes([0xFF, 0xF8, 0x00]), 2, 1, t258=12))[0, :, 0].tolist() == [
        255,
        round(0x800 * 255 / 4095),
    ]
    assert decode(b"P2 3 1 1023\n0 512 1023\n")[0, :, 0].tolist() == [0, 128, 255]


def test_sixteen_bit_colours_keep_their_high_byte() -> None:
    row = struct.pack(">6H", 0x00FF, 0x80FF, 0xFFFF, 0x1234, 0, 0xFF00)
    assert decode(png([row], 2, 1, 16, 2)).tolist() == [[[0, 0x80, 0xFF], [0x12, 0, 0xFF]]]


def test_floats_between_0_and_1_are_black_to_white_and_others_are_refused() -> None:
    values = np.array([[0.0, 0.25, 0.5, 1.0]], np.float32)
    expected = spread(np.rint(values * 255))
    assert np.array_equal(decode(encoded(Image.fromarray(values), "TIFF")), expected)
    for wrong in (-0.01, 1.5, 255.0, np.nan):
        values[0, 0] = wrong
        with pytest.raises(ImageError, match=r"only 0-1 is read"):
            decode(encoded(Image.fromarray(values), "TIFF"))


def test_whole_numbers_beyond_sixteen_bits_are_refused_with_their_range() -> None:
    fits = encoded(Image.fromarray(np.array([[0, 257, 65535]], np.int32)), "TIFF")
    assert decode(fits)[0, :, 0].tolist() == [0, 1, 255]
    with pytest.raises(ImageError, match="from -1 to 70000; only 0-65535"):
        decode(encoded(Image.fromarray(np.array([[-1, 70000]], np.int32)), "TIFF"))


def test_cmyk_is_ink_over_white_and_adobes_jpeg_is_inverted_first() -> None:
    inks = np.zeros((4, 16, 16, 4), np.uint8)
    inks[:] = np.array([[0, 0, 0, 0], [255, 0, 0, 0], [40, 90, 160, 30], [0, 0, 0, 255]])[:, None, None]
    rgb = np.floor((255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:]) / 255 + 0.5)
    rgb_of_inverted = np.floor(inks[..., :3] * inks[..., 3:].astype(float) / 255 + 0.5)
    for ink, colour, inverted in zip(inks, rgb, rgb_of_inverted, strict=True):
        picture = Image.fromarray(ink, "CMYK")
        assert np.abs(decode(encoded(picture, "TIFF")) - colour).max() <= 1
        # Pillow writes what Photoshop does: inverted values and Adobe's marker.
        adobe = encoded(picture, "JPEG", quality=100)
        assert np.abs(decode(adobe) - colour).max() <= 3
        assert np.abs(decode(without_adobe_marker(adobe)) - inverted).max() <= 3


@needs_pillow_13
def test_ycbcr_follows_jfif() -> None:
    ycc = np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    y, cb, cr = np.moveaxis(ycc.astype(float), -1, 0) - np.array([0, 128, 128])[:, None, None]
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    found = decode(encoded(Image.fromarray(ycc, "YCbCr"), "TIFF"))
    assert np.abs(found - np.clip(rgb, 0, 255)).max() <= 1.5


# sRGB's primaries and white in CIE L*a*b* under D50, as published by Lindbloom (Bradford-adapted).
# Stored in 8 bits, a dark channel may be off by the ten levels that half a step means there.
@pytest.mark.parametrize(
    ("lab", "rgb"),
    [
        ((54.29, 80.81, 69.89), (255, 0, 0)),
        ((87.82, -79.27, 80.99), (0, 255, 0)),
        ((29.57, 68.30, -112.03), (0, 0, 255)),
        ((100, 0, 0), (255, 255, 255)),
        ((53.585, 0, 0), (128, 128, 128)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_lab_gives_the_published_primaries(lab: tuple[float, ...], rgb: tuple[int, ...]) -> None:
    stored = np.rint([lab[0] * 2.55, lab[1] % 256, lab[2] % 256]).astype(np.uint8)
    data = encoded(Image.fromarray(np.broadcast_to(stored, (2, 2, 3)).copy(), "LAB"), "TIFF")
    assert np.abs(decode(data)[0, 0].astype(int) - rgb).max() <= 11


def test_lab_agrees_with_littlecms() -> None:
    rng = np.random.default_rng(2)
    inside = np.stack([rng.integers(90, 210, (20, 20)), *(rng.integers(-15, 16, (2, 20, 20)) % 256)], axis=-1)
    picture = Image.fromarray(inside.astype(np.uint8), "LAB")
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(*profiles, "LAB", "RGB")
    expected = ImageCms.applyTransform(picture, transform)
    assert expected is not None
    difference = np.abs(decode(encoded(picture, "TIFF")).astype(int) - np.asarray(expected))
    # LittleCMS interpolates in a table, which shows in dark tones.
    assert difference.mean() < 0.2
    assert difference.max() <= 4


def test_the_first_frame_and_the_first_page_count() -> None:
    pages = [Image.fromarray(np.full((5, 7), level, np.uint8)) for level in (10, 20, 30)]
    for form in ("GIF", "TIFF", "PNG", "WebP"):
        options = {"lossless": True} if form == "WebP" else {}
        data = encoded(pages[0], form, save_all=True, append_images=pages[1:], **options)
        assert np.array_equal(decode(data), np.full((5, 7, 3), 10)), form


def seen_by_the_eye(stored: Pixels, orientation: int) -> Pixels:
    """EXIF 2.32, figure of tag 0x0112: where the stored first row and column belong."""
    return {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored, 1),
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "TIFF-LZW", "WebP"])
def test_exif_orientation_is_applied(form: str, orientation: int) -> None:
    picture = photo(24, 40, orientation)
    options: dict[str, Any] = {}
    if form == "WebP":
        options["lossless"] = True
    if form == "TIFF-LZW":
        options["compression"] = "tiff_lzw"
    form = form.split("-")[0]
    plain = decode(encoded(picture, form, **options))
    turned = decode(encoded(picture, form, exif=with_exif(orientation), **options))
    assert np.array_equal(turned, seen_by_the_eye(plain, orientation))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_exif_block_that_cannot_be_read_counts_as_upright() -> None:
    picture = photo(24, 40)
    odd = encoded(picture, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff nonsense")
    assert np.array_equal(decode(odd), decode(encoded(picture, "JPEG")))
    assert decode(encoded(picture, "JPEG", exif=with_exif(99))).shape == (24, 40, 3)
