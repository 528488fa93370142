"""How much memory decoding a picture takes at its peak, from what its header says. No imaging library.

While it is loaded there are Pillow's image and what the decoder reads or keeps in one piece; afterwards the
image and what the rules of `extract.images.decode` make of it. The larger one counts. All figures are of
`extract.images.decode.prepare`, measured (VmHWM) with pictures of 24 megapixels and Pillow 13.0; the test
measures them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fc7.extract.images.tiff.layout import FLOAT

if TYPE_CHECKING:
    from fc7.extract.images.tiff.layout import TiffLayout

SMALL = 1 << 19
"""Pixels below which no picture but a TIFF takes as much as `extract.images.budget.SMALL`."""

# Bytes a pixel, by Pillow's mode: of the image (Storage.c), and afterwards; those left out are the last.
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
_AFTERWARDS = {"1": 5, "L": 1, "P": 5, "RGB": 4, "RGBA": 8, "LA": 12, "CMYK": 8, "YCbCr": 8, "LAB": 13}
_AFTERWARDS |= {"I;16": 12, "I;16B": 12}
_MOST_STORED, _MOST_AFTERWARDS = 4, 16
# The same where a colour is transparent.
_TRANSPARENT = {"P": 9}
_MOST_TRANSPARENT = 12
# Of what becomes of it, grey or colour; and of the arrays that pixels are picked from.
_GREY, _COLOUR = 1, 4
_SAMPLED = {_GREY: 3, _COLOUR: 10}
# WebP's decoder keeps two canvases, and gives the pixels in one piece.
_CANVASES, _WEBP_PIECE = 8, 4
# libjpeg keeps all coefficients of a JPEG of several scans, at its full size (jdcoefct.c).
_COEFFICIENT = 2
# What other decoders hold before Pillow's image is filled, by how they are built, not measured: libavif and
# libheif planes of up to 16 bits and the pixels made of them, OpenJPEG an int32 for each sample, and
# of more than 8 bits two more bytes.
_HELD = {"AVIF": 12, "HEIC": 12, "JPEG 2000": 24}
JPEG_XL_VALUES = 24
"""Bytes a pixel of four floats, and of the two steps to 8 bits; by the types, not measured."""
# What Pillow reads in one piece before it makes pixels of it, beside TIFFs that are not compressed.
_READ_WHOLE = ("BMP", "DIB", "PPM")
# TIFF 6.0: BitsPerSample, Orientation, RowsPerStrip, TileWidth, TileLength. A tile may be larger than its
# picture: one of 600x600 in a file of 750 kB took 770 MB.
_BITS, _TURNED, _STRIP, _TILE_WIDTH, _TILE_LENGTH = 258, 274, 278, 322, 323


class Opened(Protocol):
    """A picture as Pillow opens it: its header is read, and no more."""

    @property
    def mode(self) -> str: ...

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def info(self) -> Mapping[Any, Any]: ...


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What is known of a picture before it is decoded.

    Attributes
    ----------
    kind : str
        As `extract.images.codecs.formats.sniff`.
    mode : str
        Pillow's.
    pixels : int
        At the size that it is decoded at.
    piece : int
        Bytes that the decoder reads or keeps at a time.
    transparent : bool
        A colour of it is.
    turned : bool
        It will be turned upright.
    """

    kind: str
    mode: str
    pixels: int
    piece: int = 0
    transparent: bool = False
    turned: bool = False

    @classmethod
    def of(
        cls, image: Opened, data: bytes, kind: str, *, turned: bool, scans_of: tuple[int, int]
    ) -> PictureHeader:
        """What an opened picture says of itself.

        Parameters
        ----------
        image : Opened
            A JPEG at the size that it will be decoded at.
        data : bytes
            The file.
        kind : str
            As `extract.images.codecs.formats.sniff`.
        turned : bool
            It will be turned upright, for what its EXIF data says.
        scans_of : tuple of two int
            The full width and height of a JPEG of several scans; of all others 0 and 0.
        """
        pixels = image.size[0] * image.size[1]
        tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
        piece = 0
        if kind in _READ_WHOLE or image.info.get("compression") == "raw":
            piece = len(data)
        elif kind == "TIFF":
            across = tags.get(_TILE_WIDTH, image.size[0])
            down = tags.get(_TILE_LENGTH, min(image.size[1], tags.get(_STRIP, image.size[1])))
            piece = across * down * sum(tags.get(_BITS, (8,))) // 8
        elif kind == "JPEG":
            sampling = [across * down for _, across, down, _ in getattr(image, "layer", ())]
            coefficients = scans_of[0] * scans_of[1] * sum(sampling) // max(sampling, default=1)
            piece = _COEFFICIENT * coefficients
        elif kind in _HELD:
            piece = _HELD[kind] * pixels
        transparent = "transparency" in image.info
        return cls(kind, image.mode, pixels, piece, transparent, turned or tags.get(_TURNED, 1) != 1)


def footprint(header: PictureHeader, *, sampled: bool = False) -> int:
    """Bytes at the peak, beside the file's own.

    Parameters
    ----------
    sampled : bool
        Pixels will be picked out of the whole image in place of being averaged.

    Examples
    --------
    >>> footprint(PictureHeader("PNG", "RGB", 13000 * 13000)) / 1e6
    676.0
    """
    mode = header.mode
    stored = _STORED.get(mode, _MOST_STORED)
    afterwards = _AFTERWARDS.get(mode, _MOST_AFTERWARDS)
    if header.transparent:
        afterwards = _TRANSPARENT.get(mode, _MOST_TRANSPARENT)
    flat = _GREY if mode[0] in "LIF" and mode != "LAB" and not header.transparent else _COLOUR
    if header.turned:
        afterwards = max(afterwards, 2 * flat if flat == stored else stored + 2 * flat)
    if sampled:
        afterwards = max(afterwards, _SAMPLED[flat])
    loading = stored * header.pixels + header.piece
    if header.kind == "TIFF" and header.turned:
        loading += stored * header.pixels
    if header.kind == "WebP":
        loading += (_CANVASES + _WEBP_PIECE) * header.pixels
        afterwards += _CANVASES
    return max(loading, afterwards * header.pixels)


def samples_bytes(layout: TiffLayout) -> int:
    """Bytes that `extract.images.tiff.samples` and `extract.images.tiff_pixels` take beside a TIFF's file.

    Measured as the rest, 4 to 24 bytes a pixel: floats are copied twice, grey takes two steps of 32 bits, and
    of colours there are never more than two copies or 8 bytes a pixel.
    """
    pixels, copies = layout.width * layout.height, 2 * layout.samples * layout.bits // 8
    if layout.number == FLOAT:
        return pixels * copies
    return pixels * (8 if layout.colours == 1 else min(8, copies))
