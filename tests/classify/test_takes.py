"""What fit says of file names that count on: a pattern for --group-by, or --ordered, or nothing."""

from __future__ import annotations

import shlex

import pytest
from PIL import Image

from classify.takes import hint_of_takes
from extract.grouping import compile_pattern, group_of
from tests.support import CommandLine, coloured_picture, lines_of, read_json


def hint(paths: list[str], *, groups: list[str] | None = None, ordered: bool = False) -> str | None:
    return hint_of_takes(paths, [path.split("/")[0] for path in paths], groups, ordered=ordered)


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
    assert "names like 00000_00000.ppm look like pictures of one take" in said
    assert "(6 groups of 24 images)" in said


@pytest.mark.parametrize("form", ["clip{}-{}.jpg", "video {}_frame_{:03}.png", "2024010{}_11{}.jpeg"])
def test_other_takes_are_told_of_too(form: str) -> None:
    paths = tracks(["cat", "dog"], {"cat": [1, 2], "dog": [3, 4]}, form)
    assert "(4 groups of 16 images)" in str(hint(paths))


@pytest.mark.parametrize(
    "form",
    ["IMG_{:04}.JPG", "DSCN{:04}.jpg", "P101{:04}.JPG", "frame{}.png", "frame_{}.png"],
)
def test_running_numbers_are_told_of_with_ordered_and_not_grouped(form: str) -> None:
    paths = [f"{c}/{form.format(i)}" for c in ("cat", "dog") for i in range(20)]
    said = str(hint(paths))
    assert "--ordered" in said
    assert "--group-by" not in said
    assert hint(paths, ordered=True) is None


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
    assert hint_of_takes(None, ["a"], None, ordered=False) is None


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
        for note in read_json(cli.good("fit", "--svm", "-C", "1", "--json").out)["notes"]
        if "--group-by" in note
    ]
    assert f"note: {note}\n" in cli.good("fit", "--svm", "-C", "1").out
    cli.good("extract", "signs", "--network", "tiny", "--group-by", pattern_of(note))
    found = read_json(cli.good("fit", "--svm", "-C", "1", "--split-csv", "s.csv", "--json").out)
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
