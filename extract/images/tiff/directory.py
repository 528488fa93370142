"""A TIFF's first directory, read whole or not at all. No imaging library is imported.

Where the file ends within the first directory or within a value that it points to, Pillow
warns and goes on with the tags it has: alpha, orientation or colours are then misread
(TIFF 6.0, section 2, and the BigTIFF layout of libtiff).

Where it ends within the data of old-style JPEG (compression 6; TIFF 6.0, section 22), libtiff
fills up the rest of the picture and says nothing. Every other kind of data it reads by its
stated length and fails.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import zip_longest

from fc7.extract.images.codecs import jpeg
from fc7.extract.images.codecs.formats import CUT_SHORT
from fc7.models.common.errors import ImageError

# Bytes of one value by field type: TIFF 6.0, section 2; 13 and 16-18 are TIFF/EP's and BigTIFF's.
_WIDTHS = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
# Tags from here on are private; what they hold does not change the pixels.
_FIRST_PRIVATE_TAG = 32768
# The types whose values are whole numbers, as `struct` names them, or bytes.
_NUMBERS = {3: "H", 4: "I", 8: "h", 9: "i", 13: "I", 16: "Q", 18: "Q"}
_BYTES, _FRACTION, _FRACTIONS = (1, 7), 5, 6
# The longest list that is read whole: the places of so many strips or tiles. A picture of more is not taken
# for whole.
MOST_VALUES = 1 << 20

Tags = dict[int, Sequence[int]]
"""The values of a directory's tags."""

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR = 273, 274, 277, 278, 279, 284
PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 317, 320, 322, 323, 324, 325
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, LUMA, SUBSAMPLING, BLACK_WHITE, XMP = 332, 338, 339, 529, 530, 532, 700
_JPEG_OFFSET, _JPEG_COUNT = 513, 514
_READ = frozenset(
    {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER}
    | {STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR}
    | {PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS}
    | {INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, LUMA, SUBSAMPLING, BLACK_WHITE, XMP}
    | {_JPEG_OFFSET, _JPEG_COUNT}
)
_OLD_JPEG = 6
# Where its data lies and how many bytes it has.
_DATA = ((STRIP_OFFSETS, STRIP_COUNTS), (TILE_OFFSETS, TILE_COUNTS), (_JPEG_OFFSET, _JPEG_COUNT))
_START_OF_JPEG, _END_OF_JPEG = b"\xff\xd8", b"\xff\xd9"


def read_tags(data: bytes) -> Tags:
    """The tags of the first directory that say what its pixels are; all data of old-style JPEG must be there.

    Parameters
    ----------
    data : bytes
        A whole file that begins with the TIFF signature.

    Returns
    -------
    dict of int to sequence of int
        Of a tag that is there twice, the first; of a list, at most `MOST_VALUES` values; of a fraction,
        numerator and denominator.

    Raises
    ------
    ImageError
        If the file ends before them, or a JPEG in it does.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"\x2b\0", b"\0\x2b")
    # An offset, a number of entries, and an entry's tag, type and count, before its value or offset.
    offset, number, head = (
        struct.Struct(order + code) for code in (("Q", "Q", "HHQ") if big else ("I", "H", "HHI"))
    )
    tags: Tags = {}
    try:
        (directory,) = offset.unpack_from(data, 8 if big else 4)
        (entries,) = number.unpack_from(data, directory)
        for index in range(entries):
            place = directory + number.size + index * (head.size + offset.size)
            tag, kind, count = head.unpack_from(data, place)
            (value,) = offset.unpack_from(data, place + head.size)
            size = count * _WIDTHS.get(kind, 0)
            if size > offset.size and value + size > len(data) and tag < _FIRST_PRIVATE_TAG:
                raise ImageError(CUT_SHORT)
            if tag in _READ and tag not in tags:
                start = value if size > offset.size else place + head.size
                if kind in _BYTES:
                    tags[tag] = data[start : start + count]
                elif kind == _FRACTION:
                    tags[tag] = struct.unpack_from(f"{order}{2 * min(count, _FRACTIONS)}I", data, start)
                elif kind in _NUMBERS:
                    length = min(count, MOST_VALUES)
                    tags[tag] = struct.unpack_from(f"{order}{length}{_NUMBERS[kind]}", data, start)
    except (struct.error, OverflowError) as exc:
        raise ImageError(CUT_SHORT) from exc
    if list(tags.get(COMPRESSION, ())) == [_OLD_JPEG] and not _holds_old_jpeg(data, tags):
        raise ImageError(CUT_SHORT)
    return tags


def _holds_old_jpeg(data: bytes, tags: Tags) -> bool:
    """Whether the file reaches to the end of all data that its tags point to."""
    for starts, counts in _DATA:
        places = list(zip_longest(tags.get(starts, ()), tags.get(counts, ()), fillvalue=0))
        if len(places) == MOST_VALUES or any(start + count > len(data) for start, count in places):
            return False
        endless = [start for start, count in places if start and not count]
        if endless and len(places) > 1:
            return False
        for start in endless:
            # Without a length it goes on to its end marker, which coded data cannot hold. The headers of a
            # whole JPEG can, in a preview.
            if data.startswith(_START_OF_JPEG, start):
                jpeg.decodable(data[start:])
            elif data.find(_END_OF_JPEG, start) < 0:
                return False
    return True
