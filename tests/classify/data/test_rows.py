"""What cannot be fitted on is named, with its number, its path and the way out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fc7.classify.data.rows import Table, check_classes, make_table
from fc7.classify.image_columns import ImageColumns
from fc7.models.common.errors import DataError
from fc7.models.common.label_names import lookalikes


def table(X: Any, y: Any, **columns: Any) -> Table:
    return make_table(X, y, ImageColumns(**columns))


def test_rows_without_a_label_are_left_out_of_every_column() -> None:
    found = table(
        np.eye(4),
        ["a", "", None, math.nan],
        paths=["1", "2", "3", "4"],
        sha256=["x", "y", "z", ""],
        groups=["g", None, "", "h"],
    )
    assert found.rows.tolist() == [0]
    assert (found.labels, found.paths, found.content, found.groups) == (["a"], ["1"], ["x"], ["g"])
    assert found.splits is None


def test_labels_of_any_kind_become_text() -> None:
    assert table(np.eye(3), np.array([0, 1, 10])).labels == ["0", "1", "10"]


def test_split_words_are_lower_case_and_all_empty_ones_are_none() -> None:
    assert table(np.eye(2), ["a", "b"], splits=["Train ", "TEST"]).splits == ["train", "test"]
    assert table(np.eye(2), ["a", "b"], splits=["", None]).splits is None


def test_without_files_equal_rows_are_copies() -> None:
    content = table([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]], list("aab")).content
    assert content is not None
    assert content[0] == content[1] != content[2]
    assert table(np.eye(2), ["a", "b"], paths=["1", "2"]).content is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_no_number_is_named_by_its_path(bad: float) -> None:
    X = np.ones((4, 3))
    X[2, 1] = bad
    with pytest.raises(DataError, match=r"1 of 4 images have features .* 'three.jpg' first"):
        table(X, list("abab"), paths=["one.jpg", "two.jpg", "three.jpg", "four.jpg"])
    with pytest.raises(DataError, match="row 2 first"):
        table(X, list("abab"))


def test_a_bad_row_without_a_label_costs_nothing() -> None:
    assert table([[1.0], [np.nan]], ["a", None]).labels == ["a"]


def test_large_finite_features_are_not_taken_for_infinite_ones() -> None:
    # Their sum overflows float32, they do not.
    assert len(table(np.full((2, 4), 3e38), ["a", "b"]).rows) == 2


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones(3), ["a"] * 3, r"shape \(3,\)"),
        (np.ones((0, 3)), [], r"shape \(0, 3\)"),
        (np.ones((3, 2)), ["a", "b"], "y has 2 entries for 3 rows"),
        (np.ones((3, 2)), ["", None, math.nan], "none of the 3 images has a label"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(X: Any, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        table(X, y)


def test_columns_of_another_length_are_refused_by_name() -> None:
    with pytest.raises(DataError, match="groups has 1 entries for 2 rows"):
        table(np.eye(2), ["a", "b"], groups=["g"])


def test_classes_are_sorted_and_need_two_images_each() -> None:
    assert check_classes(["b", "a", "b", "a"], None, halved=True) == ["a", "b"]
    with pytest.raises(DataError, match="1 of 2 classes have one image: 'b'; each needs two"):
        check_classes(["a", "a", "b"], None, halved=True)
    assert check_classes(["a", "a", "b"], None, halved=False) == ["a", "b"]


def test_copies_of_one_image_are_one_image() -> None:
    with pytest.raises(DataError, match="one image and copies of it: 'b'"):
        check_classes(["a", "a", "b", "b"], ["1", "2", "3", "3"], halved=True)
    assert check_classes(["a", "a", "b", "b"], ["1", "2", "", ""], halved=True) == ["a", "b"]


def test_one_class_is_not_enough() -> None:
    with pytest.raises(DataError, match=r"all 3 labelled images .* of one class, 'a'"):
        check_classes(["a"] * 3, None, halved=True)


def test_many_small_classes_are_named_in_one_line() -> None:
    with pytest.raises(DataError, match=r"12 of 12 classes .* and 4 more"):
        check_classes([f"c{i:02}" for i in range(12)], None, halved=True)


def test_names_that_differ_only_in_case_or_spaces_are_pointed_out() -> None:
    notes = lookalikes(["Cat", "cat ", "dog", "e\u0301cole", "\u00e9cole"])
    assert len(notes) == 2
    assert notes[0].startswith("classes 'Cat', 'cat ' differ only in case")
    assert lookalikes(["cat", "dog"]) == []
