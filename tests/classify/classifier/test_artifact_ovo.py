"""classifier.onnx of one-vs-one: format version 3, its votes counted by any ONNX runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fc7.classify.classifier.artifact import load_classifier, save_classifier
from fc7.classify.fit.fit import fit_classifier
from fc7.classify.fit.result import FitOptions
from fc7.classify.image_columns import ImageColumns
from fc7.models.common.errors import ClassifierError
from tests.classify.classifier.test_artifact import in_onnx_runtime
from tests.classify.classifier.test_artifact_damage import edit
from tests.classify.fit.solvers.test_pairs import scikit_learns
from tests.support import ROOT
from tests.support.classify.blobs import blobs, fitted, names


@pytest.mark.parametrize("normalize", ["l2", "standard", "none"])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_onnx_runtime_our_loader_and_the_fitted_object_agree(
    normalize: str, n_classes: int, tmp_path: Path
) -> None:
    classifier = fitted("svm-ovo", normalize, n_classes, C=1.0, reject_below=0.6)
    path = save_classifier(classifier, tmp_path / "classifier.onnx")
    loaded = load_classifier(path)
    X, _ = blobs([20] * n_classes, 30, spread=3.0, seed=1)
    X[0] = 0
    found = in_onnx_runtime(path, X)
    np.testing.assert_array_equal(loaded.decision_function(X), classifier.decision_function(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    np.testing.assert_allclose(found["scores"], loaded.decision_function(X), rtol=2e-7, atol=1e-9)
    np.testing.assert_allclose(found["probabilities"], loaded.predict_proba(X), rtol=2e-7, atol=1e-9)
    assert [loaded.classes_[i] for i in found["label"]] == loaded.predict(X).tolist()
    np.testing.assert_array_equal(found["rejected"], loaded.rejected(found["probabilities"]))
    np.testing.assert_allclose(found["novelty"], loaded.novelty_score(X), rtol=1e-5)


def test_the_file_decides_as_scikit_learns_one_vs_one(tmp_path: Path) -> None:
    X, y = blobs([12] * 5, 30, spread=2.0)
    result = fit_classifier(
        X, y, ImageColumns(paths=names(len(y))), options=FitOptions(head="svm-ovo", C=1.0, normalize="none")
    )
    assert result.classifier.coef_.shape == (10, 30)
    path = save_classifier(result.classifier, tmp_path / "c.onnx")
    plain = scikit_learns(1.0).fit(X[result.train], y[result.train])
    new, _ = blobs([20] * 5, 30, spread=2.0, seed=1)
    np.testing.assert_allclose(in_onnx_runtime(path, new)["scores"], plain.decision_function(new), atol=1e-4)
    assert result.classifier.predict(new).tolist() == plain.predict(new).tolist()


def test_margins_of_zero_and_ties_are_settled_alike(tmp_path: Path) -> None:
    classifier = fitted("svm-ovo", "none", 4, C=1.0)
    rows = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (6, 30))
    tied = replace(classifier, coef_=np.sign(np.round(rows)), intercept_=np.zeros(6))
    X = np.eye(30, dtype=np.float32)
    X[0] = 0
    found = in_onnx_runtime(save_classifier(tied, tmp_path / "c.onnx"), X)
    np.testing.assert_array_equal(found["scores"], tied.decision_function(X))
    assert found["scores"][0].tolist() == [3, 2, 1, 0]
    assert found["label"].tolist() == tied.decision_function(X).argmax(axis=1).tolist()


def test_only_one_vs_one_needs_version_3(tmp_path: Path) -> None:
    versions = {}
    for head in ("svm", "softmax", "svm-ovo"):
        model = onnx.load(save_classifier(fitted(head, C=1.0), tmp_path / "c.onnx"))
        onnx.checker.check_model(model, full_check=True)
        versions[head] = next(e.value for e in model.metadata_props if e.key == "format_version")
    assert versions == {"svm": "2", "softmax": "2", "svm-ovo": "3"}


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (
        save_classifier(fitted("svm-ovo"), tmp_path / f"{i}.onnx").read_bytes() for i in range(2)
    )
    assert first == second


def test_everything_about_it_comes_back(tmp_path: Path) -> None:
    classifier = fitted("svm-ovo")
    loaded = load_classifier(save_classifier(classifier, tmp_path / "c.onnx"))
    for name in ("classes_", "head", "C", "scale", "metadata"):
        assert getattr(loaded, name) == getattr(classifier, name), name
    assert np.array_equal(loaded.coef_, classifier.coef_)


def test_counting_otherwise_is_refused(tmp_path: Path) -> None:
    def other_side(model: onnx.ModelProto) -> None:
        (side,) = [tensor for tensor in model.graph.initializer if tensor.name == "side"]
        side.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(side), "side"))

    def fewer_pairs(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name in ("coef", "intercept"):
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[:-1], tensor.name))

    def older(model: onnx.ModelProto) -> None:
        (version,) = [entry for entry in model.metadata_props if entry.key == "format_version"]
        version.value = "2"

    for change, reason in (
        (other_side, "side is 1.0 1.0 1.0 -1.0, as in no file of ours"),
        (fewer_pairs, "coef has shape"),
        (older, "head 'svm-ovo' in format version 2"),
    ):
        path = save_classifier(fitted("svm-ovo", C=1.0), tmp_path / "c.onnx")
        with pytest.raises(ClassifierError, match=reason):
            load_classifier(edit(path, change))


def test_a_file_of_version_3_keeps_loading() -> None:
    # Written by the fc7 that introduced one-vs-one; never to be made anew.
    path = ROOT / "tests/data" / "classifier-v3.onnx"
    loaded = load_classifier(path)
    assert loaded.classes_ == ("a", "b", "四角")
    assert (loaded.head, loaded.C, loaded.normalizer.kind) == ("svm-ovo", 10.0, "none")
    X = np.array([[1, 0, 0, 0], [0, 3, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]], np.float32)
    # Margins: a against b is -x0 + x1, a against 四角 -x0 + x2, b against 四角 -x1 + x2.
    rows: list[list[float]] = [
        [2 + 2 / 9, 1 - 1 / 6, -1 / 6],
        [1 - 3 / 12, 2 + 6 / 21, -3 / 12],
        [1 - 2 / 9, -2 / 9, 2 + 4 / 15],
        [2, 1, 0],
    ]
    expected = np.array(rows)
    np.testing.assert_allclose(loaded.decision_function(X), expected, atol=1e-6)
    found = in_onnx_runtime(path, X)
    np.testing.assert_allclose(found["scores"], expected, atol=1e-6)
    assert found["label"].tolist() == [0, 1, 2, 0]
    np.testing.assert_allclose(found["probabilities"], loaded.predict_proba(X), atol=1e-6)
    assert found["rejected"].tolist() == (found["probabilities"].max(axis=1) < 0.75).tolist()
