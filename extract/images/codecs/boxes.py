"""The boxes that AVIF, HEIC, JPEG 2000 and JPEG XL files are made of: ISO/IEC 14496-12, section 4.2."""

from __future__ import annotations

from collections.abc import Iterator

from fc7.extract.images.codecs.formats import CUT_SHORT
from fc7.models.common.errors import ImageError


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Type of each box, and where its content begins and ends; those within a box with its own ends.

    Raises
    ------
    ImageError
        At a box that ends after what it lies in.
    """
    end = len(data) if end is None else end
    while start < end:
        size, content = int.from_bytes(data[start : start + 4], "big"), start + 8
        if size == 1:
            size, content = int.from_bytes(data[content : content + 8], "big"), start + 16
        elif size == 0:
            size = end - start
        if start + size > end or start + size < content:
            raise ImageError(CUT_SHORT)
        yield data[start + 4 : start + 8], content, start + size
        start += size
