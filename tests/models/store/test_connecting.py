"""Hosts that never answer are told soon; those that answer have all the time they need."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fc7.models.common.errors import DownloadError
from fc7.models.store import connecting
from fc7.models.store.download import Wanted, fetch
from tests.support.models.web_server import Server, serving

DATA = b"weights" * 20_000
SHA256 = hashlib.sha256(DATA).hexdigest()
Answer = list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with serving() as running:
        yield running


def resolved(*ports: int) -> Answer:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]


def test_a_host_whose_name_nobody_resolves_is_given_up_and_asked_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    over = threading.Event()

    def never(host: str, *more: object, **how: object) -> Answer:
        asked.append(host)
        over.wait()
        return []

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.setattr(connecting, "HOST_SECONDS", 0.1)
    urls = ["https://one.invalid/a", "https://one.invalid/b", "http://two.invalid/a"]
    with pytest.raises(DownloadError) as caught:
        fetch(urls, tmp_path / "net.onnx", Wanted(sha256=SHA256))
    over.set()
    reason = "no connection (not within 0.1 s)"
    assert caught.value.attempts == ((urls[0], reason), (urls[2], reason))
    assert asked == ["one.invalid", "two.invalid"]


@pytest.mark.skipif(sys.platform != "linux", reason="others answer when a queue is full")
def test_an_address_that_drops_everything_is_passed_over(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = server.add("/net.onnx", DATA)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        ports = full.getsockname()[1], urlsplit(url).port or 0
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: resolved(*ports))
        monkeypatch.setattr(connecting, "ADDRESS_SECONDS", 0.1)
        fetch(["http://some.invalid/net.onnx"], tmp_path / "net.onnx", Wanted(sha256=SHA256))
    assert (tmp_path / "net.onnx").read_bytes() == DATA


def test_a_server_that_is_slow_to_send_is_waited_for(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connecting, "ADDRESS_SECONDS", 0.1)
    fetch([server.add("/net.onnx", DATA, slow=0.3)], tmp_path / "net.onnx", Wanted(sha256=SHA256))
    assert (tmp_path / "net.onnx").read_bytes() == DATA


def test_a_certificate_that_nobody_vouches_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    monkeypatch.setenv("no_proxy", "*")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Sends)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    url = f"https://127.0.0.1:{httpd.server_address[1]}/net.onnx"
    try:
        with pytest.raises(DownloadError, match="certificate verify failed"):
            fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        fetch([url], tmp_path / "net.onnx", Wanted(sha256=SHA256))
    finally:
        httpd.shutdown()
        httpd.server_close()
    assert (tmp_path / "net.onnx").read_bytes() == DATA


class Sends(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    x509 = pytest.importorskip("cryptography.x509", reason="cryptography is not installed")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "certificate.pem", folder / "key.pem"
