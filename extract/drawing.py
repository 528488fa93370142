"""Pixels to picture files: the drawn shapes' JPEGs, a PNG, a captioned sheet of tiles. Imports PIL."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from extract.kinds import DRAWING, DRAWN_BY
from extract.stages import Pixels
from models.durable import explained
from models.errors import UsageError
from models.outputs import Destination, Guard

_BACKGROUND, _INK = (24, 24, 24), (240, 240, 240)
_GAP, _PADDING = 6, 5
# Pillow's own font, so that a sheet looks alike everywhere; it has ASCII's letters only.
_LETTER_HEIGHT = 16
_CUT = "..."


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


def save_png(pixels: Pixels, out: Destination) -> Path:
    """Write RGB pixels as a PNG; the file appears whole or not at all.

    Raises
    ------
    UsageError
        If something stands there that fc7 did not draw.
    Fc7Error
        If it cannot be written.
    """
    out = Guard().claim(out, DRAWING, makes_folder=True)
    buffer, says = io.BytesIO(), PngInfo()
    says.add_text("Software", DRAWN_BY)
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=says)
    with explained(out.path, out.option):
        return out.write(buffer.getvalue())


def montage(tiles: Sequence[Pixels], captions: Sequence[str], columns: int, out: Destination) -> Path:
    """A PNG sheet of tiles, left to right and top to bottom, each with its caption below it.

    Parameters
    ----------
    tiles : sequence of ndarray of shape (h, w, 3), uint8
        RGB; sizes may differ, each is centred in a cell of the largest.
    captions : sequence of str
        One for each tile. What is too wide for its cell is cut, and letters that are not
        ASCII lose their accents or become question marks.
    columns : int
    out : str, Path or Output

    Raises
    ------
    UsageError
        If there are no tiles, as many captions as tiles are not given, or `columns` is below 1; or if
        something stands there that fc7 did not draw.
    Fc7Error
        If the file cannot be written.
    """
    if not tiles or len(tiles) != len(captions) or columns < 1:
        raise UsageError(
            f"a montage needs at least one tile, a caption for each and at least one column; "
            f"found {len(tiles)} tiles, {len(captions)} captions, {columns} columns"
        )
    font = ImageFont.load_default(_LETTER_HEIGHT)
    tile_height = max(tile.shape[0] for tile in tiles)
    tile_width = max(tile.shape[1] for tile in tiles)
    caption_height = _LETTER_HEIGHT + 2 * _PADDING
    rows = -(-len(tiles) // columns)
    cell_height, cell_width = tile_height + caption_height + _GAP, tile_width + _GAP
    sheet = Image.new("RGB", (columns * cell_width + _GAP, rows * cell_height + _GAP), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for index, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        row, column = divmod(index, columns)
        left, top = column * cell_width + _GAP, row * cell_height + _GAP
        corner = left + (tile_width - tile.shape[1]) // 2, top + (tile_height - tile.shape[0]) // 2
        sheet.paste(Image.fromarray(tile), corner)
        middle = left + tile_width / 2, top + tile_height + caption_height / 2
        pen.text(middle, fitting(caption, tile_width, font), fill=_INK, font=font, anchor="mm")
    return save_png(np.asarray(sheet), out)


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
