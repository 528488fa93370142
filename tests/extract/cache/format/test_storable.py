"""One odd input is one failure: what a cache cannot keep stops none of its neighbours."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.extract.cache.format.columns import failure_columns, number_column, text_column
from fc7.extract.cache.format.storable import LONGEST_NAME, LONGEST_PATH, storable
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.places.addresses import parse
from fc7.extract.inputs.remote.entry import change_token, entry_of
from fc7.extract.inputs.remote.web_pages import links_below
from fc7.extract.records import Failure, ImageRef, Listing
from fc7.models.common.errors import Fc7Error
from tests.extract.inputs.archives.test_archives import contents, pack
from tests.support import CommandLine, read_json, write_pictures
from tests.support.extract.web_folder import web_folder


class Nowhere:
    name = "nowhere"

    def read(self, ref: ImageRef) -> bytes:
        raise AssertionError("nothing is read")


def image(path: str = "a/1.png", label: str | None = "a", size: int = 1, mtime_ns: int = 0) -> ImageRef:
    return ImageRef(path, label, None, None, size, mtime_ns, Nowhere(), 0)


ODD_TEXT = st.text(st.sampled_from("a\0\\é\ud800"), max_size=3) | st.just("x" * (LONGEST_PATH + 1))
NUMBERS = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1, -1, -(2**63), -(2**63) - 1])


@settings(deadline=None)
@given(
    st.lists(st.builds(image, ODD_TEXT, st.none() | ODD_TEXT, NUMBERS, NUMBERS), max_size=4),
    st.lists(st.builds(Failure, ODD_TEXT, ODD_TEXT, NUMBERS, NUMBERS), max_size=3),
)
def test_whatever_is_listed_can_be_kept_and_nothing_is_lost(
    images: list[ImageRef], failures: list[Failure]
) -> None:
    found = storable(Listing(images, failures, {}, ("r",)))
    assert len(found.images) + len(found.failures) == len(images) + len(failures)
    for name in ("path", "label", "group", "split"):
        list(text_column(name, found.images, name).blocks())
    for name in ("size", "mtime_ns"):
        list(number_column(name, found.images, name).blocks())
    for column in failure_columns(found.failures):
        list(column.blocks())


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (image(label="a\0b"), r"its label 'a\x00b' holds a zero byte"),
        (image(label="x" * 2**20), f"has 1,048,576 bytes; a feature cache keeps {LONGEST_NAME:,} at most"),
        (image(label="\ud800"), "its label '\\ud800' is not valid Unicode"),
        (image(path="a/\0.png"), "its path holds a zero byte"),
        (image(mtime_ns=2**63), "its modification time is 9,223,372,036 s from 1970"),
        (image(size=2**63), "claims 9,223,372,036,854,775,808 bytes"),
    ],
)
def test_each_is_a_failure_with_its_reason_and_the_next_one_is_not(odd: ImageRef, reason: str) -> None:
    good = image("b/2.png", "x" * LONGEST_NAME, 2**63 - 1, -(2**63))
    found = storable(Listing([odd, good], (), {}, ()))
    assert found.images == [good]
    assert reason in found.failures[0].reason


def test_what_is_fine_is_the_same_listing() -> None:
    listing = Listing([image()], [Failure("b.png", "broken link to 'x'", 0, 0)], {}, ())
    assert storable(listing) is listing


def test_two_overlong_paths_stay_two() -> None:
    long = "x" * (LONGEST_PATH + 1)
    found = storable(Listing([image(long + "1"), image(long + "2")], (), {}, ()))
    assert len({failure.path for failure in found.failures}) == 2


def zip_with_claims(path: Path, offset: int, size: int, stored: int) -> Path:
    """A zip with one good member, and one whose directory entry claims these numbers (APPNOTE 4.5.3)."""
    data = pack(path, {"good/1.jpg": b"good"}).read_bytes()
    end, directory = data.rindex(b"PK\5\6"), data.index(b"PK\1\2")
    name, extra = b"odd/1.jpg", struct.pack("<HHQQQ", 1, 24, size, stored, offset)
    full = 0xFFFFFFFF
    entry = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 0, 0, 0, 0, full, full, len(name), len(extra), 0, 0, 0, 0, full
    )
    listed = data[directory:end] + entry + name + extra
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(listed), directory, 0)
    path.write_bytes(data[:directory] + listed + tail)
    return path


@pytest.mark.parametrize("claims", [(2**63, 1, 1), (2**64 - 1, 1, 1), (0, 2**64 - 1, 1), (0, 1, 2**64 - 1)])
def test_a_zip_member_of_absurd_numbers_fails_alone(tmp_path: Path, claims: tuple[int, int, int]) -> None:
    listing = storable(list_inputs([zip_with_claims(tmp_path / "a.zip", *claims)]))
    assert contents(listing) == {"good/1.jpg": b"good"}
    assert [failure.path for failure in listing.failures] == ["odd/1.jpg"]
    for column in failure_columns(listing.failures):
        list(column.blocks())


def test_a_zip_member_without_a_name_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"")
        archive.writestr("cat/1.jpg", b"cat")
    path.write_bytes(path.read_bytes().replace(b"x", b"\0"))
    assert contents(list_inputs([path])) == {"cat/1.jpg": b"cat"}


PIECES = ['<a href="', '">', "<", "<![", "<!--", "<![CDATA[", "]]>", "%00", "&#0;", "//", "h:x/", "[::1"]
HOSTS = ["http", "s3", "://", "[", "]", "h", ":9", "/", "?", "@", "\udce9"]


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=9))
def test_no_page_brings_an_error(parts: list[str]) -> None:
    links_below("".join(parts).encode("utf-8", "replace"), "http://h:80/imgs/")


def test_links_after_a_marked_section_and_beside_an_impossible_port_are_found() -> None:
    page = b'<![if x]><a href="b.jpg"></a><a href="http://h:x/imgs/c.jpg"></a><a href="d.jpg"></a>'
    assert links_below(page, "http://h/imgs/") == ["b.jpg", "d.jpg"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(HOSTS), max_size=8))
def test_an_address_is_taken_apart_or_refused(parts: list[str]) -> None:
    text = "https://" + "".join(parts)
    try:
        found = parse(text)
    except Fc7Error:
        return
    found.shown.encode()


MOMENTS = st.text() | st.floats() | st.integers() | st.datetimes()
MOMENTS |= st.sampled_from(["Thu, 01 Jan 9999 00:00:00 GMT", "Mon, 99 Foo 2020", "1e400", ""])


@settings(deadline=None)
@given(MOMENTS)
def test_a_store_may_date_a_file_as_it_likes(moment: object) -> None:
    assert -(2**63) <= change_token({"mtime": moment, "ETag": "x"}) < 2**63


@pytest.mark.parametrize("size", ["many", "", None, -5, float("nan"), float("inf"), [1]])
def test_a_size_that_is_none_is_unknown(size: object) -> None:
    assert entry_of("a.jpg", {"size": size}).size == 0


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("odd")).with_tiny_network()


def extracted(cli: CommandLine, *arguments: str | Path) -> tuple[int, dict[str, str]]:
    """How many rows a run gave, and its failures."""
    out = ("-o", "one.h5", "--force", "--network", "tiny", "--json")
    found = read_json(cli.incomplete("extract", *arguments, *out).out)
    assert found["images"] == found["rows"] + len(found["failures"])
    return found["rows"], {failure["path"]: failure["reason"] for failure in found["failures"]}


def test_a_file_dated_after_2262_is_a_failure_until_it_has_another_time(cli: CommandLine) -> None:
    folder = write_pictures(cli.folder / "dated", per_class=2)
    late, early = folder / "red/000.png", folder / "red/001.png"
    os.utime(late, ns=(0, 2**63))
    os.utime(early, ns=(0, -(10**18)))
    if late.stat().st_mtime_ns != 2**63:
        pytest.skip("this file system keeps no such time")
    rows, failures = extracted(cli, "dated")
    assert rows == 5
    assert "9,223,372,036 s from 1970" in failures.pop("red/000.png")
    assert not failures
    os.utime(late, ns=(0, 2**60))
    again = read_json(cli.good("extract", "dated", "-o", "one.h5", "--network", "tiny", "--json").out)
    assert (again["rows"], again["extracted"], again["reused"]) == (6, 1, 5)


def test_a_zero_byte_in_a_label_file_of_a_shard_fails_that_image(cli: CommandLine) -> None:
    folder = write_pictures(cli.folder / "shard", per_class=1)
    files: dict[str, bytes] = {}
    for colour, text in (("red", b"re\0d"), ("green", b"green"), ("blue", b"b" * 2**19)):
        files |= {f"{colour}.png": (folder / colour / "000.png").read_bytes(), f"{colour}.cls": text}
    pack(cli.folder / "shard.tar", files)
    rows, failures = extracted(cli, "shard.tar")
    assert rows == 1
    assert r"its label 're\x00d' holds a zero byte" in failures["red.png"]
    assert "has 524,288 bytes" in failures["blue.png"]


def test_a_zero_byte_anywhere_in_a_manifest_fails_that_line(cli: CommandLine) -> None:
    write_pictures(cli.folder / "told", per_class=2)
    lines = [
        "path,label,group,split",
        "red/000.png,re\0d,,",
        "red/001.png,red,\0,",
        "green/000.png,green,,train\0",
        "green/0\x0001.png,green,,",
        "blue/000.png,blue,a,train",
    ]
    (cli.folder / "told/labels.csv").write_text("\n".join(lines), "utf-8")
    rows, failures = extracted(cli, "told", "--labels", "told/labels.csv")
    # Two images are not named at all, which is no failure.
    assert rows == 3
    for path, what in (("red/000.png", "label"), ("red/001.png", "group"), ("green/000.png", "split")):
        assert failures[path].startswith(f"its {what} ")
    assert failures[r"green/0\x0001.png"].endswith("line 5, its name holds a zero byte")
    rows, failures = extracted(cli, "--labels", "told/labels.csv")
    assert (rows, len(failures)) == (1, 4)


def test_a_zero_byte_in_a_link_fails_that_link_and_is_not_asked_for(cli: CommandLine) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    folder = write_pictures(cli.folder / "web", per_class=1)
    (folder / "index.html").write_text(
        '<![odd<a href="x">x</a><a href="red/000.png">a</a><a href="red/%00.png">b</a><a href="gr%00n/">c</a>'
        '<a href="red/no.png?x=1">d</a><a href="red/no.png?x=2">e</a><a href="http://h:x/">f</a>'
    )
    with web_folder(folder) as server:
        rows, failures = extracted(cli, server.url + "/")
        assert not [path for path, _ in server.asked if "%00" in path]
    assert rows == 1
    assert failures == {
        "gr\\x00n/": "the folder cannot be read: its name holds a zero byte",
        "red/\\x00.png": "its name holds a zero byte",
        "red/no.png": "not found",
    }


def test_a_line_that_is_no_address_fails_alone(cli: CommandLine) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    folder = write_pictures(cli.folder / "lines", per_class=1)
    with web_folder(folder) as server:
        lines = [f"{server.url}/red/000.png", "https://[h/red.png", "https:///red.png"]
        (cli.folder / "lines.txt").write_text("\n".join(lines))
        rows, failures = extracted(cli, "lines.txt")
        assert rows == 1
        assert failures["https://[h/red.png"].startswith("named in lines.txt line 2, ")
        assert "no host is named" in failures["https:///red.png"]
        table = "path,label\n" + "".join(f"{line},red\n" for line in lines)
        (cli.folder / "lines.csv").write_text(table)
        rows, failures = extracted(cli, "--labels", "lines.csv")
        assert (rows, len(failures)) == (1, 2)


def test_a_file_that_no_cache_can_keep_is_listed_like_any_other(tmp_path: Path) -> None:
    """What is only classified is kept nowhere."""
    folder = write_pictures(tmp_path / "new", per_class=1)
    os.utime(folder / "red/000.png", ns=(0, 2**63))
    assert len(list_inputs([folder]).images) == 3
