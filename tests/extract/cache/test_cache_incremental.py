"""Only what changed is done again, and nobody gets another's features."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fc7.extract.cache.reader import CacheReader, load_features
from fc7.models.common.errors import CacheError
from tests.support.extract.cache_support import (
    EMPTY,
    PETS,
    Folder,
    Image,
    check_plainly,
    failure,
    left,
    refs,
    run,
    write,
    writer,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features.h5"


def test_nothing_changed_means_that_not_a_byte_and_not_the_time_changes(path: Path) -> None:
    run(path, PETS)
    os.utime(path, ns=(1, 1))
    before = path.read_bytes()
    result = run(path, PETS)
    assert (result.extracted, result.commit.written) == ([], False)
    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns == 1
    assert left(path) == ["features.h5"]


def test_a_touched_an_edited_a_new_and_a_removed_image_cost_what_they_must(path: Path) -> None:
    folder = dict(PETS)
    run(path, folder)
    folder["cat/0.jpg"] = dataclasses.replace(folder["cat/0.jpg"], mtime_ns=2)
    folder["cat/1.jpg"] = Image("edited", "cat", 2)
    folder["cat/new.jpg"] = Image("new", "cat")
    del folder["dog/2.jpg"]
    assert run(path, folder).extracted == ["cat/0.jpg", "cat/1.jpg", "cat/new.jpg"]
    check_plainly(path, folder)


def test_a_renamed_folder_is_moved_and_not_extracted(path: Path) -> None:
    run(path, PETS)
    folder = {name.replace("cat/", "tiger/"): image for name, image in PETS.items()}
    folder = {
        name: dataclasses.replace(image, label=name.split("/")[0], mtime_ns=9)
        for name, image in folder.items()
    }
    result = run(path, {**PETS, **folder})
    assert result.extracted == ["dog/0.jpg", "dog/1.jpg", "dog/2.jpg"]
    result = run(path, folder)
    assert (result.extracted, result.commit.written) == ([], True)
    check_plainly(path, folder)


def test_images_that_swapped_their_names_keep_their_features(path: Path) -> None:
    run(path, PETS)
    swapped = {**PETS, "cat/0.jpg": Image("dog0", "cat", 2), "dog/0.jpg": Image("cat0", "dog", 2)}
    with writer(path) as cache:
        moved = {"cat/0.jpg": "dog/0.jpg", "dog/0.jpg": "cat/0.jpg"}
        cache.commit(refs(swapped), [], roots=["imgs"], moved=moved)
    check_plainly(path, swapped)


def test_an_image_whose_name_went_to_a_new_one_keeps_its_features(path: Path) -> None:
    run(path, PETS)
    folder = {**PETS, "cat/0.jpg": Image("new", "cat", 2), "zoo/0.jpg": PETS["cat/0.jpg"]}
    assert run(path, folder).extracted == ["cat/0.jpg"]
    check_plainly(path, folder)


def test_labels_change_without_extraction(path: Path) -> None:
    run(path, PETS)
    folder = {name: dataclasses.replace(image, label="pet", split="test") for name, image in PETS.items()}
    result = run(path, folder)
    assert (result.extracted, result.commit.written) == ([], True)
    check_plainly(path, folder)


def test_an_unchanged_failure_is_known_and_a_changed_one_is_tried_again(path: Path) -> None:
    folder: Folder = {**PETS, "zero.jpg": Image("bad")}
    run(path, folder)
    with writer(path) as cache:
        assert cache.known_failures["zero.jpg"].reason == "cannot decode 'bad'"
        assert "zero.jpg" not in cache.known
    assert run(path, folder).extracted == []
    folder["zero.jpg"] = Image("good", mtime_ns=2)
    assert run(path, folder).extracted == ["zero.jpg"]
    check_plainly(path, folder)
    folder["zero.jpg"] = Image("bad again", mtime_ns=3)
    assert run(path, folder).extracted == ["zero.jpg"]
    check_plainly(path, folder)


def test_a_reason_of_any_text_is_kept(path: Path) -> None:
    reason = "no decoder: 'ünïcode'\n" + 500 * "x"
    write(path, {"a": "x"}, [failure("b", reason)])
    with CacheReader(path) as reader:
        assert reader.failures()[0].reason == reason


def test_a_cache_of_failures_alone_has_no_rows_and_is_whole(path: Path) -> None:
    with writer(path) as cache:
        cache.write_segment(replace(EMPTY, failures=[failure("a")]))
        assert cache.commit([], [failure("a")], roots=["r"]).written
    assert load_features(path).X.shape == (0, 3)
    with writer(path) as cache:
        assert list(cache.known_failures) == ["a"]
        assert not cache.commit([], [failure("a")], roots=["r"]).written


def test_a_commit_of_nothing_writes_nothing(path: Path) -> None:
    with writer(path) as cache:
        assert not cache.commit([], [], roots=[]).written
    assert left(path) == []
    run(path, PETS)
    with writer(path) as cache:
        assert not cache.commit([], [], roots=[]).written
    check_plainly(path, PETS)


def test_nobody_gets_the_features_of_what_a_file_was_before(path: Path) -> None:
    run(path, PETS)
    folder = {**PETS, "cat/0.jpg": Image("edited", "cat", 2)}
    before = path.read_bytes()
    with (
        writer(path) as cache,
        pytest.raises(CacheError, match=r"cat/0\.jpg is listed with 6 bytes, mtime_ns 2"),
    ):
        cache.commit(refs(folder), [], roots=["imgs"])
    assert path.read_bytes() == before


def test_a_touched_file_whose_content_is_the_same_may_stand_for_itself(path: Path) -> None:
    run(path, PETS)
    folder = {**PETS, "cat/0.jpg": dataclasses.replace(PETS["cat/0.jpg"], mtime_ns=2)}
    with writer(path) as cache:
        assert cache.commit(refs(folder), [], roots=["imgs"], moved={"cat/0.jpg": "cat/0.jpg"}).written
    check_plainly(path, folder)
