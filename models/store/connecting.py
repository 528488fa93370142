"""Connections that are made within a limit, or not at all.

Where a firewall drops what it does not let through, nothing ever answers: the system's resolver is asked
for half a minute, and each of a host's dozen addresses until the timeout. Behind one limit a user is told
soon. The time a server may take to answer once it is reached is another matter, and the caller's.
"""

from __future__ import annotations

import http.client
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

ADDRESS_SECONDS, HOST_SECONDS = 4.0, 25.0
"""For one address of a host (three tries, by TCP at 0, 1 and 3 s: RFC 6298), and for all until it is greeted.

Six addresses that drop everything (IPv6 that leads nowhere, say) can be passed over before one that answers.
"""


def within(seconds: float, work: Callable[[], None]) -> None:
    """Do `work` in a thread of its own and wait for it no longer than `seconds`.

    Raises
    ------
    TimeoutError
        If it takes longer; the thread is left alone, and ends no later than the program.
    Exception
        Whatever `work` raises.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"not within {seconds:g} s")
    if raised:
        raise raised[0]


class _HttpConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        _connect(self, super().connect)


class _HttpsConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        _connect(self, super().connect)


def _connect(connection: http.client.HTTPConnection, connect: Callable[[], None]) -> None:
    patience, connection.timeout = connection.timeout, ADDRESS_SECONDS
    within(HOST_SECONDS, connect)
    connection.timeout = patience
    connection.sock.settimeout(patience)


class HttpHandler(urllib.request.HTTPHandler):
    """urllib's, with such connections."""

    def http_open(self, req: urllib.request.Request) -> Any:
        """Ask; urllib calls this by its name."""
        return self.do_open(_HttpConnection, req)


class HttpsHandler(urllib.request.HTTPSHandler):
    """urllib's, with such connections; certificates are checked as by default."""

    def https_open(self, req: urllib.request.Request) -> Any:
        """Ask; urllib calls this by its name."""
        return self.do_open(_HttpsConnection, req)
