"""Curves on data whose truth is known: units whole, the test set fixed, the verdict by its rule."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import normalize as unit_rows
from sklearn.svm import LinearSVC

from fc7.classify.commands.texts.summaries import learning_curve_report
from fc7.classify.data.split_groups import count_table
from fc7.classify.fit.learning_curve import CodedRows, LearningCurve, _draw, learning_curve
from fc7.classify.fit.result import FitOptions
from fc7.models.common.errors import UsageError
from tests.support import CommandLine, lines_of, read_json, write_pictures
from tests.support.classify.blobs import blobs


def curve(per_class: int, spread: float, n_test: int = 400, repeats: int = 5) -> LearningCurve:
    X, labels = blobs([per_class + n_test] * 4, 20, spread=spread)
    y = np.array([int(label[-1]) for label in labels], np.intp)
    train = np.arange(len(y)) % (per_class + n_test) < per_class
    n = int(train.sum())
    return learning_curve(
        CodedRows(X[train], y[train]),
        np.arange(n),
        CodedRows(X[~train], y[~train]),
        FitOptions(head="svm", C=1.0),
        repeats=repeats,
    )


def test_the_whole_training_part_gives_what_scikit_learn_gives() -> None:
    X, labels = blobs([40] * 3, 20, spread=2.0)
    y = np.array([int(label[-1]) for label in labels], np.intp)
    train = np.arange(120) % 2 == 0
    found = learning_curve(
        CodedRows(X[train], y[train]),
        np.arange(60),
        CodedRows(X[~train], y[~train]),
        FitOptions(head="svm", C=1.0),
        repeats=2,
    )
    estimator = LinearSVC(C=1.0, dual=True, random_state=0).fit(unit_rows(X[train]), y[train])
    assert found.points[-1].mean == pytest.approx(estimator.score(unit_rows(X[~train]), y[~train]))
    assert found.n_correct == round(found.points[-1].mean * 60)


def test_sizes_are_halved_down_to_one_or_two_images() -> None:
    found = curve(24, 2.0)
    assert [point.images_per_class for point in found.points] == [2, 3, 6, 12, 24]
    assert [len(point.accuracies) for point in found.points] == [5, 5, 5, 5, 1]


def test_hard_classes_with_few_images_want_more() -> None:
    found = curve(8, 4.0)
    assert found.more_would_help == "yes"
    text = learning_curve_report(found)
    assert text.startswith(f"accuracy  {found.points[-1].mean:.1%}  with the whole train set (")
    assert " of 1600 held-out images; 95% interval " in text
    assert found.verdict in text
    assert "more images would probably help" in found.verdict
    assert found.points[0].mean < found.points[-1].mean


def test_easy_classes_with_many_images_want_no_more() -> None:
    found = curve(200, 0.5)
    assert found.more_would_help == "no"
    assert "would bring less than 1%" in found.verdict


def test_a_small_test_part_cannot_tell() -> None:
    found = curve(16, 2.0, n_test=5)
    assert found.more_would_help == "unclear"


@pytest.mark.parametrize(
    ("gain", "error", "verdict"),
    [(0.02, 0.01, "yes"), (0.02, 0.02, "unclear"), (0.009, 0.001, "unclear"), (0.001, 0.001, "no")],
)
def test_the_rule_is_the_stated_one(gain: float, error: float, verdict: str) -> None:
    assert replace(curve(4, 1.0, n_test=4), gain=gain, gain_error=error).more_would_help == verdict


def test_the_error_of_the_gain_is_about_what_repeating_it_all_shows() -> None:
    gains, errors = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        y = np.repeat(np.arange(3), 60)
        X = (np.eye(3, 6)[y] * 2 + rng.normal(size=(180, 6)) + 3).astype(np.float32)
        train = np.arange(180) % 60 < 12
        found = learning_curve(
            CodedRows(X[train], y[train]),
            np.arange(36),
            CodedRows(X[~train], y[~train]),
            FitOptions(head="svm", C=1.0, normalize="standard"),
        )
        gains.append(found.gain)
        errors.append(found.gain_error)
    # Of the draws of one train set the error knows; that another one was possible adds to it.
    assert 0.5 < np.mean(errors) / np.std(gains) < 1.5


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=60),
    share=st.sampled_from([0.5, 0.25, 0.125]),
    seed=st.integers(0, 100),
)
def test_units_are_drawn_whole_and_no_class_is_absent(
    rows: list[tuple[int, int]], share: float, seed: int
) -> None:
    y = np.unique([c for c, _ in rows], return_inverse=True)[1]
    unit = np.unique([u for _, u in rows], return_inverse=True)[1]
    n_classes = int(y.max()) + 1
    drawn = _draw(count_table(y, unit, n_classes), unit, share, np.random.default_rng(seed))
    assert set(y[drawn]) == set(range(n_classes))
    assert set(unit[drawn]).isdisjoint(np.delete(unit, drawn))


def test_the_same_seed_draws_the_same_images() -> None:
    assert curve(10, 2.0).points == curve(10, 2.0).points


def test_one_image_per_class_has_no_curve() -> None:
    found = curve(1, 2.0)
    assert len(found.points) == 1
    assert "too few images per class" in found.verdict
    assert found.to_json()["more_would_help"] is None
    assert learning_curve_report(found)


def test_a_single_draw_shows_no_spread_and_is_refused() -> None:
    with pytest.raises(UsageError, match="--repeats 1 was found"):
        curve(4, 1.0, repeats=1)


def test_the_command_prints_the_curve_of_the_fit(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path).with_tiny_network()
    write_pictures(tmp_path / "imgs", 10)
    cli.good("extract", "imgs", "--network", "tiny")
    made = read_json(cli.good("fit", "--force", "--svm", "-C", "1", "--json").out)
    ran = cli.good("learning-curve", "--svm", "-C", "1", "--csv", "curve.csv", "--json")
    said = read_json(ran.out)
    assert said["points"][-1]["accuracy"] == made["metrics"]["accuracy"]
    assert said["points"][-1]["n_train"] == made["n_train"]
    lines = lines_of(tmp_path / "curve.csv")
    assert len(lines) == 5 * (len(said["points"]) - 1) + 1
    drawn = [float(line["accuracy"]) for line in lines if float(line["share"]) == 0.5]
    assert np.mean(drawn) == pytest.approx(said["points"][-2]["accuracy"])
    with (tmp_path / "curve.csv").open(newline="") as stream:
        assert next(csv.reader(stream)) == ["share", "n_train", "images_per_class", "draw", "accuracy"]


def test_the_command_takes_fits_options_and_splits_as_fit_does(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path).with_tiny_network()
    write_pictures(tmp_path / "imgs", 10)
    cli.good("extract", "imgs", "--network", "tiny")
    for options in (
        ("--ovo", "--exclude", "red", "--duplicates", "off", "--ordered", "--class-weight", "balanced"),
        ("--softmax", "--include", "red,green", "--per-class", "4", "--duplicates", "exact", "--one-se"),
    ):
        made = read_json(cli.good("fit", "--force", *options, "--json").out)
        said = read_json(cli.good("learning-curve", *options, "--json").out)
        assert (said["head"], said["C"]) == (made["head"], made["C"])
        assert said["points"][-1]["accuracy"] == made["accuracy"]
        assert (said["points"][-1]["n_train"], said["n_test"]) == (made["n_train"], made["n_test"])
    assert cli("learning-curve", "--softmax", "--ovo").code == 2
