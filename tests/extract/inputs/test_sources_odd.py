"""Odd names, links, unreadable folders, and files that change under the tool's feet."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.extract.inputs.places import folders
from fc7.extract.inputs.places.folders import escape
from fc7.extract.inputs.sources import list_images
from fc7.extract.records import ImageRef
from fc7.models.common.errors import ImageError, UsageError
from tests.support import ROOT
from tests.support.extract.decoding import decode
from tests.support.extract.odd_files import encoded, make_odd_folder, photo

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX file system")
SHARED = ROOT / ".." / "shared" / "images"
DATA = encoded(photo(8, 8), "PNG")


def read(ref: ImageRef) -> bytes:
    data = ref.origin.read(ref)
    assert isinstance(data, bytes)
    return data


def unescape(shown: str) -> str:
    """What `escape` says of itself, read backwards."""

    def real(found: re.Match[str]) -> str:
        code = found[0]
        if code == "\\\\":
            return "\\"
        return chr(int(code[2:], 16) + (0xDC00 if code[1] == "x" else 0))

    return re.sub(r"\\\\|\\x..|\\u....", real, shown)


def test_the_odd_folder_is_listed_and_read_as_documented(tmp_path: Path) -> None:
    made = make_odd_folder(tmp_path)
    listing = list_images([tmp_path])
    reasons = {failure.path: failure.reason for failure in listing.failures}
    read_back = set()
    for ref in listing.images:
        try:
            pixels = decode(read(ref))
        except ImageError as exc:
            reasons[ref.path] = str(exc)
        else:
            read_back.add(ref.path)
            expected = made.readable[ref.path]
            assert expected is None or (pixels == expected).all(), ref.path
    assert read_back == set(made.readable)
    assert set(reasons) == set(made.unreadable)
    for path, reason in reasons.items():
        assert made.unreadable[path] in reason
        assert "\n" not in reason
    assert listing.ignored == made.ignored
    for ref in listing.images:
        ref.path.encode()
        ref.shown.encode()


@settings(deadline=None)
@given(st.text())
def test_names_are_escaped_to_utf8_and_back(name: str) -> None:
    shown = escape(name)
    shown.encode()
    assert unescape(shown) == name


@settings(deadline=None)
@given(st.binary(), st.binary())
def test_two_names_of_any_bytes_never_share_a_path(a: bytes, b: bytes) -> None:
    first, second = (raw.decode("utf-8", "surrogateescape") for raw in (a, b))
    escape(first).encode()
    assert (escape(first) == escape(second)) == (first == second)


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("a.jpg", "a b%20'\".jpg", "\u00fcn\u00efc\u00f6de \U0001f600.jpg", "new\nline.jpg"):
        assert escape(name) == name


@POSIX
def test_a_linked_folder_is_followed_and_one_that_is_there_already_is_left(tmp_path: Path) -> None:
    (tmp_path / "imgs/real/deep").mkdir(parents=True)
    (tmp_path / "imgs/real/deep/1.png").write_bytes(DATA)
    (tmp_path / "imgs/real/deep/up").symlink_to("..")
    (tmp_path / "imgs/real/self").symlink_to(".")
    (tmp_path / "imgs/a").symlink_to("real")
    (tmp_path / "elsewhere/in").mkdir(parents=True)
    (tmp_path / "elsewhere/2.png").write_bytes(DATA)
    (tmp_path / "elsewhere/in/3.png").write_bytes(DATA)
    for name in ("c", "b"):
        (tmp_path / "imgs" / name).symlink_to(tmp_path / "elsewhere")
    listing = list_images([tmp_path / "imgs"])
    assert [(ref.path, ref.label) for ref in listing.images] == [
        ("b/2.png", "b"),
        ("b/in/3.png", "in"),
        ("real/deep/1.png", "deep"),
    ]
    assert listing.ignored == {"linked again": 4}
    assert read(listing.images[0]) == DATA


@POSIX
def test_folders_that_link_to_each_other_are_listed_once(tmp_path: Path) -> None:
    names = [f"{i:02}" for i in range(12)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(DATA)
        # Each leads to all others: as many paths as there are orders of them.
        for other in names:
            (tmp_path / name / f"to-{other}").symlink_to(f"../{other}")
    listing = list_images([tmp_path])
    assert [ref.path for ref in listing.images] == [f"{name}/1.png" for name in names]
    assert listing.ignored == {"linked again": 144}


@POSIX
@pytest.mark.parametrize("order", [1, -1])
def test_what_is_named_twice_through_a_link_counts_once_whatever_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("real/cat", "real/dog"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.png").write_bytes(DATA)
    (tmp_path / "a-link").symlink_to("real")
    listing = list_images(["a-link/cat", "real", "a-link/dog/1.png"][::order])
    assert [(ref.path, ref.label) for ref in listing.images] == [
        ("real/cat/1.png", "cat"),
        ("real/dog/1.png", "dog"),
    ]
    assert listing.ignored == {"linked again": 2}
    files = list_images(["a-link/cat/1.png", "real/cat/1.png", "real/dog/1.png"])
    assert len(files.images) == 2
    assert read(files.images[0]) == DATA


@POSIX
def test_a_file_system_that_numbers_nothing_ends_in_no_loop_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def stat(path: str, **how: bool) -> os.stat_result:
        found = list(real(path, **how))
        return os.stat_result([*found[:1], 0, *found[2:]], {"st_mtime_ns": 0})

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(DATA)
        (tmp_path / name / "up").symlink_to("..")
    monkeypatch.setattr("fc7.extract.inputs.places.folders.os.stat", stat)
    assert [ref.path for ref in list_images([tmp_path]).images] == ["cat/1.png", "dog/1.png"]


@POSIX
def test_links_to_nowhere_and_to_themselves_are_failures_if_they_look_like_images(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(DATA)
    (tmp_path / "b.png").symlink_to("gone.png")
    (tmp_path / "c.png").symlink_to("c.png")
    (tmp_path / "d.txt").symlink_to("gone.txt")
    (tmp_path / "e.png").symlink_to("a.png")
    listing = list_images([tmp_path])
    assert [ref.path for ref in listing.images] == ["a.png", "e.png"]
    assert [(f.path, f.reason, f.size) for f in listing.failures] == [
        ("b.png", "broken link to 'gone.png'", 0),
        ("c.png", "broken link to 'c.png'", 0),
    ]
    assert listing.ignored == {".txt": 1}
    assert [f.path for f in list_images([tmp_path / "b.png"]).failures] == ["b.png"]


@POSIX
def test_pipes_and_sockets_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("a.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("b.jpg")
        listing = list_images(["."])
    assert [(f.path, f.reason) for f in listing.failures] == [
        ("a.png", "not a file but a pipe, socket or device"),
        ("b.jpg", "not a file but a pipe, socket or device"),
    ]


def test_a_folder_called_like_an_image_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").mkdir()
    (tmp_path / "x.jpg/1.png").write_bytes(DATA)
    assert [(ref.path, ref.label) for ref in list_images([tmp_path]).images] == [("x.jpg/1.png", "x.jpg")]


def test_a_folder_that_cannot_be_read_is_a_failure_and_a_given_one_stops_the_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As root every folder can be read, so the refusal is played.
    (tmp_path / "locked").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "open/1.png").write_bytes(DATA)
    real = os.scandir

    def scandir(path: str) -> Iterator[os.DirEntry[str]]:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("fc7.extract.inputs.places.folders.os.scandir", scandir)
    listing = list_images([tmp_path])
    assert [ref.path for ref in listing.images] == ["open/1.png"]
    assert [(f.path, f.reason) for f in listing.failures] == [
        ("locked/", "the folder cannot be read: Permission denied")
    ]
    with pytest.raises(UsageError, match=r"locked' cannot be read: Permission denied"):
        list_images([tmp_path / "locked"])


@POSIX
def test_folders_may_nest_deeper_than_pythons_stack(tmp_path: Path) -> None:
    deep = sys.getrecursionlimit() + 50
    folders_made = [tmp_path]
    try:
        for _ in range(deep):
            folders_made.append(folders_made[-1] / "d")
            folders_made[-1].mkdir()
        (folders_made[-1] / "1.png").write_bytes(DATA)
        assert list_images([tmp_path]).images[0].path == "d/" * deep + "1.png"
    finally:
        # pytest's own clean-up is recursive.
        (folders_made[-1] / "1.png").unlink(missing_ok=True)
        for folder in reversed(folders_made[1:]):
            folder.rmdir()


def test_a_file_that_changes_after_the_listing_is_a_failure_with_both_sizes(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"12345")
    (ref,) = list_images([tmp_path]).images
    assert read(ref) == b"12345"
    file.write_bytes(b"12345678")
    with pytest.raises(ImageError, match=r"^changed while it was read: listed with 5 bytes, read 8$"):
        read(ref)
    file.write_bytes(b"12")
    with pytest.raises(ImageError, match="listed with 5 bytes, read 2"):
        read(ref)
    file.unlink()
    with pytest.raises(ImageError, match=r"^vanished after it was listed$"):
        read(ref)
    file.mkdir()
    with pytest.raises(ImageError, match=r"^cannot be read: |vanished"):
        read(ref)


def test_a_file_too_large_to_decode_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(DATA)
    (ref,) = list_images([tmp_path]).images
    monkeypatch.setattr(folders, "MAX_FILE_BYTES", 10)
    with pytest.raises(ImageError, match=f"has {len(DATA)} bytes; at most 10"):
        read(ref)


def test_reading_does_not_depend_on_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imgs").mkdir()
    (tmp_path / "imgs/1.png").write_bytes(DATA)
    monkeypatch.chdir(tmp_path)
    (ref,) = list_images(["imgs"]).images
    monkeypatch.chdir("/")
    assert read(ref) == DATA


def test_every_shared_image_is_read_or_is_known_to_be_empty() -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared images are not here")
    listing = list_images([SHARED])
    assert not listing.failures
    for ref in [*listing.images[::7], *(ref for ref in listing.images if ref.size == 0)]:
        if ref.size == 0:
            with pytest.raises(ImageError, match="empty"):
                decode(read(ref))
        else:
            assert decode(read(ref)).size > 0
    assert sum(ref.size == 0 for ref in listing.images) == 2
