"""The three-line use, driven as a user does, on pictures nobody has seen."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import onnxruntime as ort
import pytest

from tests.support import COLOURS, CommandLine, lines_of, read_json, write_pictures


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A folder with a network, a labelled image folder, its cache and a classifier."""
    here = CommandLine(tmp_path_factory.mktemp("job")).with_tiny_network()
    write_pictures(here.folder / "imgs")
    write_pictures(here.folder / "new", per_class=3, start=100)
    here.good("extract", "imgs", "--network", "tiny")
    here.good("fit", "--force", "--svm")
    return here


def test_extract_fit_classify_as_the_readme_says(cli: CommandLine) -> None:
    ran = cli.good("classify", "new")
    lines = lines_of(cli.folder / "predictions.csv")
    assert len(lines) == 9
    assert all(line["path"] == f"new/{line['label']}/{Path(line['path']).name}" for line in lines)
    assert [line["path"] for line in lines] == sorted(line["path"] for line in lines)
    for line in lines:
        assert line["label"] == line["label_1"]
        assert line["error"] == ""
        scores = [float(line[f"score_{i}"]) for i in (1, 2, 3)]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-4)
    assert "predictions.csv" in ran.text


def test_the_cache_opens_without_us(cli: CommandLine) -> None:
    with h5py.File(cli.folder / "features.h5") as file:
        X = file["features/embedding"]
        assert X.shape == (24, 64)
        assert X.dtype == np.float32
        assert X.fletcher32
        paths = [value.decode() for value in file["path"][:]]
        labels = [value.decode() for value in file["label"][:]]
    assert paths == sorted(paths)
    assert labels == [path.split("/")[0] for path in paths]


def test_fit_prints_what_it_measured(cli: CommandLine) -> None:
    ran = cli.good("fit", "--force", "--softmax", "-o", "softmax.onnx")
    for word in ["accuracy", "95% interval", "recall", "confusion", "C", *COLOURS]:
        assert word in ran.out
    # 8 a class at 0.7: 5.6 rounds to 6, so 6 + 6 + 6 and 2 + 2 + 2.
    answer = read_json(cli.good("fit", "--force", "--svm", "--json", "-o", "again.onnx").out)
    assert answer["n_train"] == 18
    assert answer["n_test"] == 6


def test_the_classifier_runs_in_onnx_runtime_without_us(cli: CommandLine) -> None:
    session = ort.InferenceSession(str(cli.folder / "classifier.onnx"))
    with h5py.File(cli.folder / "features.h5") as file:
        X = file["features/embedding"][:]
        labels = [value.decode() for value in file["label"][:]]
    classes = read_json(session.get_modelmeta().custom_metadata_map["classes"])
    (index,) = session.run(["label"], {session.get_inputs()[0].name: X})
    found = [classes[i] for i in index]
    assert np.mean([a == b for a, b in zip(found, labels, strict=True)]) > 0.9


def test_neither_flag_keeps_the_better_and_says_so(cli: CommandLine) -> None:
    ran = cli.good("fit", "--force", "-o", "better.onnx")
    assert "svm" in ran.out
    assert "softmax" in ran.out


def test_classify_takes_a_cache_and_gives_json_lines(cli: CommandLine) -> None:
    cli.good("classify", "features.h5", "-o", "all.jsonl", "--top-k", "2")
    lines = [read_json(line) for line in (cli.folder / "all.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 24
    assert all(len(line["top"]) == 2 and line["label"] == line["top"][0]["label"] for line in lines)


def test_evaluate_on_images_and_on_a_cache_agree(cli: CommandLine) -> None:
    images = read_json(cli.good("evaluate", "imgs", "--json").out)
    cached = read_json(cli.good("evaluate", "features.h5", "--json").out)
    assert images["n"] == cached["n"] == 24
    assert images["accuracy"] == cached["accuracy"]


def test_an_unreadable_image_is_a_line_with_an_error_and_exit_1(cli: CommandLine) -> None:
    shutil.copytree(cli.folder / "new", cli.folder / "mixed")
    (cli.folder / "mixed/green/000.jpg").write_bytes(b"not an image at all")
    ran = cli("classify", "mixed", "-o", "mixed.csv")
    lines = lines_of(cli.folder / "mixed.csv")
    assert ran.code == 1
    assert len(lines) == 10
    assert [line["path"] for line in lines] == sorted(line["path"] for line in lines)
    (bad,) = [line for line in lines if line["error"]]
    assert bad["path"] == "mixed/green/000.jpg"
    assert bad["label"] == ""


def test_a_flat_unlabelled_folder_is_classified(cli: CommandLine) -> None:
    flat = cli.folder / "flat"
    flat.mkdir()
    for i, colour in enumerate(COLOURS):
        shutil.copy(cli.folder / f"new/{colour}/100.png", flat / f"{i}.png")
    cli.good("classify", "flat", "-o", "flat.csv")
    assert [line["label"] for line in lines_of(cli.folder / "flat.csv")] == list(COLOURS)


def test_a_single_file_to_stdout(cli: CommandLine) -> None:
    ran = cli.good("classify", "new/blue/100.png", "-o", "-", "--top-k", "1")
    header, line = ran.out.splitlines()
    assert header == "path,label,score,label_1,score_1,rejected,novelty,error"
    assert line.startswith("new/blue/100.png,blue,")


def test_a_classifier_of_another_network_is_refused(cli: CommandLine) -> None:
    from tests.support import tiny_network

    other = tiny_network(cli.folder / "other.onnx", seed=1)
    cli.good("models", "import", other, "--as", "other", "--preprocess", "caffe", "--layer", "embedding")
    cli.good("extract", "imgs", "--network", "other", "-o", "other.h5")
    ran = cli("classify", "other.h5", "-o", "no.csv")
    assert ran.code == 2
    assert "other" in ran.err
    assert not (cli.folder / "no.csv").exists()


def test_extract_into_a_cache_of_another_network_is_refused(cli: CommandLine) -> None:
    from tests.support import tiny_network

    before = (cli.folder / "features.h5").read_bytes()
    file = tiny_network(cli.folder / "third.onnx", seed=2)
    cli.good("models", "import", file, "--as", "third", "--preprocess", "caffe", "--layer", "embedding")
    ran = cli("extract", "imgs", "--network", "third")
    assert ran.code == 2
    assert "--force" in ran.err
    assert (cli.folder / "features.h5").read_bytes() == before
