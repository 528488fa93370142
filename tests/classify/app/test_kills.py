"""The server is killed at drawn instants of everything at once; what was answered for is there afterwards."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from fc7.extract.images.decode import shrink
from tests.support import CommandLine, read_json, write_pictures
from tests.support.classify.app_support import RunningApp

pytest.importorskip("uvicorn")

_KILLS = 5


class Work:
    """Labels, uploads, extractions and fits from three threads, and what the server said of them."""

    def __init__(self, app: RunningApp, pictures: Path, seed: int) -> None:
        self.app, self.pictures, self.draw = app, pictures, random.Random(seed)
        self.labels: dict[str, str] = {}
        self.asked: dict[str, str] = {}
        self.uploads: dict[str, bytes] = {}
        self.faults: list[object] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._loop, args=(each,)) for each in
                         (self._label, self._upload, self._train)]  # fmt: skip
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _loop(self, step: object) -> None:
        assert callable(step)
        with contextlib.suppress(OSError, http.client.HTTPException):
            while not self._ended.is_set():
                step()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, object]:
        status, _, answer = self.app.raw(method, path, body, {"X-FC7-Token": self.app.token})
        if status not in (200, 404, 409):
            self.faults.append((path, status, answer))
        found: dict[str, object] = json.loads(answer)
        return found

    def _label(self) -> None:
        found = self._ask("GET", "/api/images?which=all&limit=500")
        items = found.get("items")
        if not isinstance(items, list):
            return
        item = self.draw.choice(items)
        label = self.draw.choice(["red", "green", "blue", ""])
        # What was asked may be kept or not; what was answered for is kept.
        self.asked[item["path"]] = label
        body = {"rows": [item["row"]], "label": label, "cache": found["cache"]}
        if "changed" in self._ask("POST", "/api/labels", json.dumps(body).encode()):
            self.labels[item["path"]] = label

    def _upload(self) -> None:
        name = f"new-{self.draw.randrange(10**9)}.png"
        data = (self.pictures / "red/000.png").read_bytes() + name.encode()
        if self._ask("PUT", f"/api/upload?class=red&name={name}", data).get("saved"):
            self.uploads[name] = data
        time.sleep(0.03)

    def _train(self) -> None:
        for job, body in (("extract", b"{}"), ("fit", b'{"head": "svm", "C": 1}')):
            self._ask("POST", f"/api/jobs/{job}", body)
            while True:
                found = self._ask("GET", "/api/state")["job"]
                if not isinstance(found, dict) or found["state"] != "running":
                    break
            if isinstance(found, dict) and found["state"] == "failed":
                self.faults.append(found["message"])


def test_kills_at_drawn_instants(tmp_path: Path) -> None:
    here = CommandLine(tmp_path).with_tiny_network()
    imgs = write_pictures(here.folder / "imgs", 12)
    here.good("extract", "imgs", "--network", "tiny", "--device", "cpu", "--quiet")
    pictures = write_pictures(here.folder / "mine", 1)
    draw = random.Random(7)
    labels: dict[str, str] = {}
    uploads: dict[str, bytes] = {}
    for number in range(_KILLS):
        with RunningApp(here, "--device", "cpu") as app:
            work = Work(app, pictures, number)
            time.sleep(draw.uniform(0.2, 1.5))
            app.process.send_signal(signal.SIGKILL)
            work.end()
        assert work.faults == []
        labels |= work.labels
        uploads |= work.uploads
        with RunningApp(here, "--device", "cpu") as app:
            found = {each["path"]: each["label"] for each in app.images("all")}
            for path, label in labels.items():
                if found[path] != label:
                    # The last one asked for, of which no answer came.
                    assert work.asked.get(path) == found[path], path
                    labels[path] = found[path]
            for name, data in uploads.items():
                assert (imgs / "red" / name).read_bytes() == data
            for each in imgs.rglob("*.png"):
                shrink(each.read_bytes(), 8)
            app.done("/api/jobs/extract")
            rounds = app.done("/api/jobs/fit", {"head": "svm", "C": 1})["rounds"]
            assert [each["n"] for each in rounds] == [*range(1, len(rounds) + 1)]
            assert app.ask("GET", "/api/fit")["n_test"] == rounds[-1]["n_test"]
    assert labels
    assert uploads
    assert read_json(here.good("cache", "verify", "features.h5", "--json").out)["rows"] >= 36 + len(uploads)
