"""`cache verify` with the images at hand, and rows that do not add up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from fc7.extract.cache.format.header import CacheHeader, open_cache
from fc7.extract.cache.format.sealed_writer import SealedWriter
from fc7.extract.cache.verify import verify
from fc7.extract.records import Listing
from fc7.models.common.errors import CacheError
from tests.support.extract.cache_support import failure, write
from tests.support.fakes import MemoryOrigin


def listing(files: dict[str, bytes | None]) -> Listing:
    origin = MemoryOrigin(files)
    return Listing(origin.refs(), [], {}, ("memory",))


def test_sources_are_hashed_again_and_what_differs_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    names = ("changed", "gone", "same", "unreadable")
    write(path, dict.fromkeys(names, "as it was"), [failure("broken")])
    same = b"as it was"
    files: dict[str, bytes | None] = {
        "broken": b"?",
        "changed": b"as it iz!",
        "new": same,
        "same": same,
        "unreadable": None,
    }
    report = verify(path, listing(files))
    assert not report.ok
    assert (report.rows, report.failures, report.images, report.problems) == (4, 1, 5, [])
    assert report.changed == ["changed"]
    assert report.missing == ["gone"]
    assert report.unreadable == ["unreadable"]
    assert report.new == ["new"]
    text = report.text()
    assert text.splitlines()[0] == f"{path}: whole, 4 rows, 1 failure"
    assert "5 images: 1 changed, 1 missing, 1 unreadable, 1 new" in text
    assert "changed: changed" in text


def test_unchanged_sources_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    write(path, {"a": "x", "b": "y"})
    assert verify(path, listing({"a": b"x", "b": b"y"})).ok
    assert "2 images: 0 changed" in verify(path, listing({"a": b"x", "b": b"y"})).text()


def test_a_folder_can_be_given_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "imgs"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "a.jpg").write_bytes(b"x")
    (folder / "cat" / "b.jpg").write_bytes(b"y")
    path = tmp_path / "features.h5"
    write(path, {"cat/a.jpg": "x", "cat/b.jpg": "before"})
    assert verify(path, folder).changed == ["cat/b.jpg"]


def test_more_images_than_are_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    files: dict[str, bytes | None] = {f"{i:03}": str(i).encode() for i in range(150)}
    write(path, {name: (content or b"").decode() for name, content in files.items()})
    assert verify(path, listing(files)).ok
    files["100"] = b"different"
    assert verify(path, listing(files)).changed == ["100"]


Columns = dict[str, NDArray[Any]]


def forge(path: Path, change: Callable[[Columns], None] = lambda _: None, **header_changes: Any) -> None:
    """Write a cache anew, sealed as it should be, that holds or says something else."""
    with open_cache(path) as file:
        header = dataclasses.replace(CacheHeader.read(file), **header_changes)
        sealed = {name: file[name] for name in file.names()}
        columns = {name: file.read(name, 0, about.shape[0]) for name, about in sealed.items()}
    change(columns)
    with SealedWriter(path, header.to_attributes()) as forged:
        for name, rows in columns.items():
            forged.add(name, rows.shape, rows.dtype, attributes=sealed[name].attributes).append(rows)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rows": 3}, "dataset path has 2 rows, not 3"),
        ({"failures": 1}, "dataset failures/reason has 2 rows, not 1"),
    ],
)
def test_images_must_be_rows_plus_failures(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    path = tmp_path / "features.h5"
    write(path, {"a": "x", "b": "y"}, [failure("c"), failure("d")])
    forge(path)
    assert verify(path).ok
    forge(path, **changes)
    assert any(told in problem for problem in verify(path).problems)


def unsorted(columns: Columns) -> None:
    columns["path"] = columns["path"][::-1]


def twice(columns: Columns) -> None:
    columns["failures/path"][:] = columns["failures/path"][0]


def both(columns: Columns) -> None:
    columns["failures/path"][0] = b"a"


def no_digest(columns: Columns) -> None:
    columns["sha256"][0] = b"no digest at all"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (unsorted, "dataset path, row 1: not sorted, or twice"),
        (twice, "the paths of failures are not sorted, or one comes twice"),
        (both, "a is both a row and a failure"),
        (no_digest, "sha256 holds no hex digits"),
    ],
)
def test_rows_that_contradict_each_other_are_found(
    tmp_path: Path, change: Callable[[Columns], None], told: str
) -> None:
    path = tmp_path / "features.h5"
    write(path, {"a": "x", "b": "y"}, [failure("c"), failure("d")])
    forge(path, change)
    assert told in verify(path).problems[0]


def test_what_is_no_cache_is_an_error_and_not_a_report(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="does not exist"):
        verify(tmp_path / "no.h5")
