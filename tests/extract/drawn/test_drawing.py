"""Sheets of captioned tiles and picture files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from fc7.extract.drawn.drawing import Tile, fitting, jpeg_bytes, montage, save_png
from fc7.extract.records import Pixels
from fc7.models.common.errors import Fc7Error, UsageError
from tests.support.extract.decoding import decode
from tests.support.extract.odd_files import photo


def test_a_png_holds_the_very_pixels(tmp_path: Path) -> None:
    picture = photo(20, 30)
    path = save_png(picture, tmp_path / "new/folder/a.png")
    assert np.array_equal(decode(path.read_bytes()), picture)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_a_jpeg_keeps_sharp_colours(tmp_path: Path) -> None:
    halves = np.zeros((32, 32, 3), np.uint8)
    halves[:, :16], halves[:, 16:] = (255, 0, 0), (0, 0, 255)
    found = decode(jpeg_bytes(halves)).astype(int)
    assert np.abs(found - halves).max() <= 4


# A cell is the picture and below it the lines, 24 pixels each and 6 above and below; a frame of 6 around all,
# 8 between two cells and around the sheet.
FRAME, GAP = 6, 8
WRONG_RED = (165, 20, 20)


def drawn(tiles: list[Tile], columns: int, path: Path) -> list[Pixels]:
    """The cells, frames included, of a montage of tiles 120 wide and 80 high, with two lines each."""
    sheet = decode(montage(tiles, columns, path).read_bytes())
    height, width = 80 + 2 * 24 + 2 * 6 + 2 * FRAME, 120 + 2 * FRAME
    rows = -(-len(tiles) // columns)
    assert sheet.shape == (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3)
    places = (divmod(index, columns) for index in range(len(tiles)))
    corners = ((GAP + row * (height + GAP), GAP + column * (width + GAP)) for row, column in places)
    return [sheet[top : top + height, left : left + width] for top, left in corners]


def frame_of(cell: Pixels) -> set[tuple[int, ...]]:
    """The colours in the outermost six pixels of a cell."""
    inside = np.zeros(cell.shape[:2], bool)
    inside[FRAME:-FRAME, FRAME:-FRAME] = True
    return {tuple(map(int, colour)) for colour in np.unique(cell[~inside], axis=0)}


def test_a_montage_shows_every_picture_unchanged_with_its_lines_below(tmp_path: Path) -> None:
    tiles = [Tile(photo(80, 120, seed), (f"star {seed}", "truth: star")) for seed in range(5)]
    for tile, cell in zip(tiles, drawn(tiles, 2, tmp_path / "m.png"), strict=True):
        assert np.array_equal(cell[FRAME : FRAME + 80, FRAME : FRAME + 120], tile.pixels)
        assert frame_of(cell) == {(255, 255, 255)}
        for line in (0, 1):
            band = cell[FRAME + 86 + 24 * line : FRAME + 110 + 24 * line, FRAME:-FRAME]
            assert band.min() < 60
            # Without a mark the lines begin at the left.
            assert band[:, :12].min() < 60


def test_a_wrong_tile_has_a_frame_a_cross_and_a_dark_band_and_a_right_one_a_check_mark(
    tmp_path: Path,
) -> None:
    answers = [True, False, None, False]
    tiles = [Tile(photo(80, 120, i), ("star 61%", "truth: star"), right) for i, right in enumerate(answers)]
    found = drawn(tiles, 2, tmp_path / "m.png")
    for tile, cell in zip(tiles, found, strict=True):
        assert np.array_equal(cell[FRAME : FRAME + 80, FRAME : FRAME + 120], tile.pixels)
        assert frame_of(cell) == {WRONG_RED if tile.right is False else (255, 255, 255)}
        # As grey, without any colour: the band behind the lines is dark or light.
        grey = cell[FRAME + 80 : -FRAME].mean(axis=2)
        assert (np.median(grey) < 100) == (tile.right is False)
    # The mark fills a square of 48 pixels below the picture's left edge. Along its main diagonal a cross has
    # its stroke in every pixel, a check mark, which goes down and up again, has none in the upper left.
    marks = [cell[FRAME + 86 : FRAME + 134, FRAME : FRAME + 48] for cell in found]
    check, cross = (np.abs(mark.astype(int) - mark[0, 0]).sum(axis=2) > 60 for mark in marks[:2])
    inside = np.arange(10, 38)
    assert cross[inside, inside].all()
    assert cross[inside, 47 - inside].all()
    assert not check[:20, :20].any()
    assert check[40, 19]
    assert np.array_equal(marks[1], marks[3])


def test_a_large_picture_is_shown_smaller_with_its_proportions(tmp_path: Path) -> None:
    large = np.full((300, 600, 3), (10, 200, 90), np.uint8)
    sheet = decode(montage([Tile(large, ("a",))], 1, tmp_path / "m.png").read_bytes())
    rows, columns = np.nonzero((sheet == (10, 200, 90)).all(axis=2))
    assert (int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1) == (184, 92)


def test_tiles_of_several_sizes_are_centred(tmp_path: Path) -> None:
    tiles = [
        Tile(np.full(size, value, np.uint8), ()) for size, value in (((40, 60, 3), 200), ((10, 20, 3), 100))
    ]
    sheet = decode(montage(tiles, 2, tmp_path / "m.png").read_bytes())
    rows, columns = np.nonzero((sheet == 100).all(axis=2))
    left = GAP + 60 + 2 * FRAME + GAP + FRAME
    assert (rows.min(), rows.max() + 1) == (GAP + FRAME + 15, GAP + FRAME + 25)
    assert (columns.min(), columns.max() + 1) == (left + 20, left + 40)


def test_captions_are_cut_to_their_tile() -> None:
    font = ImageFont.load_default(16)
    for width in (5, 40, 100, 400):
        text = fitting("a very long caption that cannot fit", width, font)
        assert font.getlength(text) <= max(width, font.getlength("..."))
        assert text.endswith("...") == (width < 400)
    assert fitting("one\n two\tthree", 1000, font) == "one two three"
    assert fitting("\u00e9t\u00e9 \u0141\u00f3d\u017a \u732b", 1000, font) == "ete ?odz ?"


def test_a_montage_of_nothing_is_refused(tmp_path: Path) -> None:
    tile = Tile(photo(4, 4), ("a",))
    for tiles, columns in (([], 2), ([tile], 0)):
        with pytest.raises(UsageError, match="a montage needs at least one tile"):
            montage(tiles, columns, tmp_path / "m.png")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_said_with_the_place_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Fc7Error, match=r"a\.png: cannot be written"):
        save_png(photo(4, 4), tmp_path / "file/a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(Fc7Error, match="cannot be written"):
        save_png(photo(4, 4), tmp_path / "folder.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]
