"""Labels that were corrected come back: from `suspects --csv` by way of an edited table to every command."""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import h5py
import pytest

import fc7
from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.data.record import TEST, TRAIN
from fc7.extract.inputs.tables.corrections_history import Change, append_changes
from fc7.extract.inputs.tables.corrections_table import read_corrections
from fc7.models.common.errors import UsageError
from tests.support import CommandLine, lines_of, read_json, write_pictures

FLIPS = {"red/003.png": "green", "green/007.png": "blue", "blue/001.png": "red", "red/011.png": "blue"}
TAKEN_OUT = "red/011.png"
# A head this free follows every label, the wrong ones too.
FIT = ("fit", "--svm", "-C", "100")


def truth_of(path: str) -> str:
    return path.split("/")[0]


def labels_in(cache: Path) -> dict[str, str]:
    """Read by h5py alone."""
    with h5py.File(cache) as file:
        return {
            path.decode(): label.decode()
            for path, label in zip(file["path"][:], file["label"][:], strict=True)
        }


def write_table(path: Path, lines: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, lines[0])
        table.writeheader()
        table.writerows(lines)


def corrections_of(model: Path) -> Mapping[str, object]:
    found = load_classifier(model).metadata["corrections"]
    assert isinstance(found, dict)
    return found


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Pictures of three colours, four of them under a wrong label; a classifier of these labels, and one of
    the corrected ones: flipped.onnx, fixes.csv, fixed.onnx."""
    here = CommandLine(tmp_path_factory.mktemp("corrections")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=14)
    paths = sorted(p.relative_to(here.folder / "imgs").as_posix() for p in here.folder.glob("imgs/*/*"))
    write_table(here.folder / "labels.csv", [{"path": p, "label": FLIPS.get(p, truth_of(p))} for p in paths])
    here.good("extract", "imgs", "--network", "tiny", "--labels", "labels.csv")
    here.good(*FIT, "-o", "flipped.onnx")
    here.good("suspects", "--csv", "fixes.csv", "--all")
    lines = lines_of(here.folder / "fixes.csv")
    for line in lines:
        line["label"] = "" if line["path"] == TAKEN_OUT else truth_of(line["path"])
    write_table(here.folder / "fixes.csv", lines)
    here.good(*FIT, "--corrections", "fixes.csv", "-o", "fixed.onnx")
    return here


def test_suspects_name_every_flip_with_its_content(cli: CommandLine) -> None:
    lines = {line["path"]: line for line in lines_of(cli.folder / "fixes.csv")}
    assert set(FLIPS) <= set(lines)
    again = read_json(cli.good("suspects", "--json").out)
    assert again["corrections"] is None
    with h5py.File(cli.folder / "features.h5") as file:
        content = dict(zip(file["path"][:], file["sha256"][:], strict=True))
    assert all(line["sha256"].encode() == content[path.encode()] for path, line in lines.items())


def test_a_fit_on_corrected_labels_is_better_by_the_truth(cli: CommandLine) -> None:
    """The truth is the folder; nobody told it to fc7."""
    accuracy = {
        name: read_json(cli.good("evaluate", "imgs", "-m", f"{name}.onnx", "--json").out)["accuracy"]
        for name in ("flipped", "fixed")
    }
    assert accuracy["flipped"] < accuracy["fixed"] == 1
    cache = labels_in(cli.folder / "features.h5")
    assert {path: label for path, label in cache.items() if label != truth_of(path)} == FLIPS


def test_the_classifier_says_which_corrections_and_counts_images_by_them(cli: CommandLine) -> None:
    file = cli.folder / "fixes.csv"
    made = corrections_of(cli.folder / "fixed.onnx")
    assert made == {
        "file": "fixes.csv",
        "sha256": read_corrections(file).sha256,
        "labels_corrected": 3,
        "images_taken_out": 1,
        "notes": [],
    }
    right = labels_in(cli.folder / "features.h5") | {line["path"]: line["label"] for line in lines_of(file)}
    counts = load_classifier(cli.folder / "fixed.onnx").metadata["counts"]
    assert isinstance(counts, dict)
    assert {label: sum(n) for label, n in counts.items()} == Counter(
        label for label in right.values() if label
    )
    # Columns that nobody reads, the order and the form of the table are not what it says.
    shuffled = [
        {"label": line["label"], "sha256": line["sha256"], "path": line["path"]} for line in lines_of(file)
    ]
    write_table(cli.folder / "shuffled.csv", shuffled[::-1])
    ran = cli.good(*FIT, "--corrections", "shuffled.csv", "-o", "same.onnx")
    assert "3 labels corrected, 1 image taken out (shuffled.csv)" in ran.out
    assert "no label" not in ran.out
    assert corrections_of(cli.folder / "same.onnx")["sha256"] == made["sha256"]
    cli.good("export", "-m", "fixed.onnx", "--card", "card.md")
    card = (cli.folder / "card.md").read_text("utf-8").replace("\\", "")
    assert f"3 labels corrected, 1 image taken out (fixes.csv, content SHA-256 {made['sha256']})" in card


def test_evaluated_without_them_it_says_so_and_with_them_it_does_not(cli: CommandLine) -> None:
    evaluate = ("evaluate", "features.h5", "-m", "fixed.onnx", "--held-out")
    without = words(cli.good(*evaluate).out)
    assert (
        "the classifier was fitted with corrections, and these labels are those without them: 3 labels"
        in without
    )
    command = re.search(r"to evaluate with them: (.+? --corrections fixes\.csv)", without)
    assert command is not None
    ran = cli.good(*command[1][command[1].index("evaluate") :].split())
    assert "3 labels corrected, 1 image taken out (fixes.csv)" in ran.out
    assert "fitted with" not in ran.out
    with_them = read_json(cli.good(*evaluate, "--corrections", "fixes.csv", "--json").out)
    fitted = load_classifier(cli.folder / "fixed.onnx").metadata
    assert with_them["accuracy"] == fitted["metrics"]["accuracy"]  # type: ignore[index]
    assert with_them["n"] == fitted["split"]["n_test"]  # type: ignore[index]
    assert (with_them["unlabelled"], with_them["notes"]) == (0, [])
    assert with_them["corrections"]["images_taken_out"] == 1
    other = cli.good("evaluate", "features.h5", "-m", "flipped.onnx", "--corrections", "fixes.csv").out
    assert "the classifier was fitted without these corrections" in words(other)
    write_table(cli.folder / "other.csv", [{"path": "red/003.png", "label": "red"}])
    other = cli.good("evaluate", "features.h5", "-m", "fixed.onnx", "--corrections", "other.csv").out
    assert "the classifier was fitted with other corrections: 3 labels corrected" in words(other)


def test_images_that_the_classifier_does_not_know_have_nothing_to_do_with_its_corrections(
    cli: CommandLine,
) -> None:
    write_pictures(cli.folder / "new", per_class=3, start=50)
    ran = cli.good("evaluate", "new", "-m", "fixed.onnx")
    assert "corrections" not in ran.text
    # The same pictures in a folder are the same contents.
    assert "corrections" in cli.good("evaluate", "imgs", "-m", "fixed.onnx").text
    ran = cli.good("evaluate", "imgs", "-m", "flipped.onnx", "--corrections", "fixes.csv")
    assert "0 labels corrected, 1 image taken out" in ran.out


def test_every_other_command_says_what_was_corrected(cli: CommandLine) -> None:
    said = "3 labels corrected, 1 image taken out (fixes.csv)"
    fixes = ("--corrections", "fixes.csv")
    assert said in cli.good("suspects", *fixes).out
    assert said in cli.good("learning-curve", "--svm", "-C", "1", *fixes).out
    ran = cli.good("compare", "flipped.onnx", "fixed.onnx", "features.h5", *fixes)
    assert said in ran.out
    assert "flipped.onnx: the classifier was fitted without these corrections" in words(ran.out)
    assert read_json(cli.good("learning-curve", "--svm", "-C", "1", *fixes, "--json").out)["corrections"]
    assert read_json(cli.good("suspects", *fixes, "--json").out)["labelled"] == 41
    shutil.copy(cli.folder / "fixed.onnx", cli.folder / "twin.onnx")
    compared = read_json(cli.good("compare", "twin.onnx", "fixed.onnx", "features.h5", *fixes, "--json").out)
    assert compared["notes"] == []
    assert compared["corrections"]["labels_corrected"] == 3


def test_without_the_corrections_of_the_classifier_beside_it_is_said(cli: CommandLine) -> None:
    said = "classifier.onnx was fitted with corrections, and these labels are those without them: 3 labels"
    beside = cli.folder / "classifier.onnx"
    for command in (("suspects", "--csv", "beside.csv"), ("learning-curve", "--svm", "-C", "1")):
        shutil.copy(cli.folder / "fixed.onnx", beside)
        without = words(cli.good(*command).out)
        assert said in without
        again = re.search(r"to use them: (.+? --corrections fixes\.csv( --force)?)", without)
        assert again is not None
        assert (again[2] is not None) == ("--csv" in command)
        assert "was fitted with" not in cli.good(*again[1][again[1].index(command[0]) :].split()).out
        (note,) = read_json(cli.good(*command, *(["--force"] if again[2] else []), "--json").out)["notes"]
        assert said in note
        # One without corrections, one of other images, half of one, and none.
        shutil.copy(cli.folder / "flipped.onnx", beside)
        assert "was fitted with" not in cli.good(command[0]).out
        beside.write_bytes((cli.folder / "fixed.onnx").read_bytes()[:-2000])
        assert "was fitted with" not in cli.good(command[0]).out
        beside.unlink()
        assert "was fitted with" not in cli.good(command[0]).out
    other = cli.folder / "other"
    other.mkdir()
    write_pictures(other / "imgs", per_class=14, start=60)
    cli.good("extract", "other/imgs", "--network", "tiny", "-o", "other/features.h5")
    shutil.copy(cli.folder / "fixed.onnx", other / "classifier.onnx")
    assert "was fitted with" not in cli.good("suspects", "other/features.h5").out


def test_a_report_is_of_the_corrected_labels_and_names_them(cli: CommandLine) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    ran = cli.good("report", "-m", "fixed.onnx", "-o", "without.html")
    assert "the classifier was fitted with corrections" in ran.err
    assert "The classifier was fitted with corrections" in (cli.folder / "without.html").read_text("utf-8")
    ran = cli.good("report", "-m", "fixed.onnx", "-o", "with.html", "--corrections", "fixes.csv")
    assert "3 labels corrected, 1 image taken out (fixes.csv)" in ran.err
    page = (cli.folder / "with.html").read_text("utf-8")
    assert "was fitted with corrections" not in page
    assert f"content SHA-256 {corrections_of(cli.folder / 'fixed.onnx')['sha256']}" in page


def test_a_second_round_keeps_the_first(cli: CommandLine) -> None:
    """The table of suspects of corrected labels holds the corrections, so that it can take their place."""
    cli.good("suspects", "--corrections", "fixes.csv", "--csv", "more.csv")
    cache = cli.folder / "features.h5"
    first, second = (
        fc7.load_features(cache, corrections=cli.folder / name).y.tolist()
        for name in ("fixes.csv", "more.csv")
    )
    assert first == second != fc7.load_features(cache).y.tolist()
    refused = cli("suspects", "--corrections", "fixes.csv", "--csv", "fixes.csv", "--force")
    assert refused.code == 2


def test_rows_that_stay_in_the_cache_have_the_same_labels(cli: CommandLine) -> None:
    """Of rows that take more than --memory neither split nor labels are others."""
    exact = ("--corrections", "fixes.csv", "--duplicates", "exact")
    cli.good(*FIT, *exact, "-o", "whole.onnx", "--split-csv", "whole.csv")
    ran = cli.good(*FIT, *exact, "-o", "parts.onnx", "--split-csv", "parts.csv", "--memory", "5kB")
    assert "fitted on all of them in parts" in words(ran.out)
    assert "3 labels corrected, 1 image taken out (fixes.csv)" in ran.out
    assert lines_of(cli.folder / "whole.csv") == lines_of(cli.folder / "parts.csv")
    whole, parts = (load_classifier(cli.folder / f"{name}.onnx").metadata for name in ("whole", "parts"))
    assert whole["counts"] == parts["counts"]
    assert whole["corrections"] == parts["corrections"]
    right = {line["path"]: line["label"] for line in lines_of(cli.folder / "whole.csv")}
    assert TAKEN_OUT not in right
    assert all(right[path] == truth_of(path) for path in FLIPS if path != TAKEN_OUT)


def test_a_history_gives_the_classifier_of_the_table_that_is_left_of_it(cli: CommandLine) -> None:
    """Changes, some taken back, and half a line, as a kill leaves it."""
    history = cli.folder / "history.csv"
    lines = [(line["path"], line["sha256"], line["label"]) for line in lines_of(cli.folder / "fixes.csv")]
    append_changes(history, [Change(path, sha256, "blue") for path, sha256, _ in lines])
    append_changes(history, [Change(path, sha256, "", undone=True) for path, sha256, _ in lines])
    append_changes(history, [Change(*line) for line in lines])
    with history.open("a") as stream:
        stream.write("red/001.png,")
    ran = cli.good(*FIT, "--corrections", "history.csv", "-o", "history.onnx")
    assert "3 labels corrected, 1 image taken out (history.csv)" in ran.out
    assert "the last line of history.csv has no line end, as after a kill: 'red/001.png,'" in words(ran.out)
    one, other = (load_classifier(cli.folder / f"{name}.onnx") for name in ("fixed", "history"))
    assert corrections_of(cli.folder / "history.onnx")["sha256"] == read_corrections(history).sha256
    assert (one.coef_ == other.coef_).all()
    held_out = ("evaluate", "features.h5", "-m", "fixed.onnx", "--held-out", "--corrections", "history.csv")
    assert "fitted with other" not in cli.good(*held_out).text


def test_a_class_that_only_corrections_name_is_a_class(cli: CommandLine) -> None:
    write_table(cli.folder / "class.csv", [{"path": f"blue/{i:03}.png", "label": "sky"} for i in range(6)])
    cli.good(*FIT, "--corrections", "class.csv", "-o", "sky.onnx")
    assert load_classifier(cli.folder / "sky.onnx").classes_ == ("blue", "green", "red", "sky")


def test_networks_are_compared_on_corrected_labels(cli: CommandLine) -> None:
    ran = cli.good(
        *("choose", "imgs", "--networks", "tiny", "--svm", "-C", "1", "--labels", "labels.csv"),
        *("--corrections", "fixes.csv"),
    )
    assert "3 labels corrected, 1 image taken out (fixes.csv)" in ran.out
    assert "--corrections fixes.csv" in words(ran.out)
    assert "no label" not in ran.text


def test_wrong_files_are_refused_before_anything_is_written(cli: CommandLine) -> None:
    write_table(cli.folder / "strange.csv", [{"path": "no/1.png", "label": "red"}])
    for command in (("fit", "-o", "no.onnx"), ("suspects",), ("evaluate", "features.h5", "-m", "fixed.onnx")):
        ran = cli(*command, "--corrections", "strange.csv")
        assert ran.code == 2
        assert "none of its 1 lines names an image" in ran.err
        assert cli(*command, "--corrections", "missing.csv").code == 2
    assert not (cli.folder / "no.onnx").exists()


def test_from_python_the_result_is_the_commands(cli: CommandLine, tmp_path: Path) -> None:
    cache, fixes = cli.folder / "features.h5", cli.folder / "fixes.csv"
    shutil.copy(fixes, tmp_path / "fixes.csv")
    options = fc7.FitOptions(head="svm", C=100.0, corrections=tmp_path / "fixes.csv")
    by_cache = fc7.fit_cache(cache, tmp_path / "a.onnx", options)
    by_options = fc7.fit_classifier(fc7.load_features(cache), options=options)
    features = fc7.load_features(cache, corrections=fixes)
    by_features = fc7.fit_classifier(features, options=fc7.FitOptions(head="svm", C=100.0))
    command = (cli.folder / "fixed.onnx").read_bytes()
    for result in (by_cache, by_options, by_features):
        assert fc7.save_classifier(result.classifier, tmp_path / "b.onnx").read_bytes() == command
    with pytest.raises(UsageError, match="give them to one of the two"):
        fc7.fit_classifier(features, options=options)
    with pytest.raises(UsageError, match="correct y itself"):
        fc7.fit_classifier(features.X, features.y, options=options)
    labelled = features.y != ""
    estimator = fc7.FeatureClassifier("svm", C=1.0).fit(features.X[labelled], features.y[labelled])
    sealed = estimator.to_classifier(features)
    assert sealed.metadata["corrections"] == corrections_of(cli.folder / "fixed.onnx")
    assert sealed.split is not None
    assert set(sealed.split.part_of(features.sha256, features.paths)) <= {TRAIN, TEST, ""}
