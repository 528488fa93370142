"""JPEG XL, read by imagecodecs, the extra `jxl`; its size is read here, before memory is taken for it."""

from __future__ import annotations

from functools import cache
from typing import Any

from numpy.typing import NDArray

from extract.boxes import boxes
from extract.formats import CUT_SHORT, not_installed
from models.errors import ImageError

# ISO/IEC 18181-1, section D.2: bits of the four forms of a side, and of the ratios of width to height.
_SIDE_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


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
    libjxl = _libjxl()
    if libjxl is None:
        raise not_installed("JPEG XL", "imagecodecs", "jxl")
    try:
        pixels: NDArray[Any] = libjxl.jpegxl_decode(data, index=0)
    except (ValueError, RuntimeError) as exc:  # its own JpegxlError is a RuntimeError
        if "NEED_MORE_INPUT" in str(exc):
            raise ImageError(CUT_SHORT) from exc
        raise ImageError(f"JPEG XL that cannot be decoded: {exc}") from exc
    return pixels


@cache
def _libjxl() -> Any:
    try:
        import imagecodecs
    except ImportError:
        return None
    # A build of one's own may lack it.
    return imagecodecs if imagecodecs.JPEGXL.available else None


def size(data: bytes) -> tuple[int, int]:
    """Height and width as coded, before it is turned.

    Raises
    ------
    ImageError
        If the file ends before it.
    """
    start = _codestream(data)
    head = data[start + 2 : start + 2 + 12]
    bits = _Bits(int.from_bytes(head, "little"))
    small = bits.take(1)
    height = _side(bits, small)
    ratio = bits.take(3)
    width = height * _RATIOS[ratio - 1][0] // _RATIOS[ratio - 1][1] if ratio else _side(bits, small)
    if len(head) < 12:
        raise ImageError(CUT_SHORT)
    return height, width


def _codestream(data: bytes) -> int:
    if data[:2] == b"\xff\x0a":
        return 0
    for kind, start, _ in boxes(data):
        if kind == b"jxlc":
            return start
        if kind == b"jxlp":
            # The piece's number comes first.
            return start + 4
    raise ImageError(CUT_SHORT)


def _side(bits: _Bits, small: int) -> int:
    if small:
        return 8 * (bits.take(5) + 1)
    return bits.take(_SIDE_BITS[bits.take(2)]) + 1


class _Bits:
    """Bits from the lowest on."""

    def __init__(self, value: int) -> None:
        self._value = value

    def take(self, count: int) -> int:
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken
