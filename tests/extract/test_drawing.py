"""Sheets of captioned tiles and picture files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from extract.drawing import fitting, jpeg_bytes, montage, save_png
from extract.images import decode
from models.errors import Fc7Error, UsageError
from tests.extract.odd_files import photo


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


def test_a_montage_shows_every_tile_unchanged_with_a_caption_below(tmp_path: Path) -> None:
    tiles = [photo(40, 60, seed) for seed in range(5)]
    captions = ["circle 0.99", "", "a very long caption that cannot fit", "\u661f \u00e9\n2", "<b>"]
    sheet = decode(montage(tiles, captions, 2, tmp_path / "m.png").read_bytes())
    cell_height, cell_width = 40 + 26 + 6, 60 + 6
    assert sheet.shape == (3 * cell_height + 6, 2 * cell_width + 6, 3)
    for index, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        top, left = (index // 2) * cell_height + 6, (index % 2) * cell_width + 6
        assert np.array_equal(sheet[top : top + 40, left : left + 60], tile)
        below = sheet[top + 40 : top + 66, left : left + 60]
        assert (below.max() > 150) == bool(caption)
        # Nothing is written over the gap between two tiles.
        assert (sheet[top : top + 66, left + 60 : left + 66] == 24).all()


def test_tiles_of_several_sizes_are_centred(tmp_path: Path) -> None:
    tiles = [np.full((40, 60, 3), 200, np.uint8), np.full((10, 20, 3), 100, np.uint8)]
    sheet = decode(montage(tiles, ["a", "b"], 2, tmp_path / "m.png").read_bytes())
    rows, columns = np.nonzero((sheet == 100).all(axis=2))
    assert (rows.min(), rows.max() + 1) == (6 + 15, 6 + 25)
    assert (columns.min(), columns.max() + 1) == (72 + 20, 72 + 40)


def test_captions_are_cut_to_their_tile() -> None:
    font = ImageFont.load_default(16)
    for width in (5, 40, 100, 400):
        text = fitting("a very long caption that cannot fit", width, font)
        assert font.getlength(text) <= max(width, font.getlength("..."))
        assert text.endswith("...") == (width < 400)
    assert fitting("one\n two\tthree", 1000, font) == "one two three"
    assert fitting("\u00e9t\u00e9 \u0141\u00f3d\u017a \u732b", 1000, font) == "ete ?odz ?"


def test_a_montage_of_nothing_is_refused(tmp_path: Path) -> None:
    tile = photo(4, 4)
    for tiles, captions, columns in (([], [], 2), ([tile], [], 2), ([tile], ["a"], 0)):
        with pytest.raises(UsageError, match="a montage needs at least one tile"):
            montage(tiles, captions, columns, tmp_path / "m.png")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_said_with_the_place_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Fc7Error, match=r"a\.png: cannot be written"):
        save_png(photo(4, 4), tmp_path / "file/a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(Fc7Error, match="cannot be written"):
        save_png(photo(4, 4), tmp_path / "folder.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]
