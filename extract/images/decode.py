"""Encoded bytes to the uint8 RGB pixels that a network takes. The only decoder; imports PIL.

One rule for each kind of picture; nothing is stretched, guessed or repaired:

===========================  ========================================================================
greyscale                    the value in all three channels; 2- and 4-bit spread over 0-255
1-bit                        0 and 255
palette                      the palette's colours
alpha, transparent colour    composited on white: ``round((colour * a + 255 * (255 - a)) / 255)``
16-bit greyscale             ``round(v / 257)``. 12-bit values in a 16-bit file cannot be told apart, and
                             come out dark
16-bit colour, 16-bit alpha  the high byte
10 and 12 bits, HEIC         the high byte
10 and 12 bits, AVIF         ``round(v * 255 / (2**bits - 1))``
fewer or more bits than 8,   spread over 0-255, as ``round(v * 255 / (2**bits - 1))``; beyond 16 the
JPEG 2000                    high 16 in greyscale, and refused in colour
other whole numbers (TIFF)   up to 15 bits, ``round(v * 255 / (2**bits - 1))``; of 32 and 64 bits, and signed
                             ones, as unsigned 16-bit, of 8 bits as 8-bit: a value outside (0-65535,
                             0-255) is a failure, its range being unknown
floating point               0-1 is black to white; a value outside, or NaN, is a failure
more bands (TIFF)            behind colours and not named alpha: left out (infrared); a fourth one of RGB
                             where no tag names any: alpha. Behind grey, not named: a failure
CMYK                         ``(255 - ink) * (255 - K) / 255`` a channel, no colour profile. In a JPEG
                             with Adobe's marker the stored values are inverted first, as Photoshop
                             writes them; without the marker they are inks. In a JPEG 2000 inks
YCbCr, YCCK                  by JFIF's formulas, libjpeg's and libtiff's
CIE L*a*b* (TIFF)            D50 white, Bradford-adapted to sRGB, clipped
animated, many pages, MPO    the first frame, page or picture; of HEIC the primary one
EXIF orientation             applied, all eight; from TIFF's tag, or XMP where there is no EXIF block.
                             An EXIF block that cannot be read counts as upright. HEIC, AVIF and
                             JPEG XL say it in their own way, once, and EXIF beside that is not used
embedded colour profiles     ignored, as networks were trained on pixels read so
===========================  ========================================================================

What a file is, its first bytes say; its name does not count. A file that is cut short fails;
`extract.images.codecs.jpeg`, `extract.images.jpeg2000`, `extract.images.codecs.heif`,
`extract.images.codecs.png`, `extract.images.tiff.directory` and `extract.images.tiff.libtiff` find what
Pillow lets through. Of TIFF, Pillow reads what it reads right (8-bit samples side by side, JPEG, fax); the
rest of what has no compression, or one of any bytes, is read by arithmetic (`extract.images.tiff.layout`,
`extract.images.tiff.samples`, `extract.images.tiff_pixels`), and what neither reads is refused by its reason.
``python -m tests.benchmarks.tiff_matrix`` reads 5565 kinds of file by three readers. Some damage cannot
be seen: changed bytes where a format has no checksum (all but PNG); a plain-text PPM cut within its last
number; a JPEG that was cut within its last two blocks of 8x8, or within the last scan of a progressive one,
*and* then given a new end marker; JPEG or fax data inside a TIFF that ends early where the TIFF says it does.

Importing this module keeps Pillow off the terminal: Python warnings raised in its modules
are filtered out, its logger gets a handler that does nothing, and the errors of its
libtiff are noted instead of printed. Other settings of Pillow stay as they are. Every
function may be called from several threads.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from fc7.extract.images import budget, jpeg2000
from fc7.extract.images.budget import NoRoomError, Room
from fc7.extract.images.codecs import heif, jpeg, jpegxl, png
from fc7.extract.images.codecs.formats import CUT_SHORT, sniff
from fc7.extract.images.flatten import flatten, from_array, from_values
from fc7.extract.images.footprint import JPEG_XL_VALUES, SMALL, PictureHeader, footprint, samples_bytes
from fc7.extract.images.geometry import Framing, Window, frame, sample, take_crops
from fc7.extract.images.orientation import BAD_DATA, FLIPPED, MIRRORED, SIDEWAYS, TURNING, UPRIGHT, turn_of
from fc7.extract.images.tiff import libtiff
from fc7.extract.images.tiff.layout import TiffLayout, read_layout, unread_compression
from fc7.extract.images.tiff.samples import read_samples
from fc7.extract.images.tiff_pixels import rgb_from_samples
from fc7.extract.records import Pixels
from fc7.models.common.errors import ImageError
from fc7.models.network.spec import PreprocessSpec

MAX_PIXELS = 178_956_970
"""Largest picture that is decoded: Pillow's own limit for an error, twice its MAX_IMAGE_PIXELS."""

_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "DIB": BmpImagePlugin.DibImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "JPEG 2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}

# What Pillow does not look at, looked at before it.
_CHECKS = {"AVIF": heif.check, "HEIC": heif.check, "JPEG 2000": jpeg2000.check}
# The same, and what Pillow gets instead.
_DECODABLE = {"JPEG": jpeg.decodable, "PNG": png.decodable}

_Take = Callable[[PictureHeader], None]

# Decoding a JPEG at a fraction of its size costs accuracy where little resizing is left to do. Cosine to a
# full decode, GoogLeNet and BVLC AlexNet's pool5, least of 24 pictures, margin 2: photographs enlarged to
# 1200x1600 0.9996; nine or 36 sharp photographs side by side (1200x1599, 2400x3198) 0.9990. Pillow's
# `thumbnail` takes 2 as well.
_DRAFT_MARGIN = 2

warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
libtiff.listen(Path(PIL.__file__).parent)


def prepare(
    data: bytes | Pixels,
    spec: PreprocessSpec,
    *,
    exact: bool = True,
    max_pixels: int = MAX_PIXELS,
    room: Room = budget.shared.room,
) -> Pixels:
    """A picture resized and cropped to a network's input; see `extract.images.geometry.frame`.

    Parameters
    ----------
    data : bytes, or ndarray of shape (h, w, 3), (h, w, 4) or (h, w), uint8
        A whole file of a format in `extract.images.codecs.formats.READ`, or RGB, RGBA (on white) or grey
        pixels.
    spec : PreprocessSpec
        Its geometry is carried out here, its arithmetic in the network's graph.
    exact : bool
        True: decode in full, resize as a whole. False, for speed: a large JPEG is decoded at
        1/2, 1/4 or 1/8 of its size (never below twice the size it is resized to), and only
        the cropped part is resized.
    max_pixels : int
        A picture of more pixels is refused from its header, before memory is taken for it.
    room : callable
        Gives a picture the memory that it will take, before it is decoded.

    Returns
    -------
    ndarray of shape (spec.crops, spec.crop_height, spec.crop_width, 3), uint8
        RGB, 0-255. Ten crops: top left, top right, bottom left, bottom right, centre, then
        these mirrored left to right.

    Raises
    ------
    ImageError
        If the bytes are no such picture, or a damaged, truncated or too large one. The text is a short
        reason on one line; its cause is a MemoryError where the picture may fit at another time.

    Examples
    --------
    >>> from fc7.models.network.spec import torch_preprocess
    >>> data = Path("drawn/star/0000.jpg").read_bytes()
    >>> pixels = prepare(data, torch_preprocess())
    >>> pixels.shape, pixels.dtype
    ((1, 224, 224, 3), dtype('uint8'))
    >>> prepare(data[:1000], torch_preprocess())
    Traceback (most recent call last):
    fc7.models.common.errors.ImageError: truncated: the file ends before the picture does
    """
    if isinstance(data, np.ndarray):
        return _prepared(_whole(from_array(data)), spec, exact)
    # Decoding at a fraction of the size averages, which such a network's resize does not.
    sampled = _is_sampled(spec)
    shrink_for = None if exact or sampled else spec
    return _with_room(
        lambda take: _prepared(_open(data, max_pixels, shrink_for, take=take), spec, exact),
        room,
        sampled=sampled,
    )


def _is_sampled(spec: PreprocessSpec) -> bool:
    """Whether resizing picks pixels out in place of averaging them."""
    return spec.interpolation == "nearest" or not spec.antialias


def _prepared(picture: _Picture, spec: PreprocessSpec, exact: bool) -> Pixels:
    image = picture.image
    wanted = frame(picture.height, picture.width, spec)
    views = take_crops(
        lambda part: _resized(picture, wanted, part, spec=spec),
        (image.height, image.width),
        wanted,
        spec=spec,
        exact=exact,
    )
    if spec.crops == 10:
        views = [*views, *(view[:, ::-1] for view in views)]
    return np.stack(views) if len(views) > 1 else views[0][None]


def shrink(data: bytes | Pixels, side: int, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The whole picture, upright, at most `side` pixels high and wide; small ones stay as they are.

    Parameters
    ----------
    data : bytes, or ndarray of shape (h, w, 3), (h, w, 4) or (h, w), uint8
        As `prepare`.
    max_pixels : int
        As `prepare`.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        RGB, 0-255.

    Raises
    ------
    ImageError
        As `prepare`.
    """
    spec = PreprocessSpec(
        "pad", resize_height=side, resize_width=side, crop_height=side, crop_width=side, channel_order="RGB"
    )
    if isinstance(data, np.ndarray):
        return _shrunk(from_array(data), spec)
    return _with_room(lambda take: _shrunk(_open(data, max_pixels, spec, take=take).image, spec))


def _shrunk(image: Image.Image, spec: PreprocessSpec) -> Pixels:
    if max(image.size) > spec.resize_width:
        wanted = frame(image.height, image.width, spec)
        image = image.resize((wanted.width, wanted.height), Image.Resampling.BILINEAR)
    return np.asarray(image.convert("RGB"))


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture upright, of mode L or RGB, perhaps at a fraction of its size.

    Attributes
    ----------
    height, width : int
        Of the file's picture.
    box : tuple of 4 floats
        Where that picture lies in `image`: left, top, right, lower. A width of 2667 at a quarter is 666.75
        pixels in an image of 667; taking it for 667 moves what the network sees by up to a third of a pixel.
    """

    image: Image.Image
    height: int
    width: int
    box: tuple[float, float, float, float]


def _whole(image: Image.Image) -> _Picture:
    return _Picture(image, image.height, image.width, box=(0, 0, image.width, image.height))


def _with_room(
    pixels: Callable[[_Take], Pixels], room: Room = budget.shared.room, *, sampled: bool = False
) -> Pixels:
    """Pixels of a picture that is gone when the memory for it is given back."""
    with ExitStack() as held:
        return pixels(lambda header: held.enter_context(room(footprint(header, sampled=sampled))))


def _open(data: bytes, max_pixels: int, shrink_for: PreprocessSpec | None, take: _Take) -> _Picture:
    """The picture, decoded and turned; `take` is told what it will need."""
    kind = sniff(data)
    layout = read_layout(data) if kind == "TIFF" else None
    if layout is not None and not layout.is_plain:
        _check_size(layout.width, layout.height, max_pixels)
        _take_whole(take, "TIFF", (layout.width, layout.height), piece=len(data) + samples_bytes(layout))
        return _whole(_by_arithmetic(data, layout))
    if kind in _CHECKS:
        _CHECKS[kind](data)
    if kind == "JPEG XL":
        height, width = jpegxl.size(data)
        _check_size(width, height, max_pixels)
        _take_whole(take, kind, (width, height), piece=JPEG_XL_VALUES * height * width)
        return _whole(from_values(jpegxl.decode(data)))
    reader = heif.reader() if kind == "HEIC" else _READERS[kind]
    whole = _DECODABLE[kind](data) if kind in _DECODABLE else data
    libtiff.forget()
    try:
        image = reader(io.BytesIO(whole))
        _check_size(image.width, image.height, max_pixels)
        size, extent = image.size, (float(image.width), float(image.height))
        if kind == "JPEG" and shrink_for is not None:
            extent = _shrink(image, shrink_for)
        if size[0] * size[1] >= SMALL or kind == "TIFF":
            # Pillow decodes a PNG to look for EXIF data behind the pixels.
            turned = (kind != "PNG" or "exif" in image.info) and turn_of(image, kind) is not None
            scans_of = size if kind == "JPEG" and whole is data else (0, 0)
            take(PictureHeader.of(image, data, kind, turned=turned, scans_of=scans_of))
        # Decode from one piece: libjpeg's arithmetic decoder cannot wait for a second one.
        image.decodermaxblock = max(len(whole), image.decodermaxblock)
        # These Pillow would read wrong: another does, once the size is known (`extract.images.flatten`).
        if kind != "JPEG 2000" or not jpeg2000.is_deep(data):
            image.load()
        turn = turn_of(image, kind)
        flat = flatten(image, data, kind)
    except NoRoomError as exc:
        raise ImageError(_no_room(size, kind, exc)) from exc
    except BAD_DATA as exc:
        raise ImageError(_reason(kind, exc)) from exc
    if kind == "PNG" and _doubtful(image) and png.rows_missing(data):
        raise ImageError("damaged PNG: its compressed data holds fewer rows than its header says")
    broken = libtiff.complaint(filling=True)
    if broken is not None:
        raise ImageError(f"damaged TIFF: {broken} of libtiff met broken data")
    if turn is None:
        # The header may say the size before that.
        return _whole(flat) if kind in TURNING else _Picture(flat, size[1], size[0], box=(0, 0, *extent))
    flat = flat.transpose(turn)
    if turn in SIDEWAYS:
        size, extent = size[::-1], extent[::-1]
    left = flat.width - extent[0] if turn in MIRRORED else 0
    top = flat.height - extent[1] if turn in FLIPPED else 0
    return _Picture(flat, size[1], size[0], box=(left, top, left + extent[0], top + extent[1]))


def _take_whole(take: _Take, kind: str, size: tuple[int, int], piece: int) -> None:
    """Tell of a picture that is decoded by others than Pillow, into arrays of `piece` bytes."""
    width, height = size
    try:
        # One byte a pixel of `piece` is counted for Pillow's image of mode L.
        take(PictureHeader(kind, "L", width * height, piece=piece - width * height))
    except NoRoomError as exc:
        raise ImageError(_no_room(size, kind, exc)) from exc


def _no_room(size: tuple[int, int], kind: str, exc: NoRoomError) -> str:
    return f"{size[0]}x{size[1]} pixels of {kind}: {exc}, more memory than there is"


def _by_arithmetic(data: bytes, layout: TiffLayout) -> Image.Image:
    """A TIFF that Pillow reads wrong or not at all, upright."""
    if libtiff.lacks(layout.compression):
        raise ImageError(unread_compression(layout.compression))
    libtiff.forget()
    try:
        pixels = rgb_from_samples(read_samples(data, layout, _decompressed), layout)
    except BAD_DATA as exc:
        raise ImageError(_reason("TIFF", exc)) from exc
    image, turn = Image.fromarray(pixels), UPRIGHT.get(layout.orientation)
    return image if turn is None else image.transpose(turn)


def _decompressed(strips: bytes) -> Pixels:
    return np.asarray(TiffImagePlugin.TiffImageFile(io.BytesIO(strips)))


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(f"{width}x{height} is {width * height:,} pixels; at most {max_pixels:,} are read")


def _shrink(image: ImageFile.ImageFile, spec: PreprocessSpec) -> tuple[float, float]:
    """Have a JPEG decoded at the smallest fraction of its size that leaves the resize enough to do.

    Gives the picture's width and height at that fraction, not rounded.
    """
    sideways = turn_of(image, "JPEG") in SIDEWAYS
    width, height = image.size[::-1] if sideways else image.size
    wanted = frame(height, width, spec)
    size = _DRAFT_MARGIN * wanted.width, _DRAFT_MARGIN * wanted.height
    whole = (float(image.width), float(image.height))
    drafted = image.draft(None, size[::-1] if sideways else size)
    return whole if drafted is None else drafted[1][2:]


def _reason(kind: str, exc: BaseException) -> str:
    """One line for the failure list: what Pillow said, without object addresses and line breaks."""
    text = " ".join(str(exc).split())
    if isinstance(exc, MemoryError):
        return f"{kind} that needs more memory than there is"
    if "truncated" in text.lower() or isinstance(exc, EOFError):
        return CUT_SHORT
    if kind == "TIFF" and libtiff.complaint() is not None:
        return f"damaged TIFF: {libtiff.complaint()} of libtiff failed"
    return f"{kind} that cannot be decoded: {text or type(exc).__name__}"


def _doubtful(image: Image.Image) -> bool:
    """Whether a PNG may lack rows: Pillow leaves those at zero."""
    last = image.crop((0, image.height - 1, image.width, image.height))
    return bool(image.info.get("interlace")) or not any(last.tobytes())


def _resized(picture: _Picture, wanted: Framing, part: Window, spec: PreprocessSpec) -> Pixels:
    """`part` of the picture resized to `wanted`, shape (part.height, part.width, 3)."""
    image = picture.image
    if _is_sampled(spec):
        pixels = np.asarray(image)
        pixels = sample(pixels, wanted.height, wanted.width, interpolation=spec.interpolation, window=part)
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    filtering = Image.Resampling.BILINEAR if spec.interpolation == "bilinear" else Image.Resampling.BICUBIC
    left, top, right, lower = picture.box
    across, down = (right - left) / wanted.width, (lower - top) / wanted.height
    box = (
        left + part.left * across,
        top + part.top * down,
        left + (part.left + part.width) * across,
        top + (part.top + part.height) * down,
    )
    return np.asarray(image.resize((part.width, part.height), filtering, box).convert("RGB"))
