"""Addresses: taken apart, put together, and never shown with their secrets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fc7.extract.inputs.places.addresses import Address, common_folder, is_address, parse, redacted
from fc7.extract.inputs.remote.entry import change_token
from fc7.extract.inputs.remote.web_pages import links_below
from fc7.models.common.errors import UsageError


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("s3://bucket/a", True),
        ("https://host", True),
        ("memory://x", True),
        ("zip://a.jpg::s3://bucket/a.zip", True),
        ("imgs/cat", False),
        ("C:\\pictures", False),
        ("c://pictures", False),
        ("/abs/s3://no", False),
        ("a:b.jpg", False),
        ("a::b.jpg", False),
    ],
)
def test_an_address_has_a_scheme_and_a_path_has_none(text: str, is_one: bool) -> None:
    assert is_address(text) is is_one


@pytest.mark.parametrize(
    ("text", "head", "path", "query", "shown"),
    [
        ("s3://bucket/imgs/", "s3://bucket", "imgs", "", "s3://bucket/imgs"),
        ("S3://Bucket/a b/50%.jpg", "s3://Bucket", "a b/50%.jpg", "", "s3://Bucket/a b/50%.jpg"),
        ("https://h:8/a%20b/1.jpg?k=v", "https://h:8", "a%20b/1.jpg", "?k=v", "https://h:8/a b/1.jpg"),
        ("https://me:pw@h/a b", "https://me:pw@h", "a%20b", "", "https://h/a b"),
        ("https://token@h/x", "https://token@h", "x", "", "https://h/x"),
        ("sftp://me:pw@h/x", "sftp://me:pw@h", "x", "", "sftp://h/x"),
        ("abfs://box@account/x", "abfs://box@account", "x", "", "abfs://box@account/x"),
        ("file:///data/x", "file://", "data/x", "", "file:///data/x"),
    ],
)
def test_the_parts(text: str, head: str, path: str, query: str, shown: str) -> None:
    found = parse(text)
    assert (found.head, found.path, found.query, found.shown) == (head, path, query, shown)


@pytest.mark.parametrize("text", ["s3://", "https:///x", "s3://KEY:pw@bucket/x", "s3://b/x.jpg?X-Sig=pw"])
def test_what_cannot_be_read_is_refused_without_its_secret(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "pw" not in str(caught.value)


_WORD = st.text("abcXYZ019-_.~", min_size=1, max_size=8)


@given(user=_WORD, password=_WORD, path=_WORD, key=_WORD, scheme=st.sampled_from(["https", "http"]))
def test_no_secret_is_shown(user: str, password: str, path: str, key: str, scheme: str) -> None:
    text = f"{scheme}://<{user}>:<{password}>@host/{path}/1.jpg?sig=<{key}>&x=<{key}>"
    for shown in (redacted(f"error at url='{text}', again"), parse(text).shown):
        assert "<" not in shown
        assert f"host/{path}/1.jpg" in shown


def test_lines_of_a_list_start_at_its_folder() -> None:
    web, s3 = parse("https://h/sets/"), parse("s3://bucket/sets")
    assert web.beside("cat/1 b.jpg?s=1").full == "https://h/sets/cat/1%20b.jpg?s=1"
    assert web.beside("/top.jpg").full == "https://h/top.jpg"
    assert s3.beside("../cat/1.jpg").full == "s3://bucket/cat/1.jpg"
    assert s3.beside("gs://other/1.jpg").full == "gs://other/1.jpg"


def test_the_folder_around_some() -> None:
    folders = [Address("s3://b", path) for path in ("x/cat", "x/cat/deep", "x/dog")]
    assert common_folder(folders) == Address("s3://b", "x")
    assert common_folder(folders[:2]) == Address("s3://b", "x/cat")
    assert common_folder([Address("s3://b", "xy"), Address("s3://b", "x")]) == Address("s3://b", "")


def test_a_token_is_the_time_to_the_second_and_the_etag_within_it() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    seconds = int(moment.timestamp())
    tokens = {change_token({"LastModified": moment, "ETag": tag}) for tag in ('"a"', '"b"', '"c"')}
    assert len(tokens) == 3
    assert {token // 10**9 for token in tokens} == {seconds}
    written = {"Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT"}
    assert change_token(written) == change_token({"mtime": float(seconds)}) == seconds * 10**9
    assert (
        change_token({"updated": "2026-01-02T03:04:05.250+00:00", "etag": "x"})
        == seconds * 10**9 + 25 * 10**7
    )
    assert 0 < change_token({"ETag": '"a"'}) < 2**62
    assert change_token({}) == change_token({"Last-Modified": "soon"}) == 0


def test_links_of_a_page_are_those_below_it() -> None:
    page = b"""<!DOCTYPE html><a href="../">up</a><a href="?C=N;O=D">sort</a><a href="/">top</a>
    <A HREF='a%20b.jpg'>x</A><a href="./c.jpg">y</a><a href="cat/">z</a><a href="https://h:1/imgs/d.jpg?a=1&amp;b=2">
    </a><a href="https://elsewhere/imgs/e.jpg">e</a><a href="c.jpg#there">again</a><a name="n">no link</a>
    <a href="http://[bad">f</a><a href="../imgs2/g.jpg">g</a>"""
    assert links_below(page, "https://h:1/imgs/") == ["a%20b.jpg", "c.jpg", "cat/", "d.jpg?a=1&b=2"]
