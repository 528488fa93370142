"""Whether a TIFF's first directory is whole, checked because Pillow reads half of one.

Where the file ends within the directory or within a value that it points to, Pillow
warns and goes on with the tags it has: alpha, orientation or colours are then misread.
TIFF 6.0, section 2, and the BigTIFF layout of libtiff. No imaging library is imported.
"""

from __future__ import annotations

import struct

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


def check(data: bytes) -> None:
    """Require the whole first directory, and every value of its public tags.

    Parameters
    ----------
    data : bytes
        A whole file that begins with the TIFF signature.

    Raises
    ------
    ImageError
        If the file ends before them.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"\x2b\0", b"\0\x2b")
    # An offset, a number of entries, and an entry's tag, type and count, before its value or offset.
    offset, number, head = (
        struct.Struct(order + code) for code in (("Q", "Q", "HHQ") if big else ("I", "H", "HHI"))
    )
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
    except (struct.error, OverflowError) as exc:
        raise ImageError(CUT_SHORT) from exc
