"""What a report says in sentences: provenance without keys, and what copies do to the accuracy."""

from __future__ import annotations

import pytest

from fc7.classify.metrics.intervals import wilson_interval
from fc7.classify.report.copies import leakage_rows
from fc7.classify.report.provenance_text import (
    calibration_in_words,
    run_in_words,
    split_in_words,
    versions_in_words,
)

DRAWN = {"how": "stratified", "n_train": 280, "n_test": 120, "test_size": 0.3, "seed": 4}


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (
            DRAWN,
            "280 images train and 120 test; drawn in each class with seed 4, 30% of each for the test set",
        ),
        (
            {**DRAWN, "per_class": 1, "balance": True, "kept": True},
            "280 images train and 120 test; drawn in each class with seed 4, 1 image of each for the train "
            "set, images of an earlier split on their sides; the train set holds as many images "
            "of each class",
        ),
        (
            {**DRAWN, "ordered": True, "exclude": ["a", "b"]},
            "280 images train and 120 test; drawn in each class in the order of the paths, 30% of each for "
            "the test set; without the classes a, b",
        ),
        (
            {"how": "column", "n_train": 1, "n_test": 2, "include": ["c"]},
            "1 image train and 2 test; given with the images; only the classes c",
        ),
        (None, "not recorded"),
        ({}, "not recorded"),
        (
            {"how": "stratified", "n_train": 2, "n_test": 1},
            "2 images train and 1 test; drawn in each class with seed not recorded",
        ),
    ],
)
def test_a_split_in_words(split: object, expected: str) -> None:
    assert split_in_words(split) == expected


def test_runs_calibration_and_versions_in_words() -> None:
    run: dict[str, str | int] = {
        "rows": 1,
        "decode": "draft",
        "precision": "fp16",
        "onnxruntime": "1.2",
        "gpu_name": "X",
    }
    assert run_in_words(run) == (
        "1 image, by ONNX Runtime 1.2, JPEGs decoded at a reduced size (draft), computed in fp16, gpu name X"
    )
    assert "held out" in calibration_in_words("temperature, out of fold")
    assert calibration_in_words(None) == "not recorded"
    assert versions_in_words({"numpy": "2"}) == "numpy 2"
    assert versions_in_words("2") == "not recorded"


@pytest.mark.parametrize(
    ("how", "second"),
    [("redrawn", "random split ignoring copies"), ("given", "given split, which parts copies")],
)
def test_both_accuracies_are_there_with_their_intervals_where_copies_were_tied(how: str, second: str) -> None:
    measured = {"leaky": 0.8, "clean": 0.75, "n_leaky": 100, "n_clean": 80, "leaky_split": how}
    measured |= {"straddling": 3, "straddling_correct": 3}
    assert leakage_rows({"duplicates": measured}) == (
        ("copies kept on one side", 0.75, *wilson_interval(60, 80)),
        (second, 0.8, *wilson_interval(80, 100)),
    )
    assert leakage_rows({"duplicates": {"how": "auto"}}) == ()
    alone = {**measured, "clean": None, "n_clean": 0}
    assert [name for name, *_ in leakage_rows({"duplicates": alone})] == [second]
