"""Rows that stay in the cache: the same split, nearly the same classifier, and said so."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.svm import LinearSVC

from fc7.classify.classifier.artifact import load_classifier
from fc7.classify.classifier.classifier import Head
from fc7.classify.classifier.normalizer import Normalizer
from fc7.classify.commands.fit import parse_bytes
from fc7.classify.data.selection import draw_sample
from fc7.classify.fit.fit import FitOptions
from fc7.classify.fit.from_cache import CachedLayer, fit_cache
from fc7.classify.fit.solvers.sgd import Normalised, SgdFitter, shuffled
from fc7.extract.cache.reader import load_features
from fc7.extract.records import ImageRef, Rows
from fc7.models.common.errors import DataError, UsageError
from fc7.models.common.progress import Silent
from tests.support import CommandLine, read_json
from tests.support.classify.blobs import blobs
from tests.support.extract.cache_support import ORIGIN, identity, writer

N_FEATURES = 20


class Held:
    """Rows in memory as a source of blocks; counts how many were ever asked for at once."""

    def __init__(self, X: NDArray[np.float32], block: int = 8) -> None:
        self.X, self.block, self.most = X, block, 0

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        self.most = max(self.most, len(rows))
        return self.X[rows]


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 200), block=st.integers(1, 50), size=st.integers(1, 250), seed=st.integers(0, 99))
def test_an_epoch_has_every_row_once_with_its_own_features(n: int, block: int, size: int, seed: int) -> None:
    rows = np.flatnonzero(np.random.default_rng(seed).random(n) < 0.7)
    if not len(rows):
        return
    source = Held(np.arange(n, dtype=np.float32)[:, None], block)
    parts = list(shuffled(source, rows, size, np.random.default_rng(seed)))
    positions = np.concatenate([which for which, _ in parts])
    np.testing.assert_array_equal(np.sort(positions), np.arange(len(rows)))
    for which, X in parts:
        np.testing.assert_array_equal(X[:, 0], rows[which])
    assert source.most <= size


def test_the_rows_of_a_sorted_cache_come_mixed() -> None:
    source = Held(np.zeros((1000, 1), np.float32))
    rng = np.random.default_rng(0)
    first, second = ([w for w, _ in shuffled(source, np.arange(1000), 250, rng)] for _ in range(2))
    # Of four classes in order a quarter of the rows has about a quarter each.
    shares = np.bincount(first[0] // 250, minlength=4) / 250
    assert shares.min() > 0.1
    assert not np.array_equal(first[0], second[0])


@pytest.mark.parametrize("C", [0.1, 1.0])
def test_the_objective_is_that_of_the_hinge_at_the_same_c(C: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fc7.classify.fit.solvers.sgd._EPOCHS", 200)
    X, labels = blobs([60, 60], 10, spread=2.0)
    X[:, 0] += 0.1  # the cut at zero leaves some rows without anything
    y = np.unique(labels, return_inverse=True)[1]
    source = Normalised(Held(X), Normalizer("l2"))
    fitter = SgdFitter("svm", held=50, seed=0, progress=Silent())
    (head,) = fitter.fit(source, np.arange(120), y, np.ones((120, 1), bool), C, np.ones((1, 2)))
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)

    def objective(w: NDArray[np.float64], b: float) -> float:
        return float(0.5 * w @ w + C * np.maximum(0, 1 - (2 * y - 1) * (unit @ w + b)).sum())

    # A large intercept_scaling leaves the intercept as good as free, as it is here.
    best = LinearSVC(loss="hinge", C=C, intercept_scaling=30, max_iter=1_000_000, tol=1e-6).fit(unit, y)
    wanted = objective(best.coef_[0], best.intercept_[0])
    assert objective(head.coef[1], head.intercept[1]) < 1.03 * wanted
    assert objective(0 * head.coef[1], 0.0) > 1.1 * wanted
    np.testing.assert_array_equal(head.coef[0], -head.coef[1])


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=5), size=st.integers(1, 200))
def test_a_sample_has_the_same_share_of_each_class(counts: list[int], size: int) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    unit = np.random.default_rng(0).permutation(len(y))
    sample = draw_sample(y, unit, size)
    assert len(np.unique(sample)) == len(sample)
    for c, n in enumerate(counts):
        share = n if size >= len(y) else max(min(2, n), n * size // len(y))
        chosen = sample[y[sample] == c]
        assert len(chosen) == share
        assert set(unit[chosen]) == set(np.sort(unit[y == c])[:share])


def test_a_standardisation_learned_in_parts_is_the_same() -> None:
    X = np.random.default_rng(0).normal(5, 3, (90, 4)).astype(np.float32)
    whole = Normalizer.learn("standard", X)
    parts = Normalizer.learn_in_parts("standard", lambda: (X[i : i + 7] for i in range(0, 90, 7)))
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)  # type: ignore[arg-type]
    np.testing.assert_allclose(parts.std, whole.std, rtol=1e-12)  # type: ignore[arg-type]


def cache_of(path: Path, per_class: list[int], *, spoiled: int | None = None, unlabelled: int = 0) -> Path:
    X, y = blobs(per_class, N_FEATURES, spread=2.5)
    if spoiled is not None:
        X[spoiled] = np.nan
    listed = [
        ImageRef(f"{y[i]}/{i:05}.jpg", str(y[i]) if i >= unlabelled else None, None, None, i, i, ORIGIN, i)
        for i in range(len(y))
    ]
    digests = [hashlib.sha256(ref.path.encode()).hexdigest() for ref in listed]
    # The first two are copies.
    digests[unlabelled + 1] = digests[unlabelled]
    with writer(path, identity=identity(("fc7",), dims={"fc7": N_FEATURES})) as cache:
        cache.write_segment(Rows(listed, digests, {"fc7": X}))
        cache.commit(listed, (), roots=["imgs"])
    return path


@pytest.mark.parametrize("head", ["svm", "softmax"])
def test_the_split_is_the_same_and_the_accuracy_nearly(head: Head, tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "features.h5", [90, 90, 90], unlabelled=3)
    options = FitOptions(head=head, duplicates="exact", reject_precision=0.9)
    exact = fit_cache(cache, tmp_path / "exact.onnx", options)
    parts = fit_cache(
        CachedLayer(cache, memory=20_000), tmp_path / "parts.onnx", options, split_csv=tmp_path / "split.csv"
    )
    np.testing.assert_array_equal(parts.train, exact.train)
    np.testing.assert_array_equal(parts.test, exact.test)
    np.testing.assert_array_equal(parts.parts, exact.parts)
    assert abs(parts.metrics.accuracy - exact.metrics.accuracy) < 0.06
    assert parts.metrics.log_loss < exact.metrics.log_loss + 0.1
    assert parts.solver.iterations == -(-5_000 // len(parts.train))
    assert "SGD" in parts.solver.name
    assert any("have no label" in note for note in parts.notes)
    assert parts.rejection is not None
    assert parts.rejection.n_accepted > 0
    assert parts.novelty is not None
    # What was written answers so, on rows that never were in memory together.
    X = load_features(cache).X[parts.test]
    written = load_classifier(tmp_path / "parts.onnx")
    assert (
        written.predict_proba(X).argmax(axis=1) == exact.classifier.predict_proba(X).argmax(axis=1)
    ).mean() > 0.9
    assert (tmp_path / "split.csv").read_text(encoding="utf-8").count(",train") == len(parts.train)


def test_the_command_says_so_and_repeats_itself_byte_for_byte(tmp_path: Path) -> None:
    run = CommandLine(tmp_path)
    cache_of(tmp_path / "features.h5", [40, 60, 50])
    few = ("--memory", "5kB", "--normalize", "standard", "--class-weight", "balanced", "--refit-all")
    first = run("fit", "--svm", "-C", "1", *few, "-o", "a.onnx", "-v")
    assert first.code == 0, first.text
    assert "solver: SGD, hinge (SGDClassifier, out of core), " in first.out
    assert "were chosen on" in first.out
    again = run("fit", "--svm", "-C", "1", *few, "-o", "b.onnx", "--json")
    assert read_json(again.out)["solver"]["name"] == "SGD, hinge (SGDClassifier, out of core)"
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_row_that_is_no_number_is_named(tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "features.h5", [30, 30], spoiled=40)
    with pytest.raises(DataError, match=r"class 1/00040\.jpg"):
        fit_cache(CachedLayer(cache, memory=1000), tmp_path / "c.onnx", FitOptions(head="svm", C=1.0))


def test_neither_all_layers_nor_pairs_can_be_tried(tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "features.h5", [30, 30])
    with pytest.raises(UsageError, match="name the layer"):
        fit_cache(CachedLayer(cache, "auto", 1000), tmp_path / "c.onnx", FitOptions(head="svm"))
    with pytest.raises(UsageError, match="without --ovo"):
        fit_cache(CachedLayer(cache, memory=1000), tmp_path / "c.onnx", FitOptions(head="svm-ovo"))


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("1.5 gb", 1_500_000_000), ("0B", 0), ("7kB", 7000)]
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["4", "-1GB", "GB", "4GiB", "1e3MB", ""])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give a size"):
        parse_bytes(text)
