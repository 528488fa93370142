"""What comes from a browser is put nowhere but into the folder of images, under a free name, whole."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fc7.classify.app.uploads import class_name, file_name, save_image
from fc7.models.common.errors import UsageError


def png(seed: int = 0) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


NAMES = st.text(max_size=40) | st.sampled_from(
    [
        "../../x.png",
        "..\\x.png",
        "/etc/passwd.png",
        "C:\\x.png",
        "con.png",
        "NUL",
        ".png",
        "a\0b.png",
        "..",
        "é" * 300,
    ]
)


@settings(max_examples=150, deadline=None)
@given(name=NAMES, label=NAMES)
def test_nothing_is_written_outside(tmp_path_factory: pytest.TempPathFactory, name: str, label: str) -> None:
    around = tmp_path_factory.mktemp("around")
    (around / "mine.png").write_bytes(b"mine")
    folder = around / "imgs"
    try:
        kept = save_image(folder, label, name + ".png", png())
    except UsageError:
        assert files(around) == {"mine.png"}
        return
    assert kept.saved
    (new,) = files(around) - {"mine.png"}
    parts = Path(new).parts
    assert parts[0] == "imgs"
    assert len(parts) == (3 if label else 2)
    assert not parts[-1].startswith(".")
    assert (around / new).read_bytes() == png()


@settings(max_examples=200, deadline=None)
@given(NAMES)
def test_a_cleaned_name_is_one_plain_name(name: str) -> None:
    found = file_name(name)
    assert found
    assert found == Path(found).name
    assert not set(found) & set('<>:"/\\|?*\0')
    assert len(found.encode("utf-8")) < 600
    assert file_name(found) == found


@pytest.mark.parametrize("name", ["", " ", ".", "..", "../x", "a/b", "a\\b", "nul", "COM1.x", ".hidden",
                                  "a.", "a\0b",
                                  "<b>x</b>", "x" * 121, "\ud800"])  # fmt: skip
def test_names_that_no_folder_can_have(name: str) -> None:
    with pytest.raises(UsageError, match="its name is that of a folder"):
        class_name(name)


@pytest.mark.parametrize("name", ["cat", "red wine", "été", "a.b", "Конь", "x" * 120, "it's & so"])
def test_names_that_a_folder_can_have(name: str) -> None:
    assert class_name(name) == name


def test_nothing_that_stands_there_is_replaced(tmp_path: Path) -> None:
    assert save_image(tmp_path, "cat", "a.png", png(1)).saved
    assert save_image(tmp_path, "cat", "a.png", png(2)).saved
    again = save_image(tmp_path, "cat", "a.png", png(1))
    assert (again.saved, again.reason) == (False, "it is there already")
    assert files(tmp_path) == {"cat/a.png", "cat/a-2.png"}
    assert (tmp_path / "cat/a.png").read_bytes() == png(1)


@pytest.mark.parametrize(("name", "data", "reason"), [("a.txt", png(), "no image by its name"),
                                                      ("a.png", b"text", "not an image"),
                                                      ("a.png", b"", ""),
                                                      ("a.png", png()[:60], "")])  # fmt: skip
def test_what_is_no_image_is_refused_with_its_reason(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    kept = save_image(tmp_path, "cat", name, data)
    assert not kept.saved
    assert kept.reason
    assert reason in kept.reason
    assert files(tmp_path) == set()
