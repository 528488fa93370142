"""`evaluate` on a cache: figures that anybody can compute again from its tables."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from sklearn import metrics as reference

from tests.support import ROOT, CommandLine, lines_of, read_json, write_pictures

ODD = {"red": '=cmd|"x"!A1', "green": "a, b\r\n<b>c</b>", "blue": "unknown"}


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Noisy pictures under odd names, a cache with groups, a classifier that rejects."""
    here = CommandLine(tmp_path_factory.mktemp("evaluate")).with_tiny_network()
    write_pictures(here.folder / "imgs", 10)
    with (here.folder / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["path", "label", "group"])
        for path in sorted((here.folder / "imgs").rglob("*.png")):
            colour, number = path.parent.name, int(path.stem)
            # Every fifth picture is called by another's name, so that there are mistakes.
            label = ODD["green" if number % 5 == 4 else colour]
            table.writerow([f"{colour}/{path.name}", label, f"g{number // 2}{colour}"])
    here.good("extract", "imgs", "--network", "tiny", "--labels", "labels.csv")
    here.good("fit", "--force", "--svm", "-C", "1", "--reject-below", "0.5")
    return here


def test_log_loss_says_which_images_it_leaves_out(cli: CommandLine) -> None:
    with (cli.folder / "strange.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["path", "label"])
        for path in sorted((cli.folder / "imgs").rglob("*.png")):
            colour = path.parent.name
            table.writerow([f"{colour}/{path.name}", "cow\nbell" if colour == "red" else ODD[colour]])
    text = cli.good("evaluate", "imgs", "--labels", "strange.csv", "--csv", "strange").out
    assert re.search(r"^log loss .*  \(of the 20 of 30 with a known label\)$", text, re.M)
    assert re.search(r"^Brier score .*\(0 to 2\)  \(of the 20 of 30 with a known label\)$", text, re.M)
    assert "left out of log loss and Brier score, which need their probability: cow?bell (10)" in " ".join(
        text.split()
    )
    images = lines_of(cli.folder / "strange/images.csv")
    losses = [-np.log(float(line["truth_score"])) for line in images if line["truth"] != "cow\nbell"]
    figures = {line["figure"]: line["value"] for line in lines_of(cli.folder / "strange/figures.csv")}
    assert int(figures["n_known"]) == len(losses) == 20
    assert float(figures["log_loss"]) == pytest.approx(np.mean(losses), rel=1e-5)


def test_every_table_agrees_with_scikit_learn(cli: CommandLine) -> None:
    said = read_json(cli.good("evaluate", "features.h5", "--csv", "tables", "--json").out)
    folder = cli.folder / "tables"
    images = lines_of(folder / "images.csv")
    truth, guess = [[line[name] for line in images] for name in ("truth", "predicted")]
    assert set(truth) == set(ODD.values())
    assert len(images) == said["n"] == 30
    assert said["accuracy"] == pytest.approx(reference.accuracy_score(truth, guess))
    labels = [line["label"] for line in lines_of(folder / "classes.csv")]
    p, r, f, n = reference.precision_recall_fscore_support(truth, guess, labels=labels)
    for i, line in enumerate(lines_of(folder / "classes.csv")):
        assert [float(line[k]) for k in ("precision", "recall", "f1")] == pytest.approx([p[i], r[i], f[i]])
        assert int(line["support"]) == n[i]
    with (folder / "confusion.csv").open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["", *labels]
    assert [row[0] for row in rows] == labels
    matrix = reference.confusion_matrix(truth, guess, labels=labels)
    assert [[int(cell) for cell in row[1:]] for row in rows] == matrix.tolist() == said["confusion"]
    losses = [-np.log(float(line["truth_score"])) for line in images]
    assert said["log_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    accepted = [line for line in images if line["rejected"] == "0"]
    assert said["rejection"]["n_accepted"] == len(accepted)
    assert said["rejection"]["n_correct"] == sum(line["correct"] == "1" for line in accepted)
    figures = {line["figure"]: line["value"] for line in lines_of(folder / "figures.csv")}
    assert float(figures["brier"]) == said["brier"]
    assert float(figures["expected_calibration_error"]) == said["expected_calibration_error"]


def test_groups_of_the_cache_or_of_the_path_are_evaluated(cli: CommandLine) -> None:
    own = read_json(cli.good("evaluate", "features.h5", "--json").out)["groups"]
    assert len(own) == 15
    assert sum(group["n"] for group in own) == 30
    ran = cli.good("evaluate", "imgs", "--group-by", "^([a-z]+)/", "--csv", "by-colour")
    assert "group" in ran.out
    groups = lines_of(cli.folder / "by-colour" / "groups.csv")
    assert [(line["group"], line["n"]) for line in groups] == [("blue", "10"), ("green", "10"), ("red", "10")]


def test_labels_may_come_from_a_manifest(cli: CommandLine) -> None:
    by_cache = read_json(cli.good("evaluate", "features.h5", "--json").out)
    by_images = read_json(cli.good("evaluate", "imgs", "--labels", "labels.csv", "--json").out)
    assert by_images["confusion"] == by_cache["confusion"]
    assert by_images["groups"] == by_cache["groups"]
    refused = cli("evaluate", "features.h5", "--labels", "labels.csv")
    assert refused.code == 2
    assert "is a feature cache and has its labels" in refused.err


def test_images_that_trained_are_told_and_can_be_left_out(cli: CommandLine) -> None:
    made = read_json(cli.good("fit", "--force", "--svm", "-C", "1", "--reject-below", "0.5", "--json").out)
    ran = cli.good("evaluate", "features.h5")
    assert f"the classifier learned from {made['n_train']} of these 30 images" in ran.out
    for inputs in (["features.h5"], ["imgs", "--labels", "labels.csv"]):
        held_out = read_json(cli.good("evaluate", *inputs, "--held-out", "--json").out)
        assert (held_out["n"], held_out["seen_in_training"]) == (made["n_test"], 0)
        assert held_out["left_out"] == made["n_train"]
        # The very figures that fit printed, from the file and the cache alone.
        assert held_out["confusion"] == made["metrics"]["confusion"]
        assert held_out["log_loss"] == pytest.approx(made["metrics"]["log_loss"], rel=1e-4)


def test_after_refitting_on_everything_nothing_is_held_out(cli: CommandLine) -> None:
    cli.good("fit", "--force", "--svm", "-C", "1", "--refit-all", "-o", "all.onnx")
    ran = cli("evaluate", "features.h5", "-m", "all.onnx", "--held-out")
    assert ran.code == 2
    assert "learned from all 30 labelled images" in ran.err


def test_a_classifier_without_its_split_cannot_tell(cli: CommandLine) -> None:
    old = ROOT / "tests/data" / "classifier-v1.onnx"
    ran = cli("evaluate", "features.h5", "-m", old, "--held-out")
    assert ran.code == 2
    assert "fit again" in ran.err


def test_the_text_names_every_figure(cli: CommandLine) -> None:
    out = cli.good("evaluate", "features.h5").out
    for word in ("mean avg precision", "Brier score", "calibration error", "accepted", "avg prec", "group"):
        assert word in out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_images_that_extract_could_not_read_are_told_beside_the_exit_code(cli: CommandLine) -> None:
    write_pictures(cli.folder / "torn", 2)
    (cli.folder / "torn/red/x.png").write_bytes(b"broken")
    cli("extract", "torn", "--network", "tiny", "-o", "torn.h5")
    ran = cli("evaluate", "torn.h5")
    assert ran.code == 1
    assert "skipped red/x.png: " in ran.out
    assert "1 unreadable image is not evaluated, so the exit code is 1" in ran.out
    assert "exit code" not in cli.good("evaluate", "features.h5").out
