"""What fit and evaluate print holds every figure that the issue asks for, in columns that line up."""

from __future__ import annotations

import json
from unicodedata import east_asian_width

import numpy as np
import pytest

from fc7.classify.commands.texts.fit_text import fit_json, fit_report
from fc7.classify.commands.texts.metrics_text import evaluate_report, metrics_json
from fc7.classify.fit.fit import FitOptions, FitResult, fit_classifier
from fc7.classify.image_columns import ImageColumns
from fc7.classify.metrics.metrics import compute_metrics
from tests.support.classify.blobs import blobs, names


@pytest.fixture(scope="module")
def result() -> FitResult:
    X, y = blobs([20, 10, 30], spread=2.0)
    return fit_classifier(X, y, ImageColumns(paths=names(60)), options=FitOptions())


def test_a_fit_prints_counts_choice_figures_and_what_was_kept(result: FitResult) -> None:
    text = fit_report(result)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "class 0 20 14 6" in lines
    assert "all classes 60 42 18" in lines
    low, high = result.metrics.accuracy_interval
    right = result.metrics.n_correct
    assert f"accuracy {right / 18:.1%} ({right} of 18; 95% interval {low:.1%} to {high:.1%})" in lines
    assert f"mean class recall {result.metrics.mean_recall:.1%}" in lines
    assert f"C = {result.C:g}" in text
    assert "against" in text
    assert "fitted on the train set only" in text
    assert "confusion matrix, rows are the truth" in text


def test_refitting_on_everything_is_said() -> None:
    X, y = blobs([5, 5])
    text = fit_report(fit_classifier(X, y, options=FitOptions(head="svm", C=1.0, refit_all=True)))
    assert "fitted on every labelled image, the held-out ones too" in text


def test_notes_are_printed() -> None:
    X, y = blobs([5, 5, 1])
    text = fit_report(fit_classifier(X, [*y[:10], ""], options=FitOptions(head="svm", C=1.0)))
    assert "note: 1 of 11 images has no label and was left out" in text


def test_the_confusion_matrix_has_a_row_for_each_truth() -> None:
    P = np.eye(2)[[0, 1, 1]]
    text = evaluate_report(compute_metrics(["cat", "cat", "dog"], P, ["cat", "dog"]))
    rows = [line.split() for line in text.splitlines() if line.startswith("(")]
    assert rows == [["(1)", "cat", "1", "1"], ["(2)", "dog", "0", "1"]]


def test_many_classes_list_their_mistakes_instead_of_a_matrix() -> None:
    classes = [f"c{i:03}" for i in range(200)]
    truth = [*classes, "c003", "c003"]
    P = np.eye(200)[[*range(200), 7, 7]]
    text = evaluate_report(compute_metrics(truth, P, classes))
    assert "    2  c003 taken for c007" in text
    assert "confusion matrix, rows" not in text


def test_figures_that_are_undefined_are_dashes() -> None:
    text = evaluate_report(compute_metrics(["a"], np.array([[0.9, 0.1]]), ["a", "b"]))
    row = next(line.split() for line in text.splitlines() if line.startswith("b"))
    assert row == ["b", "-", "-", "-", "-", "0"]


def test_labels_the_classifier_does_not_know_are_named() -> None:
    text = evaluate_report(compute_metrics(["a", "zebra"], np.array([[0.9, 0.1]] * 2), ["a", "b"]))
    assert "counted as wrong and left out of log loss and Brier score" in text
    assert "which need their probability: zebra (1)" in text


def test_names_of_any_kind_stay_on_one_line_and_in_their_column() -> None:
    classes = ["a\nb\x1b[31m", "普通話", "x" * 60, "\udcff"]
    text = evaluate_report(compute_metrics(classes, np.eye(4), classes))
    assert "\x1b" not in text
    text.encode()  # no lone surrogate reaches the terminal
    table = text[text.index("\nclass ") :].splitlines()[1:6]
    widths = {sum(2 if east_asian_width(c) in "WF" else 1 for c in line) for line in table}
    assert len(widths) == 1


def test_programs_get_json(result: FitResult) -> None:
    found = json.loads(json.dumps(fit_json(result), allow_nan=False))
    assert found["accuracy"] == found["metrics"]["accuracy"] == result.metrics.accuracy
    assert (found["n_train"], found["n_test"], found["C"]) == (42, 18, result.C)
    assert metrics_json(result.metrics)["confusion"] == result.metrics.confusion.tolist()


def test_two_hundred_classes_stay_readable() -> None:
    names = [f"class number {i}" for i in range(200)]
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(200), 600)
    text = evaluate_report(compute_metrics([names[i % 200] for i in range(600)], P, names))
    assert len(text.splitlines()) < 60
    assert "and 180 classes with a better F1" in text
