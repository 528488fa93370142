"""The app as a process of its own, asked as a browser would ask it."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.support import CommandLine, command

_PATIENCE = 60.0


class RunningApp:
    """``python cli.py app --no-open ...``; a context manager that ends it."""

    def __init__(self, here: CommandLine, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            command(["app", "--no-open", *arguments]),
            cwd=here.folder,
            env=here.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.process.communicate()[1]
        parts = urlsplit(self.url)
        self.port, self.token = parts.port or 0, parts.query.removeprefix("token=")

    def __enter__(self) -> RunningApp:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)

    def end(self, by: signal.Signals) -> tuple[int, str]:
        """Exit code and what it said on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        errors = self.process.communicate(timeout=_PATIENCE)[1]
        assert "Traceback" not in errors, errors
        return self.process.returncode, errors

    def raw(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """A request as it is, without the token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        """A request with the token, whose answer is JSON; bytes go as they are."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        found, _, answer = self.raw(method, path, data, {"X-FC7-Token": self.token})
        assert found == status, (method, path, found, answer[:500])
        return json.loads(answer)

    def refusal(self, method: str, path: str, body: object = None, status: int = 409) -> str:
        """What is said of a request that must fail."""
        return str(self.ask(method, path, body, status)["error"])

    @property
    def state(self) -> dict[str, Any]:
        while True:
            found: dict[str, Any] = self.ask("GET", "/api/state")
            if not found["looking"]:
                return found
            time.sleep(0.02)

    def done(self, path: str, body: object = None, ends: str = "done") -> dict[str, Any]:
        """Have a job done; the state after it."""
        self.ask("POST", path, body or {})
        return self.wait_for_job(ends)

    def wait_for_job(self, ends: str = "done") -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE
        while (state := self.state)["job"]["state"] == "running":
            assert time.monotonic() < until, state["job"]
            time.sleep(0.05)
        assert state["job"]["state"] == ends, state["job"]
        return state

    def images(self, which: str, **asked: str) -> list[dict[str, Any]]:
        """All items of a list."""
        query = "".join(f"&{name}={quote(value)}" for name, value in asked.items())
        found: list[dict[str, Any]] = self.ask("GET", f"/api/images?which={which}{query}&limit=500")["items"]
        return found

    def relabel(self, rows: Sequence[int], label: str | None) -> int:
        body = {"rows": list(rows), "label": label, "cache": self.state["cache"]}
        return int(self.ask("POST", "/api/labels", body)["changed"])

    def upload(self, file: Path, label: str = "", name: str | None = None) -> dict[str, Any]:
        path = f"/api/upload?class={quote(label, safe='')}&name={quote(name or file.name, safe='')}"
        found: dict[str, Any] = self.ask("PUT", path, file.read_bytes())
        return found
