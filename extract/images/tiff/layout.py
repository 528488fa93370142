"""What a TIFF's tags say of its pixels, who reads them, and what is not read; TIFF 6.0 and its supplements.

Pillow reads plain 8-bit files, JPEG and fax data right. Bytes of all other pictures it puts together in ways
that depend on how they are compressed: uncompressed planes of 16 bits as if they were 8, compressed numbers
of the other byte order unturned. So those are read by `extract.images.tiff.samples`. No imaging library is
imported.

`tifffile` (2026.3) gives black for a strip that states no bytes, where a plain one is read whole here and a
compressed one refused. A file of 18 KB makes it ask for 20 GiB. It reads LZW by imagecodecs: 84 MB together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fc7.extract.images.tiff import directory as tiff
from fc7.models.common.errors import ImageError

UNCOMPRESSED = 1
BYTE_STREAMS = frozenset({UNCOMPRESSED, 5, 8, 32773, 32946, 34925, 50000})
"""Compressions of any bytes: none, LZW, deflate (two numbers), PackBits, LZMA, Zstandard."""

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB, ICC_LAB = 0, 1, 2, 3, 5, 6, 8, 9
UNSIGNED, SIGNED, FLOAT, UNTYPED = 1, 2, 3, 4
ASSOCIATED, UNASSOCIATED = 1, 2

# How many samples of a pixel are its colour.
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, LAB: 3, ICC_LAB: 3}
_OTHER_PHOTOMETRICS = {4: "a mask", 10: "ITU L*a*b*", 32803: "a camera's raw mosaic", 32844: "LogL"}
_OTHER_PHOTOMETRICS |= {32845: "LogLuv", 34892: "a camera's linear raw values", 51177: "a depth map"}
# Fax, JPEG of both kinds, ThunderScan; Pillow's libtiff decodes these.
_OLD_JPEG, _JPEG = 6, 7
_FAX = frozenset({2, 3, 4, 32771})
_BY_PILLOW = _FAX | {_OLD_JPEG, _JPEG, 32809}
_COMPRESSIONS = {9: "JBIG", 10: "JBIG", 22610: "JPEG XR", 32908: "Pixar film", 32909: "Pixar log"}
_COMPRESSIONS |= {33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000"}
_COMPRESSIONS |= {33007: "JPEG of another kind", 34661: "JBIG", 34676: "SGI log", 34677: "SGI log"}
_COMPRESSIONS |= {34713: "Nikon's raw", 34887: "LERC", 34892: "lossy JPEG of raw values", 34933: "PNG"}
# Those that Pillow's libtiff may be built without.
_COMPRESSIONS |= {5: "LZW", 8: "deflate", 32946: "deflate", 34925: "LZMA", 50000: "Zstandard"}
_COMPRESSIONS |= {34934: "JPEG XR", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"}
# How many of a damaged tag's values a message names.
_SHOWN = 4
_SAVE_AS = "save it uncompressed, or with LZW or deflate"
# 64-bit numbers hold no more that counts; other widths of floats and of more than 16 bits are not read.
_BITS = {UNSIGNED: {*range(1, 17), 32, 64}, SIGNED: {8, 16, 32, 64}, FLOAT: {16, 32, 64}}
# As Pillow finds it where the tag is missing.
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


@dataclass(frozen=True, slots=True)
class TiffLayout:
    """A picture's tags, checked and completed by their defaults.

    Attributes
    ----------
    order : {"<", ">"}
        Of the bytes of a number.
    is_big : bool
        Whether it is a BigTIFF, with places of 64 bits.
    width, height : int
        As stored, before it is turned.
    bits, number : int
        Of every sample: its width, and `UNSIGNED`, `SIGNED` or `FLOAT`.
    samples, colours : int
        Of a pixel: all, and those that come first and are its colour.
    alpha : {0, 1, 2}
        The sample after the colours: none, `ASSOCIATED`, `UNASSOCIATED`.
    planar : bool
        Whether each sample has a plane of its own.
    tiled : bool
        Whether it lies in tiles, and not in strips.
    segment_width, segment_height : int
        Of a strip or tile, in pixels; the last strip has fewer rows.
    offsets, counts : sequence of int
        Where the strips or tiles lie, and their lengths in bytes.
    colour_map : sequence of int
        All reds, all greens, all blues; empty without a palette.
    subsampling : tuple of 2 ints
        Of YCbCr: pixels that share their Cb and Cr, across and down.
    luma, black_white : tuple of float
        Of YCbCr: the weights of red, green and blue; each component's codes of black and white.
    orientation : int
        EXIF's, 1-8.
    """

    order: str
    is_big: bool
    width: int
    height: int
    bits: int
    number: int
    samples: int
    colours: int
    alpha: int
    photometric: int
    compression: int
    predictor: int
    planar: bool
    fill_order: int
    tiled: bool
    segment_width: int
    segment_height: int
    offsets: Sequence[int]
    counts: Sequence[int]
    colour_map: Sequence[int]
    subsampling: tuple[int, int]
    luma: tuple[float, ...]
    black_white: tuple[float, ...]
    orientation: int

    @property
    def is_plain(self) -> bool:
        """Whether Pillow reads it right: coded as a picture, or plain 8-bit samples side by side."""
        if self.compression not in BYTE_STREAMS:
            return True
        # Pillow (13.0.0, TiffImagePlugin) takes a big-endian BigTIFF for a TIFF.
        if self.is_big and self.order == ">":
            return False
        if self.bits != 8 or self.number != UNSIGNED or self.fill_order != 1 or self.planar:
            return False
        if self.photometric == PALETTE and max(self.colour_map) < 256:
            return False
        simple = self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK)
        sheer = self.photometric == RGB and self.samples == 4 and self.alpha == UNASSOCIATED
        return sheer or (simple and self.samples == self.colours)

    @property
    def grid(self) -> tuple[int, int]:
        """How many strips or tiles of a plane lie down and across."""
        return -(-self.height // self.segment_height), -(-self.width // self.segment_width)


def read_layout(data: bytes) -> TiffLayout | None:
    """What the first directory says.

    Returns
    -------
    TiffLayout or None
        None for old-style JPEG, whose tags say little and whose data says all.

    Raises
    ------
    ImageError
        If it is cut short or damaged, or says something that is not read, with what that is.
    """
    tags = tiff.read_tags(data)
    compression = _one(tags, tiff.COMPRESSION, UNCOMPRESSED)
    if compression == _OLD_JPEG:
        return None
    if compression not in BYTE_STREAMS | _BY_PILLOW:
        raise ImageError(unread_compression(compression))
    layout = _layout(data[:4], compression, tags)
    if layout.is_big and layout.order == ">" and compression not in BYTE_STREAMS:
        raise ImageError(f"BigTIFF of big-endian numbers and compression {compression}; {_SAVE_AS}")
    _check_samples(layout)
    _check_segments(layout)
    return layout


def unread_compression(compression: int) -> str:
    """Why a TIFF of that compression is refused, and what helps."""
    name = _COMPRESSIONS.get(compression, "an unknown one")
    return f"TIFF whose compression is not read: {name} ({compression}); {_SAVE_AS}"


def _layout(signature: bytes, compression: int, tags: tiff.Tags) -> TiffLayout:
    width, height = _one(tags, tiff.WIDTH, 0), _one(tags, tiff.HEIGHT, 0)
    if width < 1 or height < 1:
        raise ImageError(f"damaged TIFF: its width is {width} and its height {height}")
    samples = _one(tags, tiff.SAMPLES, 1)
    photometric, colours, alpha = _colours(tags, samples)
    tiled = tiff.TILE_WIDTH in tags
    if tiled != (tiff.TILE_OFFSETS in tags) or tiled == (tiff.STRIP_OFFSETS in tags):
        raise ImageError("damaged TIFF: its tags name both strips and tiles, or neither")
    rows = _one(tags, tiff.TILE_HEIGHT if tiled else tiff.ROWS_PER_STRIP, height)
    return TiffLayout(
        order="<" if signature[:2] == b"II" else ">",
        is_big=b"+" in signature,
        width=width,
        height=height,
        bits=_same(tags, tiff.BITS, 1),
        number=_same(tags, tiff.SAMPLE_FORMAT, UNSIGNED),
        samples=samples,
        colours=colours,
        alpha=alpha,
        photometric=photometric,
        compression=compression,
        predictor=_one(tags, tiff.PREDICTOR, 1),
        planar=_one(tags, tiff.PLANAR, 1) == 2 and samples > 1,
        fill_order=_one(tags, tiff.FILL_ORDER, 1),
        tiled=tiled,
        segment_width=_one(tags, tiff.TILE_WIDTH, 0) if tiled else width,
        segment_height=rows if tiled else min(rows, height),
        offsets=tags.get(tiff.TILE_OFFSETS if tiled else tiff.STRIP_OFFSETS, ()),
        counts=tags.get(tiff.TILE_COUNTS if tiled else tiff.STRIP_COUNTS, ()),
        colour_map=tags.get(tiff.COLOUR_MAP, ()) if photometric == PALETTE else (),
        subsampling=_pair(tags) if photometric == YCBCR else (1, 1),
        luma=_fractions(tags, tiff.LUMA, (0.299, 0.587, 0.114)),
        black_white=_fractions(tags, tiff.BLACK_WHITE, (0, 255, 128, 255, 128, 255)),
        orientation=_orientation(tags),
    )


def _colours(tags: tiff.Tags, samples: int) -> tuple[int, int, int]:
    """The photometric interpretation, how many samples it takes, and what the alpha behind them is."""
    photometric = _one(tags, tiff.PHOTOMETRIC, -1)
    if photometric not in _COLOURS:
        if photometric < 0:
            raise ImageError("damaged TIFF: no tag says whether 0 is black or white, or what its colours are")
        name = _OTHER_PHOTOMETRICS.get(photometric, "unknown")
        raise ImageError(f"TIFF whose colours are not read: {name} (photometric {photometric})")
    colours, extra = _COLOURS[photometric], tags.get(tiff.EXTRA_SAMPLES)
    if photometric == CMYK and _one(tags, tiff.INK_SET, 1) != 1:
        raise ImageError("TIFF whose inks are not cyan, magenta, yellow and black")
    if photometric == YCBCR and samples == 1:
        # JPEG's grey: luminance alone.
        return BLACK_IS_ZERO, 1, 0
    if samples < colours:
        raise ImageError(f"damaged TIFF: {samples} samples a pixel where its colours need {colours}")
    if samples == colours:
        return photometric, colours, 0
    named = [kind for kind in (extra or ()) if kind in (ASSOCIATED, UNASSOCIATED)]
    if extra and extra[0] in (ASSOCIATED, UNASSOCIATED):
        return photometric, colours, extra[0]
    if named:
        raise ImageError("TIFF whose transparency is not the first sample behind its colours")
    if photometric == RGB and not extra and samples == colours + 1:
        return photometric, colours, UNASSOCIATED
    if colours == 1 and photometric != PALETTE:
        raise ImageError(
            f"TIFF of {samples} bands, and no tag says what they show; save the band that counts as grey, "
            "or three as RGB"
        )
    return photometric, colours, 0


def _check_samples(layout: TiffLayout) -> None:
    number = UNSIGNED if layout.number == UNTYPED else layout.number
    if layout.bits not in _BITS.get(number, ()):
        what = {UNSIGNED: "whole", SIGNED: "signed", FLOAT: "floating-point"}.get(number, "complex")
        raise ImageError(f"TIFF whose samples are not read: {what} numbers of {layout.bits} bits")
    if layout.compression in _FAX and (layout.bits, layout.samples) != (1, 1):
        raise ImageError(f"damaged TIFF: fax data of {layout.samples} samples of {layout.bits} bits")
    if layout.compression == _JPEG and layout.bits != 8:
        raise ImageError(f"TIFF whose compression is not read: JPEG of {layout.bits} bits; {_SAVE_AS}")
    if layout.compression == _JPEG and layout.planar and layout.photometric not in (RGB, CMYK):
        raise ImageError(f"TIFF whose compression is not read: JPEG of such planes; {_SAVE_AS}")
    streamed = layout.compression in BYTE_STREAMS
    if streamed and not _predicts(layout):
        raise ImageError(
            f"TIFF whose predictor is not read: {layout.predictor} of {layout.bits}-bit samples, "
            f"compression {layout.compression}; {_SAVE_AS} without a predictor"
        )
    if layout.photometric == PALETTE and (number != UNSIGNED or len(layout.colour_map) < 3 << layout.bits):
        raise ImageError("damaged TIFF: its palette has fewer colours than its samples can name")
    if layout.alpha == ASSOCIATED and layout.photometric not in (BLACK_IS_ZERO, RGB):
        raise ImageError(
            f"TIFF whose colours are not read: premultiplied ones of photometric {layout.photometric}"
        )
    if layout.photometric in (YCBCR, ICC_LAB) and layout.bits != 8:
        raise ImageError(f"TIFF whose colours are not read: YCbCr or ICC L*a*b* of {layout.bits} bits")
    if layout.photometric == LAB and (layout.bits not in (8, 16) or layout.number == FLOAT):
        raise ImageError(f"TIFF whose colours are not read: L*a*b* of {layout.bits} bits")
    if streamed and not {1, 2, 4}.issuperset(layout.subsampling):
        raise ImageError(f"damaged TIFF: its YCbCr is subsampled by {layout.subsampling}")
    if streamed and layout.subsampling != (1, 1) and (layout.planar or layout.samples > 3):
        raise ImageError("TIFF whose colours are not read: subsampled YCbCr in planes, or with more samples")


def _predicts(layout: TiffLayout) -> bool:
    """Whether the predictor is one that readers agree on."""
    if layout.predictor == 1:
        return True
    # libtiff ignores it where the compression knows of none, others undo it.
    if layout.compression in (UNCOMPRESSED, 32773) or layout.subsampling != (1, 1):
        return False
    wanted = {2: (8, 16, 32, 64), 3: (16, 32, 64) if layout.number == FLOAT else ()}
    return layout.bits in wanted.get(layout.predictor, ())


def _check_segments(layout: TiffLayout) -> None:
    what = "tiles" if layout.tiled else "strips"
    if layout.segment_width < 1 or layout.segment_height < 1:
        raise ImageError(f"damaged TIFF: its {what} have no size")
    down, across = layout.grid
    needed = down * across * (layout.samples if layout.planar else 1)
    if needed > tiff.MOST_VALUES:
        raise ImageError(f"TIFF of {needed:,} {what}; at most {tiff.MOST_VALUES:,} are read")
    have = len(layout.offsets)
    if layout.compression != UNCOMPRESSED:
        have = min(have, len(layout.counts))
    if have < needed:
        raise ImageError(f"damaged TIFF: it names {have} of its {needed} {what}")
    # Programs that leave out empty tiles write 0, where the file's own header lies.
    if 0 in layout.offsets[:needed]:
        raise ImageError(f"TIFF that leaves out some of its {what}")


def _one(tags: tiff.Tags, tag: int, otherwise: int) -> int:
    values = tags.get(tag) or (otherwise,)
    return values[0]


def _same(tags: tiff.Tags, tag: int, otherwise: int) -> int:
    """The value that every sample has."""
    values = set(tags.get(tag) or (otherwise,))
    if len(values) > 1:
        shown = [*map(str, sorted(values)[:_SHOWN]), *(["..."] if len(values) > _SHOWN else [])]
        raise ImageError(
            f"TIFF whose samples differ from each other: {', '.join(shown)} "
            f"({'bits' if tag == tiff.BITS else 'sample formats'})"
        )
    return values.pop()


def _pair(tags: tiff.Tags) -> tuple[int, int]:
    across, down = (*tags.get(tiff.SUBSAMPLING, ()), 2, 2)[:2]
    return across, down


def _fractions(tags: tiff.Tags, tag: int, otherwise: tuple[float, ...]) -> tuple[float, ...]:
    values = tags.get(tag, ())
    if len(values) != 2 * len(otherwise):
        return otherwise
    return tuple(a / max(b, 1) for a, b in zip(values[::2], values[1::2], strict=True))


def _orientation(tags: tiff.Tags) -> int:
    if tiff.ORIENTATION in tags:
        return _one(tags, tiff.ORIENTATION, 1)
    found = _XMP_ORIENTATION.search(bytes(tags[tiff.XMP])) if isinstance(tags.get(tiff.XMP), bytes) else None
    return int(found[1]) if found else 1
