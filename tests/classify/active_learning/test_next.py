"""`next` as a user runs it: round by round, from no label to a classifier."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from tests.support import COLOURS, CommandLine, lines_of, read_json, write_pictures


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("next")).with_tiny_network()
    drawn = write_pictures(here.folder / "drawn", per_class=8)
    (here.folder / "pool").mkdir()
    for path in drawn.rglob("*.png"):
        shutil.copy(path, here.folder / "pool" / f"{path.parent.name}-{path.name}")
    shutil.copy(here.folder / "pool/red-000.png", here.folder / "pool/zz-copy-of-red.png")
    here.good("extract", "pool", "--network", "tiny", "-o", "pool.h5")
    return here


def truth(path: str) -> str:
    return "red" if "copy-of-red" in path else Path(path).name.partition("-")[0]


def fill_in(file: Path) -> None:
    """What a user does: the right label of each image, in the column label."""
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "label": row["label"] or truth(row["path"])} for row in rows)


def test_from_no_label_to_a_classifier_in_two_rounds(cli: CommandLine) -> None:
    ran = cli.good("next", "pool.h5", "-n", "6", "--csv", "first.csv", "--html", "first.html")
    assert "no classifier: the images stand for all that have no label" in " ".join(ran.out.split())
    assert "6 of 25 images without a label" in ran.out
    rows = lines_of(cli.folder / "first.csv")
    assert list(rows[0])[:4] == ["path", "sha256", "label", "suggested"]
    assert {truth(row["path"]) for row in rows} == set(COLOURS)
    assert (cli.folder / "first.html").read_text().count('<img src="data:image/jpeg;base64,') == 6
    fill_in(cli.folder / "first.csv")

    told = cli.good(
        *("next", "pool.h5", "-n", "5", "--corrections", "first.csv", "--csv", "second.csv", "--json", "-q")
    )
    second = read_json(told.out)
    assert (second["labelled"], second["unlabelled"]) == (6, 19)
    assert second["by"] == "an SVM fitted on 6 labelled images of 3 classes"
    chosen = [image["path"] for image in second["images"]]
    assert not set(chosen) & {row["path"] for row in rows}
    # Both of one content are one picture, which is proposed once at most in all rounds.
    copies = {"red-000.png", "zz-copy-of-red.png"}
    assert len(copies & {*chosen, *(row["path"] for row in rows)}) <= 1
    for image in second["images"]:
        assert image["suggested"] == truth(image["path"])
        assert 1 >= image["probability"] >= image["second_probability"] >= 0
    # The new table holds the labels of the first round, too, and takes its place.
    fill_in(cli.folder / "second.csv")
    assert len(lines_of(cli.folder / "second.csv")) == 5 + 6
    fitted = cli.good("fit", "pool.h5", "--svm", "--corrections", "second.csv", "-C", "1", "-o", "two.onnx")
    assert "11 labels corrected, 0 images taken out (second.csv)" in " ".join(fitted.text.split())
    again = read_json(cli.good("next", "pool.h5", "-n", "3", "-m", "two.onnx", "--json", "-q").out)
    assert again["by"] == "a classifier of 3 classes"


def test_what_is_taken_out_is_not_chosen(cli: CommandLine) -> None:
    write_pictures(cli.folder / "named", per_class=3)
    cli.good("extract", "named", "--network", "tiny", "-o", "named.h5", "-q")
    ran = cli("next", "named.h5")
    assert ran.code == 2
    assert "each of 9 images has a label or is taken out" in " ".join(ran.err.split())
    (cli.folder / "out.csv").write_text("path,label\nred/000.png,\n")
    ran = cli("next", "named.h5", "--corrections", "out.csv")
    assert ran.code == 2
    assert "is taken out" in " ".join(ran.err.split())


def test_a_wrong_call_says_what_to_do(cli: CommandLine) -> None:
    assert cli("next", "nowhere.h5").code in (1, 2)
    assert "nowhere.onnx" in cli("next", "pool.h5", "-m", "nowhere.onnx").err
    ran = cli("next", "pool.h5", "--layer", "fc9")
    assert ran.code in (1, 2)
    assert "has no layer 'fc9'" in " ".join(ran.err.split())
