"""Downloads over https: certificates, redirects to other hosts, a hash of which only the start is known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fc7.models.common.errors import DownloadError
from fc7.models.common.progress import Silent
from fc7.models.store.download import Wanted, fetch
from tests.support.models.web_server import Server, certificate, serving

DATA = bytes(range(256)) * 3000 + b"the end"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(pem: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An https server that is trusted."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with serving(pem) as running:
        yield running


@pytest.fixture
def cdn(pem: Path) -> Iterator[Server]:
    """Another one."""
    with serving(pem) as running:
        yield running


@pytest.fixture
def plain() -> Iterator[Server]:
    with serving() as running:
        yield running


def test_a_server_whose_certificate_nobody_signed_is_not_believed(
    secure: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = secure.add("/net.onnx", DATA)
    assert fetch([url], tmp_path / "trusted").read_bytes() == DATA
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DownloadError, match=r"(?i)certificate"):
        fetch([url], tmp_path / "untrusted")


def test_a_redirect_to_another_host_is_followed_again_for_the_rest_of_the_file(
    secure: Server, cdn: Server, tmp_path: Path
) -> None:
    """As a hub does that keeps its files with a content delivery network."""
    stored = cdn.add("/blob?signed=1", DATA, etag='"of the blob"', cuts=[200_000, 300_000])
    url = secure.add("/org/net/resolve/main/net.onnx", location=stored)
    done = fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256), pause=lambda seconds: None)
    assert done.read_bytes() == DATA
    assert [(asked.range, asked.if_range) for asked in cdn.asked] == [
        (None, None),
        ("bytes=200000-", '"of the blob"'),
        ("bytes=500000-", '"of the blob"'),
    ]
    assert len(secure.asked) == 3
    assert sum(asked.sent for asked in cdn.asked) == len(DATA)


def test_the_hash_is_of_the_whole_file_however_many_hosts_sent_it(
    secure: Server, cdn: Server, tmp_path: Path
) -> None:
    """The rest comes from another blob than the start: neither half is wrong, the whole is."""
    url = secure.add("/net.onnx", location=cdn.add("/one", DATA, cuts=[200_000]))

    class Moving(Silent):
        """Moves the file as soon as bytes of it are counted."""

        def advance(self, n: int = 1) -> None:
            secure.add("/net.onnx", location=cdn.add("/two", DATA[::-1]))

    with pytest.raises(DownloadError, match=f"{SHA256} was published"):
        fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256), progress=Moving())
    assert not (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize("through", [False, True], ids=["at once", "by way of another https host"])
def test_no_redirect_leads_from_https_to_plain_http(
    through: bool, secure: Server, cdn: Server, plain: Server, tmp_path: Path
) -> None:
    target = plain.add("/net.onnx", DATA)
    if through:
        target = cdn.add("/on", location=target)
    with pytest.raises(DownloadError, match="redirected from https to http://127"):
        fetch([secure.add("/net.onnx", location=target)], tmp_path / "net.onnx", Wanted(sha256=SHA256))
    assert plain.asked == []


def test_a_redirect_from_plain_http_to_https_is_followed(
    secure: Server, plain: Server, tmp_path: Path
) -> None:
    url = plain.add("/net.onnx", location=secure.add("/net.onnx", DATA))
    assert fetch([url], tmp_path / "net.onnx").read_bytes() == DATA


def test_the_first_digits_of_a_hash_are_checked_where_no_more_are_known(
    secure: Server, tmp_path: Path
) -> None:
    url = secure.add("/net.onnx", DATA)
    fetch([url], tmp_path / "right.onnx", Wanted(sha256_prefix=SHA256[:8].upper()))
    wrong = ("0" if SHA256[0] != "0" else "1") + SHA256[1:8]
    with pytest.raises(DownloadError, match=f"sha256 is {SHA256}, one that begins with {wrong} was"):
        fetch([url], tmp_path / "wrong.onnx", Wanted(sha256_prefix=wrong))
    assert [path.name for path in tmp_path.iterdir()] == ["right.onnx"]


def test_a_full_hash_that_was_cut_short_is_no_beginning(secure: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"{SHA256[:8]} was published"):
        fetch([secure.add("/net.onnx", DATA)], tmp_path / "net.onnx", Wanted(sha256=SHA256[:8]))
