"""A web server on 127.0.0.1 that misbehaves to order and remembers what it was asked; over TLS if need be."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Asked:
    """One request, and how many bytes of body it was given."""

    path: str
    range: str | None
    if_range: str | None
    sent: int = 0


@dataclass
class Resource:
    """A file as the server tells it.

    Attributes
    ----------
    data : bytes
    etag : str
    ranges : bool
        Whether it answers Range with 206.
    cuts : list of int
        The n-th request is given that many bytes of what it should get, and then the line goes dead.
    statuses : list of int
        The n-th request is answered with this status and no file.
    location : str
        Redirect to here.
    headers : dict
        Replace those it would send; None leaves one out.
    slow : float
        Seconds between blocks of 64 KiB.
    """

    data: bytes = b""
    etag: str = ""
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    location: str = ""
    headers: dict[str, str | None] = field(default_factory=dict)
    slow: float = 0.0


class Server:
    """`resources` by path; `asked` in order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.resources: dict[str, Resource] = {}
        self.asked: list[Asked] = []

    def add(self, path: str, data: bytes = b"", **how: Any) -> str:
        """Serve `data` at `path`; the address."""
        self.resources[path] = Resource(data, **how)
        return self.url + path


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Server]:
    """A running `Server`; with a `certificate` it speaks https."""
    httpd = _Httpd(("127.0.0.1", 0), _Handler)
    httpd.daemon_threads = True
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake is the handler's thread's, so that a client that refuses it does not stop the server.
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "https"
    server = Server(f"{scheme}://127.0.0.1:{httpd.server_address[1]}")
    httpd.told = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class _Httpd(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that hangs up or refuses the certificate."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 in one file, which SSL_CERT_FILE makes trusted too."""
    pytest.importorskip("cryptography", reason="cryptography makes the certificate of the https server")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fc7 test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "server.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Server = self.server.told  # type: ignore[attr-defined]
        asked = Asked(self.path, self.headers.get("Range"), self.headers.get("If-Range"))
        nth = sum(earlier.path == self.path for earlier in server.asked)
        server.asked.append(asked)
        resource = server.resources.get(self.path)
        if resource is None:
            self.send_error(404)
        elif nth < len(resource.statuses):
            self.send_error(resource.statuses[nth])
        elif resource.location:
            self.send_response(302)
            self.send_header("Location", resource.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(resource, nth, asked)

    def _send(self, resource: Resource, nth: int, asked: Asked) -> None:
        start = int(asked.range.removeprefix("bytes=").removesuffix("-")) if asked.range else 0
        same = asked.if_range is None or asked.if_range == resource.etag
        size = len(resource.data)
        if not (resource.ranges and same):
            start = 0
        if start >= size > 0:
            self._head(resource, 416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        headers = {"Content-Length": str(size - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self._head(resource, 206 if start else 200, headers)
        body = resource.data[start:]
        if nth < len(resource.cuts):
            body = body[: resource.cuts[nth]]
        for at in range(0, len(body), 1 << 16):
            try:
                self.wfile.write(body[at : at + (1 << 16)])
                self.wfile.flush()
            except OSError:
                break
            asked.sent += len(body[at : at + (1 << 16)])
            time.sleep(resource.slow)
        self.close_connection = True

    def _head(self, resource: Resource, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        told: dict[str, str | None] = dict(headers)
        if resource.etag:
            told["ETag"] = resource.etag
        told |= resource.headers
        for name, value in told.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
