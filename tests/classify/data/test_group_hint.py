"""What fit says of file names that count on: a pattern for --group-by, or --ordered, or nothing."""

from __future__ import annotations

import shlex

import pytest
from PIL import Image

from fc7.classify.data.group_hint import group_hint
from fc7.extract.inputs.labels.grouping import compile_pattern, group_of
from tests.support import CommandLine, coloured_picture, lines_of, read_json


def hint(paths: list[str], *, groups: list[str] | None = None, ordered: bool = False) -> str | None:
    return group_hint(paths, [path.split("/")[0] for path in paths], groups, ordered=ordered)


def pattern_of(said: str | None) -> str:
    assert said is not None
    return shlex.split(said[said.index("--group-by") :].partition(" (")[0])[1]


def tracks(classes: list[str], numbers: dict[str, list[int]], form: str) -> list[str]:
    """Four frames of each track of each class."""
    return [f"{c}/{form.format(track, frame)}" for c in classes for track in numbers[c] for frame in range(4)]


@pytest.mark.parametrize(
    ("numbers", "group"),
    [
        # GTSRB numbers its tracks anew in each class: the folder is part of the name.
        ({"00": [0, 1, 2], "01": [0, 1, 5]}, "00/00000"),
        ({"00": [0, 1, 2], "01": [3, 4, 5]}, "00000"),
    ],
)
def test_tracks_are_told_with_a_pattern_that_keeps_each_apart(
    numbers: dict[str, list[int]], group: str
) -> None:
    paths = tracks(["00", "01"], numbers, "{:05}_{:05}.ppm")
    said = hint(paths)
    compiled = compile_pattern("--group-by", pattern_of(said))
    found = [group_of(path, compiled) for path in paths]
    assert found[:4] == [group] * 4
    assert len(set(found)) == 6
    assert said is not None
    assert "names like 00000_00000.ppm look like pictures of one session" in said
    assert "(6 groups of 24 images)" in said


@pytest.mark.parametrize(
    "form", ["clip{}-{}.jpg", "video {}_frame_{:03}.png", "2024010{}_11{}.jpeg", "vid{}-frame{:03}.jpg"]
)
def test_other_takes_are_told_of_too(form: str) -> None:
    paths = tracks(["cat", "dog"], {"cat": [1, 2], "dog": [3, 4]}, form)
    assert "(4 groups of 16 images)" in str(hint(paths))


@pytest.mark.parametrize(
    "form",
    ["IMG_{:04}.JPG", "DSCN{:04}.jpg", "P101{:04}.JPG", "frame{:03}.png", "frame_{:03}.png"],
)
@pytest.mark.parametrize(
    ("numbers", "groups", "first"),
    [
        # Counted on from class to class, anew in each, and one in thirty kept.
        ({"cat": range(40), "dog": range(40, 80)}, 8, range(10)),
        ({"cat": range(40), "dog": range(40)}, 8, range(10)),
        ({"cat": range(0, 400, 30), "dog": range(401, 801, 30)}, 8, range(4)),
    ],
)
def test_running_numbers_are_told_of_with_a_pattern_that_keeps_neighbours_together(
    form: str, numbers: dict[str, range], groups: int, first: range
) -> None:
    paths = [f"{c}/{form.format(i)}" for c, which in numbers.items() for i in which]
    said = hint(paths)
    compiled = compile_pattern("--group-by", pattern_of(said))
    found = [group_of(path, compiled) for path in paths]
    assert len(set(found)) == groups
    assert [i for i, group in enumerate(found) if group == found[0]] == list(first)
    assert f"({groups} groups of {len(paths)} images)" in str(said)
    assert "--ordered" in str(said)
    assert hint(paths, ordered=True) is None


def test_running_numbers_that_no_pattern_parts_are_told_of_with_ordered() -> None:
    said = str(hint([f"{c}/IMG_{i:04}.jpg" for c in ("cat", "dog") for i in range(8)]))
    assert "names like IMG_0000.jpg count on" in said
    assert "fit --ordered" in said
    assert "--group-by" not in said


def test_folders_of_a_class_are_the_groups_unless_they_are_parts_of_a_split() -> None:
    names = [f"{c}/{day}/IMG_{i:04}.jpg" for c in ("cat", "dog") for day in ("mo", "tu") for i in range(4)]
    assert pattern_of(hint(names)) == "^(.+)/"
    parts = [f"{part}/{c}/IMG_{i:04}.jpg" for part in ("train", "val") for c in "ab" for i in range(4)]
    said = group_hint(parts, [path.split("/")[1] for path in parts], None, ordered=False)
    assert pattern_of(said) != "^(.+)/"


@pytest.mark.parametrize(
    "names",
    [
        # One name a class, one image a name, a name for all classes, no numbers, plain numbers.
        ["cat/cat1_{}.jpg", "dog/dog1_{}.jpg"],
        ["cat/{}7_1.jpg", "dog/8{}_1.jpg"],
        ["cat/set1_{}.jpg", "dog/set1_{}.jpg"],
        ["cat/{}.jpg", "dog/{}.jpg"],
        ["cat/image_{}.jpg", "dog/image_{}.jpg"],
        ["cat/n02084071_{}.JPEG", "dog/n02121808_{}.JPEG"],
        ["cat/1234{:04}.jpg", "dog/5678{:04}.jpg"],
    ],
)
def test_names_that_say_nothing_are_not_told_of(names: list[str]) -> None:
    assert hint([name.format(i) for name in names for i in range(20)]) is None


def test_nothing_is_told_where_groups_are_given_or_paths_are_unknown() -> None:
    paths = tracks(["00", "01"], {"00": [0, 1], "01": [0, 1]}, "{:05}_{:05}.ppm")
    assert hint(paths, groups=["a", *[""] * 15]) is None
    assert hint(paths, groups=[""] * 16) is not None
    assert group_hint(None, ["a"], None, ordered=False) is None


def test_the_pattern_of_the_note_works_when_pasted(cli: CommandLine) -> None:
    for c, colour in enumerate(("red", "blue")):
        folder = cli.folder / f"signs/{c:05}"
        folder.mkdir(parents=True)
        for track in range(4):
            for frame in range(3):
                picture = coloured_picture(colour, 100 * c + 10 * track + frame)
                Image.fromarray(picture).save(folder / f"{track:05}_{frame:05}.ppm")
    cli.good("extract", "signs", "--network", "tiny")
    (note,) = [
        note
        for note in read_json(cli.good("fit", "--force", "--svm", "-C", "1", "--json").out)["notes"]
        if "--group-by" in note
    ]
    assert f"note: {note}\n" in cli.good("fit", "--force", "--svm", "-C", "1").out
    cli.good("extract", "signs", "--network", "tiny", "--group-by", pattern_of(note))
    found = read_json(cli.good("fit", "--force", "--svm", "-C", "1", "--split-csv", "s.csv", "--json").out)
    assert not any("--group-by" in note for note in found["notes"])
    lines = lines_of(cli.folder / "s.csv")
    assert len({line["group"] for line in lines}) == 8
    assert len({(line["group"], line["split"]) for line in lines}) == 8


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("takes")).with_tiny_network()


def test_the_name_that_is_shown_is_one_of_those_that_count_on() -> None:
    said = hint(["a/cover.jpg", *(f"{c}/IMG_{i:04}.jpg" for c in "ab" for i in range(20))])
    assert said is not None
    assert "names like IMG_0000.jpg count on" in said
    said = hint(["00/a.png", *tracks(["00", "01"], {"00": [0, 1, 2], "01": [3, 4, 5]}, "{:05}_{:05}.ppm")])
    assert said is not None
    assert "names like 00000_00000.ppm look like" in said


@pytest.mark.parametrize("form", ["IMG_{:04}.png", "vid{}-frame{:03}.png"])
def test_the_pattern_for_other_names_works_when_pasted(cli: CommandLine, form: str) -> None:
    for start, colour in enumerate(("red", "blue")):
        folder = cli.folder / form[:3] / colour
        folder.mkdir(parents=True)
        for i in range(30):
            name = (
                form.format(30 * start + i)
                if form.startswith("IMG")
                else form.format(3 * start + i // 10, i % 10)
            )
            Image.fromarray(coloured_picture(colour, i)).save(folder / name)
    given = ("extract", form[:3], "--network", "tiny", "-o", "named.h5", "--force")
    cli.good(*given)
    fit = ("fit", "named.h5", "--svm", "-C", "1", "--json", "--split-csv", "named.csv", "--force")
    (note,) = [note for note in read_json(cli.good(*fit).out)["notes"] if "--group-by" in note]
    again = cli.good(*given, "--group-by", pattern_of(note))
    assert "--group-by: 6 groups in 60 images\n" in again.err
    assert not any("--group-by" in note for note in read_json(cli.good(*fit).out)["notes"])
    lines = lines_of(cli.folder / "named.csv")
    assert len({(line["group"], line["split"]) for line in lines}) == 6
