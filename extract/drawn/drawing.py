"""Pixels to picture files: the drawn shapes' JPEGs, a PNG, a captioned sheet of tiles. Imports PIL."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from fc7.extract.kinds import DRAWING, DRAWN_BY
from fc7.extract.records import Pixels
from fc7.models.common.durable import explained
from fc7.models.common.errors import UsageError
from fc7.models.outputs.outputs import CallFiles, Destination

# Ink on white and white on the red have a contrast above 7 : 1 (WCAG 2.2, success criterion 1.4.6); what is
# wrong is told by a frame, a cross and a dark band as well, so that nothing hangs on the colour.
_BACKGROUND, _INK = (255, 255, 255), (24, 24, 24)
_RIGHT, _WRONG = (0, 100, 60), (165, 20, 20)
_GAP, _PADDING, _FRAME = 8, 6, 6
_TILE_SIDE = 184
# Pillow's own font, so that a sheet looks alike everywhere; it has ASCII's letters only.
_LETTER_HEIGHT = 18
_LINE_HEIGHT = 24
_CUT = "..."
_Strokes = tuple[tuple[tuple[float, float], ...], ...]
# Strokes from corner to corner of a unit square, x to the right and y down.
_CHECK: _Strokes = (((0.1, 0.55), (0.4, 0.85), (0.9, 0.15)),)
_CROSS: _Strokes = (((0.1, 0.1), (0.9, 0.9)), ((0.1, 0.9), (0.9, 0.1)))


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture of a montage and what stands below it.

    Attributes
    ----------
    pixels : ndarray of shape (h, w, 3), uint8
        RGB. What is larger than 184 pixels is shown smaller, with its proportions.
    lines : tuple of str
        Too wide ones are cut; letters that are not ASCII lose their accents or become question marks.
    right : bool or None
        True puts a check mark beside the lines; False a cross, a red band behind them and a frame around all;
        None nothing.
    """

    pixels: Pixels
    lines: tuple[str, ...]
    right: bool | None = None


def jpeg_bytes(pixels: Pixels, quality: int = 95) -> bytes:
    """A JPEG without chroma subsampling, so that coloured edges stay sharp.

    Parameters
    ----------
    pixels : ndarray of shape (h, w, 3), uint8
        RGB.
    quality : int
        libjpeg's, 1 to 95.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def png_bytes(pixels: Pixels) -> bytes:
    """A PNG of pixels as an array of images holds them.

    Parameters
    ----------
    pixels : ndarray of shape (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), uint8
    """
    buffer = io.BytesIO()
    grey = pixels.ndim == 3 and pixels.shape[2] == 1
    Image.fromarray(pixels[:, :, 0] if grey else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def save_png(pixels: Pixels, out: Destination) -> Path:
    """Write RGB pixels as a PNG; the file appears whole or not at all.

    Raises
    ------
    UsageError
        If something stands there that fc7 did not draw.
    Fc7Error
        If it cannot be written.
    """
    out = CallFiles(again=True).claim(out, DRAWING, makes_folder=True)
    buffer, says = io.BytesIO(), PngInfo()
    says.add_text("Software", DRAWN_BY)
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=says)
    with explained(out.path, out.option):
        return out.write(buffer.getvalue())


def montage(tiles: Sequence[Tile], columns: int, out: Destination) -> Path:
    """A PNG sheet of tiles, left to right and top to bottom.

    Parameters
    ----------
    tiles : sequence of Tile
        Sizes may differ; each picture is centred in a cell of the largest.
    columns : int
        At least 1.
    out : str, Path or Output
        Where the sheet goes.

    Raises
    ------
    UsageError
        If there are no tiles, or `columns` is below 1; or if something stands there that fc7 did not draw.
    Fc7Error
        If the file cannot be written.
    """
    if not tiles or columns < 1:
        raise UsageError(
            f"a montage needs at least one tile and at least one column; found {len(tiles)} tiles, "
            f"{columns} columns"
        )
    shown = [_shown(tile.pixels) for tile in tiles]
    width = max(picture.width for picture in shown)
    height = max(picture.height for picture in shown)
    band = max(len(tile.lines) for tile in tiles) * _LINE_HEIGHT + 2 * _PADDING
    across, down = width + 2 * _FRAME + _GAP, height + band + 2 * _FRAME + _GAP
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * across + _GAP, rows * down + _GAP), _BACKGROUND)
    for index, (tile, picture) in enumerate(zip(tiles, shown, strict=True)):
        row, column = divmod(index, columns)
        cell = _cell(tile, picture, (width, height, band))
        sheet.paste(cell, (column * across + _GAP, row * down + _GAP))
    return save_png(np.asarray(sheet), out)


def _shown(pixels: Pixels) -> Image.Image:
    picture = Image.fromarray(pixels)
    picture.thumbnail((_TILE_SIDE, _TILE_SIDE))
    return picture


def _cell(tile: Tile, picture: Image.Image, size: tuple[int, int, int]) -> Image.Image:
    """Frame, picture, mark and lines; `size` is the picture's width and height and the lines' height."""
    width, height, band = size
    wrong = tile.right is False
    cell = Image.new(
        "RGB", (width + 2 * _FRAME, height + band + 2 * _FRAME), _WRONG if wrong else _BACKGROUND
    )
    cell.paste(picture, (_FRAME + (width - picture.width) // 2, _FRAME + (height - picture.height) // 2))
    pen, font = ImageDraw.Draw(cell), ImageFont.load_default(_LETTER_HEIGHT)
    ink = _BACKGROUND if wrong else _INK
    left, top = _FRAME, _FRAME + height + _PADDING
    if tile.right is not None:
        side = band - 2 * _PADDING
        _stroke(pen, _CROSS if wrong else _CHECK, (left, top, side), colour=_BACKGROUND if wrong else _RIGHT)
        left += side + _PADDING
    for number, line in enumerate(tile.lines):
        middle = top + (number + 0.5) * _LINE_HEIGHT
        pen.text((left, middle), fitting(line, _FRAME + width - left, font), fill=ink, font=font, anchor="lm")
    return cell


def _stroke(
    pen: ImageDraw.ImageDraw, strokes: _Strokes, place: tuple[int, int, int], colour: tuple[int, int, int]
) -> None:
    """Draw `strokes` into the square at left, top with that side."""
    left, top, side = place
    for stroke in strokes:
        points = [(left + x * side, top + y * side) for x, y in stroke]
        pen.line(points, fill=colour, width=max(2, side // 8), joint="curve")


def fitting(caption: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The caption on one line, in the font's letters, cut to `width` pixels."""
    # Pillow's own font, a part of Aileron, has ASCII and no accents: a letter stands without its own (NFKD
    # parts them), and what is no Latin letter is a question mark.
    bare = "".join(c for c in unicodedata.normalize("NFKD", caption) if not unicodedata.combining(c))
    text = " ".join(bare.split()).encode("ascii", "replace").decode()
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + _CUT) > width:
        text = text[:-1]
    return text + _CUT
