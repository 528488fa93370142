"""Folds: whole units, every class shared out, none ever absent from what a fold trains on."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.classify.data.folds import ALWAYS_TRAINS, make_folds
from fc7.classify.data.split_groups import make_groups, row_keys


def test_classes_of_ten_give_five_folds_of_two() -> None:
    y = np.repeat(np.arange(4), 10)
    fold = make_folds(y, np.random.default_rng(0).permutation(40), 4)
    for f in range(5):
        assert np.bincount(y[fold == f], minlength=4).tolist() == [2, 2, 2, 2]


def test_two_images_a_class_give_two_folds() -> None:
    y = np.repeat(np.arange(3), 2)
    fold = make_folds(y, np.arange(6), 3)
    assert sorted(fold.tolist()) == [0, 0, 0, 1, 1, 1]
    assert all(set(fold[y == c]) == {0, 1} for c in range(3))


def test_a_class_of_one_always_trains_and_small_classes_do_not_cut_the_folds_of_large_ones() -> None:
    y = np.array([0] * 20 + [1] * 2 + [2])
    fold = make_folds(y, np.arange(23), 3)
    assert set(fold[y == 0]) == {0, 1, 2, 3, 4}
    assert len(set(fold[y == 1])) == 2
    assert fold[y == 2].tolist() == [ALWAYS_TRAINS]


def test_one_image_a_class_leaves_nothing_to_validate() -> None:
    fold = make_folds(np.arange(5), np.arange(5), 5)
    assert set(fold) == {ALWAYS_TRAINS}


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["", "", "g", "h", "i", "j", "k"])),
        min_size=1,
        max_size=50,
    ),
    seed=st.integers(0, 50),
)
def test_units_stay_whole_and_each_folds_training_rows_hold_every_class(
    rows: list[tuple[int, str]], seed: int
) -> None:
    kinds = sorted({c for c, _ in rows})
    y = np.array([kinds.index(c) for c, _ in rows])
    unit = make_groups(*row_keys([g for _, g in rows], None, [str(i) for i in range(len(rows))]), seed)
    fold = make_folds(y, unit, len(kinds))
    for u in set(unit.tolist()):
        assert len(set(fold[unit == u])) == 1
    for f in set(fold.tolist()) - {ALWAYS_TRAINS}:
        assert set(y[fold != f]) == set(y)
