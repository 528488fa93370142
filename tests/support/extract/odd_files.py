"""Builders of odd and broken picture files, byte by byte where an encoder would not do it."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fc7.extract.records import Pixels

EOI = b"\xff\xd9"


def photo(height: int, width: int, seed: int = 0) -> Pixels:
    """Pixels that compress like a photograph: soft patches of colour with a little grain."""
    rng = np.random.default_rng(seed)
    patches = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    soft = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(soft + rng.integers(-9, 10, soft.shape), 0, 255).astype(np.uint8)


def encoded(pixels: Pixels | Image.Image, form: str, **options: Any) -> bytes:
    """A file as Pillow writes it."""
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png(
    rows: Sequence[bytes],
    width: int,
    height: int,
    depth: int,
    colour: int,
    chunks: Sequence[tuple[bytes, bytes]] = (),
    interlaced: bool = False,
) -> bytes:
    """A PNG from unfiltered rows; `chunks` go before the pixel data."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(name, data)
        for name, data in [(b"IHDR", header), *chunks, (b"IDAT", packed), (b"IEND", b"")]
    )


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def tiff(pixels: bytes, width: int, height: int, **tags: int) -> bytes:
    """A little-endian TIFF of one uncompressed strip; tags are given as ``t258=16``, all of one short."""
    entries = {256: width, 257: height, 259: 1, 262: 1, 277: 1, 278: height}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    lines = [struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries.items()]
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    lines += [struct.pack("<HHII", 273, 4, 1, start), struct.pack("<HHII", 279, 4, 1, len(pixels))]
    lines.sort(key=lambda line: struct.unpack_from("<H", line))
    return b"II*\0" + struct.pack("<IH", 8, len(lines)) + b"".join(lines) + bytes(4) + pixels


def old_jpeg_tiff(data: bytes, width: int, height: int, *, counted: bool = True) -> bytes:
    """A little-endian TIFF of compression 6 (TIFF 6.0, section 22) around a baseline JPEG of 4:4:4.

    Its directory lies in front, so that a cut takes coded data only. `counted`: whether it says how long
    that is.
    """
    length = len(data) if counted else 0
    entries = {256: width, 257: height, 259: 6, 262: 6, 277: 3, 278: height, 284: 1, 514: length, 279: length}
    lines = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items()]
    values = 8 + 2 + 12 * (len(entries) + 4) + 4
    lines.append(struct.pack("<HHII", 258, 3, 3, values))
    lines.append(struct.pack("<HHIHH", 530, 3, 2, 1, 1))
    lines += [struct.pack("<HHII", tag, 4, 1, values + 6) for tag in (273, 513)]
    lines.sort(key=lambda line: struct.unpack_from("<H", line))
    head = b"II*\0" + struct.pack("<IH", 8, len(lines)) + b"".join(lines) + bytes(4)
    return head + struct.pack("<3H", 8, 8, 8) + data


def tiff_of(
    segments: Sequence[bytes], tags: Mapping[int, Sequence[int]], order: str = "<", *, big: bool = False
) -> bytes:
    """A TIFF of these strips, or tiles where `tags` give their size (322); all values whole numbers.

    By default 8-bit, uncompressed, in one plane, black is zero. XMP (700) is written as bytes.
    """
    places = (324, 325) if 322 in tags else (273, 279)
    entries: dict[int, Sequence[int]] = {258: [8], 259: [1], 262: [1], 277: [1], 284: [1], **tags}
    entries |= {places[0]: [0] * len(segments), places[1]: [len(segment) for segment in segments]}
    size, number, head = (8, "Q", "HHQ") if big else (4, "I", "HHI")
    signature = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    start = (16 if big else 8) + sum(map(len, segments))
    offsets = (16 if big else 8) + np.cumsum([0, *map(len, segments)])[:-1]
    entries[places[0]] = offsets.tolist()
    values = start + (8 if big else 2) + len(entries) * (4 + 2 * size) + size
    lines, apart = b"", b""
    for tag, numbers in sorted(entries.items()):
        kind, code = (7, "B") if tag == 700 else (3, "H") if max(numbers) < 65536 else (4, "I")
        packed = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        lines += struct.pack(order + head, tag, kind, len(numbers))
        if len(packed) <= size:
            lines += packed.ljust(size, b"\0")
        else:
            lines += struct.pack(order + number, values + len(apart))
            apart += packed
    front = signature + (struct.pack(order + "HHQ", 8, 0, start) if big else struct.pack(order + "I", start))
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    return front + b"".join(segments) + count + lines + bytes(size) + apart


def tiff_with(data: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF with the value of one of its first directory's tags changed."""
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        found, kind = struct.unpack_from("<HH", data, entry)
        if found == tag:
            packed = struct.pack("<I" if kind == 4 else "<Hxx", value)
            return data[: entry + 8] + packed + data[entry + 12 :]
    raise KeyError(tag)


def jpeg_scan(data: bytes) -> tuple[int, int]:
    """Start and end of the coded data of a JPEG of one scan that ends with its end marker."""
    header = data.index(b"\xff\xda")
    return header + 2 + int.from_bytes(data[header + 2 : header + 4], "big"), len(data) - 2


def jpeg_cut_and_closed(data: bytes, at: int) -> bytes:
    """A JPEG whose coded data is cut, with an end marker put back: whole to a reader of markers."""
    while data[at - 1] == 0xFF:
        at -= 1
    return data[:at] + EOI


def without_adobe_marker(data: bytes) -> bytes:
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def with_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@dataclass
class OddFolder:
    """What `make_odd_folder` wrote.

    `readable`: path (as a listing shows it) -> pixels, or None where the coding loses some.
    `unreadable`: path -> a part of the reason that must be given.
    `ignored`: as `Listing.ignored`.
    """

    readable: dict[str, Pixels | None] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)


def make_odd_folder(folder: Path) -> OddFolder:
    """Issue 4's folder: every odd and broken file it names, and whole neighbours between them.

    Links, and names that the file system refuses, are left out where they cannot be made.
    """
    made = OddFolder()
    picture = photo(48, 64)
    whole, whole_png = encoded(picture, "JPEG", quality=90), encoded(picture, "PNG")

    def add(path: str, data: bytes, pixels: Pixels | None = None) -> None:
        _write(folder / path, data)
        made.readable[path] = pixels

    def add_bad(path: str, data: bytes, reason: str) -> None:
        _write(folder / path, data)
        made.unreadable[path] = reason

    add("whole/a.png", whole_png, picture)
    add("whole/b.jpg", whole)
    add("other/a.png", encoded(photo(20, 30, 1), "PNG"), photo(20, 30, 1))
    for number in range(5):
        add(f"copies/{number}.png", whole_png, picture)
    frames = [Image.fromarray(np.full((12, 10), 6 * n, np.uint8)) for n in range(40)]
    first = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    add("odd/frames.gif", first, np.zeros((12, 10, 3), np.uint8))
    deep = np.array([[0, 257, 32768, 65535]], np.dtype(">u2"))
    grey = np.repeat(np.array([[[0], [1], [128], [255]]], np.uint8), 3, axis=2)
    add("odd/deep.png", png([deep.tobytes()], 4, 1, 16, 0), grey)
    add("odd/cmyk.jpg", encoded(Image.fromarray(picture).convert("CMYK"), "JPEG"))
    add("odd/dot.png", encoded(picture[:1, :1], "PNG"), picture[:1, :1])
    add("odd/long.png", encoded(photo(10, 30000), "PNG"), photo(10, 30000))
    for name in ("a b.png", "emoji \U0001f600.png", "percent%20.png"):
        add(f"names/{name}", whole_png, picture)
    add_bad("broken/empty.jpg", b"", "empty")
    add_bad("broken/cut.jpg", whole[: len(whole) // 2], "truncated")
    flipped = bytearray(whole_png)
    flipped[60] ^= 1
    add_bad("broken/crc.png", bytes(flipped), "checksum")
    add_bad("broken/text.jpg", b"this is no picture\n", "not an image")
    _write(folder / "notes.txt", b"not counted as an image")
    made.ignored[".txt"] = 1
    if os.name == "posix":
        _add_posix(folder, made, whole_png, picture)
    return made


def _add_posix(folder: Path, made: OddFolder, data: bytes, pixels: Pixels) -> None:
    for name, shown in (
        ("new\nline.png", "new\nline.png"),
        ("quote\"'.png", "quote\"'.png"),
        ("back\\slash.png", "back\\\\slash.png"),
        (os.fsdecode(b"latin1-\xe9.png"), "latin1-\\xe9.png"),
    ):
        try:
            _write(folder / "names" / name, data)
        except OSError:  # a file system that takes UTF-8 only
            continue
        made.readable[f"names/{shown}"] = pixels
    (folder / "broken/link.png").symlink_to("nowhere.png")
    made.unreadable["broken/link.png"] = "broken link to 'nowhere.png'"
    (folder / "whole/loop").symlink_to(folder)
    made.ignored["linked again"] = 1


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
