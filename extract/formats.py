"""Which files are images: by their first bytes when read, by their suffix when a folder is listed."""

from __future__ import annotations

import re

from models.errors import ImageError

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".bmp",
    ".dib",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
)
"""Suffixes that are taken for images, in lower case; the case of a file's own does not matter."""

READ = "JPEG, PNG, BMP, GIF, TIFF, WebP and PPM/PGM"
"""The formats, for messages."""

CUT_SHORT = "truncated: the file ends before the picture does"
"""The reason for every format's missing end."""

# The formats' own signatures; DIB is a BMP without its file header, known by that header's sizes.
_SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("BMP", re.compile(rb"BM")),
    ("WebP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("PPM", re.compile(rb"P[1-6f][\s#]")),
    ("DIB", re.compile(rb"[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0")),
)
# Files that people take for images, and that deserve their name in the message.
_OTHERS = (
    ("AVIF or HEIC", re.compile(rb".{4}ftyp", re.DOTALL)),
    ("JPEG 2000", re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")),
    ("JPEG XL", re.compile(rb"\xff\x0a|\0\0\0\x0cJXL ")),
    ("Photoshop", re.compile(rb"8BPS")),
    ("PDF", re.compile(rb"%PDF")),
    ("icon", re.compile(rb"\0\0[\x01\x02]\0")),
    ("HTML, SVG or XML", re.compile(rb"(\xef\xbb\xbf)?\s*<")),
)


def sniff(data: bytes) -> str:
    """The format that `data` begins as: JPEG, PNG, GIF, BMP, DIB, WebP, TIFF or PPM.

    Raises
    ------
    ImageError
        If it is none of these, with what it looks like.
    """
    if not data:
        raise ImageError("the file is empty (0 bytes)")
    for name, signature in _SIGNATURES:
        if signature.match(data):
            return name
    for name, signature in _OTHERS:
        if signature.match(data):
            raise ImageError(f"this is {_article(name)} {name} file; {READ} are read")
    if not any(data):
        raise ImageError(f"not an image: its {len(data)} bytes are all zero")
    raise ImageError(f"not an image: it begins with {data[:12]!r}")


def _article(name: str) -> str:
    return "an" if name[0] in "AHi" else "a"
