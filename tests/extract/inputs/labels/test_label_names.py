"""Names: what is passed over, what looks alike, and in which form labels and paths meet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fc7.classify.classifier.artifact import load_classifier, save_classifier
from fc7.extract.inputs.listing import list_inputs
from tests.extract.inputs.archives.test_archives import pack
from tests.extract.inputs.tables.test_manifests import pictures, write
from tests.support import CommandLine, read_json
from tests.support.classify.blobs import fitted
from tests.support.extract.labels_support import classes_of, column, labels, named_pictures, notes

NFC, NFD = "\u00e9cole", "e\u0301cole"


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("labels")).with_tiny_network()


@pytest.mark.parametrize("form", ["folder", "zip", "tar"])
def test_what_systems_leave_beside_pictures_is_passed_over(tmp_path: Path, form: str) -> None:
    litter = ["@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "__MACOSX"]
    names = ["cat/1.png", *(f"{name}/x/{i}.png" for i, name in enumerate(litter)), "cat/@EADIR/1.png/t.jpg"]
    if form == "folder":
        place = pictures(tmp_path / "x", *names)
    else:
        place = pack(tmp_path / f"x.{form}", dict.fromkeys(names, b"."))
    listing = list_inputs([place])
    assert [ref.path for ref in listing.images] == ["cat/1.png"]
    assert set(listing.ignored) == {"hidden"}
    assert listing.ignored["hidden"] == 7


def test_a_class_named_like_an_image_file_is_told_of(cli: CommandLine) -> None:
    names = ["red/1.png", "red/2.png", "thumbs/a.JPG/red-small.png", "thumbs/a.JPG/red-large.png"]
    named_pictures(cli.folder / "like", *names)
    ran = cli.good("extract", "like", "--network", "tiny", "-o", "like.h5")
    assert "the class 'a.JPG' is named like an image file and has 2 images" in ran.err


def test_names_that_look_alike_are_told_of_once_each(tmp_path: Path) -> None:
    pairs = [("Cat", "cat"), ("dog", "dog\u200b"), ("hen", "hen\u00a0"), ("owl", "o\u00adwl")]
    pairs.append(("\u2764", "\u2764\ufe0f"))
    names = [name for pair in pairs for name in pair]
    found = notes(pack(tmp_path / "x.zip", {f"{name}/1.png": b"." for name in ("fox", *names)}))
    assert sorted(found) == sorted(
        f"classes {one!r}, {other!r} differ only in case, spaces, Unicode form or characters that cannot be "
        "seen; they were kept apart: if one class is meant, give them one name"
        for one, other in pairs
    )


def has_both_forms(folder: Path) -> bool:
    """Whether the file system keeps names as they are given."""
    folder.mkdir()
    for name in (NFC, NFD):
        (folder / name).write_bytes(b"")
    return len(list(folder.iterdir())) == 2


def test_labels_of_both_unicode_forms_are_one_class_and_paths_stay(cli: CommandLine) -> None:
    if not has_both_forms(cli.folder / "probe"):
        pytest.skip("this file system changes the form of names")
    names = [f"{NFC}/red1.png", f"{NFD}/red2.png", "b/blue1.png", "b/blue2.png"]
    named_pictures(cli.folder / "forms", *names)
    cli.good("extract", "forms", "--network", "tiny", "-o", "forms.h5")
    assert column(cli.folder / "forms.h5", "label") == ["b", "b", NFC, NFC]
    assert column(cli.folder / "forms.h5", "path") == sorted(names)
    cli.good("fit", "--force", "forms.h5", "--svm", "-C", "1", "-o", "forms.onnx")
    write(cli.folder / "truth.csv", f"path,label\n{NFD}/red1.png,{NFD}\nb/blue1.png,b\n")
    found = read_json(
        cli.good("evaluate", "forms", "--labels", "truth.csv", "-m", "forms.onnx", "--json").out
    )
    assert (found["accuracy"], classes_of(found)) == (1.0, ["b", NFC])


@pytest.mark.parametrize(("kept", "written"), [(NFC, NFD), (NFD, NFC)])
def test_a_path_that_misses_is_tried_in_the_other_form(tmp_path: Path, kept: str, written: str) -> None:
    folder = pictures(tmp_path / "i", f"{kept}/1.png", "b/2.png")
    (name,) = [path.name for path in folder.iterdir() if path.name != "b"]
    write(folder / "m.csv", f"path,label\n{written}/1.png,x\nb/2.png,y\n")
    write(folder / "l.txt", f"{written}/1.png\nb/2.png\n")
    wanted = {f"{name}/1.png": "x", "b/2.png": "y"}
    assert {ref.path: ref.label for ref in list_inputs([folder], labels=folder / "m.csv").images} == wanted
    alone = list_inputs([], labels=folder / "m.csv")
    assert ({ref.path: ref.label for ref in alone.images}, list(alone.failures)) == (wanted, [])
    listed = list_inputs([folder / "l.txt"])
    assert ({ref.path for ref in listed.images}, list(listed.failures)) == (set(wanted), [])


def test_what_a_shell_names_of_it_is_passed_over_too(cli: CommandLine) -> None:
    named_pictures(cli.folder / "nas", "red/1.png", "blue/2.png", "@eaDir/red-thumb.png")
    places = sorted(path.relative_to(cli.folder).as_posix() for path in (cli.folder / "nas").iterdir())
    assert places[0] == "nas/@eaDir"
    ran = cli.good("extract", *places, "--network", "tiny", "-o", "nas.h5")
    assert column(cli.folder / "nas.h5", "path") == ["blue/2.png", "red/1.png"]
    assert "not images: 1 hidden" in ran.out
    assert labels(cli.folder / "nas/@eaDir") == {"red-thumb.png": None}


def test_an_older_classifier_of_the_other_form_answers_in_the_form_of_labels(tmp_path: Path) -> None:
    classifier = fitted(n_classes=3, C=1.0)
    for kept, found in (((NFD, "b", "c"), (NFC, "b", "c")), ((NFD, NFC, "c"), (NFD, NFC, "c"))):
        path = save_classifier(replace(classifier, classes_=kept), tmp_path / "c.onnx")
        assert load_classifier(path).classes_ == found


def test_include_takes_a_class_in_either_form(cli: CommandLine) -> None:
    named_pictures(cli.folder / "some", *(f"{name}/red{i}.png" for name in (NFC, "b", "c") for i in range(4)))
    cli.good("extract", "some", "--network", "tiny", "-o", "some.h5")
    options = ("--svm", "-C", "1", "--include", f"{NFD},b", "--json", "-o", "some.onnx")
    assert list(read_json(cli.good("fit", "--force", "some.h5", *options).out)["counts"]) == ["b", NFC]
