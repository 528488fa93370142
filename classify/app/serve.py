"""The server of the app: one process, this machine only, until Ctrl-C."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable
from typing import Any

from fc7.classify.app.files import AppFiles
from fc7.models.common.errors import Fc7Error, UsageError
from fc7.models.common.program import pip_install
from fc7.models.common.stopping import end_at_once

_TOKEN_BYTES = 24
# What a page waits for is answered by then; what a job does is kept.
_PATIENCE = 2
# The dynamic ports of RFC 6335, section 6, which nobody is assigned.
_FIRST_PORT, _N_PORTS = 49152, 16384


def run_app(
    files: AppFiles,
    *,
    port: int = 0,
    open_page: bool = True,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the app's page on 127.0.0.1 until Ctrl-C.

    Parameters
    ----------
    port : int
        0 takes the one that these files always get if it is free, so that windows which were open when a
        server was killed find the next one, and else any that is free.
    open_page : bool
        Open it in the user's browser.
    ready : callable
        Is told the address when it can be opened.

    Raises
    ------
    UsageError
        If the images are no folder, the extra is missing, the port is taken, or something else stands at the
        corrections or the rounds.
    """
    if files.images.exists() and not files.images.is_dir():
        raise UsageError(f"{files.images}: not a folder, and images are brought to one; name another")
    try:
        import uvicorn

        from fc7.classify.app.guard import Guard, PageAddress
        from fc7.classify.app.web import web_app
    except ImportError as exc:
        raise UsageError(
            f"the app needs the packages starlette and uvicorn: {pip_install('fc7[app]')}"
        ) from exc
    from fc7.classify.app.project import Project

    listening = _listening(port) if port else _listening_anywhere(files)
    address = PageAddress(listening.getsockname()[1], secrets.token_urlsafe(_TOKEN_BYTES))
    project = Project(files)
    config = uvicorn.Config(
        Guard(web_app(project, address), address),
        # What goes wrong is a sentence on the page; this is where a fault lies.
        log_level="error" if os.environ.get("FC7_TRACEBACK") else "critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
        ws="none",
        lifespan="off",
    )

    class Server(uvicorn.Server):
        def handle_exit(self, *signal: Any) -> None:
            # uvicorn's own raises the signal again at the end, which would count as a second Ctrl-C.
            self.should_exit = True
            # Pages that wait for a change would be waited for.
            project.shared.ended = True

    try:
        ready(address.url)
        if open_page and _has_screen():
            # A machine without a browser has the address on its terminal.
            with contextlib.suppress(webbrowser.Error):
                webbrowser.open(address.url)
        Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    except OSError as exc:
        raise Fc7Error(f"the server ended: {exc.strerror or exc}") from exc
    finally:
        listening.close()
        if not project.close():
            # What computes without counting hears nothing; Python's end would pull its memory away.
            end_at_once(0)


def _has_screen() -> bool:
    """Whether a browser has where to open; one for terminals would take this one."""
    return (
        os.name != "posix" or sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ})
    )


def _listening_anywhere(files: AppFiles) -> socket.socket:
    said = "\n".join(os.path.realpath(path) for path in (files.images, files.features))
    digest = hashlib.sha256(said.encode("utf-8", "surrogateescape")).digest()
    try:
        return _listening(_FIRST_PORT + int.from_bytes(digest[:4], "big") % _N_PORTS)
    except UsageError:
        return _listening(0)


def _listening(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":
        # Else the port of a server that has just ended is taken for a minute.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(64)
    except OSError as exc:
        listening.close()
        raise UsageError(
            f"--port {port}: cannot be used: {exc.strerror or exc}; leave it out, and any free port is taken"
        ) from exc
    return listening
