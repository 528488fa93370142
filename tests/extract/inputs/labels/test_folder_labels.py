"""Labels from folders: sessions, --label-by, and what extract says of the classes."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from fc7.extract.inputs.listing import list_inputs
from fc7.models.common.errors import UsageError
from tests.extract.inputs.archives.test_archives import pack
from tests.extract.inputs.tables.test_manifests import pictures
from tests.support import COLOURS, CommandLine, read_json, write_pictures
from tests.support.extract.labels_support import classes_of, column, labels, named_pictures, notes


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("labels")).with_tiny_network()


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
    cli.good("fit", "--force", "days.h5", "--svm", "-C", "1", "--split-csv", "days.csv")
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
    cli.good("fit", "--force", "plain.h5", "--svm", "-C", "1", "-o", "plain.onnx")
    named_pictures(cli.folder / "flat", *(f"{colour}.{i}.png" for colour in COLOURS for i in range(3)))
    found = read_json(
        cli.good("evaluate", "flat", "-m", "plain.onnx", "--label-by", r"^(\w+)\.", "--json").out
    )
    assert classes_of(found) == ["blue", "green", "red"]
    assert found["n"] == 9
    ran = cli("evaluate", "plain.h5", "-m", "plain.onnx", "--label-by", "1")
    assert ran.code == 2
    assert "is a feature cache and has its labels; give --label-by to extract" in ran.err


def test_classes_that_lie_in_several_inputs_are_no_sessions(tmp_path: Path) -> None:
    for place in ("one", "two"):
        pictures(tmp_path / place, "cat/1.png", "dog/2.png")
    assert notes(tmp_path / "one", tmp_path / "two") == []
    assert notes(tmp_path / "one/cat", tmp_path / "one/dog") == [
        "2 folders side by side: the name of each is the label of its images (cat, dog)"
    ]
    assert "one/cat, two/cat are one class, 'cat'" in notes(tmp_path)[0]


def test_with_label_by_nothing_is_said_of_folders_names_and_empty_ones_are_named(tmp_path: Path) -> None:
    pictures(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "owl").mkdir()
    given = [tmp_path / name for name in ("cat", "dog", "owl")]
    assert labels(*given, label_by="([0-9])") == {"cat/1.png": "1", "dog/2.png": "2"}
    assert notes(*given, label_by="([0-9])") == ["no image in owl/", "--label-by: 2 labels in 2 images"]


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
    found = read_json(
        cli.good("fit", "--force", "numbers.h5", "--svm", "-C", "1", "-o", "numbers.onnx", "--json").out
    )
    assert list(found["counts"]) == ["0", "1", "2", "10"]
    assert classes_of(found["metrics"]) == ["0", "1", "2", "10"]
    ran = cli.good("fit", "--force", "numbers.h5", "--svm", "-C", "1", "-o", "numbers.onnx")
    lines = [line.split() for line in ran.out.splitlines() if line[:1].isdigit()]
    table = [words[0] for words in lines if len(words) == 4]
    assert table == ["0", "1", "2", "10"]
    cli.good("evaluate", "numbers.h5", "-m", "numbers.onnx", "--csv", "tables")
    classes = (cli.folder / "tables/classes.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [line.split(",")[0] for line in classes] == ["0", "1", "2", "10"]


@pytest.mark.parametrize("rule", ["1", "^([^/]+)/"])
def test_with_label_by_the_folder_of_a_session_is_offered_as_the_group(cli: CommandLine, rule: str) -> None:
    days = [f"{colour}/day{day}" for colour in ("red", "blue") for day in (1, 2, 3)]
    named_pictures(cli.folder / "sessions", *(f"{day}/{i}.png" for day in days for i in range(3)))
    given = ("extract", "sessions", "--network", "tiny", "-o", "sessions.h5", "--label-by", rule)
    ran = cli.good(*given)
    (note,) = [line for line in ran.err.splitlines() if "are folders of one class" in line]
    assert note.startswith("blue/day1, blue/day2, blue/day3 are folders of one class, 'blue': --group-by ")
    offered = shlex.split(note[note.index("--group-by") :].partition(" keeps")[0])
    again = cli.good(*given, *offered)
    assert "--group-by: 6 groups in 18 images\n" in again.err
    assert "are folders of one class" not in again.err
    assert set(column(cli.folder / "sessions.h5", "group")) == set(days)


def test_a_group_is_offered_only_where_classes_have_several(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "x", *(f"{c}/same/{i}.png" for c in ("a", "b") for i in range(4)))
    (note,) = notes(folder)
    assert note.endswith("if a, b are the classes, give --label-by 1")
    assert notes(folder, label_by="1") == ["--label-by: 2 labels in 8 images"]


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_the_folder_around_all_of_an_archive_is_no_level_and_no_class(tmp_path: Path, form: str) -> None:
    archive = pack(tmp_path / f"x.{form}", dict.fromkeys(["d/1.png", "d/cat/2.png", "d/cat/old/3.png"], b"."))
    assert list(labels(archive).values()) == [None, "cat", "old"]
    assert list(labels(archive, label_by="1").values()) == [None, "cat", "cat"]
    assert list(labels(archive, label_by="2").values()) == [None, None, "old"]
    beside = pictures(tmp_path / "more", "dog/4.png", "owl/5.png")
    assert labels(archive, beside, label_by="2") == {
        f"x.{form}/d/1.png": None,
        f"x.{form}/d/cat/2.png": "cat",
        f"x.{form}/d/cat/old/3.png": "cat",
        "more/dog/4.png": "dog",
        "more/owl/5.png": "owl",
    }
    # An archive of one class.
    single = pack(tmp_path / f"y.{form}", dict.fromkeys(["cat/1.png", "cat/2.png"], b"."))
    assert set(labels(single).values()) == {"cat"}
    assert set(labels(single, label_by="1").values()) == {"cat"}
