"""An S3 server on 127.0.0.1 (moto's) that remembers what it was asked and misbehaves to order."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import boto3
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

Fault = Literal["500", "reset", "cut", "403", "badkey", "expired"]
_CODES = {
    "500": ("500 Internal Server Error", "InternalError"),
    "403": ("403 Forbidden", "AccessDenied"),
    "badkey": ("403 Forbidden", "InvalidAccessKeyId"),
    "expired": ("400 Bad Request", "ExpiredToken"),
}


class S3Server(ThreadedMotoServer):  # type: ignore[misc]
    """`faults`: path -> what to answer to its next GETs; `gets`: path -> how often it was asked for."""

    def __init__(self) -> None:
        super().__init__(ip_address="127.0.0.1", port=0, verbose=False)
        self.gets: Counter[str] = Counter()
        self.faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self.at_get: Callable[[int], None] = lambda count: None
        self._lock = threading.Lock()

    def _server_entry(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            self._ip_address, self._port, self._answer, True, request_handler=_QuietHandler
        )
        self._server_ready_event.set()
        self._server.serve_forever(poll_interval=0.02)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        whole: Iterable[bytes]
        if environ["REQUEST_METHOD"] != "GET" or "list-type" in environ.get("QUERY_STRING", ""):
            whole = self._moto(environ, start_response)
            return whole
        with self._lock:
            self.gets[path] += 1
            count = self.gets.total()
            fault = self.faults[path].pop(0) if self.faults[path] else None
        self.at_get(count)
        if fault == "reset":
            environ["werkzeug.socket"].close()
            return []
        if fault is None or fault == "cut":
            whole = self._moto(environ, start_response)
            return whole if fault is None else [b"".join(whole)[:50]]
        status, code = _CODES[fault]
        start_response(status, [("Content-Type", "application/xml")])
        return [f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()]


class _QuietHandler(MotoRequestHandler):  # type: ignore[misc]
    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing."""


class Bucket:
    """A bucket ``pictures`` of a running server."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        host, port = server.get_host_and_port()
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "topsecret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.client = boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="key",
            aws_secret_access_key="topsecret",
            region_name="us-east-1",
        )
        self.client.create_bucket(Bucket="pictures")

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket="pictures", Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket="pictures", Key=key)

    def upload(self, folder: Path, prefix: str) -> None:
        """Every file of a folder."""
        for file in sorted(folder.rglob("*.*")):
            self.put(f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes())


@contextmanager
def s3_bucket() -> Iterator[Bucket]:
    """A server with an empty bucket."""
    server = S3Server()
    server.start()
    try:
        yield Bucket(server)
    finally:
        server.stop()
