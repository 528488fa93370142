"""Normalisation against scikit-learn's own, zero rows and constant features included."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from sklearn.preprocessing import StandardScaler, normalize

from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.fit.fit import FitOptions, fit_classifier
from fc7.classify.image_columns import ImageColumns
from tests.support import CommandLine, read_json, tiny_network, write_pictures
from tests.support.classify.blobs import blobs, names


@pytest.fixture(name="X")
def rows_with_odd_ones() -> np.ndarray:
    rows = np.maximum(np.random.default_rng(0).normal(1, 3, (50, 8)), 0).astype(np.float32)
    rows[:, 5] = 7.3
    rows[3] = 0
    return rows


def test_l2_gives_rows_of_unit_length_and_leaves_zero_rows_zero(X: np.ndarray) -> None:
    found = Normalizer.learn("l2", X).apply(X)
    np.testing.assert_allclose(found, normalize(X), rtol=1e-6)
    assert not found[3].any()
    assert found.dtype == np.float32


def test_standard_is_scikit_learns_and_a_constant_feature_becomes_zero(X: np.ndarray) -> None:
    X[:, 5] = 7.3
    found = Normalizer.learn("standard", X).apply(X)
    expected = StandardScaler().fit_transform(X.astype(np.float64))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(found[:, 5]).max() < 1e-6


def test_standard_uses_what_it_learned_on_other_rows(X: np.ndarray) -> None:
    learned = Normalizer.learn("standard", X[:40])
    expected = StandardScaler().fit(X[:40].astype(np.float64)).transform(X[40:].astype(np.float64))
    np.testing.assert_allclose(learned.apply(X[40:]), expected, atol=2e-6)


def test_standard_survives_features_far_from_zero() -> None:
    X = np.random.default_rng(1).normal(10_000, 1, (5000, 3)).astype(np.float32)
    found = Normalizer.learn("standard", X).apply(X)
    np.testing.assert_allclose(found.std(axis=0), 1, rtol=1e-3)


def test_none_changes_nothing(X: np.ndarray) -> None:
    assert Normalizer.learn("none", X).apply(X) is X


@pytest.mark.parametrize("kind", ["l2", "standard", "none"])
def test_the_rows_given_are_not_changed(kind: str, X: np.ndarray) -> None:
    before = X.copy()
    Normalizer.learn(kind, X).apply(X)  # type: ignore[arg-type]
    assert np.array_equal(X, before)


@pytest.mark.parametrize("size", [1e-37, 1e-30, 1e-19, 1e19, 1e30, 1e37])
def test_rows_of_any_size_have_unit_length(size: float) -> None:
    X = (np.random.default_rng(2).normal(0, size, (50, 300))).astype(np.float32)
    X[7] = 0
    exact = X.astype(np.float64)
    length = np.sqrt(np.square(exact).sum(axis=1, keepdims=True))
    expected = np.divide(exact, length, out=np.zeros_like(exact), where=length > 0)
    with np.errstate(all="raise", under="ignore"):
        found = Normalizer.learn("l2", X).apply(X)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
        assert Normalizer("l2").apply(X, out=X) is X
    assert np.array_equal(X, found)


# Exact in float32, and near 1e30.
HUGE = np.float32(2.0**100)


def test_what_is_learned_from_huge_features_is_what_is_learned_from_small_ones() -> None:
    X, y = blobs([20] * 4, spread=2.0)
    X[7] = X[3]
    for head in ("svm", "softmax"):
        small, huge = (
            fit_classifier(rows, y, ImageColumns(paths=names(len(y))), options=FitOptions(head=head))
            for rows in (X, X * HUGE)
        )
        assert small.metrics.accuracy > 0.5
        np.testing.assert_allclose(
            huge.classifier.predict_proba(X * HUGE), small.classifier.predict_proba(X), atol=1e-4
        )
        np.testing.assert_allclose(
            huge.classifier.novelty_score(X * HUGE), small.classifier.novelty_score(X), rtol=1e-3
        )
        assert huge.duplicates is not None
        assert small.duplicates is not None
        assert huge.duplicates.groups == small.duplicates.groups != []


def test_a_network_of_huge_features_is_fitted_and_evaluated_from_the_command_line(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    network = onnx.load(tiny_network(tmp_path / "huge.onnx"))
    for tensor in network.graph.initializer:
        if tensor.name in ("w2", "b2"):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * HUGE, tensor.name))
    onnx.save(network, str(tmp_path / "huge.onnx"))
    preset = ("--preprocess", "caffe", "--layer", "embedding")
    cli.good("models", "import", tmp_path / "huge.onnx", "--as", "huge", *preset)
    write_pictures(tmp_path / "imgs")
    cli.good("extract", "imgs", "--network", "huge")
    with h5py.File(tmp_path / "features.h5") as file:
        assert file["features/embedding"][:].max() > 1e29
    fitted = cli.good("fit", "--force", "--svm", "--json")
    assert "RuntimeWarning" not in fitted.err
    assert read_json(fitted.out)["accuracy"] > 0.9
    assert read_json(cli.good("evaluate", "features.h5", "--json").out)["accuracy"] > 0.9
