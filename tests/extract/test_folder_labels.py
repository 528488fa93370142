"""Labels from folders as people keep them: splits, sessions, litter, names that look alike."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import h5py
import pytest
from PIL import Image

from extract.inputs import list_inputs
from models.errors import UsageError
from tests.extract.test_archives import pack
from tests.extract.test_manifests import pictures, write
from tests.support import COLOURS, CommandLine, coloured_picture, read_json, write_pictures

NFC, NFD = "\u00e9cole", "e\u0301cole"


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("labels")).with_tiny_network()


def labels(*inputs: Path, label_by: str | None = None) -> dict[str, str | None]:
    return {ref.path: ref.label for ref in list_inputs(list(inputs), label_by=label_by).images}


def splits(*inputs: Path) -> dict[str, str | None]:
    return {ref.path: ref.split for ref in list_inputs(list(inputs)).images}


def notes(*inputs: Path, label_by: str | None = None) -> list[str]:
    told: list[str] = []
    list_inputs(list(inputs), notify=told.append, label_by=label_by)
    return told


def column(path: Path, name: str) -> list[str]:
    with h5py.File(path) as file:
        return [value.decode() for value in file[name][:]]


def classes_of(metrics: dict[str, Any]) -> list[str]:
    return [line["label"] for line in metrics["classes"]]


def named_pictures(folder: Path, *names: str) -> Path:
    """PNG files of the colour that is in their path, each different."""
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        colour = next(colour for colour in COLOURS if colour in name)
        Image.fromarray(coloured_picture(colour, index)).save(folder / name)
    return folder


# --- train, val, test


@pytest.fixture(scope="module")
def kaggle(cli: CommandLine) -> Path:
    """24 images to learn from, 12 to judge with, 4 flat ones without a label; with its cache."""
    folder = cli.folder / "kaggle"
    write_pictures(folder / "train", 8)
    write_pictures(folder / "val", 4, start=20)
    named_pictures(folder / "test", *(f"red{i}.png" for i in range(4)))
    ran = cli.good("extract", folder, "--network", "tiny", "-o", "kaggle.h5")
    assert (
        "test/, train/, val/: parts of a split, and no classes; it is kept (train/ 24, val/ 12 images), and "
        "fit judges on what is not in train (--split); 4 images without a class folder have no label"
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
    found = read_json(cli.good("fit", kaggle, "--svm", "-C", "1", "--json").out)
    assert (found["split"]["how"], found["n_train"], found["n_test"]) == ("column", 24, 12)
    assert found["counts"] == {colour: [8, 4] for colour in ("blue", "green", "red")}
    assert "the given split holds 24 train, 12 val: train trained, val judged (--split)" in found["notes"]


def test_split_says_which_values_judge_or_that_one_is_drawn(cli: CommandLine, kaggle: Path) -> None:
    drawn = read_json(cli.good("fit", kaggle, "--svm", "-C", "1", "--split", "draw", "--json").out)
    assert (drawn["split"]["how"], drawn["n_train"], drawn["n_test"]) == ("stratified", 24, 12)
    assert "--split draw: the split that the data came with is not used" in drawn["notes"]
    turned = read_json(cli.good("fit", kaggle, "--svm", "-C", "1", "--split", "val:train", "--json").out)
    assert (turned["n_train"], turned["n_test"], turned["split"]["words"]) == (12, 24, "val:train")
    ran = cli("fit", kaggle, "--split", "train:test")
    assert ran.code == 2
    assert "holds 24 train, 12 val; needed are images of train to learn from and of test to judge" in ran.err
    assert cli("fit", kaggle, "--split", "train").code == 2


def test_images_of_val_and_test_judge_together(cli: CommandLine) -> None:
    for part, start in (("Train", 0), ("valid", 20), ("testing", 40)):
        write_pictures(cli.folder / "three" / part, 4, start=start)
    cli.good("extract", "three", "--network", "tiny", "-o", "three.h5")
    counted = {}
    for option in ("train:val,test", "train:test", "train,val:test"):
        found = read_json(cli.good("fit", "three.h5", "--svm", "-C", "1", "--split", option, "--json").out)
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
    from tests.extract.web_folder import web_folder

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
        # Nothing judges, yet test is no class.
        (["train/a/1.png", "train/b/2.png", "test/3.png"], [None, "a", "b"]),
        (["val/a/1.png", "test/a/2.png"], ["a", "a"]),
    ],
)
def test_without_classes_to_learn_from_and_to_judge_with_there_is_no_split(
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
        "train/, val/: parts of a split, and no classes; it is not used, as images with a label lie outside, "
        "extra/b/3.png first"
    )


def test_classify_says_nothing_of_labels(cli: CommandLine, kaggle: Path) -> None:
    cli.good("fit", kaggle, "--svm", "-C", "1")
    assert "parts of a split" not in cli.good("classify", "kaggle", "-o", "k.csv").text
    assert "parts of a split" in cli.good("evaluate", "kaggle").err


# --- sessions, and --label-by


def test_what_the_note_about_sessions_offers_works_when_pasted(cli: CommandLine) -> None:
    days = [(colour, f"{colour}/day{day}") for colour in ("red", "blue") for day in (1, 2, 3)]
    names = [f"{day}/{i}.png" for _, day in days for i in range(4)]
    named_pictures(cli.folder / "days", *names)
    ran = cli.good("extract", "days", "--network", "tiny", "-o", "days.h5")
    assert "3 classes: 'day1' 8, 'day2' 8, 'day3' 8" in ran.out
    note = next(line for line in ran.err.splitlines() if "--label-by" in line)
    assert note.startswith("blue/day1, red/day1 are one class, 'day1' (so are 3 of 3 labels): if blue, red ")
    offered = [*shlex.split(note[note.index("--label-by") :].partition(",")[0])]
    offered += shlex.split(note[note.index("--group-by") :].partition(" to keep")[0])
    again = cli.good("extract", "days", "--network", "tiny", "-o", "days.h5", *offered)
    assert "--label-by: 2 labels in 24 images\n--group-by: 6 groups in 24 images\n" in again.err
    assert "24 reused" in again.out
    assert "2 classes: 'blue' 12, 'red' 12" in again.out
    columns = [column(cli.folder / "days.h5", name) for name in ("label", "group")]
    assert set(zip(*columns, strict=True)) == set(days)
    # Whole days on one side of the split.
    cli.good("fit", "days.h5", "--svm", "-C", "1", "--split-csv", "days.csv")
    lines = (cli.folder / "days.csv").read_text().splitlines()[1:]
    parts = {(line.split(",")[2], line.split(",")[3]) for line in lines}
    assert len(parts) == 6


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("1", ["a", "b", None]),
        ("2", ["x", "y", None]),
        ("-1", ["x", "y", None]),
        ("-2", ["a", "b", None]),
        ("3", [None, None, None]),
        (r"^(cat|dog)", ["cat", "dog", "cat"]),
        (r"^train/([^/]+)/", ["a", None, None]),
    ],
)
def test_label_by_is_a_level_or_a_pattern(tmp_path: Path, rule: str, found: list[str | None]) -> None:
    folder = pictures(tmp_path / "i", "train/a/x/cat.1.png", "val/b/y/dog.2.png", "z/cat3.png")
    shutil.move(folder / "z/cat3.png", folder / "cat3.png")
    assert [labels(folder, label_by=rule)[path] for path in sorted(labels(folder), reverse=True)] == [
        found[1], found[0], found[2]
    ]  # fmt: skip


def test_label_by_counts_what_it_leaves_out_and_contradicts_a_manifest(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "i", "a/1.png", "b/2.png", "3.png")
    assert notes(folder, label_by="1") == [
        "--label-by: 2 labels in 3 images; without a match, and so without a label: 1"
    ]
    for rule, message in (("0", "1 for the outermost folder"), ("(", "--label-by '\\('")):
        with pytest.raises(UsageError, match=message):
            list_inputs([folder], label_by=rule)
    with pytest.raises(UsageError, match="both say what the labels are"):
        list_inputs([folder], labels=tmp_path / "m.csv", label_by="1")


def test_evaluate_takes_label_by(cli: CommandLine) -> None:
    write_pictures(cli.folder / "plain", 6)
    cli.good("extract", "plain", "--network", "tiny", "-o", "plain.h5")
    cli.good("fit", "plain.h5", "--svm", "-C", "1", "-o", "plain.onnx")
    named_pictures(cli.folder / "flat", *(f"{colour}.{i}.png" for colour in COLOURS for i in range(3)))
    found = read_json(
        cli.good("evaluate", "flat", "-m", "plain.onnx", "--label-by", r"^(\w+)\.", "--json").out
    )
    assert classes_of(found) == ["blue", "green", "red"]
    assert found["n"] == 9
    ran = cli("evaluate", "plain.h5", "-m", "plain.onnx", "--label-by", "1")
    assert ran.code == 2
    assert "is a cache and has its labels; give --label-by to extract" in ran.err


def test_classes_that_lie_in_several_inputs_are_no_sessions(tmp_path: Path) -> None:
    for place in ("one", "two"):
        pictures(tmp_path / place, "cat/1.png", "dog/2.png")
    assert notes(tmp_path / "one", tmp_path / "two") == []
    assert notes(tmp_path / "one/cat", tmp_path / "one/dog") == []
    assert "one/cat, two/cat are one class, 'cat'" in notes(tmp_path)[0]


# --- what extract prints


def test_extract_counts_the_classes_and_shows_the_first_in_the_order_of_numbers(cli: CommandLine) -> None:
    names = [*(f"{i}/red.png" for i in range(12)), *(f"{i}/blue.png" for i in range(3))]
    named_pictures(cli.folder / "many", *names)
    ran = cli.good("extract", "many", "--network", "tiny", "-o", "many.h5")
    assert "\n12 classes: '0' 2, '1' 2, '2' 2, '3' 1, '4' 1, '5' 1, '6' 1, '7' 1 and 4 more\n" in ran.out
    found = read_json(cli.good("extract", "many", "--network", "tiny", "-o", "many.h5", "--json").out)
    assert list(found["classes"].items()) == [(str(i), 2 if i < 3 else 1) for i in range(12)]


def test_numeric_classes_stand_in_the_order_of_their_numbers_everywhere(cli: CommandLine) -> None:
    names = [f"{c}/{'red' if c % 2 else 'blue'}{i}.png" for c in (0, 1, 2, 10) for i in range(4)]
    named_pictures(cli.folder / "numbers", *names)
    cli.good("extract", "numbers", "--network", "tiny", "-o", "numbers.h5")
    found = read_json(cli.good("fit", "numbers.h5", "--svm", "-C", "1", "-o", "numbers.onnx", "--json").out)
    assert list(found["counts"]) == ["0", "1", "2", "10"]
    assert classes_of(found["metrics"]) == ["0", "1", "2", "10"]
    ran = cli.good("fit", "numbers.h5", "--svm", "-C", "1", "-o", "numbers.onnx")
    lines = [line.split() for line in ran.out.splitlines() if line[:1].isdigit()]
    table = [words[0] for words in lines if len(words) == 4]
    assert table == ["0", "1", "2", "10"]
    cli.good("evaluate", "numbers.h5", "-m", "numbers.onnx", "--csv", "tables")
    classes = (cli.folder / "tables/classes.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [line.split(",")[0] for line in classes] == ["0", "1", "2", "10"]


# --- litter, and names


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
    found = notes(pictures(tmp_path / "x", "fox/1.png", *(f"{name}/1.png" for name in names)))
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
    cli.good("fit", "forms.h5", "--svm", "-C", "1", "-o", "forms.onnx")
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


# --- Caffe's lists


def test_lists_of_path_and_label_are_read(cli: CommandLine) -> None:
    names = [f"pics/red one {i}.png" for i in range(3)] + [f"pics/blue{i}.png" for i in range(3)]
    named_pictures(cli.folder, *names)
    text = (
        "".join(f"{name} {int('blue' in name)}\n" for name in names) + f"{names[0]}\t0\r\npics/gone.png 1\n"
    )
    write(cli.folder / "caffe.txt", text)
    ran = cli.good("extract", "caffe.txt", "--network", "tiny", "-o", "caffe.h5")
    assert "2 classes: '0' 3, '1' 3" in ran.out
    assert "gone.png: named in caffe.txt line 8, not found" in ran.out
    assert [path.rpartition("/")[2] for path in column(cli.folder / "caffe.h5", "path")] == [
        Path(name).name for name in sorted(names)
    ]
    assert column(cli.folder / "caffe.h5", "label") == ["1"] * 3 + ["0"] * 3
    cli.good("fit", "caffe.h5", "--svm", "-C", "1", "-o", "caffe.onnx")
    judged = cli("evaluate", "caffe.txt", "-m", "caffe.onnx", "--json")
    assert (judged.code, read_json(judged.out)["n"]) == (1, 6)


def test_a_path_with_two_labels_is_refused_and_paths_with_blanks_are_none(tmp_path: Path) -> None:
    pictures(tmp_path, "a/1.png", "a/my 2.png", "b/plain 7")
    write(tmp_path / "two.txt", "a/1.png 3\na/1.png 4\n")
    with pytest.raises(UsageError, match=r"line 2: 'a/1.png' is '4' here, '3' in line 1"):
        list_inputs([tmp_path / "two.txt"])
    write(tmp_path / "blank.txt", "a/1.png\na/my 2.png\n")
    assert labels(tmp_path / "blank.txt") == {"1.png": "a", "my 2.png": "a"}
    write(tmp_path / "some.txt", "a/1.png 3\na/my 2.png\n")
    assert list(labels(tmp_path / "some.txt").values()) == ["a"]
