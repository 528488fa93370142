"""The numbers of a TIFF's pixels, by arithmetic alone: strips and tiles, planes, byte orders, predictors.

For the compressions of any bytes (`extract.images.tiff.layout.BYTE_STREAMS`). What libtiff decompresses is
handed to it as one grey 8-bit picture as wide as a row has bytes: then it turns and reorders nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.images.codecs.formats import CUT_SHORT
from fc7.extract.images.tiff.layout import FLOAT, SIGNED, UNCOMPRESSED, TiffLayout
from fc7.extract.records import Pixels
from fc7.models.common.errors import ImageError

Decompress = Callable[[bytes], Pixels]
"""A grey 8-bit TIFF -> its pixels, shape (height, width), uint8."""

# So many bytes are decompressed at once, or one strip or tile.
_AT_ONCE = 1 << 24
# Pillow's own limit, twice its MAX_IMAGE_PIXELS; here a pixel is a byte.
_MOST_AT_ONCE = 178_956_970
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_GREY_TAGS = 9


def read_samples(data: bytes, layout: TiffLayout, decompress: Decompress) -> NDArray[Any]:
    """The colours of every pixel and the alpha behind them, as stored.

    Parameters
    ----------
    data : bytes
        The whole file.
    layout : TiffLayout
        Of a compression of any bytes.

    Returns
    -------
    ndarray of shape (height, width, channels)
        Unsigned, signed or floating-point numbers in this machine's byte order; subsampled colours are
        repeated.

    Raises
    ------
    ImageError
        If the file holds less than it says.
    """
    channels = layout.colours + (layout.alpha > 0)
    down, across = layout.grid
    picture = np.empty((layout.height, layout.width, channels), _dtype(layout).newbyteorder("="))
    numbers = iter(range(down * across * (channels if layout.planar else 1)))
    # A strip of many rows may be larger than what is decompressed at once; several small ones are not.
    row_bytes = _row_bytes(layout)
    batch = max(1, _AT_ONCE // (row_bytes * _rows(layout, 0)))
    while wanted := list(islice(numbers, batch)):
        for number, rows in zip(
            wanted, _read(data, layout, wanted, row_bytes=row_bytes, decompress=decompress), strict=True
        ):
            plane, place = divmod(number, down * across)
            top, left = place // across * layout.segment_height, place % across * layout.segment_width
            target = picture[top : top + layout.segment_height, left : left + layout.segment_width]
            values = _values(rows, layout)[: target.shape[0], : target.shape[1]]
            if layout.planar:
                target[..., plane] = values[..., 0]
            else:
                target[:] = values[..., :channels]
    return picture


def _stored(layout: TiffLayout) -> int:
    """How many samples of a pixel lie side by side."""
    return 1 if layout.planar else layout.samples


def _row_bytes(layout: TiffLayout) -> int:
    """Bytes of a row of a strip or tile; of subsampled YCbCr, of a row of its blocks."""
    across, down = layout.subsampling
    if (across, down) != (1, 1):
        return -(-layout.segment_width // across) * (across * down + 2)
    return (layout.segment_width * _stored(layout) * layout.bits + 7) // 8


def _rows(layout: TiffLayout, number: int) -> int:
    """Such rows of a strip or tile: the last strip of a plane has what is left."""
    rows = layout.segment_height
    if not layout.tiled:
        rows = min(rows, layout.height - number % layout.grid[0] * rows)
    return -(-rows // layout.subsampling[1])


def _read(
    data: bytes, layout: TiffLayout, numbers: list[int], row_bytes: int, decompress: Decompress
) -> Iterator[Pixels]:
    """The bytes of some strips or tiles, each of shape (rows, row_bytes)."""
    heights = [_rows(layout, number) for number in numbers]
    if layout.compression == UNCOMPRESSED:
        for number, height in zip(numbers, heights, strict=True):
            piece = _piece(data, layout, number, size=height * row_bytes)
            yield np.frombuffer(piece, np.uint8).reshape(height, row_bytes)
        return
    # Only the last strip of a plane may be lower than its neighbours, and no strip follows it in one picture.
    start = 0
    for end in range(1, len(numbers) + 1):
        if end == len(numbers) or heights[end - 1] != heights[start] or heights[end] > heights[end - 1]:
            pieces = [
                _piece(data, layout, number, size=layout.counts[number]) for number in numbers[start:end]
            ]
            yield from np.split(
                decompress(_grey_tiff(pieces, heights[start:end], row_bytes, compression=layout.compression)),
                np.cumsum(heights[start : end - 1]),
            )
            start = end


def _piece(data: bytes, layout: TiffLayout, number: int, size: int) -> bytes:
    start = layout.offsets[number]
    if start + size > len(data):
        raise ImageError(CUT_SHORT)
    piece = data[start : start + size]
    return piece.translate(_REVERSED) if layout.fill_order == 2 else piece


def _grey_tiff(pieces: list[bytes], heights: list[int], row_bytes: int, compression: int) -> bytes:
    """Compressed strips as a little-endian TIFF of one grey byte a pixel."""
    size = row_bytes * sum(heights)
    if size > _MOST_AT_ONCE:
        raise ImageError(
            f"TIFF of {size:,} bytes in one compressed strip; at most {_MOST_AT_ONCE:,} are read"
        )
    many = len(pieces) > 1
    lists = 8 + 2 + 12 * _GREY_TAGS + 4
    first = lists + 8 * len(pieces) if many else lists
    counts = [len(piece) for piece in pieces]
    offsets = [first + sum_ for sum_ in np.cumsum([0, *counts[:-1]]).tolist()]
    entries = (
        (256, 4, 1, row_bytes),
        (257, 4, 1, sum(heights)),
        (258, 3, 1, 8),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (273, 4, len(pieces), lists if many else offsets[0]),
        (277, 3, 1, 1),
        (278, 4, 1, heights[0]),
        (279, 4, len(pieces), lists + 4 * len(pieces) if many else counts[0]),
    )
    head = struct.pack("<2sHIH", b"II", 42, 8, _GREY_TAGS)
    head += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    if many:
        head += struct.pack(f"<{2 * len(pieces)}I", *offsets, *counts)
    return head + b"".join(pieces)


def _dtype(layout: TiffLayout) -> np.dtype[Any]:
    size = 1 if layout.bits <= 8 else 2 if layout.bits <= 16 else layout.bits // 8
    kind = "f" if layout.number == FLOAT else "i" if layout.number == SIGNED else "u"
    return np.dtype(f"{layout.order}{kind}{size}")


def _values(rows: Pixels, layout: TiffLayout) -> NDArray[Any]:
    """Bytes of rows to numbers, shape (rows, width, samples that lie side by side)."""
    width, stored, kind = layout.segment_width, _stored(layout), _dtype(layout)
    if layout.subsampling != (1, 1):
        return _whole_blocks(rows, *layout.subsampling)
    if layout.predictor == 3:
        # Adobe Photoshop TIFF Technical Note 3: the numbers' first bytes, then their second ones, and so on;
        # each byte as the difference to the one a pixel before it.
        steps = np.cumsum(rows.reshape(len(rows), -1, stored), axis=1, dtype=np.uint8)
        planes = steps.reshape(len(rows), kind.itemsize, width * stored)
        joined = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(kind.newbyteorder(">"))
        return joined.reshape(len(rows), width, stored)
    if layout.bits not in (8, 16, 32, 64):
        return _unpacked(rows, width * stored, layout.bits).reshape(len(rows), width, stored)
    values = np.ascontiguousarray(rows).view(kind).reshape(len(rows), width, stored)
    if layout.predictor == 2:
        whole = np.dtype(f"u{kind.itemsize}")
        values = values.astype(kind.newbyteorder("=")).view(whole)
        values = np.cumsum(values, axis=1, dtype=whole).view(kind.newbyteorder("="))
    return values


def _unpacked(rows: Pixels, count: int, bits: int) -> NDArray[Any]:
    """Numbers of 1 to 16 bits that lie one behind the other, the high bit first."""
    each = np.unpackbits(rows, axis=1, count=count * bits).reshape(len(rows), count, bits)
    values = np.zeros((len(rows), count), np.uint8 if bits <= 8 else np.uint16)
    for bit in range(bits):
        values = (values << 1) | each[..., bit]
    return values


def _whole_blocks(rows: Pixels, across: int, down: int) -> Pixels:
    """Blocks of Y and their one Cb and Cr (TIFF 6.0, section 21) to three numbers a pixel."""
    blocks = rows.reshape(len(rows), -1, across * down + 2)
    light = blocks[..., :-2].reshape(len(rows), -1, down, across).transpose(0, 2, 1, 3)
    height, width = len(rows) * down, blocks.shape[1] * across
    shades = np.repeat(np.repeat(blocks[..., -2:], down, axis=0), across, axis=1)
    return np.concatenate([light.reshape(height, width, 1), shades], axis=2)
