"""One question to a web server: the bytes of an address from an offset on. Only http and https.

The standard library does the work; what it would accept and we do not (``file:`` addresses, also
by way of a redirect) is left out of the opener, and no redirect leads from https to http.

`requests` (2.34) would bring 3.2 MB with what it needs, and 0.15 s of processor time.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import IO, BinaryIO
from urllib.parse import urlsplit

from fc7.models.store.connecting import HttpHandler, HttpsHandler

_SCHEMES = ("http", "https")
# Worth another try at the same address: RFC 9110 and 6585 on timeouts, overload and gateways.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class WebError(Exception):
    """Why an address gave nothing; its text is shown to the user.

    `passing`: asking again may help. `unreachable`: the host did not answer at all.
    """

    def __init__(self, reason: str, *, passing: bool = False, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing
        self.unreachable = unreachable


class RangeRefusedError(WebError):
    """The server has nothing from that offset on (416)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sends.

    Attributes
    ----------
    start : int
        The offset its first byte has in the file: the one asked for, or 0 if it knows no ranges.
    total : int or None
        Size of the whole file, where the server says.
    validator : str or None
        A strong ETag: later bytes belong to the same file if it is still the same.
    """

    start: int
    total: int | None
    validator: str | None
    stream: BinaryIO

    def blocks(self, size: int = 1 << 18) -> Iterator[bytes]:
        """The bytes, as they come.

        Raises
        ------
        WebError
            If the connection breaks. A body that ends early is the caller's to notice.
        """
        while True:
            try:
                block = self.stream.read(size)
            except (OSError, http.client.HTTPException) as exc:
                raise WebError(f"the connection broke ({_said(exc)})", passing=True) from exc
            if not block:
                return
            yield block


@contextmanager
def asked(url: str, offset: int, validator: str | None, timeout: float) -> Iterator[Answer]:
    """Ask for `url` from `offset` on.

    Parameters
    ----------
    offset : int
        0 asks for the whole file.
    validator : str or None
        The ETag under which the bytes before `offset` came; another file is then sent whole.
    timeout : float
        Seconds that a server may be silent once it is reached (`models.store.connecting`).

    Raises
    ------
    WebError
        With the reason; `RangeRefusedError` if there is nothing at `offset`.
    """
    headers = {"User-Agent": "fc7", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    try:
        if urlsplit(url).scheme not in _SCHEMES:
            raise WebError("only http and https addresses are fetched; for a file: models import FILE")
        request = urllib.request.Request(url, headers=headers)
        response = _opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code == 416:
            raise RangeRefusedError("HTTP 416: nothing beyond what was already fetched") from exc
        raise WebError(f"HTTP {exc.code} {exc.reason}", passing=exc.code in _PASSING) from exc
    except urllib.error.URLError as exc:
        raise _no_connection(exc.reason) from exc
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise _no_connection(exc) from exc
    with response:
        yield _answer(response, offset)


def _answer(response: http.client.HTTPResponse, offset: int) -> Answer:
    coding = response.headers.get("Content-Encoding", "identity")
    if coding != "identity":
        raise WebError(f"the server packs the file ({coding}) although asked not to")
    length = response.headers.get("Content-Length", "")
    etag = response.headers.get("ETag", "")
    start, total = 0, int(length) if length.isdecimal() else None
    if response.status == 206:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if found is None or int(found[1]) != offset:
            raise RangeRefusedError("the server sent another part of the file than asked for")
        start, total = offset, None if found[3] == "*" else int(found[3])
    elif response.status != 200:
        raise WebError(f"HTTP {response.status} {response.reason}")
    # A weak ETag (W/"...") does not promise equal bytes: RFC 9110, 8.8.1.
    return Answer(start, total, etag if etag.startswith('"') else None, stream=response)


def _no_connection(cause: object) -> WebError:
    # A name that does not resolve, a port nobody listens on and a server that says nothing for the
    # whole timeout will not have changed in a second.
    passing = isinstance(cause, ConnectionResetError | http.client.BadStatusLine)
    return WebError(f"no connection ({_said(cause)})", passing=passing, unreachable=not passing)


def _said(cause: object) -> str:
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause) or type(cause).__name__


class _HttpOnlyRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in _SCHEMES:
            raise WebError(f"redirected to a {scheme}: address, which is never followed")
        if scheme == "http" and urlsplit(req.full_url).scheme == "https":
            raise WebError(
                f"redirected from https to {newurl}, where anyone on the way could exchange the file; "
                "never followed"
            )
        return super().redirect_request(req, fp, code, msg=msg, headers=headers, newurl=newurl)  # type: ignore[arg-type]


def _opener() -> urllib.request.OpenerDirector:
    """What `urllib.request.build_opener` gives, without files, FTP and data addresses."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),  # honours http_proxy, https_proxy and no_proxy
        urllib.request.UnknownHandler(),
        HttpHandler(),
        HttpsHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _HttpOnlyRedirect(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
