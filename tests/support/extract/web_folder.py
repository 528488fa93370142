"""A folder behind a plain web server on 127.0.0.1, with its index pages, that misbehaves to order."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["500", "503", "reset", "cut", "slow", "403", "401"]


class WebFolder:
    """`faults`: path -> what to do to its next GETs; `gets`: path -> how often it was asked for.

    `headers` replace those of every file; None leaves one out.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.gets: Counter[str] = Counter()
        self.asked: list[tuple[str, str | None]] = []
        self.faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self.headers: dict[str, str | None] = {}


@contextmanager
def web_folder(folder: Path) -> Iterator[WebFolder]:
    """A running server."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    httpd.daemon_threads = True
    told = WebFolder(f"http://127.0.0.1:{httpd.server_address[1]}")
    httpd.told = told  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        told: WebFolder = self.server.told  # type: ignore[attr-defined]
        path = urlsplit(self.path).path
        told.gets[path] += 1
        told.asked.append((self.path, self.headers.get("Authorization")))
        fault = told.faults[path].pop(0) if told.faults[path] else None
        if fault in ("500", "503", "403", "401"):
            self.send_error(int(fault))
        elif fault == "reset":
            self.connection.close()
        elif fault == "slow":
            time.sleep(1.0)
            self.close_connection = True
        elif fault == "cut":
            data = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            super().do_GET()

    def send_header(self, keyword: str, value: str) -> None:
        told: WebFolder = self.server.told  # type: ignore[attr-defined]
        if keyword not in told.headers:
            super().send_header(keyword, value)

    def end_headers(self) -> None:
        told: WebFolder = self.server.told  # type: ignore[attr-defined]
        for name, value in told.headers.items():
            if value is not None:
                super().send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
