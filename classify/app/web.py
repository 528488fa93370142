"""The routes: requests to calls of a `Project`, and what they give to JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from html import escape
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from fc7.classify.app.answers import Handler, JSONResponse, answered, body_of, fault_found, not_there
from fc7.classify.app.uploads import MAX_BYTES
from fc7.models.common.errors import ImageError, UsageError

if TYPE_CHECKING:
    from fc7.classify.app.guard import PageAddress
    from fc7.classify.app.project import Project

# Half a million rows to be labelled at once.
_JSON_BYTES = 4 << 20
_WAIT, _LOOK = 25.0, 0.1
_THUMB, _PHOTO = 160, 1024
# The picture of a row and content never becomes another one.
_KEEP = {"cache-control": "private, max-age=86400, immutable"}
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}


def web_app(project: Project, address: PageAddress) -> Starlette:
    """All that the server answers; `classify.app.guard.Guard` decides who is answered."""
    web = _Web(project, address)
    get = {
        "/": web.page,
        "/static/{name}": web.static,
        "/api/state": web.state,
        "/api/images": web.images,
        "/api/failures": _plain(lambda request: project.failures()),
        "/api/networks": _plain(lambda request: project.networks()),
        "/api/fit": _plain(lambda request: project.fitted().to_json()),
        "/api/queue": _plain(web.queue),
        "/api/confident": _plain(web.confident),
        "/api/exports": _plain(lambda request: project.exports()),
        "/api/exports/{number:int}": web.export_file,
        "/api/rows": _plain(web.rows),
        "/api/thumb/{row:int}": web.thumb,
        "/api/unread/{number:int}": web.unread,
        "/api/photo/{row:int}": web.photo,
        "/api/try/{number:int}/photo": web.tried,
    }
    post = {
        "/api/labels": _changing(web.labels),
        "/api/undo": _changing(lambda asked: {"undone": project.rows.undo()}),
        "/api/classes": _changing(lambda asked: {"name": project.new_class(_text(asked, "name"))}),
        "/api/accept": _changing(web.accept),
        "/api/jobs/extract": _changing(web.extract),
        "/api/jobs/fit": _changing(lambda asked: project.fit(asked).to_json()),
        "/api/jobs/suspects": _changing(lambda asked: project.search_suspects().to_json()),
        "/api/jobs/cancel": _changing(lambda asked: {"cancelled": project.jobs.cancel()}),
        "/api/export": _changing(lambda asked: project.export(_text(asked, "what")).to_json()),
        "/api/try": web.try_image,
        "/api/try/{number:int}/occlusion": web.occlusion,
    }
    routes = [Route(path, answered(handler), methods=["GET"]) for path, handler in get.items()]
    routes += [Route(path, answered(handler), methods=["POST"]) for path, handler in post.items()]
    routes.append(Route("/api/upload", answered(web.upload), methods=["PUT"]))
    return Starlette(routes=routes, exception_handlers={HTTPException: not_there, Exception: fault_found})


class _Web:
    """The handlers that do more than call one function."""

    def __init__(self, project: Project, address: PageAddress) -> None:
        self._project, self._address = project, address
        self._static = package_files("fc7.classify.app").joinpath("static")

    async def page(self, request: Request) -> Response:
        text = self._static.joinpath("index.html").read_text("utf-8")
        answer = HTMLResponse(text.replace("{token}", escape(self._address.token)))
        answer.set_cookie(
            self._address.cookie, self._address.token, httponly=True, samesite="strict", path="/"
        )
        return answer

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        # Names, and no paths: what the folder lists is all there is.
        if name not in [each.name for each in self._static.iterdir()]:
            return JSONResponse({"error": f"{name[:80]!r} is no file of the app"}, 404)
        content = await run_in_threadpool(self._static.joinpath(name).read_bytes)
        return Response(content, media_type=_TYPES[Path(name).suffix])

    async def state(self, request: Request) -> Response:
        shared, loop = self._project.shared, asyncio.get_running_loop()
        since = request.query_params.get("since")
        end = loop.time() + min(float(request.query_params.get("wait", _WAIT)), _WAIT)
        while since == str(shared.version) and loop.time() < end and not shared.ended:
            await asyncio.sleep(_LOOK)
        return JSONResponse(await run_in_threadpool(self._project.state))

    async def images(self, request: Request) -> Response:
        asked = dict(request.query_params)
        found = await run_in_threadpool(
            self._project.images,
            asked.pop("which", "all"),
            asked,
            int(asked.get("offset", 0)),
            int(asked.get("limit", 200)),
        )
        return JSONResponse(found)

    def rows(self, request: Request) -> Any:
        asked = dict(request.query_params)
        return self._project.list_rows(asked.pop("which", "all"), asked)

    async def unread(self, request: Request) -> Response:
        number = int(request.path_params["number"])
        # Not to be kept by the browser: the next server, at the same port, numbers others so.
        data = await run_in_threadpool(self._project.unread_picture, number, _THUMB)
        return Response(data, media_type="image/jpeg")

    async def thumb(self, request: Request) -> Response:
        return await self._picture(request, _THUMB)

    async def photo(self, request: Request) -> Response:
        return await self._picture(request, _PHOTO)

    async def _picture(self, request: Request, side: int) -> Response:
        def made() -> bytes:
            images, row = self._project.now().images, int(request.path_params["row"])
            # Rows move when the cache is written anew; the wrong picture would be worse than none.
            if row >= len(images.paths) or not images.sha256[row].startswith(
                request.query_params.get("h", "")
            ):
                raise ImageError("another image has its row now; look again")
            return self._project.photographs.jpeg(images, row, side)

        return Response(await run_in_threadpool(made), media_type="image/jpeg", headers=_KEEP)

    async def tried(self, request: Request) -> Response:
        number = int(request.path_params["number"])
        data = await run_in_threadpool(self._project.trying.picture, number)
        return Response(data, media_type="image/jpeg")

    async def export_file(self, request: Request) -> Response:
        from fc7.classify.app.taking import file_of

        path = await run_in_threadpool(file_of, self._project.files, int(request.path_params["number"]))
        # As a download: a report has scripts of its own.
        return FileResponse(path, filename=path.name, media_type="application/octet-stream")

    async def upload(self, request: Request) -> Response:
        asked = request.query_params
        data = await body_of(request, MAX_BYTES)
        kept = await run_in_threadpool(
            self._project.upload, asked.get("class", ""), asked.get("name", ""), data
        )
        return JSONResponse({"saved": kept.saved, "reason": kept.reason})

    async def try_image(self, request: Request) -> Response:
        data = await body_of(request, MAX_BYTES)
        project = self._project
        found = await run_in_threadpool(
            lambda: project.trying.classify(data, project.now(), project.fitted())
        )
        return JSONResponse(found)

    async def occlusion(self, request: Request) -> Response:
        number, project = int(request.path_params["number"]), self._project
        return JSONResponse(
            await run_in_threadpool(lambda: project.trying.occlusion(number, project.fitted()))
        )

    def queue(self, request: Request) -> Any:
        now, n = self._project.now(), min(200, int(request.query_params.get("n", 50)))
        fitted = self._project.training.fitted(now)
        return {"cache": now.images.name, **self._project.labelling.queue(now, fitted, n)}

    def confident(self, request: Request) -> Any:
        least = float(request.query_params.get("above", 0.98))
        return self._project.labelling.sure(self._project.now(), self._project.fitted(), least)

    def labels(self, asked: dict[str, Any]) -> Any:
        rows, label = asked.get("rows"), asked.get("label")
        if not isinstance(rows, list) or not all(type(row) is int for row in rows):
            raise UsageError("rows is to be a list of whole numbers")
        if not isinstance(label, str | None):
            raise UsageError("label is to be a text, or null")
        return {"changed": self._project.relabel(rows, label, _text(asked, "cache"))}

    def extract(self, asked: dict[str, Any]) -> Any:
        network = _text(asked, "network") if asked.get("network") is not None else None
        return self._project.extract(network).to_json()

    def accept(self, asked: dict[str, Any]) -> Any:
        above = asked.get("above", 1)
        if not isinstance(above, int | float):
            raise UsageError("above is to be a number")
        return {"changed": self._project.accept(above, _text(asked, "cache"))}


def _plain(call: Callable[[Request], Any]) -> Handler:
    async def handler(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(call, request))

    return handler


def _changing(call: Callable[[dict[str, Any]], Any]) -> Handler:
    async def handler(request: Request) -> Response:
        body = await body_of(request, _JSON_BYTES)
        try:
            asked = json.loads(body or b"{}")
        except (ValueError, RecursionError) as exc:
            raise UsageError(f"the request is no JSON: {exc}") from exc
        if not isinstance(asked, dict):
            raise UsageError("the request is to be a JSON object")
        return JSONResponse(await run_in_threadpool(call, asked))

    return handler


def _text(asked: dict[str, Any], name: str) -> str:
    found = asked.get(name)
    if not isinstance(found, str):
        raise UsageError(f"{name} is to be a text")
    return found
