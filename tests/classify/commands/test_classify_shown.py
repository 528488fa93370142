"""What `classify` prints, shows and sorts; what `suspects` and `duplicates` copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import CommandLine, lines_of, read_json, write_pictures


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("shown")).with_tiny_network()
    imgs = write_pictures(here.folder / "imgs", per_class=4)
    shutil.copy(imgs / "red/000.png", imgs / "blue/same.png")
    here.good("extract", "imgs", "--network", "tiny")
    here.good("fit", "--force", "--svm", "-C", "1", "--duplicates", "off", "-q")
    write_pictures(here.folder / "new", per_class=2, start=10)
    (here.folder / "new/broken.png").write_bytes(b"")
    return here


def test_images_named_one_by_one_are_printed_and_no_file_is_written(cli: CommandLine) -> None:
    ran = cli.good("classify", "new/red/010.png", "new/green/011.png", "--top-k", "2")
    lines = ran.out.splitlines()
    assert lines[0] == "new/green/011.png"
    assert lines[3] == "new/red/010.png"
    assert [line.split("%")[1].strip() for line in (lines[1], lines[4])] == ["green", "red"]
    assert sum(float(line.split("%")[0]) for line in lines[1:3]) <= 100.1
    assert not (cli.folder / "predictions.csv").exists()


def test_a_folder_goes_to_a_file_that_is_not_replaced(cli: CommandLine) -> None:
    ran = cli.incomplete("classify", "new", "--html", "sheet.html", "--sort-into", "sorted")
    before = (cli.folder / "predictions.csv").read_bytes()
    labels = {line["path"]: line["label"] for line in lines_of(cli.folder / "predictions.csv")}
    files = {path.parent.name: path for path in (cli.folder / "sorted").rglob("*.png")}
    assert set(files) == {"red", "green", "blue"} == set(filter(None, labels.values()))
    for path in (cli.folder / "sorted").rglob("*.png"):
        assert labels[f"new/{path.parent.name}/{path.name.replace('-2', '')}"] == path.parent.name
    assert "wrote sheet.html: 6 pictures" in ran.out
    assert "copied 6 images into 3 folders of sorted" in ran.out
    again = cli("classify", "new/red")
    assert again.code == 2
    assert "predictions.csv: a file of predictions" in again.err
    assert again.err.rstrip().endswith("choose another -o, or pass --force to replace it")
    assert (cli.folder / "predictions.csv").read_bytes() == before
    refused = cli("classify", "new/red", "-o", "other.csv", "--sort-into", "sorted")
    assert (refused.code, (cli.folder / "other.csv").exists()) == (2, False)
    assert "give --sort-into a new or an empty folder" in refused.err


def test_json_holds_the_predictions(cli: CommandLine) -> None:
    told = read_json(cli.incomplete("classify", "new", "--json").out)
    by_path = {line["path"]: line for line in told["predictions"]}
    assert told["out"] is None
    assert len(by_path) == told["images"] == 7
    assert by_path["new/red/010.png"]["label"] == "red"
    assert "error" in by_path["new/broken.png"]


def test_links_need_a_folder(cli: CommandLine) -> None:
    ran = cli("classify", "new/red/010.png", "--link")
    assert (ran.code, "--sort-into" in ran.err) == (2, True)


def test_suspects_and_duplicates_are_copied(cli: CommandLine) -> None:
    cli.good("duplicates", "--threshold", "1", "--copy", "doubles")
    names = sorted(
        path.relative_to(cli.folder / "doubles").as_posix()
        for path in (cli.folder / "doubles").rglob("*.png")
    )
    assert names == ["0001 labels differ/000.png", "0001 labels differ/same.png"]
    ran = cli.good("suspects", "-C", "1", "--top", "1", "--copy", "wrong")
    [copied] = (cli.folder / "wrong").rglob("*.png")
    assert copied.name == "same.png" or copied.name == "000.png"
    assert "copied 1 image into 1 folder of wrong" in ran.err
    assert cli("suspects", "--copy", "wrong").code == 2


def test_an_image_that_moved_is_not_copied_and_the_exit_code_says_so(
    cli: CommandLine, tmp_path: Path
) -> None:
    (cli.folder / "imgs").rename(cli.folder / "elsewhere")
    try:
        ran = cli.incomplete("duplicates", "--threshold", "1", "--copy", "moved")
    finally:
        (cli.folder / "elsewhere").rename(cli.folder / "imgs")
    assert "skipped 2, the first blue/same.png: not found" in ran.err
    assert not (cli.folder / "moved").exists()
