"""TIFFs that Pillow reads wrong, or not at all: pixels worked out by hand or in NumPy, files byte by byte."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fc7.extract.images.tiff import libtiff
from fc7.extract.records import Pixels
from fc7.models.common.errors import ImageError
from tests.extract.images.test_images_colours import on_white, seen_by_the_eye, spread
from tests.support.extract.decoding import decode
from tests.support.extract.odd_files import encoded, photo, tiff, tiff_of, tiff_with

HEIGHT, WIDTH, TILE = 21, 19, 16
RGB, CMYK, YCBCR = 2, 5, 6
PLANES, DEFLATE, PACKBITS = 2, 8, 32773
ORDERS = ("<", ">")


def numbers(samples: int, dtype: str, seed: int = 0) -> NDArray[Any]:
    """Of shape (height, width, samples), over the whole of what is read of the type."""
    values = np.random.default_rng(seed).random((HEIGHT, WIDTH, samples))
    if dtype.startswith("f"):
        return values.astype(dtype)
    return (values * {"u1": 256, "i2": 32768}.get(dtype, 65536)).astype(dtype)


def pieces(plane: NDArray[Any], shape: str, order: str) -> list[bytes]:
    """A plane, or samples side by side, as strips or tiles in a byte order."""
    stored = plane.astype(plane.dtype.newbyteorder(">" if order == ">" else "<"))
    if shape != "tiles":
        rows = HEIGHT if shape == "one strip" else 8
        return [stored[top : top + rows].tobytes() for top in range(0, HEIGHT, rows)]
    padding = [(0, -HEIGHT % TILE), (0, -WIDTH % TILE)] + [(0, 0)] * (plane.ndim - 2)
    padded = np.pad(stored, padding, constant_values=1)
    return [
        padded[top : top + TILE, left : left + TILE].tobytes()
        for top in range(0, HEIGHT, TILE)
        for left in range(0, WIDTH, TILE)
    ]


def written(
    values: NDArray[Any],
    tags: Mapping[int, Sequence[int]],
    order: str = "<",
    shape: str = "strips",
    *,
    planes: bool = False,
    deflated: bool = False,
) -> bytes:
    """A TIFF of numbers of shape (height, width, samples)."""
    samples = values.shape[2]
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    parts = [values[..., i] for i in range(samples)] if planes else [values]
    segments = [piece for part in parts for piece in pieces(part, shape, order)]
    own: dict[int, Sequence[int]] = {256: [WIDTH], 257: [HEIGHT], 277: [samples], 284: [1 + planes]}
    own |= {
        258: [8 * values.dtype.itemsize] * samples,
        339: [kind] * samples,
        259: [DEFLATE if deflated else 1],
    }
    own |= {322: [TILE], 323: [TILE]} if shape == "tiles" else {278: [HEIGHT if shape == "one strip" else 8]}
    return tiff_of([zlib.compress(s) for s in segments] if deflated else segments, {**own, **tags}, order)


def of_ink(inks: Pixels) -> Pixels:
    """The rule for CMYK, rounded."""
    light = 255 - inks.astype(float)
    pixels: Pixels = np.rint(light[..., :3] * light[..., 3:] / 255).astype(np.uint8)
    return pixels


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("shape", ["one strip", "strips", "tiles"])
@pytest.mark.parametrize("order", ORDERS)
def test_sixteen_bit_planes_are_put_together(order: str, shape: str, deflated: bool) -> None:
    how: dict[str, Any] = {"planes": True, "deflated": deflated}
    rgb = numbers(3, "u2")
    assert np.array_equal(decode(written(rgb, {262: [RGB]}, order, shape, **how)), rgb >> 8)
    rgba = numbers(4, "u2", 1)
    sheer = on_white(rgba[..., :3] >> 8, rgba[..., 3] >> 8)
    assert np.array_equal(decode(written(rgba, {262: [RGB], 338: [2]}, order, shape, **how)), sheer)
    inks = numbers(4, "u2", 2)
    found = decode(written(inks, {262: [CMYK]}, order, shape, **how))
    assert np.array_equal(found, of_ink((inks >> 8).astype(np.uint8)))


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("order", ORDERS)
def test_grey_with_alpha_in_planes_is_composited(order: str, dtype: str) -> None:
    values = numbers(2, dtype)
    data = written(values, {338: [2]}, order, planes=True, deflated=True)
    high = values >> (8 * (values.itemsize - 1))
    assert np.array_equal(decode(data), spread(on_white(high[..., :1], high[..., 1])[..., 0]))


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i4", "i8", "u4", "u8"])
def test_numbers_of_every_type_and_byte_order_follow_one_rule(dtype: str, order: str, deflated: bool) -> None:
    values = numbers(1, dtype)
    exact = values[..., 0].astype(float) * (255 if dtype.startswith("f") else 1 / 257)
    found = decode(written(values, {}, order, deflated=deflated)).astype(float)
    assert np.abs(found - exact[..., None]).max() <= 0.5001
    white_is_zero = decode(written(values, {262: [0]}, order, deflated=deflated))
    assert np.array_equal(white_is_zero, 255 - found)
    colours = np.repeat(values, 3, axis=2)
    assert np.array_equal(decode(written(colours, {262: [RGB]}, order, deflated=deflated)), found)


@pytest.mark.parametrize("order", ORDERS)
def test_white_is_zero_in_sixteen_bits(order: str) -> None:
    values = numbers(1, "u2")
    expected = 255 - np.floor(values[..., 0] / 257 + 0.5)
    assert np.array_equal(decode(written(values, {262: [0]}, order)), spread(expected))


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_a_fourth_band_without_a_name_is_no_part_of_the_picture(dtype: str, planes: bool) -> None:
    values = numbers(4, dtype)
    found = decode(written(values, {262: [RGB], 338: [0]}, planes=planes))
    assert np.array_equal(found, values[..., :3] >> (8 * (values.itemsize - 1)))


def test_a_grey_band_beside_another_without_a_name_is_refused() -> None:
    with pytest.raises(ImageError, match="2 bands, and no tag says what they show"):
        decode(written(numbers(2, "u2"), {338: [0]}))


@pytest.mark.parametrize("order", ORDERS)
def test_premultiplied_colours_are_composited_as_they_are(order: str) -> None:
    values = numbers(4, "u2")
    values[..., :3] = (values[..., :3].astype(np.uint64) * values[..., 3:] // 65535).astype(np.uint16)
    high = (values >> 8).astype(int)
    found = decode(written(values, {262: [RGB], 338: [1]}, order))
    assert np.array_equal(found, np.minimum(high[..., :3] + 255 - high[..., 3:], 255))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
def test_differences_of_neighbours_are_added_up(dtype: str, order: str) -> None:
    values = numbers(3, dtype)
    whole = values.view(f"u{values.itemsize}")
    steps = np.diff(whole, axis=1, prepend=whole.dtype.type(0))
    coded = zlib.compress(b"".join(pieces(steps, "one strip", order)))
    tags: dict[int, Sequence[int]] = {256: [WIDTH], 257: [HEIGHT], 262: [RGB], 277: [3], 278: [HEIGHT]}
    tags |= {258: [8 * values.itemsize] * 3, 259: [DEFLATE], 317: [2], 339: [3 if dtype == "f4" else 1] * 3}
    plain = decode(written(values, {262: [RGB]}, order))
    assert np.array_equal(decode(tiff_of([coded], tags, order)), plain)


@pytest.mark.parametrize("order", ORDERS)
def test_differences_of_a_floats_bytes_are_added_up(order: str) -> None:
    values = numbers(1, "f4")
    # Adobe Photoshop TIFF Technical Note 3: all first bytes of a row, all second ones, and so on.
    planes = (
        values.astype(">f4").view(np.uint8).reshape(HEIGHT, WIDTH, 4).transpose(0, 2, 1).reshape(HEIGHT, -1)
    )
    coded = zlib.compress(np.diff(planes, axis=1, prepend=np.uint8(0)).tobytes())
    tags: dict[int, Sequence[int]] = {256: [WIDTH], 257: [HEIGHT], 278: [HEIGHT]}
    tags |= {258: [32], 259: [DEFLATE], 317: [3], 339: [3]}
    assert np.array_equal(decode(tiff_of([coded], tags, order)), spread(np.rint(values[..., 0] * 255)))


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("order", ORDERS)
def test_packed_numbers_have_their_high_bit_first_in_both_byte_orders(order: str, bits: int) -> None:
    top = (1 << bits) - 1
    row = [0, 1, top // 2, top - 1, top]
    text = "".join(f"{value:0{bits}b}" for value in row)
    packed = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    data = tiff_of([packed], {256: [5], 257: [1], 258: [bits], 278: [1]}, order)
    assert decode(data)[0, :, 0].tolist() == [round(value * 255 / top) for value in row]


def test_bits_that_lie_in_reverse_are_turned() -> None:
    values = numbers(1, "u2")
    reversed_bits = np.packbits(
        np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1
    )
    table = reversed_bits.tobytes()
    plain, coded = values.tobytes(), zlib.compress(values.tobytes())
    tags: dict[int, Sequence[int]] = {256: [WIDTH], 257: [HEIGHT], 258: [16], 278: [HEIGHT], 266: [2]}
    expected = spread(np.floor(values[..., 0] / 257 + 0.5))
    assert np.array_equal(decode(tiff_of([plain.translate(table)], tags)), expected)
    assert np.array_equal(decode(tiff_of([coded.translate(table)], tags | {259: [DEFLATE]})), expected)


def test_packbits_of_planes() -> None:
    # 3 equal bytes, then 1 as it is: 0xFE v, 0x00 v (TIFF 6.0, section 9).
    strips = [bytes([0xFE, level, 0x00, level + 1]) for level in (10, 20, 30)]
    tags: dict[int, Sequence[int]] = {256: [4], 257: [1], 258: [8] * 3, 259: [PACKBITS], 262: [RGB]}
    data = tiff_of(strips, tags | {277: [3], 278: [1], 284: [PLANES]})
    assert decode(data)[0].tolist() == [[10, 20, 30]] * 3 + [[11, 21, 31]]


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 1), (2, 2), (4, 2)])
@pytest.mark.parametrize("compression", [1, DEFLATE])
def test_ycbcr_of_fewer_colours_than_pixels_repeats_them(across: int, down: int, compression: int) -> None:
    height, width = 5, 7
    rng = np.random.default_rng(across)
    rows, columns = -(-height // down), -(-width // across)
    light = rng.integers(0, 256, (rows * down, columns * across))
    shades = rng.integers(0, 256, (rows, columns, 2))
    blocks = [
        bytes([*light[r * down : (r + 1) * down, c * across : (c + 1) * across].ravel(), *shades[r, c]])
        for r in range(rows)
        for c in range(columns)
    ]
    strip = b"".join(blocks)
    tags: dict[int, Sequence[int]] = {256: [width], 257: [height], 258: [8] * 3, 259: [compression]}
    tags |= {262: [YCBCR], 277: [3], 278: [height], 530: [across, down]}
    found = decode(tiff_of([strip if compression == 1 else zlib.compress(strip)], tags))
    y = light[:height, :width].astype(float)
    cb, cr = np.moveaxis(shades.repeat(down, 0).repeat(across, 1)[:height, :width] - 128.0, -1, 0)
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    assert np.abs(found - np.clip(rgb, 0, 255)).max() <= 0.6


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_palettes_of_every_depth_and_of_old_programs_are_looked_up(bits: int) -> None:
    colours = np.random.default_rng(bits).integers(0, 256, (1 << bits, 3))
    colours[-1] = 255
    indices = np.linspace(0, (1 << bits) - 1, 8).astype(np.uint16)
    text = "".join(f"{index:0{bits}b}" for index in indices)
    row = int(text, 2).to_bytes(bits, "big")
    tags: dict[int, Sequence[int]] = {256: [8], 257: [1], 258: [bits], 262: [3], 278: [1]}
    for scale in (257, 1):  # 16 bits, as the standard wants; 8 bits, as some old programs write
        data = tiff_of([row], tags | {320: (colours.T * scale).ravel().tolist()}, ">")
        assert np.array_equal(decode(data)[0], colours[indices]), scale


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_big_endian_bigtiff_is_read(dtype: str) -> None:
    values = numbers(3, dtype)
    tags: dict[int, Sequence[int]] = {256: [WIDTH], 257: [HEIGHT], 262: [RGB], 277: [3], 278: [HEIGHT]}
    tags |= {258: [8 * values.itemsize] * 3, 339: [3 if dtype == "f4" else 1] * 3}
    for order in ORDERS:
        stored = b"".join(pieces(values, "one strip", order))
        expected = decode(written(values, {262: [RGB]}, order))
        assert np.array_equal(decode(tiff_of([stored], tags, order, big=True)), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_what_pillow_does_not_read(orientation: int) -> None:
    values = numbers(3, "u2")
    expected = seen_by_the_eye((values >> 8).astype(np.uint8), orientation)
    turned = {262: [RGB], 274: [orientation]}
    assert np.array_equal(decode(written(values, turned, planes=True)), expected)
    xmp = f'<rdf:Description tiff:Orientation="{orientation}"/>'.encode()
    assert np.array_equal(decode(written(values, {262: [RGB], 700: xmp}, planes=True)), expected)


@pytest.mark.parametrize(
    ("compression", "name"),
    [
        (50001, "WebP"),
        (34712, "JPEG 2000"),
        (33003, "JPEG 2000"),
        (50002, "JPEG XL"),
        (34887, "LERC"),
        (7777, "unknown"),
    ],
)
def test_a_compression_that_is_not_read_is_named_with_what_helps(compression: int, name: str) -> None:
    data = tiff_with(tiff(bytes(12), 4, 3, t258=8), 259, compression)
    with pytest.raises(ImageError, match=rf"compression is not read: .*{name}.*; save it .*LZW or deflate"):
        decode(data)


def test_a_libtiff_without_a_compression_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libtiff, "lacks", lambda compression: compression == 50000)
    data = written(numbers(1, "u2"), {259: [50000]})
    with pytest.raises(ImageError, match="compression is not read: Zstandard"):
        decode(data)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({339: [2], 258: [8]}, "reach from -128"),
        ({339: [6], 258: [64]}, "complex numbers of 64 bits"),
        ({258: [24]}, "whole numbers of 24 bits"),
        ({258: [8, 16]}, "samples differ from each other: 8, 16"),
        ({258: range(8, 48)}, r"samples differ from each other: 8, 9, 10, 11, \.\.\. \(bits\)"),
        ({317: [2]}, "predictor is not read: 2 of 8-bit samples, compression 1"),
        ({259: [DEFLATE], 317: [3]}, "predictor is not read: 3 of 8-bit"),
        ({262: [32803]}, "a camera's raw mosaic"),
        ({262: [CMYK], 277: [4], 332: [2]}, "inks are not cyan"),
        ({262: [RGB], 277: [1]}, "1 samples a pixel where its colours need 3"),
        ({262: [3]}, "palette has fewer colours"),
        ({257: [0]}, "its height 0"),
        ({322: [0], 323: [16]}, "tiles have no size"),
        ({262: [YCBCR], 258: [8] * 3, 277: [3], 530: [3, 1]}, r"subsampled by \(3, 1\)"),
        ({262: [YCBCR], 258: [8] * 3, 277: [3], 284: [2]}, "subsampled YCbCr in planes"),
        ({324: [8]}, "name both strips and tiles"),
        ({257: [500], 278: [3]}, "names 1 of its 167 strips"),
        ({259: [3]}, "fax data of 1 samples of 8 bits"),
        ({259: [7], 258: [12]}, "JPEG of 12 bits"),
    ],
)
def test_what_is_not_read_is_refused_by_its_reason(tags: dict[int, Sequence[int]], reason: str) -> None:
    size: dict[int, Sequence[int]] = {256: [4], 257: [3], 278: [3]}
    with pytest.raises(ImageError, match=reason):
        decode(tiff_of([bytes([128] * 96)], size | tags))


def test_a_tiff_without_a_photometric_interpretation_is_not_guessed() -> None:
    data = tiff(bytes(12), 4, 3, t258=8)
    at = data.index(struct.pack("<HHI", 262, 3, 1))
    with pytest.raises(ImageError, match="whether 0 is black or white"):
        decode(data[:at] + struct.pack("<H", 261) + data[at + 2 :])


def test_strips_that_were_left_out_are_not_read_from_the_header() -> None:
    for bits in (8, 16):
        with pytest.raises(ImageError, match="leaves out some of its strips"):
            decode(tiff_with(tiff(bytes(24), 4, 3, t258=bits), 273, 0))


@pytest.mark.parametrize("deflated", [False, True])
def test_planes_cut_anywhere_are_a_failure(deflated: bool) -> None:
    values = numbers(3, "u2")
    data = written(values, {262: [RGB]}, planes=True, deflated=deflated)
    for at in range(0, len(data), 29):
        with pytest.raises(ImageError):
            decode(data[:at])


def test_a_compressed_strip_that_ends_early_is_damage() -> None:
    values = numbers(1, "u2")
    short = [zlib.compress(piece[:-9]) for piece in pieces(values, "one strip", "<")]
    tags: dict[int, Sequence[int]] = {256: [WIDTH], 257: [HEIGHT], 258: [16], 259: [DEFLATE], 278: [HEIGHT]}
    with pytest.raises(ImageError, match=r"damaged TIFF|cannot be decoded"):
        decode(tiff_of(short, tags))


def test_odd_values_of_every_tag_never_end_otherwise_than_in_a_reason() -> None:
    whole = written(numbers(3, "u2"), {262: [RGB]}, planes=True, deflated=True)
    (directory,) = struct.unpack_from("<I", whole, 4)
    (count,) = struct.unpack_from("<H", whole, directory)
    read = 0
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        for field, code in ((2, "H"), (4, "I"), (8, "I"), (8, "H")):
            for value in (0, 1, 2, 3, 255, 65535, 1 << 31, (1 << 32) - 1):
                if code == "H" and value > 65535:
                    continue
                broken = bytearray(whole)
                struct.pack_into(f"<{code}", broken, entry + field, value)
                with contextlib.suppress(ImageError):
                    decode(bytes(broken))
                    read += 1
    assert read > 0


def test_an_absurd_size_is_refused_from_the_tags() -> None:
    with pytest.raises(ImageError, match="60000x60000 is 3,600,000,000 pixels"):
        decode(tiff(bytes(8), 60000, 60000, t258=16))


def test_plain_files_give_what_pillow_gives() -> None:
    picture = photo(40, 50)
    numbered = {"tiff_lzw": 5, "tiff_adobe_deflate": 8, "packbits": 32773, "zstd": 50000, "lzma": 34925}
    # Pillow 11's libtiff has no Zstandard.
    for compression in (None, *(name for name, number in numbered.items() if not libtiff.lacks(number))):
        options = {} if compression is None else {"compression": compression}
        data = encoded(picture, "TIFF", **options)
        with Image.open(io.BytesIO(data)) as seen:
            assert np.array_equal(decode(data), np.asarray(seen)), compression


@pytest.mark.slow
def test_a_tenth_of_the_matrix_is_right_or_refused_by_its_reason() -> None:
    for name in ("tifffile", "imagecodecs", "pyvips"):
        pytest.importorskip(name)
    from tests.benchmarks.tiff_matrix import judged, variants

    tried = [(variant.name, judged(variant)) for variant in islice(variants(), 0, None, 10)]
    assert len(tried) > 500
    assert [(name, said) for name, (verdict, said) in tried if verdict == "wrong"] == []
