"""The split: MATLAB's documented counts, whole units, both parts never empty, seeded and stable."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.classify.commands.options import GIVEN_SPLIT
from fc7.classify.data.nearest_subset import nearest_subset
from fc7.classify.data.split import column_split, stratified_split, training_count
from fc7.classify.data.split_groups import make_groups, row_keys
from fc7.classify.data.split_values import GIVEN, SplitValues
from fc7.models.common.errors import DataError, UsageError


def test_the_default_on_the_command_line_is_the_one_of_the_words() -> None:
    assert GIVEN_SPLIT == GIVEN


def sides(option: str = GIVEN) -> SplitValues:
    found = SplitValues.parse(option)
    assert found is not None
    return found


def classes_of(counts: list[int]) -> tuple[np.ndarray, list[str]]:
    return np.repeat(np.arange(len(counts)), counts), [f"c{c}" for c in range(len(counts))]


def single_units(n: int, seed: int = 0) -> np.ndarray:
    return make_groups(*row_keys(None, None, [f"{i}.jpg" for i in range(n)]), seed)


def grouped(groups: list[str], seed: int = 0) -> np.ndarray:
    return make_groups(*row_keys(groups, None, [f"{i}.jpg" for i in range(len(groups))]), seed)


@pytest.mark.parametrize(
    ("counts", "test_size", "train", "test"),
    [
        # splitEachLabel's documented outputs, in design.md section 8.
        ([10] * 4, 0.3, 28, 12),
        ([15] * 5, 0.3, 55, 20),
        ([6, 2], 0.4, 5, 3),
    ],
)
def test_a_plain_split_has_matlabs_documented_counts(
    counts: list[int], test_size: float, train: int, test: int
) -> None:
    y, classes = classes_of(counts)
    split = stratified_split(y, single_units(len(y)), test_size, classes)
    assert (len(split.train), len(split.test)) == (train, test)
    assert split.notes == ()


def test_six_and_two_at_a_share_of_six_tenths_train_four_and_one() -> None:
    y, classes = classes_of([6, 2])
    split = stratified_split(y, single_units(8), 0.4, classes)
    assert np.bincount(y[split.train]).tolist() == [4, 1]


@pytest.mark.parametrize(
    ("n", "test_size", "expected"),
    [(15, 0.3, 11), (5, 0.7, 2), (5, 0.1, 4), (2, 0.01, 1), (2, 0.99, 1), (1000, 0.0004, 999), (25, 0.1, 23)],
)
def test_halves_are_rounded_up_and_neither_part_is_empty(n: int, test_size: float, expected: int) -> None:
    # 5 at 0.7 is 1.5 and 25 at 0.1 is 22.5 in decimals; in binary fractions they are a little off.
    assert training_count(n, test_size) == expected


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(2, 12), min_size=2, max_size=5),
    test_size=st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.9]),
    seed=st.integers(0, 2**40),
    data=st.data(),
)
def test_a_plain_split_is_a_stratified_partition_whatever_the_order_of_rows(
    counts: list[int], test_size: float, seed: int, data: st.DataObject
) -> None:
    y, classes = classes_of(counts)
    paths = np.array([f"{i}.jpg" for i in range(len(y))])
    split = stratified_split(y, make_groups(*row_keys(None, None, paths.tolist()), seed), test_size, classes)
    assert sorted([*split.train, *split.test]) == list(range(len(y)))
    assert np.bincount(y[split.train]).tolist() == [training_count(n, test_size) for n in counts]

    order = np.array(data.draw(st.permutations(range(len(y)))))
    unit = make_groups(*row_keys(None, None, paths[order].tolist()), seed)
    again = stratified_split(y[order], unit, test_size, classes)
    assert set(paths[order][again.train]) == set(paths[split.train])


def test_another_seed_gives_another_split_and_the_same_seed_the_same() -> None:
    y, classes = classes_of([40, 40])
    first, same, other = (
        stratified_split(y, single_units(80, seed), 0.3, classes).train.tolist() for seed in (0, 0, 1)
    )
    assert first == same
    assert first != other


def test_an_added_image_moves_at_most_one_other() -> None:
    y, classes = classes_of([50, 50])
    paths = [f"{i}.jpg" for i in range(100)]
    before = stratified_split(y, make_groups(*row_keys(None, None, paths), 0), 0.3, classes)
    longer = [*paths, "new.jpg"]
    after = stratified_split(np.append(y, 0), make_groups(*row_keys(None, None, longer), 0), 0.3, classes)
    old = {longer[i] for i in after.train} - {"new.jpg"}
    assert len({paths[i] for i in before.train} ^ old) <= 1


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from("ABCDEFGH") | st.just(""), st.integers(0, 25)),
        min_size=4,
        max_size=40,
    ),
    test_size=st.sampled_from([0.2, 0.3, 0.5]),
    seed=st.integers(0, 1000),
)
def test_copies_and_groups_never_straddle_and_every_class_that_can_be_is_in_both_parts(
    rows: list[tuple[int, str, int]], test_size: float, seed: int
) -> None:
    kinds = sorted({c for c, _, _ in rows})
    y = np.array([kinds.index(c) for c, _, _ in rows])
    groups = [group for _, group, _ in rows]
    content = [f"sha{digest}" for _, _, digest in rows]
    unit = make_groups(*row_keys(groups, content, None), seed)
    classes = [f"c{c}" for c in kinds]
    units_of = [set(unit[y == c].tolist()) for c in range(len(kinds))]
    mixed = any(len(set(y[unit == u])) > 1 for u in set(unit.tolist()))
    try:
        split = stratified_split(y, unit, test_size, classes)
    except DataError:
        assert mixed or all(len(units) == 1 for units in units_of)
        return
    assert sorted([*split.train, *split.test]) == list(range(len(y)))
    assert len(split.train) > 0
    assert len(split.test) > 0
    for names in (groups, content):
        sides = [{name for i in part if (name := names[i])} for part in (split.train, split.test)]
        assert not sides[0] & sides[1]
    # Where every unit is of one class, only a class of a single unit can be missing from a part.
    for c, name in enumerate(classes):
        in_both = c in y[split.train] and c in y[split.test]
        assert c in y[split.train]
        assert in_both or len(units_of[c]) == 1 or mixed
        assert in_both or any(name in note for note in split.notes)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=9),
    wanted=st.integers(-3, 40),
    low=st.integers(0, 3),
    slack=st.integers(0, 3),
)
def test_the_nearest_subset_is_as_near_as_trying_all_of_them(
    sizes: list[int], wanted: int, low: int, slack: int
) -> None:
    high = sum(sizes) - slack
    chosen = nearest_subset(sizes, wanted, low, high)
    sums = {
        total
        for picks in product((False, True), repeat=len(sizes))
        if low <= (total := sum(s for s, pick in zip(sizes, picks, strict=True) if pick)) <= high
    }
    found = sum(s for s, pick in zip(sizes, chosen, strict=True) if pick)
    if sums:
        assert found in sums
        assert abs(found - wanted) == min(abs(total - wanted) for total in sums)


def test_groups_of_thirty_come_as_near_as_whole_groups_can() -> None:
    y, classes = classes_of([300, 300])
    groups = [f"track {i // 30}" for i in range(600)]
    split = stratified_split(y, grouped(groups), 0.3, classes)
    assert np.bincount(y[split.train]).tolist() == [210, 210]
    assert split.notes == ()

    uneven = stratified_split(y, grouped(groups), 0.25, classes)
    # 225 are wanted; 210 and 240 are equally near, and the larger is taken.
    assert np.bincount(y[uneven.train]).tolist() == [240, 240]
    assert uneven.notes == (
        "copies and groups stay whole: 2 of 2 classes have up to 15 images more or fewer in training than "
        "--test-size asks for",
    )


def test_groups_that_hold_every_class_are_split_near_the_share() -> None:
    y = np.tile([0, 1], 100)
    groups = [f"visit {i // 10}" for i in range(200)]
    split = stratified_split(y, grouped(groups, 3), 0.3, ["a", "b"])
    assert (len(split.train), len(split.test)) == (140, 60)


def test_a_class_in_one_group_trains_and_is_named() -> None:
    y = np.array([0] * 6 + [1] * 4)
    groups = ["a", "a", "b", "b", "c", "c", "d", "d", "d", "d"]
    split = stratified_split(y, grouped(groups), 0.3, ["cat", "dog"])
    assert set(range(6, 10)) <= set(split.train.tolist())
    assert any("test set without an image" in note and "'dog'" in note for note in split.notes)


def test_a_class_of_a_hundred_thousand_is_split_in_a_moment() -> None:
    y = np.zeros(100_000, np.intp)
    y[:10] = 1
    split = stratified_split(y, np.arange(100_000), 0.3, ["a", "b"])
    assert np.bincount(y[split.train]).tolist() == [69_993, 7]


@pytest.mark.parametrize(
    ("option", "train", "test", "said"),
    [
        (GIVEN, [0, 3], [1, 2, 4], "train trained, test and val tested (--split)"),
        ("train:test", [0, 3], [1, 4], "train trained, test tested, val left out (--split)"),
        ("train, validation : test", [0, 2, 3], [1, 4], "train and val trained, test tested (--split)"),
    ],
)
def test_a_given_split_is_kept_and_the_option_says_which_words_test(
    option: str, train: list[int], test: list[int], said: str
) -> None:
    words = ["train", "test", "val", "train", "test"]
    split = column_split(words, sides(option), np.arange(5), str)
    assert (split.train.tolist(), split.test.tolist(), split.how) == (train, test, "column")
    assert split.notes == (f"the given split holds 2 test, 2 train, 1 val: {said}",)


@pytest.mark.parametrize(
    "option", ["train", "train:train", "train:", "train:val:test", "train:exam", "", "train;val"]
)
def test_a_choice_of_words_that_is_none_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match="give the sets that train and those that test"):
        SplitValues.parse(option)


def test_a_given_split_that_parts_copies_is_kept_and_said() -> None:
    split = column_split(["train", "test", "test"], sides(), np.array([0, 0, 1]), str)
    assert split.test.tolist() == [1, 2]
    assert "1 test images are copies or near-duplicates of training images" in split.notes[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "", "test"], "1 of 3 labelled images have no split, row 1 first"),
        (
            ["train", "train"],
            "holds 2 train; fit needs images of train to learn from",
        ),
        (
            ["val", "test"],
            "holds 1 test, 1 val; fit needs images of train",
        ),
    ],
)
def test_a_split_column_with_holes_or_one_part_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        column_split(words, sides(), np.arange(len(words)), lambda i: f"row {i}")


def test_groups_that_are_all_needed_in_training_leave_nothing_to_test_with() -> None:
    groups = ["u", "u", "v", "v"]
    with pytest.raises(DataError, match="no image can be held out as the test set"):
        stratified_split(np.array([0, 1, 0, 2]), grouped(groups), 0.3, ["a", "b", "c"])
