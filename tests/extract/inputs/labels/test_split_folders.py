"""train, val and test above the classes: a split, and no classes."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from fc7.extract.inputs.listing import list_inputs
from tests.extract.inputs.archives.test_archives import pack
from tests.extract.inputs.tables.test_manifests import pictures
from tests.support import CommandLine, read_json, write_pictures
from tests.support.extract.labels_support import column, labels, named_pictures, notes, splits


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("labels")).with_tiny_network()


@pytest.fixture(scope="module")
def kaggle(cli: CommandLine) -> Path:
    """24 images to learn from, 12 to test with, 4 flat ones without a label; with its cache."""
    folder = cli.folder / "kaggle"
    write_pictures(folder / "train", 8)
    write_pictures(folder / "val", 4, start=20)
    named_pictures(folder / "test", *(f"red{i}.png" for i in range(4)))
    ran = cli.good("extract", folder, "--network", "tiny", "-o", "kaggle.h5")
    assert (
        "test/, train/, val/: sets of a split, and no classes; the split is kept "
        "(train/ 24, val/ 12 images), and fit tests on what is not in train (--split); "
        "4 images without a class folder have no label"
    ) in ran.err
    assert "\n3 classes: 'blue' 12, 'green' 12, 'red' 12; 4 rows have no label\n" in ran.out
    return cli.folder / "kaggle.h5"


def test_folders_of_a_split_are_no_classes_and_are_what_fit_splits_by(cli: CommandLine, kaggle: Path) -> None:
    paths = column(kaggle, "path")
    assert all(
        label == ("" if path.startswith("test/") else path.split("/")[1])
        for path, label in zip(paths, column(kaggle, "label"), strict=True)
    )
    assert column(kaggle, "split") == [path.split("/")[0] for path in paths]
    found = read_json(cli.good("fit", "--force", kaggle, "--svm", "-C", "1", "--json").out)
    assert (found["split"]["how"], found["n_train"], found["n_test"]) == ("column", 24, 12)
    assert found["counts"] == {colour: [8, 4] for colour in ("blue", "green", "red")}
    assert "the given split holds 24 train, 12 val: train trained, val tested (--split)" in found["notes"]


def test_split_says_which_values_test_or_that_one_is_drawn(cli: CommandLine, kaggle: Path) -> None:
    drawn = read_json(cli.good("fit", "--force", kaggle, "--svm", "-C", "1", "--split", "draw", "--json").out)
    assert (drawn["split"]["how"], drawn["n_train"], drawn["n_test"]) == ("stratified", 24, 12)
    assert "--split draw: the split that the data came with is not used" in drawn["notes"]
    turned = read_json(
        cli.good("fit", "--force", kaggle, "--svm", "-C", "1", "--split", "val:train", "--json").out
    )
    assert (turned["n_train"], turned["n_test"], turned["split"]["words"]) == (12, 24, "val:train")
    ran = cli("fit", "--force", kaggle, "--split", "train:test")
    assert ran.code == 2
    assert "holds 24 train, 12 val; fit needs images of train to learn from and of test to test on" in ran.err
    assert cli("fit", "--force", kaggle, "--split", "train").code == 2


def test_images_of_val_and_test_are_tested_together(cli: CommandLine) -> None:
    for part, start in (("Train", 0), ("valid", 20), ("testing", 40)):
        write_pictures(cli.folder / "three" / part, 4, start=start)
    cli.good("extract", "three", "--network", "tiny", "-o", "three.h5")
    counted = {}
    for option in ("train:val,test", "train:test", "train,val:test"):
        found = read_json(
            cli.good("fit", "--force", "three.h5", "--svm", "-C", "1", "--split", option, "--json").out
        )
        counted[option] = found["n_train"], found["n_test"]
    assert counted == {"train:val,test": (12, 24), "train:test": (12, 12), "train,val:test": (24, 12)}


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_a_split_in_an_archive_is_the_same(tmp_path: Path, form: str) -> None:
    names = ["s/train/a/1.png", "s/train/b/2.png", "s/test/a/3.png", "s/test/4.png"]
    archive = pack(tmp_path / f"x.{form}", dict.fromkeys(names, b"."))
    assert splits(archive) == {name: name.split("/")[1] for name in names}
    assert labels(archive) == dict(zip(names, ["a", "b", "a", None], strict=True))
    beside = pictures(tmp_path / "more", "train/a/1.png", "val/b/2.png")
    assert labels(archive, beside)["more/val/b/2.png"] == "b"
    assert splits(archive, beside)["more/val/b/2.png"] == "val"


def test_a_split_behind_a_web_server_is_the_same(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="the extra cloud brings fsspec")
    pytest.importorskip("aiohttp", reason="the extra cloud brings aiohttp")
    from tests.support.extract.web_folder import web_folder

    names = ["test/3.png", "test/a/4.png", "train/a/1.png", "train/b/2.png"]
    pictures(tmp_path, *names, "lost+found/5.png", "@eaDir/6.png")
    with web_folder(tmp_path) as server:
        found = list_inputs([f"{server.url}/"])
    assert [(ref.path, ref.label, ref.split) for ref in found.images] == list(
        zip(names, [None, "a", "a", "b"], ["test", "test", "train", "train"], strict=True)
    )
    assert found.ignored == {"hidden": 2}


def test_the_two_parts_may_be_given_side_by_side(tmp_path: Path) -> None:
    pictures(tmp_path, "train/a/1.png", "val/a/2.png")
    assert splits(tmp_path / "train", tmp_path / "val") == {"train/a/1.png": "train", "val/a/2.png": "val"}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        # Vehicles: no class folders below.
        (["train/1.png", "car/2.png", "test/3.png"], ["car", "test", "train"]),
        (["train/a/1.png", "train/b/2.png", "other/c/3.png"], ["c", "a", "b"]),
        # Nothing tests, yet test is no class.
        (["train/a/1.png", "train/b/2.png", "test/3.png"], [None, "a", "b"]),
        (["val/a/1.png", "test/a/2.png"], ["a", "a"]),
    ],
)
def test_without_classes_to_learn_from_and_to_test_with_there_is_no_split(
    tmp_path: Path, names: list[str], found: list[str | None]
) -> None:
    folder = pictures(tmp_path / "x", *names)
    assert list(labels(folder).values()) == found
    assert set(splits(folder).values()) == {None}


def test_a_split_with_labelled_images_outside_is_not_used_and_they_are_named(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "x", "train/a/1.png", "val/a/2.png", "extra/b/3.png")
    assert set(splits(folder).values()) == {None}
    (note,) = notes(folder)
    assert note == (
        "train/, val/: sets of a split, and no classes; the split is not used, as images with a label lie "
        "outside, extra/b/3.png first"
    )


def test_classify_says_nothing_of_labels(cli: CommandLine, kaggle: Path) -> None:
    cli.good("fit", "--force", kaggle, "--svm", "-C", "1")
    assert "sets of a split" not in cli.good("classify", "kaggle", "-o", "k.csv").text
    assert "sets of a split" in cli.good("evaluate", "kaggle").err


def test_what_the_note_about_flat_parts_offers_works_when_pasted(tmp_path: Path) -> None:
    names = ["test/1.jpg", "train/cat.1.jpg", "train/dog.2.jpg", "val/cat_3.jpg", "val/dog_4.jpg"]
    folder = pictures(tmp_path / "x", *names)
    (note,) = notes(folder)
    assert note.startswith("labels that are hardly classes: test, train, val; ")
    assert "if file names tell the class (cat, dog), give" in note
    rule = shlex.split(note[note.index("--label-by") :].partition(",")[0])[1]
    assert labels(folder, label_by=rule) == dict(zip(names, [None, "cat", "dog", "cat", "dog"], strict=True))


def test_a_part_whose_flat_images_all_fail_is_no_lost_class(cli: CommandLine) -> None:
    folder = cli.folder / "broken"
    write_pictures(folder / "train", 4)
    write_pictures(folder / "val", 2, start=20)
    for name in ("test", "train/torn"):
        (folder / name).mkdir()
        (folder / name / "1.jpg").write_bytes(b"no picture")
    cli.incomplete("extract", folder, "--network", "tiny", "-o", "broken.h5")
    found = read_json(cli.good("fit", "--force", "broken.h5", "--svm", "-C", "1", "--json").out)
    note = "class folders without a row, which the classifier does not know: torn (1 failed)"
    assert note in found["notes"]


@pytest.mark.parametrize("inside", ["test", "images", "unknown", "1"])
def test_one_folder_in_a_part_that_tests_and_no_class_of_train_is_no_class(
    cli: CommandLine, inside: str
) -> None:
    folder = cli.folder / f"nested-{inside}"
    write_pictures(folder / "train", 4)
    named_pictures(folder, *(f"test/{inside}/red{i}.png" for i in range(3)))
    ran = cli.good("extract", folder, "--network", "tiny", "-o", "nested.h5", "--force")
    assert (
        "test/, train/: sets of a split, and no classes; "
        f"test/{inside}/ has the name of no class in train/, so 3 images there have no label"
    ) in ran.err
    assert "\n3 classes: 'blue' 4, 'green' 4, 'red' 4; 3 rows have no label\n" in ran.out
    assert set(column(cli.folder / "nested.h5", "split")) == {""}
    found = read_json(cli.good("fit", "--force", "nested.h5", "--svm", "-C", "1", "--json").out)
    assert (found["split"]["how"], found["n_train"] + found["n_test"]) == ("stratified", 12)
    assert not any("class folders" in note for note in found["notes"])


def test_the_word_of_a_part_may_stand_in_a_longer_name(tmp_path: Path) -> None:
    intel = ["seg_train/seg_train/sea/1.png", "seg_train/seg_train/ice/2.png", "seg_test/seg_test/sea/3.png"]
    folder = pictures(tmp_path / "intel", *intel, "seg_pred/seg_pred/4.png")
    assert labels(folder) == {
        "seg_pred/seg_pred/4.png": None,
        "seg_test/seg_test/sea/3.png": "sea",
        "seg_train/seg_train/ice/2.png": "ice",
        "seg_train/seg_train/sea/1.png": "sea",
    }
    assert splits(folder) == {name: name[4:].split("/")[0].replace("pred", "test") for name in labels(folder)}
    # The folder in the part of its own name is no session.
    assert not any("--label-by" in note for note in notes(folder))
    assert labels(folder, label_by="1")["seg_test/seg_test/sea/3.png"] == "sea"
    sets = pictures(tmp_path / "sets", "test_set/a/1.png", "training_set/a/2.png", "training_set/b/3.png")
    assert list(splits(sets).values()) == ["test", "train", "train"]
    # Kaggle's cats and dogs, sorted into folders.
    numbered = pictures(tmp_path / "numbered", "test1/1.png", "train/cat/2.png", "train/dog/3.png")
    assert list(labels(numbered).values()) == [None, "cat", "dog"]


@pytest.mark.parametrize(
    "names",
    [
        ["bullet_train/day/1.png", "test_tube/day/2.png"],
        ["contest/day/1.png", "train/day/2.png"],
        ["train-test/day/1.png", "test/day/2.png", "train/3.png"],
    ],
)
def test_longer_names_that_differ_by_more_than_the_word_are_no_parts(
    tmp_path: Path, names: list[str]
) -> None:
    assert not any(splits(pictures(tmp_path / "x", *names)).values())


def test_several_folders_of_no_class_are_told_by_what_they_are_called(tmp_path: Path) -> None:
    names = ["test/images/4.png", "test/unknown/5.png", "train/a/1.png", "train/b/2.png", "val/b/3.png"]
    folder = pictures(tmp_path / "x", *names)
    assert list(labels(folder).values()) == [None, None, "a", "b", "b"]
    assert list(labels(folder, label_by="1").values()) == [None, None, "a", "b", "b"]
    assert splits(folder) == {name: name.split("/")[0] for name in names}
    assert "test/images/, test/unknown/ have the name of no class in train/, so 2 images" in notes(folder)[0]
    # The user says that it is a class.
    one = pictures(tmp_path / "y", "train/a/1.png", "train/b/2.png", "test/c/3.png")
    assert labels(one, label_by="1")["test/c/3.png"] == "c"


def test_classes_of_one_side_of_a_split_only_are_named(tmp_path: Path) -> None:
    names = ["test/a/4.png", "test/d/5.png", "train/a/1.png", "train/b/2.png", "val/a/3.png", "val/d/6.png"]
    folder = pictures(tmp_path / "x", *names)
    assert labels(folder) == {name: name.split("/")[1] for name in names}
    assert notes(folder)[1] == (
        "2 classes are not on both sides of the split, so not learned or not tested: "
        "'b' only in train/, 'd' only in test/, val/"
    )
    same = pictures(tmp_path / "y", "train/Cat/1.png", "train/b/2.png", "test/cat/3.png")
    assert labels(same)["test/cat/3.png"] == "cat"
    assert "'Cat' only in train/, 'b' only in train/, 'cat' only in test/" in notes(same)[1]


def test_parts_of_a_split_below_the_classes_are_the_split(cli: CommandLine) -> None:
    parts = [(colour, part) for colour in ("red", "blue") for part in ("train", "test")]
    names = [f"{c}/{part}/{i}.png" for c, part in parts for i in range(4 if part == "train" else 2)]
    named_pictures(cli.folder / "inner", *names)
    for rule in ([], ["--label-by", "1"]):
        ran = cli.good("extract", "inner", "--network", "tiny", "-o", "inner.h5", *rule)
        assert (
            "test/, train/ in the classes: sets of a split, and no classes; the split is kept (test/ 4, "
            "train/ 8 images), and fit tests on what is not in train (--split)\n"
        ) in ran.err
        assert "are one class" not in ran.err
        assert "hardly classes" not in ran.err
        columns = [column(cli.folder / "inner.h5", name) for name in ("label", "split")]
        assert set(zip(*columns, strict=True)) == set(parts)
    found = read_json(cli.good("fit", "--force", "inner.h5", "--svm", "-C", "1", "--json").out)
    assert found["counts"] == {"blue": [4, 2], "red": [4, 2]}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        # One folder of them, or one with a class beside: what they are is not known.
        (["a/train/1.png", "a/test/2.png"], ["test", "train"]),
        (
            ["a/train/1.png", "a/test/2.png", "b/train/1.png", "b/car/2.png"],
            ["test", "train", "car", "train"],
        ),
        (["a/train/1.png", "b/test/2.png"], ["train", "test"]),
    ],
)
def test_folders_called_like_parts_in_too_few_folders_stay_classes(
    tmp_path: Path, names: list[str], found: list[str]
) -> None:
    assert list(labels(pictures(tmp_path / "x", *names)).values()) == found


def test_a_class_below_which_all_images_fail_is_named_and_its_parts_are_not(cli: CommandLine) -> None:
    folder = cli.folder / "broken-inner"
    names = [f"{c}/{part}/{i}.png" for c in ("red", "blue") for part in ("train", "test") for i in range(3)]
    named_pictures(folder, *names)
    for part in ("train", "test"):
        (folder / "torn" / part).mkdir(parents=True)
        (folder / "torn" / part / "1.jpg").write_bytes(b"no picture")
    cli.incomplete("extract", folder, "--network", "tiny", "-o", "broken-inner.h5")
    found = read_json(cli.good("fit", "--force", "broken-inner.h5", "--svm", "-C", "1", "--json").out)
    lost = [note for note in found["notes"] if "class folders without a row" in note]
    assert lost == ["class folders without a row, which the classifier does not know: torn (2 failed)"]


@pytest.mark.parametrize("folder", ["train1", "images", ""])
def test_classes_in_file_names_are_offered_where_no_folder_is_one(tmp_path: Path, folder: str) -> None:
    names = [f"{folder}/{c}.{i}.jpg".lstrip("/") for c in ("cat", "dog") for i in range(3)]
    place = pictures(tmp_path / "x", *names)
    (note,) = notes(place)
    assert "if file names tell the class (cat, dog), give --label-by" in note
    rule = shlex.split(note[note.index("--label-by") :].partition(",")[0])[1]
    assert list(labels(place, label_by=rule).values()) == ["cat"] * 3 + ["dog"] * 3


def test_a_pattern_that_finds_no_classes_is_not_offered(tmp_path: Path) -> None:
    place = pictures(tmp_path / "x", *(f"images/IMG_{i}.jpg" for i in range(4)))
    assert notes(place) == [
        "labels that are hardly classes: images; if they are none, give --labels a table of path,label"
    ]
