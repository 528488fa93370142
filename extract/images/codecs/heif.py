"""HEIC, as iPhones write it: read by pillow-heif, the extra `heif`, behind a check that no piece is missing.

A photograph is a grid of tiles there. libheif leaves those green that it cannot read, and says nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fc7.extract.images.codecs.boxes import boxes
from fc7.extract.images.codecs.formats import CUT_SHORT, not_installed
from fc7.models.common.errors import ImageError


def reader() -> Any:
    """Pillow's image class for HEIC. It turns and mirrors by itself, as the file's boxes say.

    Raises
    ------
    ImageError
        If pillow-heif is not installed.
    """
    found = _reader()
    if found is None:
        raise not_installed("HEIC", "pillow-heif", "heif")
    return found


@cache
def _reader() -> Any:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        return None
    return HeifImageFile


def check(data: bytes) -> None:
    """Require every piece that the item location box (ISO/IEC 14496-12, 8.11.3) places in the file.

    Parameters
    ----------
    data : bytes
        A whole file that begins with the file type box.

    Raises
    ------
    ImageError
        If the file ends before one of them.
    """
    for kind, start, end in boxes(data):
        if kind == b"meta":
            # A full box: version and flags come before what is in it.
            for inner, first, last in boxes(data, start + 4, end):
                if inner == b"iloc" and _last_byte(data[first:last]) > len(data):
                    raise ImageError(CUT_SHORT)
            return


def _last_byte(box: bytes) -> int:
    """Where the last piece ends that lies in the file itself (construction method 0)."""
    fields = _Fields(box)
    version = fields.take(1)
    fields.take(3)
    sizes = fields.take(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    last = 0
    for _ in range(fields.take(2 if version < 2 else 4)):
        fields.take(2 if version < 2 else 4)
        method = fields.take(2) & 15 if version else 0
        elsewhere = fields.take(2)
        base = fields.take(base_size)
        for _ in range(fields.take(2)):
            fields.take(index_size)
            place = base + fields.take(offset_size)
            stop = place + fields.take(length_size)
            if method == 0 and elsewhere == 0:
                last = max(last, stop)
    return last


class _Fields:
    """Big-endian whole numbers one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> int:
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise ImageError("damaged: its list of pieces ends early")
        self._at += size
        return int.from_bytes(piece, "big")
