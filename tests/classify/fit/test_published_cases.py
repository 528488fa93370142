"""Splits, figures and heads against published and hand-computed cases, and against plain scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.svm import LinearSVC

from fc7.classify.classifier.artifact import load_classifier, save_classifier
from fc7.classify.fit.fit import fit_classifier
from fc7.classify.fit.result import FitOptions
from fc7.classify.image_columns import ImageColumns
from fc7.classify.metrics.metrics import compute_metrics, wilson_interval
from fc7.models.common.errors import ClassifierError, DataError


def blobs(
    per_class: list[int], dim: int = 20, spread: float = 1.0, seed: int = 0
) -> tuple[NDArray[np.float32], list[str]]:
    """Gaussian clouds around random means, one a class: features and labels."""
    rng = np.random.default_rng(seed)
    means = rng.normal(0, 1, (len(per_class), dim))
    X = np.concatenate(
        [mean + spread * rng.normal(size=(n, dim)) for mean, n in zip(means, per_class, strict=True)]
    )
    y = [f"class {i}" for i, n in enumerate(per_class) for _ in range(n)]
    return X.astype(np.float32), y


def fitted(per_class: list[int], **options: Any) -> Any:
    X, y = blobs(per_class, spread=0.5)
    return fit_classifier(X, y, options=FitOptions(head="svm", C=1.0, **options))


@pytest.mark.parametrize(
    ("per_class", "test_size", "train", "test"),
    [
        # MATLAB's documented examples of splitEachLabel, as design section 8 gives them.
        ([10] * 4, 0.3, 28, 12),
        ([15] * 5, 0.3, 55, 20),
        ([6, 2], 0.4, 5, 3),
        # Never an empty part: half up would leave nothing to test with.
        ([2, 2], 0.1, 2, 2),
        ([2, 2], 0.9, 2, 2),
    ],
)
def test_the_split_rounds_as_published(per_class: list[int], test_size: float, train: int, test: int) -> None:
    result = fitted(per_class, test_size=test_size)
    assert (len(result.train), len(result.test)) == (train, test)


@settings(max_examples=25, deadline=None)
@given(
    per_class=st.lists(st.integers(2, 12), min_size=2, max_size=5),
    test_size=st.floats(0.05, 0.95),
    seed=st.integers(0, 5),
)
def test_a_split_is_a_partition_with_every_class_on_both_sides(
    per_class: list[int], test_size: float, seed: int
) -> None:
    X, y = blobs(per_class)
    options = FitOptions(head="svm", C=1.0, test_size=test_size, seed=seed)
    result = fit_classifier(X, y, options=options)
    assert sorted([*result.train, *result.test]) == list(range(len(y)))
    labels = np.array(y)
    assert set(labels[result.train]) == set(labels[result.test]) == set(y)


def test_the_split_follows_content_and_not_position() -> None:
    X, y = blobs([20, 20])
    names = [f"{i:03}" for i in range(40)]
    order = np.random.default_rng(1).permutation(40)
    options = FitOptions(head="svm", C=1.0, seed=3)
    one = fit_classifier(X, y, ImageColumns(sha256=names), options=options)
    two = fit_classifier(
        X[order], [y[i] for i in order], ImageColumns(sha256=[names[i] for i in order]), options=options
    )
    assert {names[i] for i in one.test} == {names[order[i]] for i in two.test}


def test_copies_and_groups_never_straddle_the_split() -> None:
    X, y = blobs([24, 24])
    sha256 = [f"{i // 2}" for i in range(48)]
    groups = [f"g{i // 6}" for i in range(48)]
    for column, known in ((sha256, ImageColumns(sha256=sha256)), (groups, ImageColumns(groups=groups))):
        result = fit_classifier(X, y, known, options=FitOptions(head="svm", C=1.0))
        assert not {column[i] for i in result.train} & {column[i] for i in result.test}


def test_a_given_split_is_respected() -> None:
    X, y = blobs([10, 10])
    splits = ["train" if i % 2 else "test" for i in range(20)]
    result = fit_classifier(X, y, ImageColumns(splits=splits), options=FitOptions(head="svm", C=1.0))
    assert list(result.test) == list(range(0, 20, 2))


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(hits: int, n: int, low: float, high: float) -> None:
    assert list(wilson_interval(hits, n)) == pytest.approx([low, high], abs=5e-5)


def test_every_figure_of_a_small_case_by_hand() -> None:
    truth = ["a", "a", "a", "b", "b", "c"]
    P = np.array(
        [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6]]
    )
    found = compute_metrics(truth, P, ["a", "b", "c"])
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert found.recall.tolist() == pytest.approx([2 / 3, 1 / 2, 1])
    assert found.precision.tolist() == pytest.approx([2 / 3, 1 / 2, 1])
    assert found.f1.tolist() == pytest.approx([2 / 3, 1 / 2, 1])
    assert found.mean_recall == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found.support.tolist() == [3, 2, 1]
    wanted = -np.mean(np.log([0.6, 0.2, 0.8, 0.7, 0.4, 0.6]))
    assert found.log_loss == pytest.approx(wanted)


def test_a_label_the_classifier_does_not_know_is_wrong_and_named() -> None:
    found = compute_metrics(["a", "z"], np.array([[0.9, 0.1], [0.8, 0.2]]), ["a", "b"])
    assert found.accuracy == 0.5
    assert found.unknown == {"z": 1}


@pytest.mark.parametrize("per_class", [[30, 30], [20, 20, 20]], ids=["two", "three"])
@pytest.mark.parametrize("dim", [10, 200], ids=["tall", "wide"])
@pytest.mark.parametrize("kind", ["l2", "standard", "none"])
@pytest.mark.parametrize("head", ["svm", "softmax"])
def test_scores_equal_scikit_learns_own(head: Any, kind: Any, dim: int, per_class: list[int]) -> None:
    X, y = blobs(per_class, dim=dim, spread=1.5)
    result = fit_classifier(X, y, options=FitOptions(head=head, C=0.1, normalize=kind))
    train = result.train
    prepare = {
        "l2": lambda rows: normalize(rows),
        "standard": StandardScaler().fit(X[train].astype(float)).transform,
        "none": lambda rows: rows,
    }[kind]
    theirs: Any = (
        LinearSVC(C=0.1, dual=False, tol=1e-10, max_iter=100_000)
        if head == "svm"
        else LogisticRegression(C=0.1, tol=1e-10, max_iter=100_000)
    )
    theirs.fit(prepare(X[train].astype(float)), np.array(y)[train])
    wanted = theirs.decision_function(prepare(X.astype(float)))
    found = result.classifier.decision_function(X)
    if wanted.ndim == 1:
        np.testing.assert_allclose(found[:, 0], -found[:, 1], atol=1e-6)
        found = found[:, 1]
    if head == "softmax" and found.ndim == 2:
        # Multinomial scores are the same up to a shift a row.
        found, wanted = (s - s.mean(1, keepdims=True) for s in (found, wanted))
    scale = np.abs(wanted).max()
    assert np.abs(found - wanted).max() / scale < 5e-3


@pytest.mark.parametrize("kind", ["l2", "standard", "none"])
@pytest.mark.parametrize("head", ["svm", "softmax"])
def test_the_file_gives_the_same_numbers_in_onnx_runtime_and_through_our_loader(
    tmp_path: Path, head: Any, kind: Any
) -> None:
    X, y = blobs([20, 20, 20])
    result = fit_classifier(X, y, options=FitOptions(head=head, C=1.0, normalize=kind))
    path = tmp_path / "classifier.onnx"
    save_classifier(result.classifier, path)
    session = ort.InferenceSession(str(path))
    scores, probabilities, label = session.run(["scores", "probabilities", "label"], {"features": X})
    read = load_classifier(path)
    np.testing.assert_allclose(scores, result.classifier.decision_function(X), atol=1e-5)
    np.testing.assert_allclose(probabilities, read.predict_proba(X), atol=1e-5)
    assert [read.classes_[i] for i in label] == list(read.predict(X)) == list(result.classifier.predict(X))
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    before = path.read_bytes()
    again = fit_classifier(X, y, options=FitOptions(head=head, C=1.0, normalize=kind))
    save_classifier(again.classifier, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("head", ["svm", "softmax"])
def test_probabilities_of_overlapping_classes_are_calibrated(head: Any) -> None:
    X, y = blobs([400, 400, 400], dim=5, spread=1.2)
    result = fit_classifier(X, y, options=FitOptions(head=head))
    P = result.classifier.predict_proba(X[result.test])
    right = np.array(y)[result.test] == result.classifier.predict(X[result.test])
    assert 0.5 < right.mean() < 0.95
    # Guo et al. (2017): mean confidence is the accuracy where probabilities are honest.
    assert P.max(1).mean() == pytest.approx(right.mean(), abs=0.06)


def test_what_cannot_be_fitted_is_said() -> None:
    X, y = blobs([5, 5])
    cases: list[tuple[Any, Any, str]] = [
        (X, ["one"] * 10, "one"),
        (X, [*y[:9], "lonely"], "lonely"),
        (X, [None] * 10, "label"),
        (np.where(np.arange(20) == 3, np.nan, X), y, "NaN"),
    ]
    for rows, labels, said in cases:
        with pytest.raises(DataError, match=said):
            fit_classifier(rows, labels)


def test_unlabelled_rows_are_left_out_and_counted() -> None:
    X, y = blobs([6, 6])
    result = fit_classifier(X, [*y[:5], None, *y[6:]], options=FitOptions(head="svm", C=1.0))
    assert any("1 of 12" in note for note in result.notes)
    assert 5 not in [*result.train, *result.test]


def test_refitting_on_everything_leaves_the_figures_alone() -> None:
    X, y = blobs([20, 20], spread=2)
    apart = fit_classifier(X, y, options=FitOptions(head="svm", C=1.0))
    whole = fit_classifier(X, y, options=FitOptions(head="svm", C=1.0, refit_all=True))
    assert whole.metrics.accuracy == apart.metrics.accuracy
    assert not np.allclose(whole.classifier.coef_, apart.classifier.coef_)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    classifier = fitted([6, 6]).classifier
    path = tmp_path_factory.mktemp("saved") / "whole.onnx"
    save_classifier(classifier, path)
    return path, classifier


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_harmless(data: st.DataObject, saved: tuple[Path, Any]) -> None:
    path, classifier = saved
    content = bytearray(path.read_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    content[where] ^= data.draw(st.integers(1, 255))
    bad = path.with_name("bad.onnx")
    bad.write_bytes(bytes(content))
    try:
        read = load_classifier(bad)
    except ClassifierError:
        return
    # A byte that decides nothing, such as the name of the producer.
    np.testing.assert_array_equal(read.coef_, classifier.coef_)
    np.testing.assert_array_equal(read.intercept_, classifier.intercept_)
    assert (read.classes_, read.scale) == (classifier.classes_, classifier.scale)
    assert read.identity == classifier.identity
