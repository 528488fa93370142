"""Near-duplicates: planted copies are found, different images are not tied, chains do not swallow a class."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.classify.commands.texts.fit_text import fit_report
from fc7.classify.data.leakage import Leakage
from fc7.classify.duplicates import distances
from fc7.classify.duplicates.distances import FeatureDistances
from fc7.classify.duplicates.find import Duplicates, find_duplicates
from fc7.classify.duplicates.thresholds import FALSE_SHARE, calibrate
from fc7.classify.fit.fit import FitOptions, fit_classifier
from fc7.classify.image_columns import ImageColumns
from fc7.classify.metrics.intervals import Proportion
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Silent
from tests.support.classify.blobs import blobs, names


def features(per_class: list[int], n_features: int = 600, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Classes whose images lie apart, as of photographs, on a common large mean, as after a ReLU."""
    X, y = blobs(per_class, n_features, spread=1.0, seed=seed)
    return X + 5, y.tolist()


def copies(X: np.ndarray, rows: list[int], change: float, seed: int = 1) -> np.ndarray:
    """The rows with noise of `change` times their distance to the mean."""
    rng = np.random.default_rng(seed)
    centred = X[rows] - X.mean(axis=0)
    noise = rng.normal(size=centred.shape)
    noise *= (
        change * np.linalg.norm(centred, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    )
    return np.concatenate([X, (X[rows] + noise).astype(np.float32)])


def find(X: np.ndarray, y: list[str], **options: object) -> Duplicates:
    return find_duplicates(X.astype(np.float32), np.arange(len(y)), y, **options)  # type: ignore[arg-type]


def cosine_distances(X: np.ndarray) -> np.ndarray:
    """Of centred rows, by the textbook, in float64."""
    Z = X.astype(np.float64) - X.astype(np.float64).mean(axis=0)
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    distances: np.ndarray = 1 - Z @ Z.T
    return distances


@pytest.mark.parametrize("n_features", [30, 600, 2000])
@pytest.mark.parametrize(("block", "many"), [(7, 5000), (4096, 5000), (16, 0)])
def test_pairs_within_a_distance_are_all_of_them_and_no_others(
    n_features: int, block: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distances, "_BLOCK", block)
    monkeypatch.setattr(distances, "_MANY", many)
    X, _ = features([20, 20], n_features)
    X = copies(X, list(range(0, 40, 3)), 0.3)
    D = cosine_distances(X)
    near = FeatureDistances(X, np.arange(len(X)))
    for most in (0.02, 0.1, 0.4):
        i, j, distance = near.pairs_within(most, Silent())
        expected = {(a, b) for a, b in combinations(range(len(X)), 2) if D[a, b] <= most}
        assert set(zip(i.tolist(), j.tolist(), strict=True)) == expected
        np.testing.assert_allclose(distance, D[i, j], atol=1e-5)


def test_distances_from_some_rows_are_those_to_all() -> None:
    X, _ = features([15, 15], 100)
    ((block, distance),) = FeatureDistances(X, np.arange(30)).from_some(np.array([2, 17]))
    assert block.tolist() == [2, 17]
    np.testing.assert_allclose(distance, cosine_distances(X)[[2, 17]], atol=1e-5)


@pytest.mark.parametrize("per_class", [[40] * 5, [10] * 20, [4, 4], [100, 3], [2] * 60])
def test_planted_copies_are_found_and_almost_nothing_else(per_class: list[int]) -> None:
    X, y = features(per_class)
    n = len(y)
    # Two of five images for a cache of eight; else one in ten, a third of them under another label.
    chosen = np.random.default_rng(3).choice(n, max(2, n // 10), replace=False).tolist()
    X = copies(X, chosen, 0.2)
    wrong = [k % 3 == 0 for k in range(len(chosen))]
    others = sorted(set(y))
    labels = y + [
        next(o for o in others if o != y[row]) if bad else y[row]
        for row, bad in zip(chosen, wrong, strict=True)
    ]
    found = find(X, labels)
    for k, row in enumerate(chosen):
        # An image in a class of its own is tied only to a very near one.
        assert found.group[row] == found.group[n + k], (row, found.thresholds)
    assert len(found.groups) <= len(chosen) + max(1, 2 * FALSE_SHARE * n)


def test_where_every_image_has_a_copy_the_copies_are_found() -> None:
    X, y = features([30, 30, 30])
    X = copies(X, list(range(90)), 0.15)
    found = find(X, y + y)
    assert [sorted(g) for g in sorted(found.groups)] == [[i, i + 90] for i in range(90)]


def test_without_labels_too() -> None:
    X, _ = features([60])
    found = find(copies(X, [3, 30], 0.1), [""] * 62)
    assert sorted(map(sorted, found.groups)) == [[3, 60], [30, 61]]


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_a_handful_of_images_ties_the_same_pixels_and_no_others(n: int) -> None:
    X, y = features([2, 2])
    assert find(X[:n], y[:n]).groups == []
    X = np.concatenate([X, X[:1]])
    assert find(X, [*y, y[0]]).groups == [[0, 4]]


def test_exact_copies_are_tied_whatever_the_features_and_counted() -> None:
    X, y = features([10, 10])
    content = [f"{i}" for i in range(20)]
    content[7] = content[15] = content[2]
    found = find(X, y, known=ImageColumns(sha256=content))
    assert found.groups == [[2, 7, 15]]
    assert (found.n_exact, [pair.exact for pair in found.pairs]) == (2, [True, True])
    assert {label for pair in found.pairs for label in (y[pair.first], y[pair.second])} == {
        "class 0",
        "class 1",
    }


def test_a_chain_does_not_tie_a_class_and_its_links_are_counted() -> None:
    # A hundred frames, each a step on from the last: neighbours are near, the ends are strangers.
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(100, 600))
    chain = np.cumsum(steps, axis=0) / 10
    other, y = features([60, 60])
    X = np.concatenate([other, other.mean(axis=0) + chain + rng.normal(size=600)])
    found = find(X, [*y, *["chain"] * 100], cosine=0.95)
    D = cosine_distances(X)
    assert found.groups
    assert found.n_left_apart > 0
    for rows in found.groups:
        assert max(D[a, b] for a, b in combinations(rows, 2)) < 6 * 0.05
        assert len(rows) <= 50


def test_a_class_that_is_all_alike_is_not_tied_and_can_be_fitted() -> None:
    X, y = features([30, 30])
    rng = np.random.default_rng(2)
    # A class a hundred times as tight as the others: drawn figures.
    tight = X[0] + rng.normal(size=600) + 0.01 * rng.normal(size=(31, 600))
    X = np.concatenate([X, tight]).astype(np.float32)
    labels = [*y, *["tight"] * 30, "class 1"]  # the last is one of them under a wrong label
    found = find(X, labels)
    assert sum(map(len, found.groups)) <= 2
    assert 1 - found.thresholds.inside[2] > 0.99
    result = fit_classifier(X, labels, ImageColumns(paths=names(91)), options=FitOptions(head="svm", C=1.0))
    assert result.counts["tight"] == (21, 9)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(4, 24),
    most=st.floats(0.05, 0.9),
)
def test_groups_obey_the_rules_by_brute_force(seed: int, n: int, most: float) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    y = rng.integers(0, 2, n)
    labels = [f"c{c}" for c in y]
    found = find(X, labels, cosine=1 - most)
    # The rules, one after the other, on the whole table of distances.
    D = cosine_distances(X)
    groups = {i: {i} for i in range(n)}
    total = np.array([np.sum(y == c) for c in (0, 1)])
    edges = sorted((D[a, b], a, b) for a, b in combinations(range(n), 2) if D[a, b] <= most)
    for d, a, b in edges:
        one, other = groups[a], groups[b]
        if one is other:
            continue
        both = one | other
        count = np.array([sum(y[r] == c for r in both) for c in (0, 1)])
        apart = np.mean([D[p, q] for p in one for q in other])
        if len(both) > 2 and apart > 2 * most:
            continue
        if np.any((count > 10) & (count > total / 2)) or (
            d > most / 4 and np.any((count == total) & (total > 0))
        ):
            continue
        for row in both:
            groups[row] = both
    assert sorted(found.groups) == sorted(
        sorted(g) for g in {min(g): g for g in groups.values()}.values() if len(g) > 1
    )
    assert found.n_left_apart == sum(groups[a] is not groups[b] for _, a, b in edges)


def test_thresholds_of_a_class_do_not_exceed_those_between_classes_and_hold_what_they_say() -> None:
    X, y = features([100] * 10)
    codes = np.unique(y, return_inverse=True)[1]
    near = FeatureDistances(X, np.arange(1000))
    thresholds = calibrate(near, codes, np.arange(1000), 10)
    assert (thresholds.inside <= thresholds.between).all()
    D = cosine_distances(X)
    np.fill_diagonal(D, np.inf)
    assert np.mean(D.min(axis=1) <= thresholds.inside[codes]) <= FALSE_SHARE


def test_fitting_keeps_copies_on_one_side_and_measures_both_sides() -> None:
    rng = np.random.default_rng(0)
    # Labels at random: nothing can be learned, but a copy in training gives its label away.
    X = rng.normal(size=(120, 600)).astype(np.float32)
    y = [f"c{c}" for c in rng.integers(0, 3, 120)]
    X, y = copies(X, list(range(120)), 0.1), y + y
    options = FitOptions(head="svm", C=10.0)
    result = fit_classifier(X, y, ImageColumns(paths=names(240)), options=options)
    train, test = set(result.train.tolist()), set(result.test.tolist())
    assert not any((i in train) != (i + 120 in train) for i in range(120))
    assert train | test == set(range(240))
    leak = result.leakage
    assert leak is not None
    assert leak.how == "redrawn"
    assert leak.one_side.accuracy == result.metrics.accuracy < 0.55
    assert leak.both_sides.accuracy > 0.75
    assert leak.copied.n_correct > 0.95 * leak.copied.n > 40
    assert not leak.within_noise
    assert f"have a copy in training; the difference is more than the noise of {len(test)} images" in (
        fit_report(result)
    )
    # The accuracy is that of a fit without regard to copies: same head, same C, same rules.
    plain = fit_classifier(
        X, y, ImageColumns(paths=names(240)), options=FitOptions(head="svm", C=10.0, duplicates="off")
    )
    assert plain.metrics.accuracy == leak.both_sides.accuracy
    assert (plain.leakage, plain.duplicates) == (None, None)
    record = result.record()["duplicates"]
    assert (record["how"], record["groups"], record["images"]) == ("auto", 120, 240)  # type: ignore[index]
    assert isinstance(record, dict)
    assert record["copies_on_both_sides"]["accuracy"] == leak.both_sides.accuracy
    assert Leakage.from_json(record) == leak


def test_a_given_split_that_parts_copies_is_evaluated_without_them_too() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 600)).astype(np.float32)
    y = [f"c{c}" for c in rng.integers(0, 2, 80)]
    X, y = copies(X, list(range(30)), 0.1), y + y[:30]
    splits = ["train"] * 50 + ["test"] * 60
    result = fit_classifier(
        X, y, ImageColumns(paths=names(110), splits=splits), options=FitOptions(head="svm", C=10.0)
    )
    leak = result.leakage
    assert leak is not None
    assert (leak.how, leak.copied.n, leak.both_sides.n, leak.one_side.n) == ("given", 30, 60, 30)
    assert leak.both_sides.accuracy == result.metrics.accuracy
    assert leak.one_side.accuracy < leak.both_sides.accuracy
    assert leak.one_side.n_correct == leak.both_sides.n_correct - leak.copied.n_correct
    assert any("30 test images are copies or near-duplicates" in note for note in result.notes)
    others = f"30 test images have a copy in training; accuracy of the others: {leak.one_side.describe()}; "
    assert others in fit_report(result)
    assert "on one side of the split" not in fit_report(result)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("auto", "copies and near-copies were looked for: none were found"),
        (
            "exact",
            "exact copies were looked for, near-copies were not; each picture is on one side of the split",
        ),
        ("off", "copies and near-copies were not looked for (--duplicates off)"),
    ],
)
def test_fit_says_what_was_looked_for_and_what_was_not(how: str, said: str) -> None:
    X, y = features([20] * 3)
    options = FitOptions(head="svm", C=1.0, duplicates=how)
    lines = fit_report(fit_classifier(X, y, ImageColumns(paths=names(60)), options=options)).splitlines()
    sessions = "not looked for: several photographs of one object or session (frames of a video, a track)"
    assert lines[2:4] == [said, sessions]
    assert not any("both sides" in line for line in lines)
    groups = [str(i // 2) for i in range(60)]
    text = fit_report(fit_classifier(X, y, ImageColumns(paths=names(60), groups=groups), options=options))
    assert "images of one group are on one side of the split" in text
    assert sessions not in text


def test_accuracies_within_the_noise_are_those_whose_intervals_overlap() -> None:
    # Wilson's 95 % intervals of 90, 82 and 70 in 100: 0.826 to 0.945, 0.733 to 0.883, 0.604 to 0.781.
    both, copied = Proportion(90, 100), Proportion(5, 5)
    assert Leakage("redrawn", both, Proportion(82, 100), copied).within_noise
    assert not Leakage("redrawn", both, Proportion(70, 100), copied).within_noise
    alone = Leakage("given", Proportion(5, 5), Proportion(0, 0), copied)
    assert (alone.within_noise, alone.comparison) == (None, "")


@pytest.mark.parametrize("text", ["much", "0", "-1", "1.5", "nan"])
def test_a_threshold_that_is_no_cosine_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--duplicates .* give auto, exact, off, a cosine"):
        FitOptions(duplicates=text)
