"""classifier.onnx: the same numbers for ONNX Runtime, for our loader and for scikit-learn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import LinearSVC

from fc7.classify.classifier.artifact import load_classifier, save_classifier
from fc7.classify.fit.fit import fit_classifier
from fc7.classify.fit.result import FitOptions
from fc7.classify.image_columns import ImageColumns
from fc7.models.common.errors import ClassifierError, DataError, UsageError
from tests.support import ROOT
from tests.support.classify.blobs import IDENTITY, blobs, fitted, names

ODD_NAMES = ["<script>alert(1)</script>", "né\ncat,\"dog'", "🦊", " ", "普通話"]


def in_onnx_runtime(path: Path, X: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    wanted = [output.name for output in session.get_outputs()]
    return dict(zip(wanted, session.run(wanted, {"features": X}), strict=True))


@pytest.mark.parametrize("head", ["svm", "softmax"])
@pytest.mark.parametrize("normalize", ["l2", "standard", "none"])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_onnx_runtime_our_loader_and_the_fitted_object_agree(
    head: str, normalize: str, n_classes: int, tmp_path: Path
) -> None:
    classifier = fitted(head, normalize, n_classes, C=1.0)
    path = save_classifier(classifier, tmp_path / "classifier.onnx")
    loaded = load_classifier(path)
    X, _ = blobs([20] * n_classes, 30, seed=1)
    X[0] = 0
    found = in_onnx_runtime(path, X)
    np.testing.assert_array_equal(loaded.decision_function(X), classifier.decision_function(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    np.testing.assert_allclose(found["scores"], loaded.decision_function(X), rtol=2e-7, atol=1e-9)
    np.testing.assert_allclose(found["probabilities"], loaded.predict_proba(X), rtol=2e-7, atol=1e-9)
    assert [loaded.classes_[i] for i in found["label"]] == loaded.predict(X).tolist()
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(loaded.novelty_score(X), classifier.novelty_score(X))
    np.testing.assert_allclose(found["novelty"], loaded.novelty_score(X), rtol=1e-5)
    np.testing.assert_array_equal(found["novel"], found["novelty"] > 1)
    assert not found["rejected"].any()


@pytest.mark.parametrize("normalize", ["l2", "standard", "none"])
def test_the_file_rejects_what_the_object_rejects(normalize: str, tmp_path: Path) -> None:
    classifier = fitted("svm", normalize, 5, C=1.0, reject_below=0.6)
    path = save_classifier(classifier, tmp_path / "classifier.onnx")
    X, _ = blobs([40] * 5, 30, spread=3.0, seed=1)
    found = in_onnx_runtime(path, X)
    expected = load_classifier(path).rejected(found["probabilities"])
    assert 0 < expected.sum() < len(X)
    np.testing.assert_array_equal(found["rejected"], expected)
    np.testing.assert_array_equal(found["rejected"], found["probabilities"].max(axis=1) < np.float32(0.6))
    assert (found["label"] == found["scores"].argmax(axis=1)).all()


def test_without_a_reference_there_is_no_novelty(tmp_path: Path) -> None:
    classifier = replace(fitted(C=1.0), novelty=None)
    path = save_classifier(classifier, tmp_path / "classifier.onnx")
    X, _ = blobs([3] * 4, 30)
    assert set(in_onnx_runtime(path, X)) == {"scores", "probabilities", "label", "rejected"}
    assert np.isnan(load_classifier(path).novelty_score(X)).all()


@pytest.mark.parametrize("head", ["svm", "softmax"])
@pytest.mark.parametrize(("normalize", "scaler"), [("l2", Normalizer()), ("standard", StandardScaler())])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_the_file_gives_scikit_learns_own_decisions(
    head: str, normalize: str, scaler: Normalizer | StandardScaler, n_classes: int, tmp_path: Path
) -> None:
    X, y = blobs([12] * n_classes, 30, spread=2.0)
    options = FitOptions(head=head, C=1.0, normalize=normalize)  # type: ignore[arg-type]
    result = fit_classifier(X, y, ImageColumns(paths=names(len(y))), options=options)
    path = save_classifier(result.classifier, tmp_path / "classifier.onnx")
    inside = scaler.fit_transform(X[result.train]).astype(np.float32)
    estimator = (
        LinearSVC(C=1.0, dual=False, tol=1e-10, max_iter=100_000)
        if head == "svm"
        else LogisticRegression(max_iter=1000, tol=1e-7)
    ).fit(inside, y[result.train])
    new, _ = blobs([20] * n_classes, 30, seed=1)
    expected = estimator.decision_function(scaler.transform(new))
    found = in_onnx_runtime(path, new)["scores"]
    found = found[:, 1] if n_classes == 2 else found
    # The same optimum, found another way.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 if head == "svm" else 3e-3)


def test_everything_about_it_comes_back(tmp_path: Path) -> None:
    classifier = fitted()
    loaded = load_classifier(save_classifier(classifier, tmp_path / "c.onnx"))
    assert loaded.identity == IDENTITY
    for name in ("classes_", "head", "C", "scale", "metadata"):
        assert getattr(loaded, name) == getattr(classifier, name), name
    assert loaded.normalizer.kind == "l2"
    assert np.array_equal(loaded.coef_, classifier.coef_)


def test_class_names_of_any_kind_come_back(tmp_path: Path) -> None:
    X, y = blobs([6] * 5, 8)
    labels = [ODD_NAMES[int(label[-1])] for label in y]
    result = fit_classifier(X, labels, options=FitOptions(head="svm", C=1.0))
    loaded = load_classifier(save_classifier(result.classifier, tmp_path / "c.onnx"))
    assert loaded.classes_ == tuple(sorted(ODD_NAMES))
    assert set(loaded.predict(X)) <= set(ODD_NAMES)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (save_classifier(fitted(), tmp_path / f"{i}.onnx").read_bytes() for i in range(2))
    assert first == second


def test_the_file_is_valid_onnx_with_what_the_design_promises(tmp_path: Path) -> None:
    model = onnx.load(save_classifier(fitted(), tmp_path / "c.onnx"))
    onnx.checker.check_model(model, full_check=True)
    meta = {entry.key: entry.value for entry in model.metadata_props}
    assert (meta["format"], meta["format_version"]) == ("fc7-classifier", "2")
    assert (meta["network"], meta["layer"], meta["trained"]) == ("alexnet", "fc7", "false")
    made = json.loads(meta["made"])
    assert made["split"] == {"how": "stratified", "n_train": 32, "n_test": 16, "seed": 0, "test_size": 0.3}
    assert made["refit"] == "train"
    assert made["metrics"]["n"] == 16
    assert set(made["versions"]) == {"numpy", "scikit-learn"}


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_classifier(fitted(), tmp_path / "c.onnx")
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fc7.models.common.durable.os.fsync", full)
    with pytest.raises(ClassifierError, match=r"cannot be written \(No space left on device\)"):
        save_classifier(fitted("softmax"), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["c.onnx"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        save_classifier(fitted(), tmp_path / "missing" / "c.onnx")


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="no such file; make one with fc7 fit"):
        load_classifier(tmp_path / "c.onnx")


def test_features_of_another_length_or_without_numbers_are_refused() -> None:
    classifier = fitted()
    with pytest.raises(DataError, match=r"shape \(2, 7\) .* needs \(n, 30\): fc7 of alexnet"):
        classifier.predict(np.ones((2, 7)))
    X = np.ones((3, 30))
    X[1, 4] = np.nan
    with pytest.raises(DataError, match="1 feature rows give no finite score, row 1 first"):
        classifier.predict_proba(X)
    assert classifier.predict_proba(np.empty((0, 30))).shape == (0, 4)


def test_a_file_of_version_1_keeps_loading() -> None:
    # Written by the fc7 that introduced the format; never to be made anew.
    path = ROOT / "tests/data" / "classifier-v1.onnx"
    loaded = load_classifier(path)
    assert loaded.classes_ == ("kreis", "stern", "四角")
    assert (loaded.head, loaded.C, loaded.normalizer.kind) == ("svm", 1.0, "standard")
    X = np.array([[0, 1, 2], [3, 4, 5]], np.float32)
    np.testing.assert_allclose(loaded.decision_function(X), in_onnx_runtime(path, X)["scores"], atol=1e-5)


def test_a_file_of_version_2_keeps_loading() -> None:
    # Written by the fc7 that introduced rejection and novelty; never to be made anew.
    path = ROOT / "tests/data" / "classifier-v2.onnx"
    loaded = load_classifier(path)
    assert loaded.classes_ == ('a, "b"\n', "unknown", "四角")
    assert (loaded.head, loaded.C, loaded.normalizer.kind) == ("softmax", 10.0, "none")
    assert (loaded.reject_below, loaded.rejection_label) == (0.5, "rejected")
    X = np.array([[3, 0, 0, 0], [0, 0, 0, 2], [1, 1, 1, 0]], np.float32)
    found = in_onnx_runtime(path, X)
    # coef is the identity, the scale 2: softmax of (6, 0, 0), (0, 0, 0), (2, 2, 2).
    p = np.exp(6) / (np.exp(6) + 2)
    np.testing.assert_allclose(loaded.predict_proba(X)[:, 0], [p, 1 / 3, 1 / 3], rtol=1e-6)
    # Mean 0, axes along the first two features, limit 0.5: what is left of the unit rows is 0, 1 and 1/√3.
    np.testing.assert_allclose(loaded.novelty_score(X), [0, 2, 2 / np.sqrt(3)], atol=1e-7)
    for name, expected in (
        ("scores", loaded.decision_function(X)),
        ("probabilities", loaded.predict_proba(X)),
        ("novelty", loaded.novelty_score(X)),
    ):
        np.testing.assert_allclose(found[name], expected, atol=1e-6)
    assert found["rejected"].tolist() == [False, True, True]
    assert found["novel"].tolist() == [False, True, True]
