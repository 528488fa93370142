"""Which files are images: by suffix or first bytes when listed, by first bytes alone when read.

`filetype` (1.2.0) knows neither PPM, JPEG XL, BigTIFF, DIB nor a bare JPEG 2000; `puremagic` (1.30) neither
the last two nor BigTIFF, and takes a DIB for a pickle.
"""

from __future__ import annotations

import re

from fc7.extract.images.codecs.jpegxl_header import SIGNATURE, JpegXlBits
from fc7.models.common.errors import ImageError
from fc7.models.common.program import pip_install

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
    ".mpo",
    ".avif",
    ".heic",
    ".heif",
    ".hif",
    ".jp2",
    ".j2k",
    ".j2c",
    ".jpc",
    ".jpf",
    ".jpx",
    ".jxl",
)
"""Suffixes that are taken for images, in lower case; the case of a file's own does not matter."""

HEAD_BYTES = 64
"""So much of a file of another suffix is looked at."""

READ = "JPEG, PNG, BMP, GIF, TIFF, WebP, AVIF, HEIC, JPEG 2000, JPEG XL and PPM/PGM"
"""The formats, for messages."""

CUT_SHORT = "truncated: the file ends before the picture does"
"""The reason for every format's missing end."""

NOT_INSTALLED = "which is not installed;"
"""Part of a reason that says nothing of the image: it is tried again on every run."""

# Files that begin as an image and are something else: camera raw, whose first page is a preview; slides of
# gigapixels; a film's thumbnail. And text, of which there may be a file for each image: opening one costs
# 25 us on a local disk, and more over a network.
_OTHER_THINGS = re.compile(
    r"\.(3fr|arw|cr2|dcr|dng|erf|fff|iiq|k25|kdc|mef|mos|nef|nrw|orf|pef|raf|raw|rw2|rwl|sr2|srf|srw)"
    r"|\.(mrxs|ndpi|scn|svs|thm)"
    r"|\.(cls|csv|html?|ini|json|jsonl|log|md|py|tsv|txt|xml|ya?ml)"
)
# Copies that ExifTool and editors leave beside the picture.
_COPIES = ("_original", "~", ".bak", ".orig")

# The formats' own signatures; DIB is a BMP without its file header, known by that header's sizes. AVIF and
# HEIC name themselves among the brands of the file type box (ISO/IEC 14496-12, 4.3; 23008-12, B and E).
_SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("BMP", re.compile(rb"BM")),
    ("WebP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("AVIF", re.compile(rb".{4}ftyp(avi[fs]|m(if|sf|iaf)1?.{4}(.{4}){0,9}?avi[fs])", re.DOTALL)),
    ("HEIC", re.compile(rb".{4}ftyp(he[iv][cmsx]|m(if|sf)1|miaf)", re.DOTALL)),
    ("JPEG 2000", re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51\0[\x29-\xff]")),
    ("JPEG XL", re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n")),
    ("PPM", re.compile(rb"P[1-6f][\s#]")),
    ("DIB", re.compile(rb"[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0")),
)
# The signatures of a few bytes, which other files have by chance, with what follows them in an image.
_LONGER = {
    "BMP": re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL),
    "PPM": re.compile(rb"P[1-6f]\s+(#[^\n]*\n)?\d+\s+\d+\s"),
    "DIB": re.compile(rb"(?!)"),
}
# Files that people take for images, and that deserve their name in the message.
_OTHERS = (
    ("film, sound or raw (MP4, QuickTime, CR3)", re.compile(rb".{4}ftyp", re.DOTALL)),
    ("Photoshop", re.compile(rb"8BPS")),
    ("PDF", re.compile(rb"%PDF")),
    ("icon", re.compile(rb"\0\0[\x01\x02]\0")),
    ("HTML, SVG or XML", re.compile(rb"(\xef\xbb\xbf)?\s*<")),
)


def is_worth_a_look(suffix: str) -> bool:
    """Whether a file of such a suffix may be an image under a spoilt name, and its first bytes would tell.

    Parameters
    ----------
    suffix : str
        In lower case, with its dot; "" for none. One of no image.

    Examples
    --------
    >>> is_worth_a_look(".jpg_large"), is_worth_a_look(""), is_worth_a_look(".nef"), is_worth_a_look(".xml")
    (True, True, False, False)
    """
    return _OTHER_THINGS.fullmatch(suffix) is None and not suffix.endswith(_COPIES)


def begins_as_image(head: bytes) -> bool:
    """Whether the first `HEAD_BYTES` of a file show that it is an image."""
    kind = _kind_of(head)
    return kind is not None and (kind not in _LONGER or _LONGER[kind].match(head) is not None)


def not_installed(kind: str, package: str, extra: str) -> ImageError:
    """The error for an image whose reader is missing, which an extra of fc7 brings."""
    return ImageError(f"{kind} is read by {package}, {NOT_INSTALLED} {pip_install(f'fc7[{extra}]')}")


def _kind_of(data: bytes) -> str | None:
    # Two bytes are no proof; what follows them must be a header.
    if data.startswith(SIGNATURE) and not JpegXlBits(data).is_plausible():
        return None
    return next((name for name, signature in _SIGNATURES if signature.match(data)), None)


def sniff(data: bytes) -> str:
    """The format that `data` begins as: JPEG, PNG, GIF, BMP, DIB, WebP, TIFF, AVIF, HEIC and so on.

    Raises
    ------
    ImageError
        If it is none of these, with what it looks like.
    """
    if not data:
        raise ImageError("the file is empty (0 bytes)")
    kind = _kind_of(data)
    if kind is not None:
        return kind
    for name, signature in _OTHERS:
        if signature.match(data):
            raise ImageError(f"this is {_article(name)} {name} file; {READ} are read")
    if not any(data):
        raise ImageError(f"not an image: its {len(data)} bytes are all zero")
    raise ImageError(f"not an image: it begins with {data[:12]!r}")


def _article(name: str) -> str:
    return "an" if name[0] in "Hi" else "a"
