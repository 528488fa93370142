"""Downloads against a server on 127.0.0.1 that cuts, lies, redirects and forgets."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fc7.models.common.errors import DownloadError
from fc7.models.store.download import IDLE_TRIES, TRIES, Wanted, fetch
from tests.support.models.web_server import Server, serving

DATA = bytes(range(256)) * 3000 + b"the end"
SHA256 = hashlib.sha256(DATA).hexdigest()
SHA1 = hashlib.sha1(DATA).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as running:
        yield running


class Counter:
    """A `Progress` that adds up."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.done = 0
        self.finished = 0

    def start(self, total: int, what: str) -> None:
        self.totals.append(total)
        self.done = 0

    def advance(self, n: int = 1) -> None:
        self.done += n

    def finish(self) -> None:
        self.finished += 1


def no_pause(seconds: float) -> None:
    """Do not wait between tries."""


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_transfer_appears_under_its_name_and_leaves_nothing_beside_it(
    server: Server, tmp_path: Path
) -> None:
    counter = Counter()
    url = server.add("/net.onnx", DATA)
    done = fetch(
        [url], tmp_path / "deep" / "net.onnx", Wanted(size=len(DATA), sha256=SHA256.upper()), progress=counter
    )
    assert done.read_bytes() == DATA
    assert parts(tmp_path / "deep") == ["net.onnx"]
    assert (counter.totals, counter.done, counter.finished) == ([len(DATA)], len(DATA), 1)


def test_a_file_that_is_there_and_right_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    url = server.add("/net.onnx", DATA)
    (tmp_path / "net.onnx").write_bytes(DATA)
    fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256))
    assert server.asked == []


def test_a_file_that_is_there_and_wrong_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"something else")
    fetch([server.add("/net.onnx", DATA)], tmp_path / "net.onnx", Wanted(sha256=SHA256))
    assert (tmp_path / "net.onnx").read_bytes() == DATA


def test_a_truncated_transfer_is_resumed_by_range_and_nothing_is_sent_twice(
    server: Server, tmp_path: Path
) -> None:
    counter = Counter()
    url = server.add("/net.onnx", DATA, cuts=[200_000, 300_000])
    fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256), progress=counter, pause=no_pause)
    assert (tmp_path / "net.onnx").read_bytes() == DATA
    assert [asked.range for asked in server.asked] == [None, "bytes=200000-", "bytes=500000-"]
    assert sum(asked.sent for asked in server.asked) == len(DATA)
    assert counter.done == len(DATA)


def test_a_server_without_ranges_is_read_from_the_start_again(server: Server, tmp_path: Path) -> None:
    url = server.add("/net.onnx", DATA, cuts=[200_000], ranges=False)
    fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256), pause=no_pause)
    assert (tmp_path / "net.onnx").read_bytes() == DATA
    assert [asked.sent for asked in server.asked] == [200_000, len(DATA)]


def test_a_wrong_hash_never_appears_and_the_next_mirror_is_used(server: Server, tmp_path: Path) -> None:
    evil = server.add("/evil.onnx", DATA[:-1] + b"!")
    good = server.add("/good.onnx", DATA)
    fetch([evil, good], tmp_path / "net.onnx", Wanted(sha256=SHA256), pause=no_pause)
    assert (tmp_path / "net.onnx").read_bytes() == DATA
    # The good mirror was not asked to continue the other's bytes.
    assert [(asked.path, asked.range) for asked in server.asked] == [
        ("/evil.onnx", None),
        ("/good.onnx", None),
    ]


@pytest.mark.parametrize("published", [{"sha256": "0" * 64}, {"sha1": "0" * 40}])
def test_a_wrong_hash_everywhere_is_an_error_with_both_hashes_and_no_file(
    published: dict[str, str], server: Server, tmp_path: Path
) -> None:
    url = server.add("/net.onnx", DATA)
    with pytest.raises(DownloadError) as caught:
        fetch([url], tmp_path / "net.onnx", Wanted(**published))  # type: ignore[arg-type]
    found = SHA256 if "sha256" in published else SHA1
    assert found in str(caught.value)
    assert next(iter(published.values())) in str(caught.value)
    assert parts(tmp_path) == []


def test_sha1_alone_is_enough_to_check_by(server: Server, tmp_path: Path) -> None:
    fetch([server.add("/a.caffemodel", DATA)], tmp_path / "a.caffemodel", Wanted(sha1=SHA1))
    assert (tmp_path / "a.caffemodel").read_bytes() == DATA


def test_ctrl_c_keeps_what_came(server: Server, tmp_path: Path) -> None:
    class Impatient(Counter):
        def advance(self, n: int = 1) -> None:
            super().advance(n)
            if self.done > 300_000:
                raise KeyboardInterrupt

    url = server.add("/net.onnx", DATA)
    progress = Impatient()
    with pytest.raises(KeyboardInterrupt):
        fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256), progress=progress)
    kept = (tmp_path / "net.onnx.part").stat().st_size
    assert kept == progress.done
    assert progress.finished == 1
    fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256))
    assert server.asked[1].range == f"bytes={kept}-"


def test_every_failure_is_listed_with_its_address_and_reason(server: Server, tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}/net.onnx"
    missing = server.url + "/missing"
    short = server.add("/short", DATA[:1000])
    local = (tmp_path / "x").as_uri()
    pauses: list[float] = []
    urls = [missing, closed, short, local]
    with pytest.raises(DownloadError) as caught:
        fetch(urls, tmp_path / "net.onnx", Wanted(size=len(DATA), sha256=SHA256), pause=pauses.append)
    reasons = dict(caught.value.attempts)
    assert list(reasons) == [missing, closed, short, local]
    assert reasons[missing] == "HTTP 404 Not Found"
    assert "refused" in reasons[closed]
    assert reasons[short] == f"has a file of 1000 bytes there, {len(DATA)} were published"
    assert "only http and https" in reasons[local]
    for url, reason in reasons.items():
        assert f"{url}: {reason}" in str(caught.value)
    assert pauses == []  # what cannot help is not tried again
    assert not (tmp_path / "net.onnx").exists()


def test_an_overloaded_server_is_asked_again_and_a_missing_page_is_not(
    server: Server, tmp_path: Path
) -> None:
    waits: list[float] = []
    fetch(
        [server.add("/busy", DATA, statuses=[503, 429])],
        tmp_path / "net",
        Wanted(sha256=SHA256),
        pause=waits.append,
    )
    assert waits == [0.5, 1.0]
    with pytest.raises(DownloadError):
        fetch([server.url + "/gone"], tmp_path / "other", Wanted(sha256=SHA256), pause=waits.append)
    assert len(waits) == 2


def test_a_server_that_always_hangs_up_is_given_up(server: Server, tmp_path: Path) -> None:
    url = server.add("/net.onnx", DATA, cuts=[10] * 100)
    with pytest.raises(DownloadError, match=f"ended at {10 * TRIES} of {len(DATA)} bytes"):
        fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256), pause=no_pause)
    assert len(server.asked) == TRIES
    # The bytes are kept: the next run goes on from them.
    assert (tmp_path / "net.onnx.part").stat().st_size == 10 * TRIES


def test_a_server_that_hangs_up_without_a_byte_is_given_up_sooner(server: Server, tmp_path: Path) -> None:
    waits: list[float] = []
    url = server.add("/net.onnx", DATA, cuts=[100, *[0] * 100])
    with pytest.raises(DownloadError, match=f"ended at 100 of {len(DATA)} bytes"):
        fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256), pause=waits.append)
    assert len(server.asked) == 1 + IDLE_TRIES
    assert waits == [0.5, 1.0]


def test_redirects_are_followed_but_never_to_a_file(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(DATA)
    server.add("/real.onnx", DATA)
    good = server.add("/moved", location="/real.onnx")
    with pytest.raises(DownloadError) as caught:
        fetch([server.add("/evil", location=secret.as_uri())], tmp_path / "a", Wanted(sha256=SHA256))
    assert "not allowed" in str(caught.value)
    with pytest.raises(DownloadError, match="ftp: address, which is never followed"):
        fetch([server.add("/ftp", location="ftp://127.0.0.1/x")], tmp_path / "a", Wanted(sha256=SHA256))
    fetch([good], tmp_path / "a", Wanted(sha256=SHA256))
    assert (tmp_path / "a").read_bytes() == DATA


def test_a_file_that_changed_between_two_tries_is_not_pieced_together(server: Server, tmp_path: Path) -> None:
    """Without a published hash only the ETag tells; the server then sends the new file whole."""
    url = server.url + "/net.onnx"
    (tmp_path / "net.onnx.part").write_bytes(DATA[:200_000])
    (tmp_path / "net.onnx.part.json").write_text(f'{{"url": "{url}", "etag": "\\"one\\""}}')
    new = DATA[::-1]
    server.add("/net.onnx", new, etag='"two"')
    server.asked.clear()
    fetch([url], tmp_path / "net.onnx")
    assert (server.asked[0].range, server.asked[0].if_range) == ("bytes=200000-", '"one"')
    assert (tmp_path / "net.onnx").read_bytes() == new


def test_a_part_of_unknown_origin_without_a_hash_is_not_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.onnx.part").write_bytes(b"who knows")
    fetch([server.add("/net.onnx", DATA)], tmp_path / "net.onnx")
    assert server.asked[0].range is None
    assert (tmp_path / "net.onnx").read_bytes() == DATA


def test_a_spoilt_part_is_noticed_by_the_hash_and_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.onnx.part").write_bytes(b"x" * 1000)
    fetch([server.add("/net.onnx", DATA)], tmp_path / "net.onnx", Wanted(sha256=SHA256))
    assert [asked.range for asked in server.asked] == ["bytes=1000-", None]
    assert (tmp_path / "net.onnx").read_bytes() == DATA


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_part_that_is_already_whole_is_used(size: int | None, server: Server, tmp_path: Path) -> None:
    """Killed between the last byte and the rename: with the size known nobody is asked at all."""
    (tmp_path / "net.onnx.part").write_bytes(DATA)
    fetch([server.add("/net.onnx", DATA)], tmp_path / "net.onnx", Wanted(sha256=SHA256, size=size))
    assert (tmp_path / "net.onnx").read_bytes() == DATA
    assert sum(asked.sent for asked in server.asked) == 0
    assert len(server.asked) == (0 if size else 1)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 3000), max_size=TRIES + 2), ranges=st.booleans())
def test_however_the_line_breaks_the_file_is_whole_or_not_there(
    cuts: list[int], ranges: bool, tmp_path_factory: pytest.TempPathFactory, server: Server
) -> None:
    data = DATA[:4000]
    dest = tmp_path_factory.mktemp("cut") / "net.onnx"
    server.asked.clear()
    url = server.add("/cut", data, cuts=list(cuts), ranges=ranges)
    digest = hashlib.sha256(data).hexdigest()
    try:
        fetch([url], dest, Wanted(sha256=digest), pause=no_pause)
    except DownloadError:
        assert not dest.exists()
        server.add("/cut", data)
        fetch([url], dest, Wanted(sha256=digest), pause=no_pause)
    assert dest.read_bytes() == data
