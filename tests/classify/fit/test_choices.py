"""What cross-validation chooses: normalisation, layer, C; all of it inside the train set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from fc7.classify.classifier.classifier import Head
from fc7.classify.commands.texts.fit_text import fit_json, fit_report
from fc7.classify.fit.cross_validate import tune
from fc7.classify.fit.fit import FitOptions, fit_classifier
from fc7.classify.fit.from_cache import CachedLayer, fit_cache
from fc7.classify.fit.solvers.heads import Fitted, Solver
from fc7.classify.fit.training import TrainingData
from fc7.classify.image_columns import ImageColumns
from fc7.extract.records import Rows
from fc7.models.common.errors import UsageError
from tests.support import CommandLine, read_json
from tests.support.classify.blobs import blobs, names
from tests.support.extract.cache_support import identity, refs, sha, writer


class Scripted:
    """Stands for the heads of all folds; gets a given number of 100 rows right at each C."""

    unsolved = np.empty(0, np.intp)
    solver = Solver("scripted", 0.1, 1)

    def __init__(self, right: dict[float, int], y: np.ndarray) -> None:
        self.right, self.y = right, y

    def fit(self, C: float) -> None:
        guess = np.where(np.arange(100) < self.right[C], self.y, 1 - self.y)
        self.scores = np.tile(np.eye(2, dtype=np.float32)[guess][:, None, :], (1, 2, 1)) * C

    def average(self) -> Fitted:
        return Fitted(np.zeros((2, 3)), np.zeros(2), True, self.solver)


@pytest.mark.parametrize(
    ("one_se", "right", "kept"),
    [
        # At 90 of 100 the standard error is sqrt(0.9 * 0.1 / 100) = 0.03: 87 is within it, 86 is not.
        (False, [60, 87, 88, 90], 1000.0),
        (True, [60, 87, 88, 90], 10.0),
        (True, [60, 86, 88, 90], 100.0),
        (True, [60, 70, 80, 90], 1000.0),
        (True, [90, 90, 90, 90], 1.0),
        (False, [90, 90, 90, 90], 1.0),
        # 80 is within one error of 84 (0.037 is less than 0.04, so it is not), 84 of 86 is (0.035).
        (True, [80, 84, 86, 60], 10.0),
    ],
)
def test_the_one_standard_error_rule_on_hand_counted_cases(
    one_se: bool, right: list[int], kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    y = np.arange(100) % 2
    values = [1.0, 10.0, 100.0, 1000.0]
    data = TrainingData(np.ones((100, 3), np.float32), y, "l2")
    script = Scripted(dict(zip(values, right, strict=True)), y)
    monkeypatch.setattr(TrainingData, "folds", lambda self, head, fold: script)
    found = tune("svm", data, y.copy(), values, one_se=one_se)
    assert kept == found.best.C
    assert found.peak.accuracy == max(right) / 100
    assert np.unique(np.abs(found.scores).max(axis=1)).tolist() == [kept]
    assert found.to_json()["C"] == kept


@pytest.mark.parametrize("head", ["svm", "softmax"])
def test_balanced_classes_are_scikit_learns(head: Head) -> None:
    X, y = blobs([60, 20, 10], 25, spread=3.0)
    codes = np.unique(y, return_inverse=True)[1]
    unit = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float64)
    settings = {"C": 1.0, "class_weight": "balanced", "tol": 1e-9, "max_iter": 100_000}
    plain = (LinearSVC(**settings) if head == "svm" else LogisticRegression(**settings)).fit(unit, codes)
    weighted = TrainingData(X.copy(), codes, "l2", "balanced").fit(head, 1.0)
    np.testing.assert_allclose(weighted.coef, plain.coef_, atol=5e-3)
    even = TrainingData(X.copy(), codes, "l2").fit(head, 1.0)
    assert np.abs(even.coef - plain.coef_).max() > 0.05


def test_the_normalisation_is_chosen_by_cross_validation_and_stated() -> None:
    # One feature of a thousand times the others' size, which says nothing: only "standard" sees past it.
    X, y = blobs([40, 40, 40], 20, spread=1.5)
    X[:, 0] = np.random.default_rng(0).normal(0, 3000, len(X))
    options = FitOptions(head="svm", normalize="auto", C=0.01)
    result = fit_classifier(X, y, ImageColumns(paths=names(120)), options=options)
    assert result.classifier.normalizer.kind == "standard"
    assert result.tuned[0].normalize == "standard"
    assert {each.normalize for each in result.tuned} == {"l2", "standard", "none"}
    best = result.tuned[0].peak.accuracy
    assert best == max(each.peak.accuracy for each in result.tuned)
    assert fit_json(result)["normalize"] == "standard"
    assert "normalisation: standard" in fit_report(result)
    alone = fit_classifier(
        X, y, ImageColumns(paths=names(120)), options=FitOptions(head="svm", normalize="standard", C=0.01)
    )
    np.testing.assert_array_equal(result.classifier.coef_, alone.classifier.coef_)


def layered_cache(path: Path) -> Path:
    """Layer fc6 tells the classes apart, fc7 does not."""
    labels = ["cat", "dog"] * 20
    images = {f"{label}/{i:03}.jpg": f"{label}{i}" for i, label in enumerate(labels)}
    listed = refs(images)
    listed = [replace(ref, label=ref.path.split("/")[0]) for ref in listed]
    rng = np.random.default_rng(0)
    y = np.array([ref.label == "dog" for ref in listed])
    fc6 = rng.normal(size=(40, 4)) + 4 * y[:, None] * [1, -1, 1, -1]
    features = {"fc6": fc6.astype(np.float32), "fc7": rng.normal(size=(40, 3)).astype(np.float32)}
    block = Rows(listed, [sha(images[ref.path]) for ref in listed], features)
    with writer(path, ("fc6", "fc7"), identity=identity(("fc6", "fc7"))) as cache:
        cache.write_segment(block)
        cache.commit(listed, (), roots=["imgs"])
    return path


def test_the_layer_is_chosen_by_cross_validation_and_stated(tmp_path: Path) -> None:
    cache = layered_cache(tmp_path / "features.h5")
    # Near-duplicates are those of the last layer, which would tie other rows than fc6's own.
    options = FitOptions(head="svm", duplicates="exact")
    result = fit_cache(CachedLayer(cache, "auto"), tmp_path / "auto.onnx", options)
    assert result.classifier.identity.layer == "fc6"
    assert [each.layer for each in result.tuned] == ["fc6", "fc7"]
    alone = fit_cache(CachedLayer(cache, "fc6"), tmp_path / "fc6.onnx", options)
    np.testing.assert_array_equal(result.classifier.coef_, alone.classifier.coef_)
    assert result.metrics.to_json() == alone.metrics.to_json()
    report = fit_report(result)
    assert ", layer: fc6 (svm on fc6" in report
    assert "layer  normalisation  head" in report
    assert [each["layer"] for each in result.record()["tuning"]] == ["fc6", "fc7"]  # type: ignore[attr-defined]


def test_the_command_takes_every_choice_and_repeats_itself_byte_for_byte(tmp_path: Path) -> None:
    run = CommandLine(tmp_path)
    layered_cache(tmp_path / "features.h5")
    options = ("--layer", "auto", "--normalize", "auto", "--one-se", "--class-weight", "balanced", "--json")
    found = read_json(run.good("fit", "--force", *options).out)
    assert (found["layer"], found["class_weight"], found["one_standard_error"]) == ("fc6", "balanced", True)
    assert len(found["tuning"]) == 2 * 3 * 2
    first = (tmp_path / "classifier.onnx").read_bytes()
    assert run("fit", "--force", *options, env={"OMP_NUM_THREADS": "1"}).code == 0
    assert (tmp_path / "classifier.onnx").read_bytes() == first


@pytest.mark.parametrize("command", [("duplicates",), ("suspects",), ("learning-curve", "--svm")])
def test_a_command_that_chooses_no_layer_says_whose_auto_is(command: Sequence[str], tmp_path: Path) -> None:
    run = CommandLine(tmp_path)
    layered_cache(tmp_path / "features.h5")
    refused = run(*command, "features.h5", "--layer", "auto")
    assert refused.code == 2
    assert "it has fc6, fc7 (only fit chooses by --layer auto: name one)" in refused.err
    assert run(*command, "features.h5", "--layer", "fc5").err.strip().endswith("(extract --layer adds one)")


def test_the_test_part_chooses_nothing() -> None:
    X, y = blobs([20, 20, 20], spread=3.0)
    options = FitOptions(normalize="auto", one_se=True, duplicates="exact")
    before = fit_classifier(X, y, ImageColumns(paths=names(60)), options=options)
    X = X.copy()
    X[before.test] = np.random.default_rng(1).normal(0, 100, X[before.test].shape)
    after = fit_classifier(X, y, ImageColumns(paths=names(60)), options=options)
    assert [each.to_json() for each in before.tuned] == [each.to_json() for each in after.tuned]
    assert np.array_equal(before.classifier.coef_, after.classifier.coef_)


def test_an_unknown_class_weight_is_refused() -> None:
    with pytest.raises(UsageError, match="class weight 'heavy'"):
        FitOptions(class_weight="heavy")  # type: ignore[arg-type]
