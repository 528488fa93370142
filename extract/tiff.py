"""Whether a TIFF is whole, as far as Pillow and libtiff do not look. No imaging library is imported.

Where the file ends within the first directory or within a value that it points to, Pillow
warns and goes on with the tags it has: alpha, orientation or colours are then misread
(TIFF 6.0, section 2, and the BigTIFF layout of libtiff).

Where it ends within the data of old-style JPEG (compression 6; TIFF 6.0, section 22), libtiff
fills up the rest of the picture and says nothing. Every other kind of data it reads by its
stated length and fails.
"""

from __future__ import annotations

import struct
from itertools import zip_longest

from extract import jpeg
from extract.formats import CUT_SHORT
from models.errors import ImageError

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
_COMPRESSION, _OLD_JPEG = 259, 6
# Where data lies and how many bytes it has: strips, tiles, JPEGInterchangeFormat.
_DATA = ((273, 279), (324, 325), (513, 514))
_NUMBERS = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
# So many are looked at; a picture of more is not taken for whole.
_STRIPS = 1 << 20
_NEEDED = {_COMPRESSION, *(tag for pair in _DATA for tag in pair)}
_START_OF_JPEG, _END_OF_JPEG = b"\xff\xd8", b"\xff\xd9"


def check(data: bytes) -> None:
    """Require the whole first directory, every value of its public tags, and all data of old-style JPEG.

    Parameters
    ----------
    data : bytes
        A whole file that begins with the TIFF signature.

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
    tags: dict[int, tuple[int, ...]] = {}
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
            if tag in _NEEDED and kind in _NUMBERS:
                start = value if size > offset.size else place + head.size
                tags[tag] = struct.unpack_from(f"{order}{min(count, _STRIPS)}{_NUMBERS[kind]}", data, start)
    except (struct.error, OverflowError) as exc:
        raise ImageError(CUT_SHORT) from exc
    if tags.get(_COMPRESSION) == (_OLD_JPEG,) and not _holds_old_jpeg(data, tags):
        raise ImageError(CUT_SHORT)


def _holds_old_jpeg(data: bytes, tags: dict[int, tuple[int, ...]]) -> bool:
    """Whether the file reaches to the end of all data that its tags point to."""
    for starts, counts in _DATA:
        places = list(zip_longest(tags.get(starts, ()), tags.get(counts, ()), fillvalue=0))
        if len(places) == _STRIPS or any(start + count > len(data) for start, count in places):
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
