"""The contact sheet: bounded, escaped, grouped, and true about what it leaves out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from fc7.classify.gallery.sheet import shown_groups, write_sheet
from fc7.classify.kinds import REPORT, SHEET
from fc7.classify.predict.predictions import Prediction
from fc7.classify.report.thumbnails import Originals
from fc7.extract.inputs.listing import list_inputs
from fc7.models.common.progress import Silent
from fc7.models.outputs.outputs import CallFiles
from tests.support import coloured_picture


def predicted(path: str, label: str, score: float) -> Prediction:
    return Prediction(path, label, [(label, score), ("other", 1 - score)])


def test_each_label_gets_an_equal_part_of_the_room_its_least_probable_first() -> None:
    many = [predicted(f"a{i}", "a", 0.5 + i / 100) for i in range(40)]
    few = [predicted("b0", "b10", 0.9), predicted("b1", "b10", 0.6), predicted("c", "b9", 0.7)]
    groups = shown_groups([*many, *few, Prediction("broken", error="why")], most=10)
    assert [(group.label, group.n, list(group.rows)) for group in groups] == [
        ("a", 40, [0, 1, 2, 3, 4, 5, 6]),
        ("b9", 1, [42]),
        ("b10", 2, [41, 40]),
    ]
    assert (
        sum(len(group.rows) for group in shown_groups([predicted(str(i), str(i), 1) for i in range(20)], 7))
        == 7
    )


def test_names_are_escaped_and_every_picture_is_in_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("imgs").mkdir()
    hostile = '"><script>alert(1)<.png'.replace("/", "")
    for name in (hostile, "plain.png"):
        Image.fromarray(coloured_picture("red", 1)).save(Path("imgs") / name)
    originals = Originals({ref.path: ref for ref in list_inputs(["imgs"]).images})
    label = "</h2><b>\x1b[31m"
    predictions = [predicted(path, label, 0.75) for path in originals.refs]
    predictions += [predicted("gone.png", "z", 0.5), Prediction("broken<", error="no <image>")]
    out = CallFiles().claim("sheet.html", SHEET, "--html")
    sheet = write_sheet(predictions, originals, out, "imgs & more", Silent())
    page = Path("sheet.html").read_text()
    assert (sheet.pictures, sheet.missing, sheet.left_out, sheet.size) == (2, 1, 0, len(page.encode()))
    assert page.count('<img src="data:image/jpeg;base64,/9j/') == 2
    for never in ("<script", "<b>", "\x1b", "<image>", "broken<", "http://", "https://"):
        assert never not in page
    assert "&lt;/h2&gt;&lt;b&gt;\\u001b[31m" in page
    assert '<span class="none">not found</span>' in page
    assert "<bdi>75.0%</bdi>" in page
    assert "broken&lt;</bdi>: no &lt;image&gt;" in page
    assert re.search(r"prefers-color-scheme: dark", page)
    assert SHEET.recognises(Path("sheet.html"))
    assert not REPORT.recognises(Path("sheet.html"))
