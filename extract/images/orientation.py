"""Which way a picture is to be turned: all eight orientations of EXIF; `decode` turns it. Imports PIL."""

from __future__ import annotations

import struct
import zlib

from PIL import Image, ImageFile

# Pillow's readers are written for honest files. On others they raise whatever the next
# statement happens to raise; each of these was seen in its sources or in fuzzing.
BAD_DATA = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    EOFError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# Pillow's readers that turn a picture by themselves.
TURNING = ("TIFF", "HEIC")
# EXIF 2.32, tag 0x0112: what undoes each orientation; 1 is upright.
_ORIENTATION_TAG = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = {UPRIGHT[value] for value in (5, 6, 7, 8)}
# Those that bring the right edge to the left, and the lower edge to the top.
MIRRORED = {UPRIGHT[value] for value in (2, 3, 6, 7)}
FLIPPED = {UPRIGHT[value] for value in (3, 4, 7, 8)}


def turn_of(image: ImageFile.ImageFile, kind: str) -> Image.Transpose | None:
    """What turns a decoded or opened picture upright; None if nothing need be done."""
    if kind in TURNING:
        return None
    if kind == "AVIF":
        # Its own boxes say it, which Pillow has put into the EXIF block, if there is anything to say.
        image.info.pop("xmp", None)
    try:
        return UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except BAD_DATA:
        return None
