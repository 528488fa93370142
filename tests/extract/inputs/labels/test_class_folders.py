"""``imgs/*`` is what ``imgs/`` is: a shell's list of class folders keeps labels, paths and rows."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from fc7.extract.inputs.listing import list_inputs
from fc7.extract.records import Listing
from fc7.models.common.errors import UsageError
from tests.support import CommandLine, read_json, write_pictures
from tests.support.extract.odd_files import encoded, photo

DATA = encoded(photo(8, 8), "PNG")


@pytest.fixture
def imgs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        write(tmp_path / "imgs" / name)
    return tmp_path / "imgs"


def write(path: Path, data: bytes = DATA) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def globbed(folder: str = "imgs") -> list[str]:
    """As a shell makes it of ``folder/*``."""
    return sorted(f"{folder}/{path.name}" for path in Path(folder).iterdir() if path.name[0] != ".")


def labels(listing: Listing) -> dict[str, str | None]:
    return {ref.path: ref.label for ref in listing.images}


@pytest.mark.parametrize("ending", ["", "/"])
def test_folders_side_by_side_are_classes_and_it_is_said(imgs: Path, ending: str) -> None:
    notes: list[str] = []
    listing = list_inputs([name + ending for name in globbed()], notify=notes.append)
    assert labels(listing) == {"cat/1.png": "cat", "cat/2.png": "cat", "dog/1.png": "dog"}
    assert listing.roots == ("imgs",)
    assert notes == ["2 folders side by side: the name of each is the label of its images (cat, dog)"]
    assert labels(list_inputs(["imgs/"])) == labels(listing)
    assert list_inputs(["imgs/"]).roots == ("imgs",)


def test_whatever_else_the_shell_named_is_what_it_is_in_the_folder(imgs: Path) -> None:
    write(imgs / "stray.png")
    write(imgs / "README.txt", b"cats and dogs")
    write(imgs / "labels.csv", b"path,label\n")
    (imgs / "empty").mkdir()
    with h5py.File(imgs / "features.h5", "w") as file:
        file.attrs["format"] = "fc7-features"
    as_folder, as_list = list_inputs(["imgs"]), list_inputs(globbed())
    assert labels(as_list) == labels(as_folder)
    assert labels(as_list)["stray.png"] is None
    assert as_list.ignored == as_folder.ignored == {".txt": 1, ".csv": 1, ".h5": 1}


def test_a_list_or_archive_beside_folders_is_read(imgs: Path) -> None:
    write(imgs / "more.txt", b"cat/1.png\n")
    listing = list_inputs(globbed())
    assert len(listing.images) == 4
    assert listing.images[0].label == "cat"


def test_what_lies_beside_some_of_the_folders_only_was_meant(imgs: Path) -> None:
    write(imgs / "bird/1.png")
    write(imgs / "README.txt", b"cats and dogs")
    with pytest.raises(UsageError, match="README"):
        list_inputs(["imgs/cat", "imgs/dog", "imgs/README.txt"])


def test_one_folder_has_no_label_and_nothing_is_said(imgs: Path) -> None:
    notes: list[str] = []
    assert set(labels(list_inputs(["imgs/cat"], notify=notes.append)).values()) == {None}
    assert not notes


@pytest.mark.parametrize("case", ["a folder in one", "apart", "parts", "one with images"])
def test_where_names_are_no_classes_it_is_said_that_labels_are_lost_and_how_not_to(
    imgs: Path, case: str
) -> None:
    notes: list[str] = []
    given = ["imgs/cat", "imgs/dog"]
    lost = {"cat/1.png", "cat/2.png", "dog/1.png"}
    if case == "a folder in one":
        write(imgs / "dog/small/1.png")
    elif case == "apart":
        write(imgs.parent / "more/cow/1.png")
        given[1] = "more/cow"
        lost = {"imgs/cat/1.png", "imgs/cat/2.png", "more/cow/1.png"}
    elif case == "parts":
        (imgs / "cat").rename(imgs / "Train")
        (imgs / "dog").rename(imgs / "test")
        given = ["imgs/Train", "imgs/test"]
        lost = {"Train/1.png", "Train/2.png", "test/1.png"}
    else:
        (imgs / "dog/1.png").unlink()
        lost.remove("dog/1.png")
    found = labels(list_inputs(given, notify=notes.append))
    assert {path for path, label in found.items() if label is None} == lost
    assert notes[1:] == (["no image in dog/"] if case == "one with images" else [])
    assert "give the folder around them, or give --labels" in notes[0]


def test_parts_with_class_folders_in_them_are_as_they_were(imgs: Path) -> None:
    (imgs.parent / "data").mkdir()
    imgs.rename(imgs.parent / "data/train")
    write(imgs.parent / "data/test/cat/9.png")
    notes: list[str] = []
    assert labels(list_inputs(["data/train", "data/test"], notify=notes.append)) == {
        "test/cat/9.png": "cat",
        "train/cat/1.png": "cat",
        "train/cat/2.png": "cat",
        "train/dog/1.png": "dog",
    }
    assert not any("side by side" in note or "directly in" in note for note in notes)


def test_a_manifest_goes_before_and_nothing_is_said_of_folders(imgs: Path) -> None:
    write(imgs.parent / "labels.csv", b"path,label\nimgs/cat/1.png,tiger\n")
    notes: list[str] = []
    found = labels(list_inputs(globbed(), labels=Path("labels.csv"), notify=notes.append))
    assert found == {"cat/1.png": "tiger", "cat/2.png": None, "dog/1.png": None}
    assert not any("side by side" in note for note in notes)


def test_the_rows_of_a_folder_serve_its_shells_list_and_evaluate_has_the_labels(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path).with_tiny_network()
    write_pictures(tmp_path / "imgs", per_class=4)
    (tmp_path / "imgs/README.txt").write_text("three colours")
    cli.good("extract", "imgs/", "--network", "tiny")
    before = (tmp_path / "features.h5").read_bytes()
    given = [f"imgs/{path.name}" for path in sorted((tmp_path / "imgs").iterdir())]
    again = cli.good("extract", *given, "--network", "tiny", "--json")
    told = read_json(again.out)
    assert (told["rows"], told["reused"], told["removed"], told["written"]) == (12, 12, 0, False)
    assert (tmp_path / "features.h5").read_bytes() == before
    assert "3 folders side by side" in again.err
    cli.good("fit", "--force", "--svm", "-C", "1")
    evaluated = cli.good("evaluate", *given, "--json")
    assert read_json(evaluated.out)["n"] == 12
    classified = cli.good("classify", *given)
    assert "side by side" not in classified.text


def test_rows_without_a_label_are_named_with_what_gives_them_one(imgs: Path) -> None:
    cli = CommandLine(imgs.parent).with_tiny_network()
    hint = "below the folder that is given; else give --labels or --label-by"
    for given, said in (
        (["imgs/cat"], "0 classes; 2 rows have no label\nwithout a label: 1.png first; "),
        (["imgs/cat", "imgs/dog/1.png"], "2 rows have no label\nwithout a label: cat/1.png first; "),
        (["imgs/dog"], "0 classes; 1 row has no label\nwithout a label: 1.png; "),
    ):
        ran = cli.good("extract", *given, "--network", "tiny", "-o", "f.h5", "--force")
        assert said in ran.out
        assert hint in " ".join(ran.out.split())
    assert "without a label" not in cli.good("extract", "imgs", "--network", "tiny", "-o", "g.h5").out
