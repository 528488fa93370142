"""`duplicates` and `fit` on pictures with planted copies, driven as a user does."""

from __future__ import annotations

import csv
import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image

from fc7.classify.classifier.artifact import load_classifier
from tests.support import CommandLine, lines_of, read_json, write_pictures


def textured(colour: str, index: int) -> Image.Image:
    """A picture of stripes and spots that no other index has; JPEG keeps most of it."""
    rng = np.random.default_rng([index, len(colour)])
    small = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
    tint = {"red": (255, 120, 120), "green": (120, 255, 120), "blue": (120, 120, 255)}[colour]
    picture = np.asarray(Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC))
    return Image.fromarray((picture * (np.array(tint) / 255)).astype(np.uint8))


def one_line(text: str) -> str:
    """The text without its line breaks and indents."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Three classes of 20 pictures; six copies, two of them under a wrong label, one exact."""
    here = CommandLine(tmp_path_factory.mktemp("duplicates")).with_tiny_network()
    imgs = here.folder / "imgs"
    for colour in ("red", "green", "blue"):
        (imgs / colour).mkdir(parents=True)
        for i in range(20):
            textured(colour, i).save(imgs / colour / f"{i:03}.png")
    Image.open(imgs / "red" / "003.png").save(imgs / "red" / "copy of 003.jpg", quality=92)
    Image.open(imgs / "blue" / "004.png").save(imgs / "blue" / "copy of 004.jpg", quality=92)
    Image.open(imgs / "green" / "005.png").resize((128, 128)).save(imgs / "green" / "copy of 005.png")
    Image.open(imgs / "red" / "006.png").save(imgs / "green" / 'a "wrong", label.jpg', quality=92)
    Image.open(imgs / "blue" / "007.png").save(imgs / "red" / "wrong too.bmp")
    shutil.copy(imgs / "blue" / "008.png", imgs / "blue" / "exact.png")
    here.good("extract", "imgs", "--network", "tiny")
    return here


PLANTED = {
    frozenset(pair)
    for pair in (
        ("red/003.png", "red/copy of 003.jpg"),
        ("blue/004.png", "blue/copy of 004.jpg"),
        ("green/005.png", "green/copy of 005.png"),
        ("red/006.png", 'green/a "wrong", label.jpg'),
        ("blue/007.png", "red/wrong too.bmp"),
        ("blue/008.png", "blue/exact.png"),
    )
}


def test_every_planted_copy_is_listed_and_wrong_labels_come_first(cli: CommandLine) -> None:
    answer = read_json(cli.good("duplicates", "--json", "--csv", "pairs.csv").out)
    groups = {frozenset(image["path"] for image in group) for group in answer["duplicates"]}
    assert groups == PLANTED
    assert (answer["n"], answer["images"], answer["groups"], answer["exact_copies"]) == (66, 12, 6, 1)
    conflicts = {frozenset(i["path"] for i in pair["images"]) for pair in answer["label_conflicts"]}
    assert conflicts == {pair for pair in PLANTED if len({path.split("/")[0] for path in pair}) == 2}
    lines = lines_of(cli.folder / "pairs.csv")
    # Two images of each pair have a line each.
    assert [line["different_labels"] for line in lines] == ["true"] * 4 + ["false"] * 8
    assert {frozenset((line["path"], line["other_path"])) for line in lines} == PLANTED
    assert len({line["path"] for line in lines}) == 12
    assert all(line["label"] == line["path"].split("/")[0] for line in lines)
    for line in lines:
        content = (cli.folder / "imgs" / line["path"]).read_bytes()
        assert line["sha256"] == hashlib.sha256(content).hexdigest()
    assert [line["exact"] for line in lines].count("true") == 2
    assert {line["thumbnails"] for line in lines if line["exact"] == "true"} == {"false"}
    assert 2 * answer["found_by_thumbnails"] == [line["thumbnails"] for line in lines].count("true")
    # One label against one: neither is that of most.
    assert {line["suggested"] for line in lines} == {""}
    text = cli.good("duplicates").out
    assert text.index("2 pairs under two labels") < text.index("6 pictures that are there more than once")
    assert "cosine of centred features at least" not in text
    assert "cosine of centred features at least" in one_line(cli.good("duplicates", "-v").out)


def test_a_threshold_of_ones_own_is_used_and_checked(cli: CommandLine) -> None:
    answer = read_json(cli.good("duplicates", "--threshold", "1", "--json").out)
    assert answer["cosine_between_classes"] == 1
    assert answer["groups"] < 6
    ran = cli("duplicates", "--threshold", "high")
    assert ran.code == 2
    assert "--threshold high was found; give auto, a cosine above 0" in ran.err
    assert cli("duplicates", "nothing.h5").code == 2


def test_fit_keeps_them_on_one_side_and_prints_both_accuracies(cli: CommandLine) -> None:
    ran = cli.good("fit", "--force", "--svm", "-C", "1", "--split-csv", "split.csv")
    part = {line["path"]: line["split"] for line in lines_of(cli.folder / "split.csv")}
    assert all(len({part[path] for path in pair}) == 1 for pair in PLANTED)
    text = one_line(ran.out)
    assert (
        "copies and near-copies were looked for: 12 images look like 6 pictures (1 exact copy, 5 "
        "near-copies); each picture is on one side of the split accuracy with copies on both sides of the "
        "split: "
    ) in text
    assert "not looked for: several photographs of one object or session" in text
    both = read_json(
        cli.good("fit", "--force", "--svm", "-C", "1", "--duplicates", "off", "--json", "-o", "l.onnx").out
    )
    answer = read_json(cli.good("fit", "--force", "--svm", "-C", "1", "--json").out)
    found = answer["duplicates"]
    assert found["copies_on_both_sides"]["accuracy"] == both["accuracy"]
    assert found["copies_on_one_side"]["accuracy"] == answer["accuracy"]
    assert both["duplicates"] == {"how": "off"}


def test_a_split_column_that_parts_copies_is_reported(cli: CommandLine) -> None:
    rows = [path.relative_to(cli.folder / "imgs").as_posix() for path in (cli.folder / "imgs").glob("*/*")]
    test = {"red/003.png", "blue/exact.png", "blue/001.png", "red/001.png", "green/001.png"}
    table = ["path,label,split"] + [
        f'"{path.replace(chr(34), chr(34) * 2)}",{path.split("/")[0]},{"test" if path in test else "train"}'
        for path in rows
    ]
    (cli.folder / "labels.csv").write_text("\n".join(table), encoding="utf-8")
    cli.good("extract", "imgs", "--network", "tiny", "--labels", "labels.csv", "-o", "given.h5")
    ran = cli.good("fit", "--force", "given.h5", "--svm", "-C", "1", "-o", "given.onnx")
    assert "2 test images are copies or near-duplicates of training images" in ran.out
    assert "2 test images have a copy in training; accuracy of the others: 100.0% (3 of 3; " in one_line(
        ran.out
    )
    answer = read_json(cli.good("duplicates", "given.h5", "--json").out)
    assert len(answer["split_conflicts"]) == 2


def test_classes_without_so_many_images_are_counted(cli: CommandLine) -> None:
    most = max(len(list(folder.iterdir())) for folder in (cli.folder / "imgs").iterdir())
    said = f"{most} images of each class train, but 3 of 3 classes have no more than that: one at least"
    assert (
        said in cli.good("fit", "--force", "--svm", "-C", "1", "--per-class", str(most), "-o", "few.onnx").out
    )
    enough = cli.good("fit", "--force", "--svm", "-C", "1", "--per-class", "2", "-o", "few.onnx").out
    assert "2 images of each class train\n" in enough


def test_the_options_of_the_split_reach_the_classifier(cli: CommandLine) -> None:
    options = ("--ordered", "--balance", "--per-class", "9", "--exclude", "green")
    ran = cli.good(
        "fit", "--force", "--svm", "-C", "1", *options, "-o", "options.onnx", "--split-csv", "ordered.csv"
    )
    for words in ("without the classes green", "in the order of the paths", "9 images of each class train"):
        assert words in ran.out
    made = load_classifier(cli.folder / "options.onnx").metadata["split"]
    assert isinstance(made, dict)
    assert {name: made[name] for name in ("ordered", "balance", "per_class", "exclude")} == {
        "ordered": True, "balance": True, "per_class": 9, "exclude": ["green"],
    }  # fmt: skip
    part = {line["path"]: line["split"] for line in lines_of(cli.folder / "ordered.csv")}
    assert part["blue/000.png"] == part["red/000.png"] == "train"
    assert part["blue/019.png"] == part["red/019.png"] == "test"
    ran = cli("fit", "--force", "--include", "bleu")
    assert ran.code == 2
    assert "similar are 'blue'" in ran.err


def test_what_most_copies_are_labelled_is_suggested_and_the_table_is_one_of_corrections(
    cli: CommandLine,
) -> None:
    folder = cli.folder / "votes"
    for colour in ("red", "green", "blue"):
        (folder / colour).mkdir(parents=True)
        for i in range(10):
            textured(colour, i).save(folder / colour / f"{i:03}.png")
    for name in ("red/again.png", "green/wrong.png"):
        shutil.copy(folder / "red/003.png", folder / name)
    cli.good("extract", "votes", "--network", "tiny", "-o", "votes.h5")
    cli.good("duplicates", "votes.h5", "--threshold", "1", "--csv", "votes.csv")
    lines = {line["path"]: line for line in lines_of(cli.folder / "votes.csv")}
    assert {path: line["suggested"] for path, line in lines.items()} == {
        "red/003.png": "", "red/again.png": "", "green/wrong.png": "red",
    }  # fmt: skip
    for line in lines.values():
        line["label"] = line["suggested"] or line["label"]
    with (cli.folder / "votes.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, lines["red/003.png"])
        table.writeheader()
        table.writerows(lines.values())
    ran = cli.good(
        "duplicates", "votes.h5", "--threshold", "1", "--corrections", "votes.csv", "--csv", "next.csv"
    )
    assert "1 label corrected, 0 images taken out (votes.csv)" in ran.out
    assert "under two labels" not in ran.out
    assert {line["path"]: line["label"] for line in lines_of(cli.folder / "next.csv")} == {
        path: line["label"] for path, line in lines.items()
    }


def test_an_unlabelled_cache_has_duplicates_too(cli: CommandLine) -> None:
    flat = cli.folder / "flat"
    write_pictures(flat / "a", per_class=6)
    for number, path in enumerate(sorted((flat / "a").glob("*/*"))):
        path.rename(flat / f"{number}.png")
    shutil.rmtree(flat / "a")
    shutil.copy(flat / "0.png", flat / "zero.png")
    cli.good("extract", "flat", "--network", "tiny", "-o", "flat.h5")
    answer = read_json(cli.good("duplicates", "flat.h5", "--json").out)
    assert [[image["path"] for image in group] for group in answer["duplicates"]] == [["0.png", "zero.png"]]
    assert answer["label_conflicts"] == []
