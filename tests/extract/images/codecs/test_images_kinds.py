"""AVIF, HEIC, JPEG 2000, JPEG XL and MPO: right values, upright, the first picture, and no half of one."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, Jpeg2KImagePlugin

from fc7.extract.images.codecs import heif, jpegxl
from fc7.extract.images.codecs.codecs import _imagecodecs
from fc7.extract.images.codecs.formats import begins_as_image, is_worth_a_look, sniff
from fc7.extract.images.codecs.jpegxl_header import JpegXlBits
from fc7.extract.images.decode import prepare
from fc7.extract.records import Pixels
from fc7.models.common.errors import ImageError
from fc7.models.network.spec import PreprocessSpec
from tests.support.extract.decoding import decode
from tests.support.extract.odd_files import encoded, photo

PHOTO = photo(72, 128)
ORIENTATIONS = range(1, 9)


@pytest.fixture
def heic() -> Any:
    return pytest.importorskip("pillow_heif", reason="HEIC needs the extra heif")


@pytest.fixture
def codecs() -> Any:
    return pytest.importorskip("imagecodecs", reason="JPEG XL, and an independent reader: the extra jxl")


def heic_of(pillow_heif: Any, pixels: Pixels, **options: Any) -> bytes:
    file = pillow_heif.from_pillow(Image.fromarray(pixels))
    buffer = io.BytesIO()
    # Without loss but for YCbCr's rounding.
    file.save(buffer, quality=-1, chroma=444, **options)
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    """EXIF with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def upright(orientation: int) -> Pixels:
    """PHOTO as a viewer shows it, by the reading of the tag that the PNG tests have proved."""
    return decode(encoded(PHOTO, "PNG", exif=turned(orientation)))


def close(found: Pixels, wanted: Pixels, most: int) -> bool:
    return found.shape == wanted.shape and int(np.abs(found.astype(int) - wanted).max()) <= most


def test_jpeg_2000_without_loss_gives_the_very_pixels() -> None:
    for options in ({}, {"no_jp2": True}, {"tile_size": (48, 40)}):
        assert np.array_equal(decode(encoded(PHOTO, "JPEG2000", **options)), PHOTO)
    grey = PHOTO[..., 0]
    assert np.array_equal(decode(encoded(grey, "JPEG2000")), np.dstack([grey] * 3))
    alpha = np.dstack([PHOTO, np.arange(PHOTO[..., 0].size).reshape(grey.shape) % 256]).astype(np.uint8)
    assert np.array_equal(decode(encoded(alpha, "JPEG2000")), decode(encoded(alpha, "PNG")))


def test_16_bit_grey_of_jpeg_2000_is_spread_like_any_other() -> None:
    values = np.linspace(0, 65535, PHOTO[..., 0].size).astype(np.uint16).reshape(PHOTO.shape[:2])
    wanted = np.rint(values / 257).astype(np.uint8)
    assert np.array_equal(decode(encoded(Image.fromarray(values), "JPEG2000"))[..., 1], wanted)


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 10, 12, 16])
@pytest.mark.parametrize("form", ["jp2", "j2k"])
def test_grey_of_any_depth_in_jpeg_2000_reaches_white(codecs: Any, form: str, bits: int) -> None:
    top = 2**bits - 1
    values = (np.arange(64 * 48) * top // (64 * 48 - 1)).reshape(48, 64)
    values = values.astype(np.uint8 if bits <= 8 else np.uint16)
    data = codecs.jpeg2k_encode(values, level=0, codecformat=form, bitspersample=bits)
    exact = values * 255.0 / top
    found = decode(data)[..., 0]
    assert np.abs(found - exact).max() <= (0.5 if bits > 8 else 1)
    assert (found.min(), found.max()) == (0, 255)


def test_colour_of_few_bits_and_of_many_in_jpeg_2000_reaches_white(codecs: Any) -> None:
    values = PHOTO >> 3
    data = codecs.jpeg2k_encode(values, level=0, codecformat="jp2", bitspersample=5)
    assert np.array_equal(decode(data), (values.astype(int) * 255 // 31).astype(np.uint8))
    white = np.full((8, 8, 3), 65535, np.uint16)
    data = codecs.jpeg2k_encode(white, level=0, codecformat="jp2")
    # What Pillow makes of white, so that this guard goes when it is needed no longer.
    assert np.asarray(Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(data))).max() == 0
    assert decode(data).min() == 255


@pytest.mark.parametrize("form", ["jp2", "j2k"])
@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_deep_colour_in_jpeg_2000_is_right_to_half_a_level(
    codecs: Any, form: str, bits: int, channels: int
) -> None:
    top = (1 << bits) - 1
    values = np.random.default_rng(bits).integers(0, top + 1, (13, 17, channels)).astype(np.uint16)
    values[0, 0], values[0, 1] = 0, top
    data = codecs.jpeg2k_encode(values, level=0, codecformat=form, bitspersample=bits, reversible=True)
    exact = values.astype(float) * 255 / top
    if channels == 3:
        # OpenCV brings an OpenJPEG of its own; BGR.
        other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert other is not None
        np.testing.assert_array_equal(other[..., ::-1], values)
        assert np.abs(decode(data) - exact).max() <= 0.5
        return
    clear = exact[..., -1:] / 255
    on_white = exact[..., :-1] * clear + 255 * (1 - clear)
    # Colour and alpha are rounded, and what comes of both.
    assert np.abs(decode(data) - on_white).max() <= 1.51


@pytest.mark.usefixtures("without_extras")
def test_deep_colour_in_jpeg_2000_names_the_extra_that_reads_it() -> None:
    # SIZ says 16 bits for each of three channels; what is there else is a picture of 8.
    data = bytearray(encoded(PHOTO, "JPEG2000", no_jp2=True))
    sizes = data.index(b"\xff\x51") + 2
    for channel in range(3):
        data[sizes + 38 + 3 * channel] = 15
    with pytest.raises(ImageError, match=r"^JPEG 2000 in colour of 16 bits is read by imagecodecs, .*jxl"):
        decode(bytes(data))


def test_a_jpeg_2000_that_ends_between_tiles_is_cut_short() -> None:
    data = encoded(PHOTO, "JPEG2000", no_jp2=True, tile_size=(32, 32))
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"\xff\x90\x00\x0a"]
    assert len(starts) == 12
    for at in starts:
        with pytest.raises(ImageError, match="truncated"):
            decode(data[:at])
        with pytest.raises(ImageError, match="truncated"):
            decode(data[:at] + b"\xff\xd9")
    # Pillow alone gives black tiles for one of them.
    first_of_last = data[: starts[-1] + 14]
    with Image.open(io.BytesIO(first_of_last)) as guessed, pytest.raises(OSError, match="broken data stream"):
        guessed.load()


def test_avif_is_read_to_a_few_levels_and_stands_upright_once() -> None:
    options = {"quality": 100, "subsampling": "4:4:4"}
    for orientation in ORIENTATIONS:
        data = encoded(PHOTO, "AVIF", exif=turned(orientation), **options)
        assert close(decode(data), upright(orientation), 4), orientation
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert np.array_equal(
        decode(encoded(PHOTO, "AVIF", xmp=xmp, **options)), decode(encoded(PHOTO, "AVIF", **options))
    )
    frames = [Image.fromarray(255 - PHOTO)]
    film = encoded(PHOTO, "AVIF", save_all=True, append_images=frames, **options)
    assert sniff(film) == "AVIF"
    assert close(decode(film), PHOTO, 4)


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_more_bits_is_spread_over_8(codecs: Any, bits: int) -> None:
    top = 2**bits - 1
    values = np.dstack([(np.arange(64 * 48) * top // (64 * 48 - 1)).reshape(48, 64).astype(np.uint16)] * 3)
    data = codecs.avif_encode(values, level=100, bitspersample=bits)
    stored = codecs.avif_decode(data)
    assert np.array_equal(decode(data), np.rint(stored * 255.0 / top).astype(np.uint8))


def test_the_first_picture_of_an_mpo_is_the_one() -> None:
    other = Image.fromarray(255 - PHOTO)
    both = encoded(PHOTO, "MPO", save_all=True, append_images=[other], quality=95)
    alone = encoded(PHOTO, "JPEG", quality=95)
    assert sniff(both) == "JPEG"
    assert np.array_equal(decode(both), decode(alone))
    with pytest.raises(ImageError, match="truncated"):
        decode(both[: len(alone) // 2])


def test_heic_is_read_to_a_level_and_stands_upright_once(heic: Any) -> None:
    assert close(decode(heic_of(heic, PHOTO)), PHOTO, 2)
    grey = decode(heic_of(heic, PHOTO[..., 0]))
    assert close(grey, np.dstack([PHOTO[..., 0]] * 3), 1)
    for orientation in ORIENTATIONS:
        data = heic_of(heic, PHOTO, exif=turned(orientation))
        assert close(decode(data), upright(orientation), 2), orientation


def test_a_heic_of_tiles_is_whole_or_a_failure(heic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heic.options, "GRID_TILE_SIZE", 64)
    pixels = photo(120, 180)
    data = heic_of(heic, pixels)
    assert b"grid" in data
    assert close(decode(data), pixels, 2)
    # libheif leaves what it lacks green and says nothing.
    guessed = np.asarray(heic.open_heif(io.BytesIO(data[: -len(data) // 3])))
    assert guessed.shape == pixels.shape
    assert np.ptp(guessed[-40:, -40:], axis=(0, 1)).tolist() == [0, 0, 0]
    for at in range(40, len(data), max(1, len(data) // 60)):
        with pytest.raises(ImageError):
            decode(data[:at])
    with pytest.raises(ImageError, match="truncated"):
        decode(data[:-1])


def test_heic_of_more_bits_gives_the_high_byte(heic: Any) -> None:
    values = np.dstack([np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)] * 3)
    buffer = io.BytesIO()
    heic.encode("RGB;16", (64, 48), values.tobytes(), buffer, quality=-1, chroma=444)
    stored = np.asarray(heic.open_heif(buffer, convert_hdr_to_8bit=False))
    assert stored.dtype == np.uint16
    assert np.array_equal(decode(buffer.getvalue()), (stored >> 8).astype(np.uint8))


def test_too_large_a_picture_is_refused_from_its_header(heic: Any, codecs: Any) -> None:
    for data in (
        encoded(PHOTO, "AVIF"),
        encoded(PHOTO, "JPEG2000"),
        heic_of(heic, PHOTO),
        codecs.jpegxl_encode(PHOTO),
    ):
        with pytest.raises(ImageError, match="128x72 is 9,216 pixels; at most 9,215"):
            decode(data, max_pixels=72 * 128 - 1)
        assert decode(data, max_pixels=72 * 128).shape == PHOTO.shape


def test_jpeg_xl_gives_the_very_pixels_at_every_depth(codecs: Any) -> None:
    assert np.array_equal(decode(codecs.jpegxl_encode(PHOTO, lossless=True)), PHOTO)
    grey = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    found = decode(codecs.jpegxl_encode(grey, lossless=True))
    assert np.array_equal(found, np.dstack([np.rint(grey / 257).astype(np.uint8)] * 3))
    colour = np.dstack([grey, grey[::-1], grey[:, ::-1]])
    assert np.array_equal(decode(codecs.jpegxl_encode(colour, lossless=True)), (colour >> 8).astype(np.uint8))
    alpha = np.dstack([PHOTO, PHOTO[..., 0]])
    assert np.array_equal(decode(codecs.jpegxl_encode(alpha, lossless=True)), decode(encoded(alpha, "PNG")))
    film = codecs.jpegxl_encode(np.stack([PHOTO, 255 - PHOTO]), lossless=True)
    assert np.array_equal(decode(film), PHOTO)


def test_a_jpeg_within_jpeg_xl_stands_upright_once(codecs: Any) -> None:
    for orientation in ORIENTATIONS:
        jpeg = encoded(PHOTO, "JPEG", quality=95, subsampling=0, exif=turned(orientation))
        data = codecs.jpegxl_encode_jpeg(jpeg, usecontainer=True)
        found, wanted = decode(data), decode(jpeg)
        assert found.shape == wanted.shape
        # libjxl rounds the blocks and the colours less often.
        assert np.abs(found.astype(int) - wanted).mean() < 2, orientation


@pytest.mark.parametrize("usecontainer", [False, True])
def test_a_jpeg_xl_cut_anywhere_is_a_failure(codecs: Any, usecontainer: bool) -> None:
    data = codecs.jpegxl_encode(PHOTO, level=80, usecontainer=usecontainer)
    for at in range(1, len(data), 29):
        with pytest.raises(ImageError):
            decode(data[:at])
    with pytest.raises(ImageError, match="truncated"):
        decode(data[:-1])


@pytest.mark.parametrize("shape", [(8, 8), (24, 40), (72, 128), (600, 800), (1, 700), (13, 2000), (9, 7)])
def test_the_size_of_a_jpeg_xl_is_in_its_first_bits(codecs: Any, shape: tuple[int, int]) -> None:
    data = codecs.jpegxl_encode(np.zeros((*shape, 3), np.uint8), lossless=True)
    assert jpegxl.size(data) == shape


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("pillow_heif", "imagecodecs"):
        monkeypatch.setitem(sys.modules, name, None)
    for found in (heif._reader, _imagecodecs):
        found.cache_clear()
    yield
    for found in (heif._reader, _imagecodecs):
        found.cache_clear()


FTYP = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic")


@pytest.mark.usefixtures("without_extras")
def test_without_the_extra_the_reason_says_what_to_install() -> None:
    with pytest.raises(ImageError, match=r"^HEIC is read by pillow-heif, .* -m pip install 'fc7\[heif\]'$"):
        decode(FTYP)
    spec = PreprocessSpec("warp", 8, 8, 8, 8, "RGB")
    # 16 x 16 and nothing else to say.
    bare = b"\xff\x0a" + (1 | 1 << 1 | 1 << 6 | 0b11 << 9).to_bytes(20, "little")
    with pytest.raises(ImageError, match=r"^JPEG XL is read by imagecodecs, .* pip install 'fc7\[jxl\]'$"):
        prepare(bare, spec)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("lossless", [True, False])
def test_a_header_of_jpeg_xl_is_plausible(codecs: Any, channels: int, dtype: str, lossless: bool) -> None:
    data = codecs.jpegxl_encode(np.zeros((24, 40, channels), dtype), lossless=lossless, usecontainer=False)
    # Within boxes or not.
    bare = data[data.index(b"\xff\x0a") :]
    assert sniff(bare) == "JPEG XL"
    assert begins_as_image(bare[:64])


@pytest.mark.parametrize("text", [b"this is no picture", b"\xff" * 40, b"id,label\n"])
def test_two_bytes_do_not_make_junk_a_jpeg_xl(text: bytes) -> None:
    with pytest.raises(ImageError, match=r"^not an image: it begins with b'\\xff\\n"):
        decode(b"\xff\x0a" + text)


def test_most_random_bits_are_no_jpeg_xl_and_four_bytes_no_jpeg_2000() -> None:
    rng = np.random.default_rng(0)
    taken = sum(JpegXlBits(b"\xff\x0a" + rng.bytes(80)).is_plausible() for _ in range(2000))
    assert taken < 600
    with pytest.raises(ImageError, match="not an image"):
        decode(b"\xff\x4f\xff\x51 and so on")


@pytest.mark.parametrize(
    ("brands", "kind"),
    [
        (b"avif\0\0\0\0mif1miaf", "AVIF"),
        (b"avis\0\0\0\0avisavif", "AVIF"),
        (b"mif1\0\0\0\0mif1miafavif", "AVIF"),
        (b"mif1\0\0\0\0mif1heic", "HEIC"),
        (b"heix\0\0\0\0mif1heix", "HEIC"),
        (b"hevc\0\0\0\0msf1hevc", "HEIC"),
        (b"msf1\0\0\0\0avis", "AVIF"),
    ],
)
def test_brands_tell_avif_from_heic(brands: bytes, kind: str) -> None:
    head = struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands
    assert sniff(head + bytes(200)) == kind
    assert begins_as_image((head + bytes(64))[:64])


def test_first_bytes_that_others_have_by_chance_are_no_proof() -> None:
    for head in (
        b"BMW drives", b"P1 of the plan", b"P6 x", b"\x28\0\0\0" + bytes(60), b"\xff\x0a text", b"", b"hello",
        b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41",
    ):  # fmt: skip
        assert not begins_as_image(head), head
    for form in ("BMP", "PNG", "GIF", "JPEG", "PPM", "TIFF", "WebP", "AVIF", "JPEG2000"):
        assert begins_as_image(encoded(PHOTO, form)[:64]), form
    assert is_worth_a_look(".download")
    for copy in (".nef", ".jpg_original", ".jpg~", ".bak", ".thm", ".txt", ".xml", ".json"):
        assert not is_worth_a_look(copy)
