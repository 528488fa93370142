"""How the server answers: in JSON, and to whatever goes wrong by a sentence and a status."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from html import escape
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.responses import JSONResponse as Utf8Response

from fc7.classify.app.jobs import fault
from fc7.models.common.errors import Fc7Error, ImageError, UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from starlette.types import Message as Message
    from starlette.types import Receive as Receive
    from starlette.types import Scope as Scope
    from starlette.types import Send as Send

    WebApp = ASGIApp

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class TooLarge(Exception):  # noqa: N818
    """A body above its bound."""

    most: int


class JSONResponse(Utf8Response):
    """JSON in ASCII: names that are no Unicode, which some systems have, would fail in UTF-8."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def refused(why: str, as_json: bool) -> WebApp:
    """What somebody sees who may not ask."""
    if as_json:
        return JSONResponse({"error": why}, 403)
    return HTMLResponse(
        f"<!DOCTYPE html><title>fc7</title><p>{escape(why)}</p>"
        "<p>The terminal in which fc7 app runs shows the whole address, with its token.</p>",
        403,
    )


def answered(handler: Handler) -> Handler:
    """Errors as sentences, with the status that tells whose they are."""

    @wraps(handler)
    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except TooLarge as exc:
            return JSONResponse({"error": f"too large: at most {exc.most:,} bytes are taken"}, 413)
        except ImageError as exc:
            return JSONResponse({"error": str(exc)}, 404)
        except UsageError as exc:
            return JSONResponse({"error": str(exc)}, 409)
        except Fc7Error as exc:
            return JSONResponse({"error": str(exc)}, 500)
        except (ValueError, OverflowError) as exc:
            return JSONResponse({"error": f"the request was wrong: {exc}"}, 400)
        except ClientDisconnect:
            return Response(status_code=400)

    return answered


async def not_there(request: Request, exc: Exception) -> Response:
    """What is said of an address that is none, or a method that it does not have."""
    assert isinstance(exc, HTTPException)
    return JSONResponse({"error": f"{request.method} {request.url.path[:80]}: {exc.detail}"}, exc.status_code)


async def fault_found(request: Request, exc: Exception) -> Response:
    """What is said of an error that nobody expected."""
    return JSONResponse({"error": fault(exc)}, 500)


async def body_of(request: Request, most: int) -> bytes:
    """The body, of which never more is held than may come."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise TooLarge(most)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooLarge(most)
        parts.append(part)
    return b"".join(parts)
