"""What a PNG promises about its own wholeness, checked because Pillow does not.

Pillow never compares the checksum of the pixel data, and rows that the compressed data
does not hold stay black without an error. So the container is walked here (PNG
specification, third edition, sections 5, 8 and 11). No imaging library is imported.
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
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})
# First column, first row, column step and row step of the seven Adam7 passes, section 8.1.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_INFLATE_STEP = 1 << 20
# Pillow's PngImagePlugin.MAX_TEXT_CHUNK: a file whose text or profile has more bytes it refuses as a whole.
_MOST_TEXT = 1 << 20
# The most that deflate makes of a byte: RFC 1951 codes 258 bytes in two bits.
_DEFLATED = 1032


def decodable(data: bytes) -> bytes:
    """What to give to Pillow, after every chunk's checksum was compared and the end chunk found.

    Parameters
    ----------
    data : bytes
        A whole file that begins with the PNG signature. What follows IEND is not looked at.

    Returns
    -------
    bytes
        `data`, or its chunks without text and profiles of more than 1 MiB. No pixel depends on them.

    Raises
    ------
    ImageError
        Naming the first chunk that is cut off or fails its CRC-32.
    """
    view = memoryview(data)
    kept, start_of_kept = [], 0
    for name, start, length in _chunks(data):
        stored = int.from_bytes(view[start + length : start + length + 4], "big")
        if zlib.crc32(view[start - 4 : start + length]) != stored:
            raise ImageError(f"damaged PNG: chunk {_printable(name)} at byte {start - 8} fails its checksum")
        if name in _TEXTS and _is_long(name, data[start : start + length]):
            kept.append(view[start_of_kept : start - 8])
            start_of_kept = start + length + 4
    return b"".join([*kept, view[start_of_kept:]]) if kept else data


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


def _is_long(name: bytes, content: bytes) -> bool:
    """Whether text or a profile has more bytes, inflated, than Pillow takes."""
    if len(content) <= _MOST_TEXT // _DEFLATED:
        return False
    # Keyword, 0, then by section 11.3: text; a method and deflated data; a flag, a method, two more texts and
    # plain or deflated data.
    rest = content.partition(b"\0")[2]
    if name == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        packed, rest = name != b"tEXt", rest[1:]
    if not packed or len(rest) > _MOST_TEXT:
        return len(rest) > _MOST_TEXT
    inflate = zlib.decompressobj()
    try:
        inflate.decompress(rest, _MOST_TEXT)
    except zlib.error:
        return False
    return bool(inflate.unconsumed_tail)


def _printable(name: bytes) -> str:
    return name.decode("ascii") if name.isalpha() and name.isascii() else name.hex()
