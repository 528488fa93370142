"""Who may ask: this page alone, however it is reached.

Any page in a browser can send requests to 127.0.0.1, and a name of somebody else's can be made to lead there
(DNS rebinding). So a request counts only if

- its Host is this server's own address,
- it carries the token: in the cookie that the first page set, or in a header,
- and where it changes something, the token is in the header, which no other page can set without being asked
  about it (the Fetch standard's preflight), and its Origin, if it has one, is this server.

The policy of contents lets the page load nothing from elsewhere and run nothing but its own files.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fc7.classify.app.answers import refused

if TYPE_CHECKING:
    from fc7.classify.app.answers import Message, Receive, Scope, Send, WebApp

HEADER = b"x-fc7-token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_READING = ("GET", "HEAD")
_ALWAYS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)


@dataclass(frozen=True, slots=True)
class PageAddress:
    """Where the server is, and the secret that its own page knows.

    Attributes
    ----------
    port : int
    token : str
    """

    port: int
    token: str

    @property
    def url(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """The cookie's name; servers at two ports share a browser's cookies."""
        return f"fc7-{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """How the server may be called."""
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"


class Guard:
    """Lets through what this page asks, and puts the headers on every answer; an ASGI application."""

    def __init__(self, app: WebApp, address: PageAddress) -> None:
        self._app, self._address = app, address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], *_ALWAYS]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": headers}
            await send(message)

        why = self.refusal(scope)
        answer = self._app if why is None else refused(why, scope["path"].startswith("/api"))
        await answer(scope, receive, guarded)

    def refusal(self, scope: Scope) -> str | None:
        """Why a request is not answered; None if it is."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if len([name for name, _ in scope["headers"] if name.lower() == b"host"]) != 1:
            return "one Host is needed"
        if headers[b"host"].lower() not in self._address.hosts:
            return f"this server is {self._address.hosts[0]}, and was called {headers[b'host'][:80]!r}"
        origin = headers.get(b"origin")
        if origin is not None and origin.lower() not in [f"http://{host}" for host in self._address.hosts]:
            return f"a page of {origin[:80]!r} may not ask this server"
        if self._is_token(headers.get(HEADER, "")):
            return None
        if scope["method"] not in _READING:
            return (
                "the token is missing or another one; reload the page from the address that fc7 app printed"
            )
        if scope["path"] == "/" and self._is_token(_token_of(scope["query_string"])):
            return None
        if any(map(self._is_token, self._from_cookies(headers.get(b"cookie", "")))):
            return None
        return "the token is missing or another one; open the address that fc7 app printed"

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._address.token.encode())

    def _from_cookies(self, text: str) -> list[str]:
        # Every program at 127.0.0.1, whatever its port, sets cookies that come here too. By Python's
        # own parser one that is not as RFC 6265 has it (JSON, say) takes all that follow with it.
        pairs = (part.strip().partition("=") for part in text.split(";"))
        return [value for name, _, value in pairs if name == self._address.cookie]


def _token_of(query: bytes) -> str:
    for part in query.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        if name == "token":
            return value
    return ""
