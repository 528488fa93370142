"""What a PNG promises about its own wholeness, checked because Pillow does not.

Pillow never compares the checksum of the pixel data, and rows that the compressed data
does not hold stay black without an error. So the container is walked here (PNG
specification, third edition, sections 5 and 8). No imaging library is imported.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from extract.formats import CUT_SHORT
from models.errors import ImageError

_SIGNATURE_LENGTH = 8
_HEADER = 16
# Channels of a pixel by colour type, table 11.1.
_GREY, _COLOUR = 0, 2
_CHANNELS = {_GREY: 1, _COLOUR: 3, 3: 1, 4: 2, 6: 4}
# First column, first row, column step and row step of the seven Adam7 passes, section 8.1.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_INFLATE_STEP = 1 << 20


def check(data: bytes) -> None:
    """Compare every chunk's checksum, and require the end chunk.

    Parameters
    ----------
    data : bytes
        A whole file that begins with the PNG signature. What follows IEND is not looked at.

    Raises
    ------
    ImageError
        Naming the first chunk that is cut off or fails its CRC-32.
    """
    view = memoryview(data)
    for name, start, length in _chunks(data):
        stored = int.from_bytes(view[start + length : start + length + 4], "big")
        if zlib.crc32(view[start - 4 : start + length]) != stored:
            raise ImageError(f"damaged PNG: chunk {_printable(name)} at byte {start - 8} fails its checksum")


def rows_missing(data: bytes) -> bool:
    """Whether the compressed data of a PNG holds fewer bytes than its rows need.

    Costs a second decompression, in steps of 1 MiB; call it only on suspicion.
    `check` must have passed.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, _HEADER)
    bits = depth * _CHANNELS.get(colour, 1)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    missing = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            missing += rows * (1 + (columns * bits + 7) // 8)
    inflate = zlib.decompressobj()
    for name, start, length in _chunks(data):
        piece = data[start : start + length] if name == b"IDAT" else b""
        while piece and missing > 0 and not inflate.eof:
            missing -= len(inflate.decompress(piece, _INFLATE_STEP))
            piece = inflate.unconsumed_tail
    return missing > 0


def clear_colour(clear: Any, data: bytes) -> Any:
    """The transparent value of a tRNS chunk, on the scale of the pixels that Pillow gives.

    Pillow spreads 2- and 4-bit grey over 0-255 and keeps the high byte of 16-bit colours,
    but leaves the transparent value as it is stored.
    """
    depth, colour = data[_HEADER + 8], data[_HEADER + 9]
    if colour == _GREY and depth in (2, 4):
        return clear * 255 // ((1 << depth) - 1)
    if colour == _COLOUR and depth == 16:
        return tuple(value >> 8 for value in clear)
    return clear


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start of the content and its length, for every chunk up to and with IEND."""
    position = _SIGNATURE_LENGTH
    while True:
        if position + 12 > len(data):
            raise ImageError(CUT_SHORT)
        length, name = struct.unpack_from(">I4s", data, position)
        if position + 12 + length > len(data):
            raise ImageError(CUT_SHORT)
        yield name, position + 8, length
        if name == b"IEND":
            return
        position += 12 + length


def _printable(name: bytes) -> str:
    return name.decode("ascii") if name.isalpha() and name.isascii() else name.hex()
