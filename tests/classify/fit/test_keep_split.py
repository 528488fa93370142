"""``fit --keep-split``: tested images stay tested, however many images are added."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.classify.classifier.artifact import load_classifier, save_classifier
from fc7.classify.classifier.classifier import Head
from fc7.classify.data.record import SplitRecord
from fc7.classify.data.split import training_count
from fc7.classify.fit.fit import FitOptions, fit_classifier
from fc7.classify.image_columns import ImageColumns
from tests.classify.data.test_splitting import counts, prepared
from tests.support import CommandLine, lines_of, write_pictures
from tests.support.classify.blobs import blobs, names


def record_of(part: Any) -> SplitRecord:
    words = np.full(len(part.table.labels), "", "<U5")
    words[part.split.train], words[part.split.test] = "train", "test"
    return SplitRecord.of(words.tolist(), part.table.content, part.table.paths)


def sides_of(part: Any) -> dict[str, str]:
    return {part.table.content[i]: which for which in ("train", "test") for i in getattr(part.split, which)}


@settings(max_examples=60, deadline=None)
@given(
    per_class=st.lists(st.integers(2, 14), min_size=2, max_size=4),
    added=st.lists(st.integers(0, 30), min_size=4, max_size=4),
    seed=st.integers(0, 100),
)
def test_nobody_changes_sides_and_the_share_is_met_where_it_can_be(
    per_class: list[int], added: list[int], seed: int
) -> None:
    labels = [f"c{c}" for c, n in enumerate(per_class) for _ in range(n)]
    # Classes that were not there before, too.
    more = [f"c{c}" for c, n in enumerate(added) for _ in range(n + 2 * (c >= len(per_class)))]
    content = [f"{i:064x}" for i in range(len(labels) + len(more))]
    options = FitOptions(seed=seed, duplicates="exact")
    before = prepared(labels, options, sha256=content[: len(labels)])
    after = prepared(labels + more, replace(options, keep_split=record_of(before)), sha256=content)
    then, now = sides_of(before), sides_of(after)
    assert {digest: now[digest] for digest in then} == then
    for label, n in counts(after, "train").items():
        old = sum(
            then[digest] == "train" for digest, name in zip(content, labels, strict=False) if name == label
        )
        total = (labels + more).count(label)
        new = total - labels.count(label)
        assert n == min(max(training_count(total, 0.3), old), old + new)
    assert any(f"--keep-split: {len(labels)} of {len(content)} images" in note for note in after.split.notes)


def test_images_that_an_added_copy_ties_train_and_are_counted() -> None:
    labels = ["a"] * 10 + ["b"] * 10
    content = [f"{i:064x}" for i in range(20)]
    before = prepared(labels, FitOptions(duplicates="exact"), sha256=content)
    a_train, a_test = (next(i for i in getattr(before.split, which) if i < 10) for which in ("train", "test"))
    groups = [""] * 20
    groups[a_train] = groups[a_test] = "one series after all"
    options = FitOptions(duplicates="exact", keep_split=record_of(before))
    after = prepared(labels, options, sha256=content, groups=groups)
    then, now = sides_of(before), sides_of(after)
    assert {digest for digest in then if then[digest] != now[digest]} == {content[a_test]}
    assert (
        "19 of 20 images keep their side; 1 of the test set are grouped with training images, and train"
        in str(after.split.notes)
    )


def test_a_split_that_came_with_the_data_goes_before() -> None:
    labels = ["a", "a", "b", "b"]
    part = prepared(labels, FitOptions(duplicates="exact"))
    options = FitOptions(duplicates="exact", keep_split=record_of(part))
    given_ = prepared(labels, options, splits=["train", "test"] * 2)
    assert any("without effect: --keep-split" in note for note in given_.split.notes)


def test_the_command_keeps_the_sides_of_a_classifier(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path).with_tiny_network()
    write_pictures(tmp_path / "imgs", per_class=8)
    cli.good("extract", "imgs", "--network", "tiny")
    fit = ("fit", "--force", "--svm", "-C", "1", "--duplicates", "exact")
    cli.good(*fit, "--split-csv", "first.csv")
    write_pictures(tmp_path / "imgs", per_class=11, start=8)
    cli.good("extract", "imgs", "--network", "tiny")
    again = (*fit, "--keep-split", "classifier.onnx", "-o", "new.onnx")
    ran = cli.good(*again, "--split-csv", "second.csv")
    first, second = (
        {line["path"]: line["split"] for line in lines_of(tmp_path / f"{name}.csv")}
        for name in ("first", "second")
    )
    assert len(second) > 2 * len(first)
    assert {path: second[path] for path in first} == first
    assert f"--keep-split: {len(first)} of {len(second)} images keep their side" in ran.text
    assert load_classifier(tmp_path / "new.onnx").metadata["split"]["kept"] is True  # type: ignore[index]

    old = replace(load_classifier(tmp_path / "classifier.onnx"), split=None)
    save_classifier(old, tmp_path / "old.onnx")
    for file, said in (
        ("old.onnx", "does not say which images"),
        ("none.onnx", "give a classifier that fit wrote"),
    ):
        refused = cli("fit", "--force", "--keep-split", file)
        assert refused.code == 2
        assert said in refused.err


def test_a_classifier_does_not_claim_what_had_no_effect(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path).with_tiny_network()
    write_pictures(tmp_path / "imgs", per_class=8)
    cli.good("extract", "imgs", "--network", "tiny", "-o", "unsplit.h5")
    fit = ("fit", "--force", "--svm", "-C", "1", "--duplicates", "exact")
    cli.good(*fit, "unsplit.h5", "--seed", "1", "-o", "earlier.onnx")
    cli.good(*fit, "unsplit.h5", "--split-csv", "split.csv")
    cli.good("extract", "imgs", "--network", "tiny", "--labels", "split.csv", "-o", "split.h5")
    options = ("--ordered", "--per-class", "3", "--keep-split", "earlier.onnx", "--split-csv", "same.csv")
    ran = cli.good(*fit, "split.h5", *options, "-o", "new.onnx")
    given_ = "the split is given with the data; without effect: --ordered, --per-class, --keep-split"
    assert given_ in " ".join(ran.text.split())
    assert lines_of(tmp_path / "same.csv") == lines_of(tmp_path / "split.csv")
    made = load_classifier(tmp_path / "new.onnx").metadata["split"]
    assert isinstance(made, dict)
    assert set(made) == {"how", "n_train", "n_test"}


@pytest.mark.parametrize("head", ["svm", "softmax"])
def test_the_same_images_give_the_same_classifier(head: Head) -> None:
    X, y = blobs([12, 9, 15], 20)
    options = FitOptions(head=head, C=1.0)
    first = fit_classifier(X, y, ImageColumns(paths=names(36)), options=options)
    kept = replace(options, keep_split=first.classifier.split)
    again = fit_classifier(X, y, ImageColumns(paths=names(36)), options=kept)
    np.testing.assert_array_equal(again.classifier.coef_, first.classifier.coef_)
