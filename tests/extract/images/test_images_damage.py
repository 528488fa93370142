"""Broken files give an ImageError with a short reason: never guessed pixels, never another exception."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from fc7.extract.images.codecs.png import decodable
from fc7.extract.images.decode import MAX_PIXELS
from fc7.extract.images.tiff import libtiff
from fc7.models.common.errors import ImageError
from tests.support import ROOT
from tests.support.extract.decoding import decode
from tests.support.extract.odd_files import (
    EOI,
    encoded,
    jpeg_cut_and_closed,
    jpeg_scan,
    old_jpeg_tiff,
    photo,
    png,
    png_chunk,
    tiff,
    tiff_with,
)

PHOTO = photo(96, 128)
JPEGS = {
    "baseline": encoded(PHOTO, "JPEG"),
    "fine": encoded(PHOTO, "JPEG", quality=95, subsampling=0),
    "grey": encoded(PHOTO[..., 0], "JPEG"),
    "restarts": encoded(PHOTO, "JPEG", restart_marker_rows=1),
    "progressive": encoded(PHOTO, "JPEG", progressive=True),
}
OTHERS: dict[str, bytes] = {
    "PNG": encoded(PHOTO, "PNG"),
    "GIF": encoded(PHOTO[..., 0], "GIF"),
    "BMP": encoded(PHOTO, "BMP"),
    "PPM": encoded(PHOTO, "PPM"),
    "WebP": encoded(PHOTO, "WebP"),
    "WebP lossless": encoded(PHOTO, "WebP", lossless=True),
    "AVIF": encoded(PHOTO, "AVIF"),
    "JPEG 2000": encoded(PHOTO, "JPEG2000"),
    "JPEG 2000 lossy": encoded(PHOTO, "JPEG2000", quality_layers=[20], irreversible=True),
    "JPEG 2000 tiles": encoded(PHOTO, "JPEG2000", no_jp2=True, tile_size=(32, 32)),
    "TIFF": encoded(PHOTO, "TIFF"),
    "TIFF LZW": encoded(PHOTO, "TIFF", compression="tiff_lzw"),
    "TIFF deflate": encoded(PHOTO, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF alpha": encoded(np.dstack([PHOTO, PHOTO[..., :1]]), "TIFF"),
}


def cuts(data: bytes, step: int) -> list[int]:
    return sorted({*range(0, len(data), step), len(data) - 2, len(data) - 1})


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_cut_anywhere_is_a_failure(name: str) -> None:
    data = JPEGS[name]
    decode(data)
    for at in cuts(data, 23):
        with pytest.raises(ImageError):
            decode(data[:at])


@pytest.mark.parametrize("name", ["baseline", "fine", "grey", "restarts"])
def test_a_cut_jpeg_is_found_out_even_with_a_new_end_marker(name: str) -> None:
    data = JPEGS[name]
    start, end = jpeg_scan(data)
    # Pillow alone paints what is missing and says nothing; so this test can fail.
    with Image.open(io.BytesIO(jpeg_cut_and_closed(data, (start + end) // 2))) as guessed:
        guessed.load()
    for at in range(start, end - 12, 29):
        with pytest.raises(ImageError, match=r"truncated|out of order"):
            decode(jpeg_cut_and_closed(data, at))


def test_a_progressive_jpeg_that_lost_scans_is_found_out_even_with_a_new_end_marker() -> None:
    data = JPEGS["progressive"]
    scans = [found.start() for found in re.finditer(rb"\xff\xda", data)]
    assert len(scans) > 3
    for scan in scans[1:]:
        with pytest.raises(ImageError, match="last scans"):
            decode(data[:scan] + EOI)


def test_restart_markers_out_of_order_are_found_out() -> None:
    data = JPEGS["restarts"]
    markers = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    lost = data[: markers[1]] + data[markers[2] :]
    with pytest.raises(ImageError, match="out of order"):
        decode(lost)


def test_what_follows_the_end_marker_does_no_harm() -> None:
    for data in JPEGS.values():
        assert np.array_equal(decode(data + b"a preview, a video" + data[:50]), decode(data))


@pytest.mark.parametrize("name", OTHERS)
def test_other_formats_cut_anywhere_fail_or_lose_nothing(name: str) -> None:
    data = OTHERS[name]
    whole = decode(data)
    failed = 0
    for at in cuts(data, max(1, len(data) // 150)):
        try:
            assert np.array_equal(decode(data[:at]), whole)
        except ImageError:
            failed += 1
    assert failed > 100


def test_every_flipped_byte_of_a_png_is_found_out_or_harmless() -> None:
    data = encoded(photo(12, 16), "PNG")
    whole = decode(data)
    for at in range(8, len(data)):
        broken = bytearray(data)
        broken[at] ^= 0x10
        # Only the end chunk's empty content has nothing that a flip could change.
        with pytest.raises(ImageError):
            decode(bytes(broken))
    assert np.array_equal(decode(data + b"trailing"), whole)


@pytest.mark.parametrize("interlaced", [False, True])
def test_rows_that_a_png_does_not_hold_are_found_out(interlaced: bool) -> None:
    rows = [bytes([200] * 8)] * 8
    if interlaced:
        # Adam7 on 8x8: 1, 1, 2, 4, 8, 16 and 32 pixels in passes of 1, 1, 1, 2, 2, 4 and 4 rows.
        rows = [
            bytes([200] * n)
            for n, count in ((1, 2), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))
            for _ in range(count)
        ]
    assert (decode(png(rows, 8, 8, 8, 0, interlaced=interlaced)) == 200).all()
    for kept in range(1, len(rows)):
        with pytest.raises(ImageError, match=r"fewer rows|truncated"):
            decode(png(rows[:kept], 8, 8, 8, 0, interlaced=interlaced))


def test_a_png_that_is_black_at_the_bottom_is_no_suspect() -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:10] = 99
    assert np.array_equal(decode(encoded(picture, "PNG")), picture)


def test_a_tiff_directory_that_ends_early_is_found_out() -> None:
    pixels = bytes(range(12))
    data = tiff(pixels, 4, 3, t258=8)
    moved = data[:4] + struct.pack("<I", 20) + pixels + data[8:-12]
    at = moved.index(struct.pack("<HHI", 273, 4, 1)) + 8
    moved = moved[:at] + struct.pack("<I", 8) + moved[at + 4 :]
    assert decode(moved)[..., 0].tolist() == np.arange(12).reshape(3, 4).tolist()
    for missing in range(5, len(moved) - 20, 7):
        with pytest.raises(ImageError, match="truncated"):
            decode(moved[:-missing])


@pytest.mark.parametrize("counted", [True, False])
def test_old_style_jpeg_in_a_tiff_is_read_whole_and_cut_anywhere_is_a_failure(counted: bool) -> None:
    coded = encoded(PHOTO, "JPEG", subsampling=0, quality=90)
    data = old_jpeg_tiff(coded, PHOTO.shape[1], PHOTO.shape[0], counted=counted)
    # Two libraries' inverse cosine transforms differ in the last digit.
    assert np.abs(decode(data).astype(int) - decode(coded)).max() <= 2
    for at in range(len(data) - len(coded), len(data), 7):
        with pytest.raises(ImageError, match="truncated"):
            decode(data[:at])


def test_fax_data_with_codes_that_do_not_exist_is_found_out() -> None:
    if not libtiff.listen(Path(PIL.__file__).parent):
        pytest.skip("this Pillow has no libtiff of its own to listen to")
    data = encoded(Image.fromarray(PHOTO).convert("1"), "TIFF", compression="group4", strip_size=1 << 20)
    decode(data)
    broken = data[:500] + b"\xff" * 40 + data[540:]
    with Image.open(io.BytesIO(broken)) as filled_up_by_pillow:
        filled_up_by_pillow.load()
    with pytest.raises(ImageError, match="damaged TIFF: Fax"):
        decode(broken)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"hello, world", "not an image: it begins with b'hello, world'"),
        (bytes(500), "its 500 bytes are all zero"),
        (b"\xef\xbb\xbf<html>", "this is an HTML, SVG or XML file"),
        (b"\0\0\0\x1cftypavif", "truncated"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "this is a film, sound or raw (MP4, QuickTime, CR3) file"),
        (b"%PDF-1.7", "this is a PDF file"),
        (b"\xff\xd8\xff", "truncated"),
        (b"P6 10", "Reached EOF while reading header"),
        (b"GIF89a", "GIF that cannot be decoded"),
    ],
)
def test_what_is_no_image_is_named_for_what_it_is(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=re.escape(reason)):
        decode(data)


def test_an_absurd_size_is_refused_from_the_header_with_its_figures() -> None:
    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    huge = b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(*chunk) for chunk in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )
    with pytest.raises(ImageError, match="30000x30000 is 900,000,000 pixels; at most 178,956,970 are read"):
        decode(huge)
    tall = bytearray(JPEGS["baseline"])
    frame = tall.index(b"\xff\xc0")
    struct.pack_into(">HH", tall, frame + 5, 65000, 65000)
    with pytest.raises(ImageError, match="65000x65000"):
        decode(bytes(tall))
    assert MAX_PIXELS == 178_956_970
    with pytest.raises(ImageError, match="128x96 is 12,288 pixels; at most 12,287"):
        decode(OTHERS["PNG"], max_pixels=128 * 96 - 1)
    assert decode(OTHERS["PNG"], max_pixels=128 * 96).shape == PHOTO.shape


def test_pillows_own_settings_stay_as_they_are() -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    assert Image.MAX_IMAGE_PIXELS == 1024 * 1024 * 1024 // 4 // 3


def test_nothing_of_pillow_or_libtiff_reaches_the_terminal(tmp_path: Path) -> None:
    if not libtiff.listen(Path(PIL.__file__).parent):
        pytest.skip("this Pillow has no libtiff of its own to listen to")
    lzw = OTHERS["TIFF LZW"]
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff"
    for name, data in {
        "lzw": lzw[:20] + bytes(1000) + lzw[1020:],
        "samples": tiff_with(tiff(bytes(12), 4, 3, t258=8), 277, 65535),
        "exif": encoded(PHOTO, "JPEG", exif=exif),
    }.items():
        (tmp_path / name).write_bytes(data)
    script = (
        "import pathlib, sys\n"
        "from tests.support.extract.decoding import decode\n"
        "from fc7.models.common.errors import ImageError\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        decode(path.read_bytes())\n"
        "    except ImageError as exc:\n"
        "        print(path.name, exc)\n"
    )
    run: Any = subprocess.run(
        [sys.executable, "-W", "default", "-c", script, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    assert [line.split(":")[0] for line in run.stdout.splitlines()] == [
        "lzw damaged TIFF",
        "samples TIFF of 65535 bands, and no tag says what they show; save the band that counts as grey, "
        "or three as RGB",
    ]


def test_many_threads_give_what_one_gives() -> None:
    files = [
        *JPEGS.values(),
        *OTHERS.values(),
        JPEGS["baseline"][:500],
        OTHERS["TIFF LZW"][:-900],
        b"text",
    ] * 6

    def outcome(data: bytes) -> bytes | str:
        try:
            return decode(data).tobytes()
        except ImageError as exc:
            return str(exc)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(outcome, files)) == [outcome(data) for data in files]


# Chunks with more than 1 MiB inflated, as node editors write them.
PACKED = zlib.compress(b"workflow " * 130_000)
LONG_TEXTS = {
    "zTXt": (b"zTXt", b"prompt\0\0" + PACKED),
    "iTXt": (b"iTXt", b"prompt\0\1\0\0\0" + PACKED),
    "iCCP": (b"iCCP", b"profile\0\0" + PACKED),
}


@pytest.mark.parametrize("name", LONG_TEXTS)
def test_a_png_with_more_than_a_megabyte_of_text_or_profile_is_read(name: str) -> None:
    limit = PngImagePlugin.MAX_TEXT_CHUNK
    rows = [bytes([10, 20, 30, 40]), bytes([50, 60, 70, 80])]
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<a tiff:Orientation="3"/>'
    data = png(rows, 4, 2, 8, 0, [(b"tEXt", b"Title\0a short one"), LONG_TEXTS[name], (b"iTXt", xmp)])
    # Pillow alone refuses it; so this test can fail.
    with pytest.raises(ValueError, match="too large"), Image.open(io.BytesIO(data)) as image:
        image.load()
    assert decode(data)[..., 0].tolist() == [[80, 70, 60, 50], [40, 30, 20, 10]]
    assert limit == PngImagePlugin.MAX_TEXT_CHUNK
    with pytest.raises(ImageError, match="checksum"):
        decode(data.replace(b"a short one", b"another one"))


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"tEXt"])
def test_a_png_with_many_texts_is_read_as_it_is_turned(name: bytes) -> None:
    rows = [bytes([10, 20, 30, 40]), bytes([50, 60, 70, 80])]
    plain = b"x" * (1 << 20)
    content = {b"zTXt": b"\0\0" + zlib.compress(plain), b"iTXt": b"\0\1\0\0\0" + zlib.compress(plain)}
    texts = [(name, b"part %d" % i + content.get(name, b"\0" + plain)) for i in range(65)]
    # Of two that say how it is turned the last one counts.
    texts += [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b'<a tiff:Orientation="%d"/>' % n) for n in (6, 3)]
    data = png(rows, 4, 2, 8, 0, texts)
    with pytest.raises(ValueError, match="MAX_TEXT_MEMORY"), Image.open(io.BytesIO(data)) as image:
        image.load()
    assert decode(data)[..., 0].tolist() == [[80, 70, 60, 50], [40, 30, 20, 10]]


def test_a_png_with_a_few_texts_is_not_copied() -> None:
    data = png(
        [bytes(4)], 4, 1, 8, 0, [(b"tEXt", b"Title\0a"), (b"zTXt", b"b\0\0" + zlib.compress(bytes(999)))]
    )
    assert decodable(data) is data
