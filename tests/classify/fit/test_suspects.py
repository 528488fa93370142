"""Labels that may be wrong: planted flips and copies that disagree come out on top."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression

from fc7.classify.classifier.calibration import fit_scale, softmax
from fc7.classify.data.folds import make_folds
from fc7.classify.data.rows import Table, make_table
from fc7.classify.data.split_groups import make_groups, row_keys
from fc7.classify.fit.from_cache import fit_cache
from fc7.classify.fit.learning_curve_from_cache import learning_curve_of_cache
from fc7.classify.fit.out_of_fold import OutOfFold, out_of_fold
from fc7.classify.fit.result import FitOptions
from fc7.classify.fit.suspects import PRIOR, Suspect, find_suspects
from fc7.classify.fit.suspects_from_cache import cache_suspects
from fc7.classify.fit.training import CLASS_WEIGHTS, ClassWeight
from fc7.classify.image_columns import ImageColumns
from fc7.classify.report.gather import gather
from fc7.extract.records import Rows
from fc7.models.common.errors import DataError, UsageError
from tests.support import CommandLine, coloured_picture, lines_of, read_json, write_pictures
from tests.support.classify.blobs import blobs, names
from tests.support.extract.cache_support import identity, refs, sha, writer


def table_of(X: NDArray[np.float32], y: NDArray[np.str_], sha256: list[str] | None = None) -> Table:
    return make_table(X, y, ImageColumns(paths=names(len(y)), sha256=sha256, groups=None, splits=None))


def listed(table: Table, held_out: OutOfFold) -> tuple[Suspect, ...]:
    return find_suspects(table, held_out).listed(every=True)


def test_planted_flips_are_the_first_suspects() -> None:
    X, y = blobs([40] * 4, 30, spread=0.5)
    flipped = np.random.default_rng(1).choice(len(y), 8, replace=False)
    y[flipped] = [f"class {(int(label[-1]) + 1) % 4}" for label in y[flipped]]
    table = table_of(X, y)
    found = listed(table, out_of_fold(table, FitOptions(C=10.0)))
    assert {suspect.row for suspect in found[:8]} == set(flipped.tolist())
    for suspect in found[:8]:
        assert suspect.suggested == f"class {suspect.row // 40}"
        assert suspect.path == names(len(y))[suspect.row]
        assert suspect.confidence < suspect.suggested_confidence


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_probabilities_are_those_of_heads_that_have_not_seen_the_row(class_weight: ClassWeight) -> None:
    X, y = blobs([15, 20, 12], 25, spread=2.0)
    table = table_of(X, y)
    found = out_of_fold(table, FitOptions(C=3.0, class_weight=class_weight))
    rows = X / np.linalg.norm(X, axis=1, keepdims=True)
    fold = make_folds(found.y, make_groups(*row_keys(None, None, names(len(y))), 0), 3)
    scores = np.empty((len(y), 3))
    for f in range(5):
        weight = None if class_weight == "none" else class_weight
        head = LogisticRegression(C=3.0, max_iter=5000, tol=1e-8, class_weight=weight)
        head.fit(rows[fold != f], found.y[fold != f])
        scores[fold == f] = head.decision_function(rows[fold == f])
    expected = softmax(scores * fit_scale(scores, found.y))
    # Folds only rank: their solver stops early (`classify.fit.cross_validate`).
    np.testing.assert_allclose(found.probabilities, expected, atol=0.02)
    assert found.known.all()
    own = expected[np.arange(len(y)), found.y]
    others = expected.copy()
    others[np.arange(len(y)), found.y] = 0
    ahead = others.max(axis=1) - own
    suspects = find_suspects(table, found)
    contradicted = [suspect.row for suspect in suspects.listed(every=True)]
    assert set(np.flatnonzero(ahead > 0.04)) <= set(contradicted) <= set(np.flatnonzero(ahead > -0.04))
    for some in (suspects.named, suspects.others):
        assert np.all(np.diff(own[[suspect.row for suspect in some]]) > -0.04)
    assert suspects.accuracy == pytest.approx(np.mean(ahead <= 0), abs=0.05)


def test_copies_with_different_labels_come_first_and_the_majority_is_right() -> None:
    X, y = blobs([20, 20], 10, spread=0.3)
    content = [f"{i:064x}" for i in range(40)]
    X[[1, 2, 3]] = X[1]  # three copies in class 0, one of them now labelled class 1
    content[2] = content[3] = content[1]
    y[3] = "class 1"
    y[30] = "class 0"  # a flip without a copy
    table = table_of(X, y, content)
    found = listed(table, out_of_fold(table, FitOptions(C=10.0)))
    assert [suspect.row for suspect in found[:2]] == [3, 30]
    assert found[0].suggested == "class 0"
    assert found[0].twin in (names(40)[1], names(40)[2])
    assert found[1].twin == ""
    assert not {1, 2} & {suspect.row for suspect in found}


@given(st.integers(0, 1))
@settings(max_examples=2, deadline=None)
def test_of_two_copies_the_less_probable_label_is_the_suspect(right: int) -> None:
    X, y = blobs([20, 20], 10, spread=0.3)
    a, b = (0, 20) if right == 0 else (20, 0)
    X[b] = X[a]
    content = [f"{i:064x}" for i in range(40)]
    content[b] = content[a]
    table = table_of(X, y, content)
    found = listed(table, out_of_fold(table, FitOptions(C=10.0)))
    assert found[0].row == b
    assert found[0].suggested == f"class {right}"
    assert found[0].twin == names(40)[a]


def test_the_only_image_of_a_class_is_not_classified() -> None:
    X, y = blobs([12, 12, 1], 10, spread=0.5)
    table = table_of(X, y)
    held_out = out_of_fold(table, FitOptions(C=10.0))
    assert held_out.known.tolist() == [True] * 24 + [False]
    assert 24 not in {suspect.row for suspect in listed(table, held_out)}


def test_copies_nobody_can_classify_are_settled_by_votes_or_the_first_class() -> None:
    X, y = blobs([3, 1], 4)
    table = table_of(X, np.array(["a", "a", "b", "c"]), ["1", "1", "1", "2"])
    held_out = OutOfFold(("a", "b", "c"), np.array([0, 0, 1, 2]), np.full((4, 3), np.nan), 1.0)
    (found,) = listed(table, held_out)
    assert (found.row, found.suggested, found.twin) == (2, "a", names(4)[0])
    assert np.isnan(found.confidence)
    assert len(y) == 4


def test_named_are_labels_improbable_by_bayes_and_for_their_class() -> None:
    """Class a is learned well (mean 0.89), class b badly (0.044); the odds are worked out by hand."""
    own = {"a": [0.99] * 9 + [0.004], "b": [0.06] * 4 + [0.004, 0.02]}
    labels = [label for label, values in own.items() for _ in values] + ["c", "d", "e"]
    classes = ("a", "b", "c", "d", "e")
    y = np.array([classes.index(label) for label in labels])
    p = np.full((len(y), 5), np.nan)
    p[:16] = 0
    p[np.arange(16), y[:16]] = [value for values in own.values() for value in values]
    p[:16, 2] = 1 - p[np.arange(16), y[:16]]
    table = table_of(np.zeros((len(y), 2), np.float32), np.array(labels), [f"{i}" for i in range(len(y))])
    found = find_suspects(table, OutOfFold(classes, y, p, 1.0))
    # Bayes: 0.05 / 4 * 0.996 / (0.05 / 4 * 0.996 + 0.95 * 0.004) = 0.766, for 0.02: 0.392, for 0.06: 0.171.
    # A fifth of b's mean, (4 * 0.06 + 0.004 + 0.02) / 6 = 0.044, is 0.0088, below 0.06 and 0.02.
    assert [(s.row, s.label, round(s.p_wrong, 3)) for s in found.named] == [(9, "a", 0.766), (14, "b", 0.766)]
    assert [(s.row, round(s.p_wrong, 3)) for s in found.others] == [
        *[(15, 0.392)],
        *[(row, 0.171) for row in (10, 11, 12, 13)],
    ]
    assert found.expected_wrong == pytest.approx(2 * 0.7662, abs=1e-3)
    assert (found.labelled, found.n_unknown, found.accuracy) == (19, 3, 9 / 16)
    assert found.is_weak  # right on 56 %
    assert PRIOR == 0.05


def test_a_strong_classifier_without_wrong_labels_names_none() -> None:
    X, y = blobs([30] * 3, 20, spread=0.2)
    table = table_of(X, y)
    found = find_suspects(table, out_of_fold(table, FitOptions(C=10.0)))
    assert (found.named, found.expected_wrong, found.is_weak) == ((), 0, False)


def test_one_class_or_single_images_are_refused_with_what_is_needed() -> None:
    X, _ = blobs([4], 5)
    for labels in (["a"] * 4, ["a", "b", "c", "d"], ["a", "a", "b", "c"]):
        with pytest.raises(DataError, match="two classes of two"):
            out_of_fold(table_of(X, np.array(labels)))


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("suspects")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=8)
    Image.fromarray(coloured_picture("red", 77)).save(here.folder / "imgs/green/=evil,\"'.png")
    here.good("extract", "imgs", "--network", "tiny")
    return here


def test_the_command_lists_them_as_text_json_and_csv(cli: CommandLine) -> None:
    ran = cli.good("suspects", "--top", "3", "--csv", "wrong.csv")
    first = ran.out.splitlines()[0]
    assert "green/=evil,\"'.png: green, suggested red" in first
    assert "wrote wrong.csv" in ran.err
    assert lines_of(cli.folder / "wrong.csv")[0]["path"] == "green/=evil,\"'.png"
    with (cli.folder / "wrong.csv").open(newline="", encoding="utf-8") as stream:
        header = next(csv.reader(stream))
    assert header[:4] == ["path", "sha256", "label", "suggested"]
    assert header[4:] == ["confidence", "suggested_confidence", "copy", "p_wrong"]
    found = read_json(cli.good("suspects", "features.h5", "--json", "-C", "10").out)
    assert (found["labelled"], found["unclassified"], found["C"]) == (25, 0, 10)
    best = found["suspects"][0]
    assert (best["path"], best["label"], best["suggested"]) == ("green/=evil,\"'.png", "green", "red")
    assert best["confidence"] < best["suggested_confidence"] <= 1


def test_classes_can_be_chosen_and_copies_told_as_in_fit(cli: CommandLine) -> None:
    both = read_json(cli.good("suspects", "--include", "red,blue", "--json").out)
    assert both["labelled"] == 16
    cache = cli.folder / "features.h5"
    assert cache_suspects(cache, FitOptions(exclude=("green",))).labelled == 16
    with pytest.raises(UsageError, match="--exclude greem: no labelled image is of that class"):
        cache_suspects(cache, FitOptions(exclude=("greem",)))
    with pytest.raises(UsageError, match="--duplicates 2 was found"):
        cache_suspects(cache, FitOptions(duplicates="2"))


def uneven_cache(path: Path) -> Path:
    """Two classes of 60 and 12 rows that overlap, and a few wrong labels."""
    rng = np.random.default_rng(0)
    labels = ["cat"] * 60 + ["dog"] * 12
    images = {f"{label}/{i:03}.jpg": f"{label}{i}" for i, label in enumerate(labels)}
    listed = [replace(ref, label=ref.path.split("/")[0]) for ref in refs(images)]
    middle = np.array([[4.0 if ref.label == "dog" else 2.0, 3.0, 1.0] for ref in listed])
    rows = (middle + rng.normal(size=(len(listed), 3))).astype(np.float32)
    with writer(path, ("fc7",), identity=identity(("fc7",))) as cache:
        cache.write_segment(Rows(listed, [sha(images[ref.path]) for ref in listed], {"fc7": rows}))
        cache.commit(listed, (), roots=["imgs"])
    return path


def test_without_duplicates_not_even_copies_are_tied(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
    rows[1] = rows[0]
    images = {f"{'ab'[i % 2]}/{i:02}.jpg": "same" if i < 2 else f"{i}" for i in range(24)}
    listed = [replace(ref, label=ref.path[0]) for ref in refs(images)]
    order = [int(ref.path[2:4]) for ref in listed]
    with writer(tmp_path / "f.h5", ("fc7",), identity=identity(("fc7",))) as cache:
        block = Rows(listed, [sha(images[ref.path]) for ref in listed], {"fc7": rows[order]})
        cache.write_segment(block)
        cache.commit(listed, (), roots=["imgs"])
    twins = {
        how: [
            s.path
            for s in cache_suspects(tmp_path / "f.h5", FitOptions(C=1.0, duplicates=how)).named
            if s.twin
        ]
        for how in ("auto", "exact", "off")
    }
    assert len(twins["auto"]) == len(twins["exact"]) == 1
    assert twins["off"] == []


def test_a_report_names_the_suspects_of_the_command_whatever_its_classifier(tmp_path: Path) -> None:
    n_correct = {}
    cache = uneven_cache(tmp_path / "features.h5")
    for weight in CLASS_WEIGHTS:
        options = FitOptions(head="softmax", C=10.0, class_weight=weight)
        fitted = fit_cache(cache, tmp_path / "c.onnx", options)
        data = gather(cache, tmp_path / "c.onnx")
        assert data.suspects == cache_suspects(cache)
        assert data.learning is not None
        assert data.learning.n_correct == fitted.metrics.n_correct
        curve = learning_curve_of_cache(cache, options)
        assert data.learning.points[-1] == curve.points[-1]
        n_correct[weight] = curve.n_correct
    assert n_correct["none"] != n_correct["balanced"]


def test_wrong_calls_say_what_is_needed(cli: CommandLine) -> None:
    assert cli("suspects", "none.h5").code == 2
    assert cli("suspects", "-C", "-1").code == 2
    assert cli("suspects", "--layer", "fc9").code == 2
    folder = Path("no such folder")
    assert cli("suspects", "--csv", folder / "x.csv").code == 2
