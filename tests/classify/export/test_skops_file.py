"""The classifier as a scikit-learn pipeline: skops reads it without trusting anything, answers are ours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsOneClassifier
from sklearn.svm import LinearSVC

from fc7.classify.classifier.artifact import save_classifier
from fc7.classify.export.skops_file import write_skops
from fc7.models.common.errors import UsageError
from tests.support import CommandLine
from tests.support.classify.blobs import IDENTITY, blobs, fitted

skops_io = pytest.importorskip("skops.io")
ESTIMATORS = {"svm": LinearSVC, "softmax": LogisticRegression, "svm-ovo": OneVsOneClassifier}


@pytest.mark.parametrize("head", ["svm", "softmax", "svm-ovo"])
@pytest.mark.parametrize("normalize", ["l2", "standard", "none"])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_it_decides_as_the_classifier_does(head: str, normalize: str, n_classes: int, tmp_path: Path) -> None:
    classifier = fitted(head, normalize, n_classes, C=1.0)
    lost = write_skops(classifier, tmp_path / "c.skops")
    assert skops_io.get_untrusted_types(file=tmp_path / "c.skops") == []
    pipeline = skops_io.load(tmp_path / "c.skops", trusted=[])
    X, _ = blobs([20] * n_classes, 30, seed=1)
    X[0] = 0
    wanted = classifier.decision_function(X)
    wanted = wanted[:, 1] if n_classes == 2 else wanted
    np.testing.assert_allclose(pipeline.decision_function(X), wanted, rtol=1e-5, atol=1e-5)
    assert pipeline.predict(X).tolist() == classifier.predict(X).tolist()
    assert pipeline.classes_.tolist() == list(classifier.classes_)
    assert pipeline.n_features_in_ == 30
    # The formula that is printed gives the probabilities that were lost.
    f = pipeline.decision_function(X.astype(np.float64))
    first = 1 - f if head == "svm-ovo" else -f
    f = np.stack([first, f], axis=1) if n_classes == 2 else f
    assert (("(1 - f, f)" if head == "svm-ovo" else "(-f, f)") in lost[0]) == (n_classes == 2)
    assert isinstance(pipeline[-1], ESTIMATORS[head])
    powers = np.exp(float(lost[0].split("softmax(")[1].split(" ")[0]) * f)
    np.testing.assert_allclose(
        powers / powers.sum(axis=1, keepdims=True), classifier.predict_proba(X), rtol=1e-4, atol=1e-6
    )


def test_what_a_pipeline_cannot_hold_is_said_and_kept_as_text(tmp_path: Path) -> None:
    classifier = replace(fitted("softmax"), reject_below=0.75)
    assert classifier.novelty is not None
    lost = " ".join(write_skops(classifier, tmp_path / "c.skops"))
    for word in ("calibrated", "predict_proba", "0.75", "novelty"):
        assert word in lost
    beside = json.loads(skops_io.load(tmp_path / "c.skops", trusted=[]).fc7_)
    assert (beside["network"], beside["fingerprint"]) == (IDENTITY.network, IDENTITY.fingerprint)
    assert (beside["scale"], beside["reject_below"]) == (classifier.scale, 0.75)
    assert beside["made"] == classifier.metadata


def test_without_skops_the_way_to_get_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skops.io", None)
    with pytest.raises(UsageError, match=r"pip install 'fc7\[skops\]'"):
        write_skops(fitted(), tmp_path / "c.skops")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_skops(fitted(), tmp_path / "no folder" / "c.skops")


def test_the_command_writes_it_without_the_network(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    save_classifier(fitted(), tmp_path / "classifier.onnx")
    ran = cli.good("export", "--format", "skops")
    assert "wrote classifier.skops" in ran.out
    assert "lost: the calibrated probabilities" in ran.out
    assert skops_io.load(tmp_path / "classifier.skops", trusted=[]).n_features_in_ == 30
