"""JPEG XL, read by imagecodecs, the extra `jxl`; its size is read here, before memory is taken for it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fc7.extract.images.codecs.boxes import boxes
from fc7.extract.images.codecs.codecs import codecs
from fc7.extract.images.codecs.formats import CUT_SHORT
from fc7.extract.images.codecs.jpegxl_header import SIGNATURE, JpegXlBits
from fc7.models.common.errors import ImageError

# The signature and what a size takes at most.
_HEAD_BYTES = 14


def decode(data: bytes) -> NDArray[Any]:
    """The first picture, upright.

    Parameters
    ----------
    data : bytes
        A whole file.

    Returns
    -------
    ndarray of shape (h, w) or (h, w, 1 to 4), uint8, uint16, float16 or float32
        Grey or RGB, perhaps with alpha.

    Raises
    ------
    ImageError
        If imagecodecs is not installed, or libjxl cannot decode it.
    """
    libjxl = codecs("JPEG XL", "JPEGXL")
    try:
        pixels: NDArray[Any] = libjxl.jpegxl_decode(data, index=0)
    except (ValueError, RuntimeError) as exc:  # its own JpegxlError is a RuntimeError
        if "NEED_MORE_INPUT" in str(exc):
            raise ImageError(CUT_SHORT) from exc
        raise ImageError(f"JPEG XL that cannot be decoded: {exc}") from exc
    return pixels


def size(data: bytes) -> tuple[int, int]:
    """Height and width as coded, before it is turned.

    Raises
    ------
    ImageError
        If the file ends before it.
    """
    start = _codestream(data)
    head = data[start : start + _HEAD_BYTES]
    if len(head) < _HEAD_BYTES:
        raise ImageError(CUT_SHORT)
    return JpegXlBits(head).size()


def _codestream(data: bytes) -> int:
    if data.startswith(SIGNATURE):
        return 0
    for kind, start, _ in boxes(data):
        if kind == b"jxlc":
            return start
        if kind == b"jxlp":
            # The piece's number comes first.
            return start + 4
    raise ImageError(CUT_SHORT)
