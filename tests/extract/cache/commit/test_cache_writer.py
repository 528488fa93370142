"""Segments become a cache, whoever wrote them and whatever was left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from fc7.extract.cache.commit.segments import SegmentHeader, write_segment
from fc7.models.common.errors import CacheError
from tests.support.extract.cache_support import (
    PETS,
    CrashError,
    Image,
    block,
    check_plainly,
    failure,
    identity,
    left,
    refs,
    run,
    sha,
    writer,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features.h5"


def test_an_interrupted_run_is_gone_on_with_at_the_last_segment(path: Path) -> None:
    with pytest.raises(CrashError):
        run(path, PETS, per_segment=2, crash_after=2)
    assert left(path) == ["features.h5.work"]
    assert sorted(found.name for found in (path.parent / "features.h5.work").iterdir()) == [
        "000000.h5",
        "000001.h5",
    ]
    with writer(path) as cache:
        assert sorted(cache.known) == sorted(PETS)[:4]
    assert run(path, PETS).extracted == ["dog/1.jpg", "dog/2.jpg"]
    check_plainly(path, PETS)
    assert left(path) == ["features.h5"]


def test_a_row_of_a_later_segment_replaces_the_committed_one(path: Path) -> None:
    run(path, PETS)
    folder = {**PETS, "cat/0.jpg": Image("other", "cat", 2)}
    with pytest.raises(CrashError):
        run(path, folder, crash_after=1)
    with writer(path) as cache:
        assert cache.known["cat/0.jpg"].sha256 == sha("other")
    result = run(path, folder)
    assert (result.extracted, result.commit.written) == ([], True)
    check_plainly(path, folder)


def test_segments_that_were_committed_before_a_kill_are_not_written_twice(path: Path) -> None:
    with pytest.raises(CrashError):
        run(path, PETS, crash_after=9)
    work = path.parent / "features.h5.work"
    kept = {segment: segment.read_bytes() for segment in work.iterdir()}
    run(path, PETS)
    before = path.read_bytes()
    work.mkdir()
    for segment, content in kept.items():
        segment.write_bytes(content)
    assert not run(path, PETS).commit.written
    assert path.read_bytes() == before
    assert left(path) == ["features.h5"]


def test_leftovers_of_a_kill_are_cleared_away(path: Path) -> None:
    work = path.parent / "features.h5.work"
    work.mkdir()
    (work / "000000.h5.123-ab.partial").write_bytes(b"\x89HDF half a segment")
    (path.parent / "features.h5.tmp").write_bytes(b"half a cache")
    run(path, PETS)
    assert left(path) == ["features.h5"]
    check_plainly(path, PETS)


def test_what_a_user_put_into_the_work_folder_stays(path: Path) -> None:
    work = path.parent / "features.h5.work"
    work.mkdir()
    (work / "notes.txt").write_text("mine")
    run(path, PETS)
    assert left(path) == ["features.h5", "features.h5.work"]
    assert (work / "notes.txt").read_text() == "mine"


def test_other_processes_write_segments_by_the_same_protocol(path: Path) -> None:
    images = {name: image.content for name, image in PETS.items()}
    names = sorted(images)
    with writer(path) as cache:
        header = cache.segment_header
        for number in range(3):
            some = {name: images[name] for name in names[2 * number : 2 * number + 2]}
            for _ in range(2):  # the engine may run a task twice
                write_segment(cache.work_folder, f"task-{number}", header, block(some))
        cache.commit(refs(PETS), [], roots=["imgs"])
    check_plainly(path, PETS)
    alone = path.with_name("alone.h5")
    run(alone, PETS)
    assert path.read_bytes() == alone.read_bytes()


def test_a_segment_written_now_counts_for_more_than_one_found_whatever_its_name(path: Path) -> None:
    header = SegmentHeader(identity().only(["fc7"]), {"provider": "test"})
    work = path.parent / "features.h5.work"
    write_segment(work, "zzz", header, block({"a": Image("stale")}))
    with writer(path) as cache:
        assert cache.known["a"].sha256 == sha("stale")
        fresh = {"a": Image("fresh", mtime_ns=2)}
        write_segment(work, "aaa", header, block(fresh))
        cache.commit(refs(fresh), [], roots=[])
    check_plainly(path, fresh)


def test_an_image_without_features_stops_the_commit_and_loses_nothing(path: Path) -> None:
    with writer(path) as cache:
        cache.write_segment(block({"a": "x"}))
        with pytest.raises(CacheError, match="1 of 2 images have no features yet"):
            cache.commit(refs({"a": "x", "b": "y"}), [], roots=[])
        cache.commit(refs({"a": "x"}), [], roots=[])
    check_plainly(path, {"a": "x"})


@pytest.mark.parametrize(
    ("images", "failures"),
    [(["b", "a"], []), (["a", "a"], []), (["a", "b"], ["a"]), (["a"], ["b", "b"])],
    ids=["unsorted", "twice", "row and failure", "failure twice"],
)
def test_a_listing_in_which_images_are_not_rows_plus_failures_is_refused(
    path: Path, images: list[str], failures: list[str]
) -> None:
    with writer(path) as cache:
        cache.write_segment(block({"a": "x", "b": "y"}))
        listing = [refs({name: "x" if name == "a" else "y"})[0] for name in images]
        with pytest.raises(CacheError, match="twice"):
            cache.commit(listing, [failure(name) for name in failures], roots=[])
    assert not path.exists()


def test_one_writer_may_commit_again(path: Path) -> None:
    with writer(path) as cache:
        cache.write_segment(block({"a": "x"}))
        assert cache.commit(refs({"a": "x"}), [], roots=["r"]).written
        assert list(cache.known) == ["a"]
        cache.write_segment(block({"b": "y"}))
        assert cache.commit(refs({"a": "x", "b": "y"}), [], roots=["r"]).written
        assert not cache.commit(refs({"a": "x", "b": "y"}), [], roots=["r"]).written
        cache.write_segment(block({"c": "z"}))
        assert cache.commit(refs({"a": "x", "c": "z"}), [], roots=["r"]).written
    check_plainly(path, {"a": "x", "c": "z"})
