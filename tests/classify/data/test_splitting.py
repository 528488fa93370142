"""Choosing, ordering, balancing, few shots: as the options say, the same for the same images, and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.classify.data.prepare import prepare_split
from fc7.classify.data.rows import make_table
from fc7.classify.data.selection import trim_to_smallest
from fc7.classify.data.split import training_count
from fc7.classify.fit.fit import FitOptions, FitResult, fit_classifier
from fc7.classify.image_columns import ImageColumns
from fc7.models.common.errors import UsageError
from fc7.models.common.label_names import natural_key
from tests.support.classify.blobs import blobs, names

Labels = list[str]


def prepared(labels: Labels, options: FitOptions, paths: list[str] | None = None, **columns: Any) -> Any:
    """A split of rows whose features say nothing."""
    X = np.random.default_rng(0).normal(size=(len(labels), 64)).astype(np.float32)
    known = ImageColumns(paths=paths or names(len(labels)), **columns)
    return prepare_split(make_table(X, labels, known), options)


def sides(part: Any) -> tuple[set[str], set[str]]:
    """Paths of the training and of the test rows."""
    paths = part.table.paths
    return {paths[i] for i in part.split.train}, {paths[i] for i in part.split.test}


def counts(part: Any, which: str) -> dict[str, int]:
    labels = np.array(part.table.labels)[getattr(part.split, which)]
    return {str(name): int(n) for name, n in zip(*np.unique(labels, return_counts=True), strict=True)}


def fit(per_class: list[int], **options: Any) -> FitResult:
    X, y = blobs(per_class, 64)
    return fit_classifier(
        X,
        y,
        ImageColumns(paths=names(len(y))),
        options=FitOptions(head="svm", C=1.0, duplicates="exact", **options),
    )


def test_ordered_takes_the_first_of_each_class_by_the_numbers_in_its_path() -> None:
    paths = [f"{c}/frame{i}.jpg" for c in "ab" for i in range(1, 13)]
    part = prepared([path[0] for path in paths], FitOptions(ordered=True), sorted(paths))
    train, test = sides(part)
    # 12 at 0.7 are 8.4; sorted as text, frame10 would come before frame2.
    assert train == {f"{c}/frame{i}.jpg" for c in "ab" for i in range(1, 9)}
    assert test == {f"{c}/frame{i}.jpg" for c in "ab" for i in range(9, 13)}
    assert sides(prepared([path[0] for path in paths], FitOptions(ordered=True, seed=5), paths)) == (
        train,
        test,
    )


def test_without_paths_the_order_is_that_of_the_rows() -> None:
    X, y = blobs([10, 10], 64)
    result = fit_classifier(X, y, options=FitOptions(head="svm", C=1.0, ordered=True))
    assert result.train.tolist() == [*range(7), *range(10, 17)]


def test_names_with_numbers_sort_by_them() -> None:
    assert sorted(["a10", "a9", "a09", "b1", "a", "10", "9"], key=natural_key) == [
        "9", "10", "a", "a09", "a9", "a10", "b1",
    ]  # fmt: skip


def test_only_the_classes_that_were_asked_for_take_part() -> None:
    result = fit([6, 6, 6, 6], include=("class 0,class 2", "class 3"), exclude=("class 3",))
    assert result.classifier.classes_ == ("class 0", "class 2")
    used = {*result.train.tolist(), *result.test.tolist()}
    assert used == {*range(6), *range(12, 18)}
    assert result.parts.tolist()[6:12] == [""] * 6
    assert result.record()["split"] == {
        "how": "stratified", "n_train": 8, "n_test": 4, "test_size": 0.3, "seed": 0,
        "include": ["class 0,class 2", "class 3"], "exclude": ["class 3"],
    }  # fmt: skip


def test_a_class_whose_name_holds_a_comma_can_be_chosen() -> None:
    labels = ["red, round", "red", "blue"] * 4
    part = prepared(labels, FitOptions(include=("red, round", "blue")))
    assert part.classes == ["blue", "red, round"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"include": ("sneakers",)}, "--include sneakers: no labelled image is of that class; similar are "),
        ({"exclude": ("CAT",)}, "--exclude CAT: no labelled image is of that class; similar are 'cat'"),
        ({"exclude": ("zzz",)}, "there are 'cat', 'dog', 'sneaker'"),
        ({"include": ("cat",), "exclude": ("cat",)}, "together leave no class"),
    ],
)
def test_an_unknown_class_is_named_with_similar_ones(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prepared(["cat", "dog", "sneaker"] * 4, FitOptions(**options))


def test_few_shots_train_on_n_of_each_class_and_test_on_the_rest() -> None:
    labels = ["a"] * 20 + ["b"] * 9 + ["c"] * 4 + ["d"] * 2
    part = prepared(labels, FitOptions(per_class=5))
    assert counts(part, "train") == {"a": 5, "b": 5, "c": 3, "d": 1}
    assert counts(part, "test") == {"a": 15, "b": 4, "c": 1, "d": 1}
    assert "--per-class 5: 2 of 4 classes have too few images" in part.split.notes[0]
    assert "'c', 'd'" in part.split.notes[0]
    with pytest.raises(UsageError, match="--per-class 0"):
        FitOptions(per_class=0)


def test_more_shots_keep_those_of_fewer() -> None:
    labels = ["a"] * 20 + ["b"] * 20
    few, more = (sides(prepared(labels, FitOptions(per_class=n)))[0] for n in (3, 8))
    assert few < more


def test_balance_cuts_the_training_part_to_the_smallest_class_and_leaves_the_test_part() -> None:
    labels = ["a"] * 40 + ["b"] * 10 + ["c"] * 20
    plain, balanced = (prepared(labels, FitOptions(balance=on)) for on in (False, True))
    assert counts(balanced, "train") == {"a": 7, "b": 7, "c": 7}
    assert balanced.split.test.tolist() == plain.split.test.tolist()
    assert set(balanced.split.train) < set(plain.split.train)
    assert balanced.split.notes == (
        "--balance: every class trains on 7 images, as the smallest does; 28 training images were left out, "
        "and the test set is as it was",
    )
    order = np.random.default_rng(1).permutation(70)
    again = prepared([labels[i] for i in order], FitOptions(balance=True), [names(70)[i] for i in order])
    assert sides(again) == sides(balanced)


def test_a_given_split_is_balanced_too_and_says_what_it_does_not_use() -> None:
    labels, splits = ["a"] * 8 + ["b"] * 4, ["train"] * 6 + ["test"] * 2 + ["train"] * 2 + ["test"] * 2
    part = prepared(labels, FitOptions(balance=True, ordered=True, per_class=1), splits=splits)
    assert counts(part, "train") == {"a": 2, "b": 2}
    assert "the split is given with the data; without effect: --ordered, --per-class" in part.split.notes


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 15), min_size=1, max_size=4),
    data=st.data(),
)
def test_trimming_keeps_the_first_units_of_each_class(sizes: list[int], data: st.DataObject) -> None:
    y = np.repeat(np.arange(len(sizes)), sizes)
    unit = np.array(data.draw(st.permutations(range(len(y)))), np.intp)
    kept = trim_to_smallest(np.arange(len(y)), y, unit, [str(i) for i in range(len(y))])
    for c in range(len(sizes)):
        own = sorted(np.flatnonzero(y == c).tolist(), key=lambda i: unit[i])[: min(sizes)]
        assert sorted(own) == kept[y[kept] == c].tolist()


@settings(max_examples=40, deadline=None)
@given(
    per_class=st.lists(st.integers(2, 14), min_size=2, max_size=4),
    added=st.integers(1, 4),
    seed=st.integers(0, 100),
    test_size=st.sampled_from([0.2, 0.3, 0.5]),
)
def test_images_keep_their_side_when_others_are_added_but_for_the_rounding(
    per_class: list[int], added: int, seed: int, test_size: float
) -> None:
    labels = [f"c{c}" for c, n in enumerate(per_class) for _ in range(n)]
    content = [f"{i:064x}" for i in range(len(labels) + added)]
    options = FitOptions(seed=seed, test_size=test_size, duplicates="exact")
    before = prepared(labels, options, sha256=content[: len(labels)])
    # The new images come first, and all names are new: neither position nor name decides.
    n = len(labels) + added
    order = [*range(len(labels), n), *range(len(labels))]
    more = ["c0"] * added + labels
    after = prepared(more, options, [f"new/{i}" for i in range(n)], sha256=[content[i] for i in order])
    side = [
        {part.table.content[i]: which for which in ("train", "test") for i in getattr(part.split, which)}
        for part in (before, after)
    ]
    moved = sum(side[0][digest] != side[1][digest] for digest in side[0])
    assert moved <= added
    total = per_class[0] + added
    assert counts(after, "train")["c0"] == training_count(total, test_size)
