"""Every way images may lie, through one door."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.sources import list_images
from fc7.models.common.errors import SourceError, UsageError
from tests.extract.inputs.tables.test_manifests import pictures


def paths(inputs: list[str | Path]) -> list[str]:
    return [ref.path for ref in list_inputs(inputs).images]


def zipped(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, f"zipped {name}")
    return path


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_folders_and_files_are_listed_as_ever(tmp_path: Path) -> None:
    pictures(tmp_path, "cat/1.jpg", "dog/2.jpg", "notes.docx")
    assert list_inputs([tmp_path]) == list_images([tmp_path])
    assert list_inputs([tmp_path / "cat/1.jpg"]) == list_images([tmp_path / "cat/1.jpg"])


def test_a_list_names_files_from_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "d", "cat/1.jpg", "dog/2 b.jpg", "cat/notes.md")
    (tmp_path / "d/all.txt").write_bytes(
        b"\xef\xbb\xbfdog/2 b.jpg\r\n\r\ncat/1.jpg\n./cat/1.jpg\ncat/gone.jpg\ncat\ncat/notes.md\n"
    )
    monkeypatch.chdir(tmp_path)
    listing = list_inputs(["d/all.txt"])
    assert [(r.path, r.label, r.shown) for r in listing.images] == [
        ("cat/1.jpg", "cat", "d/cat/1.jpg"),
        ("dog/2 b.jpg", "dog", "d/dog/2 b.jpg"),
    ]
    assert [ref.origin.read(ref) for ref in listing.images] == [b"picture cat/1.jpg", b"picture dog/2 b.jpg"]
    assert [(f.path, f.reason) for f in listing.failures] == [
        ("cat/gone.jpg", "named in d/all.txt line 5, not found"),
        ("cat/notes.md", "named in d/all.txt line 7, no image by its suffix or first bytes"),
    ]
    assert listing.ignored == {"folder": 1}


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not allow")
def test_a_list_with_zero_bytes_takes_names_with_line_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a/x\ny.jpg", "b/ z.jpg", os.fsdecode(b"b/\xff.jpg")]
    pictures(tmp_path, *names)
    monkeypatch.chdir(tmp_path)
    feed(monkeypatch, b"".join(os.fsencode(name) + b"\0" for name in [*names, "a/gone.jpg"]))
    listing = list_inputs(["-"])
    assert {ref.path: ref.origin.read(ref) for ref in listing.images} == {
        "a/x\ny.jpg": b"picture a/x\ny.jpg",
        "b/ z.jpg": b"picture b/ z.jpg",
        r"b/\xff.jpg": b"picture b/\xff.jpg",
    }
    assert listing.failures[0].reason == "named in stdin line 4, not found"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_zero_byte_in_a_list_of_lines_spoils_its_own_line_alone(tmp_path: Path, end: bytes) -> None:
    pictures(tmp_path, "cat/1.jpg", "cat/2.jpg", "cat/3.jpg", "cat/4.jpg")
    for spoilt in (b"cat/2.jpg\0", b"\0", b"cat/\0x.jpg"):
        (tmp_path / "all.txt").write_bytes(b"cat/1.jpg\n" + spoilt + b"\ncat/3.jpg\ncat/4.jpg" + end)
        listing = list_inputs([tmp_path / "all.txt"])
        assert [ref.path for ref in listing.images] == ["1.jpg", "3.jpg", "4.jpg"]
        (failure,) = listing.failures
        assert failure.reason.endswith("line 2, its name holds a zero byte")


def test_a_list_of_lines_with_zero_bytes_alone_says_so(tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_bytes(b"1.jpg\0x\n2.jpg\0y\n")
    with pytest.raises(UsageError, match="2 of its lines hold a zero byte"):
        list_inputs([tmp_path / "all.txt"])


def test_a_list_from_stdin_starts_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path, "cat/1.jpg", "cat/2.jpg")
    monkeypatch.chdir(tmp_path)
    feed(monkeypatch, f"cat/1.jpg\n{tmp_path}/cat/2.jpg\n".encode())
    listing = list_inputs(["-", "-"])
    assert [(r.path, r.label) for r in listing.images] == [("1.jpg", "cat"), ("2.jpg", "cat")]
    assert listing.roots == ("cat",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "nothing"),
        (b".\n", "only folders"),
        (b"gone.jpg\n", "'gone.jpg'"),
        (b"all.lst\n", "no image by its suffix or first bytes"),
    ],
)
def test_a_list_without_images_says_what_it_has(tmp_path: Path, text: bytes, says: str) -> None:
    (tmp_path / "all.lst").write_bytes(text)
    with pytest.raises(UsageError, match=says):
        list_inputs([tmp_path / "all.lst"])


@pytest.mark.parametrize("name", ["report.docx", "labels.csv", "noending"])
def test_a_file_of_no_known_kind_is_refused_with_what_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    pictures(tmp_path / "imgs", "1.jpg")
    for inputs in ([tmp_path / name], [tmp_path / "imgs", tmp_path / name]):
        with pytest.raises(UsageError, match=rf"{name}.*\.jpg .*\.zip .*\.npz .*\.h5") as caught:
            list_inputs(inputs)
        assert ("--labels" in str(caught.value)) == name.endswith(".csv")


def test_what_a_shell_names_beside_images_is_counted_and_not_read_as_a_list(tmp_path: Path) -> None:
    pictures(tmp_path, "1.jpg", "2.jpg", "readme.txt", "Thumbs.db", "labels.csv")
    listing = list_inputs(sorted(tmp_path.iterdir()))
    assert [ref.path for ref in listing.images] == ["1.jpg", "2.jpg"]
    assert listing.ignored == {".txt": 1, "hidden": 1, ".csv": 1}


@pytest.mark.parametrize("name", ["gone.zip", "gone.txt", "gone", "*.tar"])
def test_an_input_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        list_inputs([tmp_path / name])


def test_nothing_given_is_an_error() -> None:
    with pytest.raises(UsageError, match="no images were given"):
        list_inputs([])


def test_an_archive_without_images_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no images in .*a\.zip: found 2 \.md, 1 hidden"):
        list_inputs([zipped(tmp_path / "a.zip", "x.md", "y.md", ".hidden/1.jpg")])


def test_several_sources_get_their_names_before_their_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "imgs", "cat/1.jpg", "dog/2.jpg")
    zipped(tmp_path / "more/new.zip", "cat/1.jpg")
    np.savez(tmp_path / "signs.npz", x=np.zeros((2, 4, 4, 3), np.uint8), y=np.array([3, 4]))
    monkeypatch.chdir(tmp_path)
    inputs: list[str | Path] = ["signs.npz", "imgs", "more/new.zip"]
    listing = list_inputs(inputs)
    assert [(r.path, r.label, r.shown) for r in listing.images] == [
        ("imgs/cat/1.jpg", "cat", "imgs/cat/1.jpg"),
        ("imgs/dog/2.jpg", "dog", "imgs/dog/2.jpg"),
        ("new.zip/cat/1.jpg", "cat", "more/new.zip/cat/1.jpg"),
        ("signs.npz/000000", "3", "signs.npz/000000"),
        ("signs.npz/000001", "4", "signs.npz/000001"),
    ]
    assert listing.images[0].origin.read(listing.images[0]) == b"picture cat/1.jpg"
    assert listing.images[2].origin.read(listing.images[2]) == b"zipped cat/1.jpg"
    assert sorted(listing.roots) == ["imgs", "more/new.zip", "signs.npz"]
    assert paths(inputs) == paths(inputs[::-1])


def test_sources_of_one_name_are_told_apart_by_the_folders_around_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("a/x/set.zip", "b/x/set.zip", "c/other.zip"):
        zipped(tmp_path / place, "1.jpg")
    monkeypatch.chdir(tmp_path / "a")
    listing = list_inputs(["x/set.zip", "../b/x/set.zip", "../c/other.zip", tmp_path / "a/x/set.zip"])
    assert [ref.path for ref in listing.images] == [
        "a/x/set.zip/1.jpg",
        "b/x/set.zip/1.jpg",
        "other.zip/1.jpg",
    ]
    shown = [Path(ref.shown.partition(".zip")[0] + ".zip").resolve() for ref in listing.images]
    assert shown == [tmp_path / "a/x/set.zip", tmp_path / "b/x/set.zip", tmp_path / "c/other.zip"]


def test_paths_that_would_still_be_the_same_stop_the_run(tmp_path: Path) -> None:
    pictures(tmp_path / "1/a", "data.zip/k.jpg")
    zipped(tmp_path / "2/a/data.zip", "k.jpg")
    zipped(tmp_path / "3/data.zip", "k.jpg")
    with pytest.raises(UsageError, match=r"two images would be 'a/data\.zip/k\.jpg'"):
        list_inputs([tmp_path / "1/a", tmp_path / "2/a/data.zip", tmp_path / "3/data.zip"])


def test_a_pattern_that_no_shell_expanded_finds_archives(tmp_path: Path) -> None:
    for i in range(3):
        zipped(tmp_path / f"shard-{i}.zip", "1.jpg")
    assert paths([tmp_path / "shard-*.zip"]) == [f"shard-{i}.zip/1.jpg" for i in range(3)]


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all"
)
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", "1.jpg").chmod(0)
    with pytest.raises(SourceError, match="Permission denied"):
        list_inputs([tmp_path / "a.zip"])
