"""`fit --ovo` and all that can be done with what it writes, as a user does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from fc7.classify.classifier.artifact import load_classifier
from fc7.extract.cache.reader import load_features
from tests.classify.classifier.test_artifact import in_onnx_runtime
from tests.classify.export.test_export import run_script, varied_pictures
from tests.classify.fit.solvers.test_pairs import scikit_learns, unit_rows
from tests.classify.fit.test_choices import layered_cache
from tests.support import CommandLine, lines_of, read_json, write_pictures


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("ovo")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=10)
    varied_pictures(here.folder / "varied")
    here.good("extract", "imgs", "--network", "tiny")
    here.good("fit", "--force", "--ovo", "--reject-below", "0.5")
    return here


def test_the_classifier_is_scikit_learns_one_vs_one_on_the_training_part(cli: CommandLine) -> None:
    classifier = load_classifier(cli.folder / "classifier.onnx")
    assert (classifier.head, classifier.coef_.shape) == ("svm-ovo", (3, 64))
    found = load_features(cli.folder / "features.h5", None)
    assert classifier.split is not None
    train = classifier.split.part_of(found.sha256, found.paths) == "train"
    rows = unit_rows(found.X)
    plain = scikit_learns(classifier.C).fit(rows[train], np.asarray(found.y)[train])
    np.testing.assert_allclose(
        classifier.decision_function(found.X), plain.decision_function(rows), atol=1e-4
    )
    np.testing.assert_allclose(
        in_onnx_runtime(cli.folder / "classifier.onnx", found.X)["scores"],
        plain.decision_function(rows),
        atol=1e-4,
    )


def test_it_is_named_in_text_and_card_and_written_alike_again(cli: CommandLine) -> None:
    said = cli.good("fit", "--force", "--svm", "--ovo", "--reject-below", "0.5", "-o", "again.onnx", "-v").out
    assert (cli.folder / "again.onnx").read_bytes() == (cli.folder / "classifier.onnx").read_bytes()
    assert "svm-ovo, 5-fold cross-validation in the train set" in said
    assert "head: svm-ovo, C = " in said
    cli.good("export", "--force", "--card", "card.md")
    assert "3 linear support vector machines, one for each pair of classes" in (
        cli.folder / "card.md"
    ).read_text(encoding="utf-8")


def test_softmax_has_no_pairs(cli: CommandLine) -> None:
    ran = cli("fit", "--force", "--softmax", "--ovo", "-o", "none.onnx")
    assert ran.code == 2
    assert "softmax is one problem of all classes and has no pairs" in ran.err
    assert not (cli.folder / "none.onnx").exists()


def test_it_is_evaluated_compared_and_reported(cli: CommandLine) -> None:
    made = load_classifier(cli.folder / "classifier.onnx").metadata["metrics"]
    evaluated = read_json(cli.good("evaluate", "features.h5", "--held-out", "--json").out)
    assert evaluated["accuracy"] == made["accuracy"]  # type: ignore[index]
    assert evaluated["n"] == made["n"] == 9  # type: ignore[index]
    cli.good("fit", "--force", "--svm", "-o", "rest.onnx")
    assert "McNemar" in cli.good("compare", "classifier.onnx", "rest.onnx", "features.h5").out
    cli.good("report")
    page = (cli.folder / "report.html").read_text(encoding="utf-8")
    assert "svm-ovo, C = " in page


def test_the_exported_file_and_its_script_answer_as_classify_does(cli: CommandLine) -> None:
    exported = read_json(cli.good("export", "--force", "-o", "full.onnx", "--images", "varied", "--json").out)
    assert exported["difference"] <= 1e-4
    cli.good("classify", "varied", "-o", "p.csv", "--device", "cpu", "--exact-decode")
    script = cli.good("export", "--force", "--example", "-o", "full.onnx").out
    lines = lines_of(cli.folder / "p.csv")
    pictures = [str(cli.folder / line["path"]) for line in lines]
    script = script.replace("full.onnx", str(cli.folder / "full.onnx"))
    for (_, name, probability), line in zip(run_script(script, cli.folder, pictures), lines, strict=True):
        assert name == line["label"]
        assert float(probability) == pytest.approx(float(line["score"]), abs=1e-4)
    session = ort.InferenceSession(str(cli.folder / "full.onnx"), providers=["CPUExecutionProvider"])
    assert {"label", "probabilities", "rejected", "novelty"} == {o.name for o in session.get_outputs()}


def test_every_other_option_of_fit_goes_with_it(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    layered_cache(tmp_path / "features.h5")
    options = ("--layer", "auto", "--normalize", "auto", "--one-se", "--class-weight", "balanced")
    found = read_json(
        cli.good(
            "fit", "--force", "--ovo", *options, "--reject-precision", "0.9", "--refit-all", "--json"
        ).out
    )
    assert (found["head"], found["layer"], found["class_weight"]) == ("svm-ovo", "fc6", "balanced")
    assert {(each["layer"], each["normalize"]) for each in found["tuning"]} == {
        (layer, kind) for layer in ("fc6", "fc7") for kind in ("l2", "standard", "none")
    }
    assert found["rejection"]["target_precision"] == 0.9
    assert found["calibration"] == "temperature, out of fold"
