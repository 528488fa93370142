"""``python -m tests.benchmarks.app ROWS [DIM]``: how soon the app can be used, and its server's memory.

A made-up cache (`tests.benchmarks.one_commit`), of which no image is there; the page's own requests, one
after the other, by a program; where there is a browser, until its first tile too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]


def measure(folder: Path) -> None:
    """Start the app on the folder's features.h5, ask what the page asks, and print the seconds."""
    started = time.perf_counter()
    command = [sys.executable, str(_ROOT / "cli.py"), "app", "--no-open"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        base, token = re.split(r"/\?token=", url)
        print(f"address: {time.perf_counter() - started:.2f} s after the command")

        def ask(path: str, body: object = None) -> Any:
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(base + path, data, {"X-FC7-Token": token})
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)

        try:
            took("state", lambda: ask("/api/state"))
            took("first page of images", lambda: ask("/api/images?which=all&limit=200"))
            cache = ask("/api/state")["cache"]
            took("a label", lambda: ask("/api/labels", {"rows": [7], "label": "other", "cache": cache}))
            took("state after it", lambda: ask("/api/state"))
            first_tile(url)
            print(f"memory: {peak(server.pid) / 1e6:.0f} MB at the peak")
        finally:
            server.terminate()


def took(what: str, call: Callable[[], object]) -> None:
    """Print the seconds of one call."""
    started = time.perf_counter()
    call()
    print(f"{what}: {time.perf_counter() - started:.2f} s")


def first_tile(url: str) -> None:
    """Print the seconds from opening the page to its first tile, where a browser is at hand."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print("no browser: the page was not opened")
        return
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})

        def opened() -> None:
            page.goto(url)
            page.wait_for_selector(".tile")

        took("page, to its first tile", opened)
        print(f"elements in the page: {page.evaluate('document.querySelectorAll(`*`).length')}")
        browser.close()


def peak(process: int) -> int:
    """The most bytes that a process held; Linux."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+)", status)[0])


def main() -> None:
    """A cache in a folder that is removed again."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.app")
    parser.add_argument("rows", type=int)
    parser.add_argument("dim", type=int, nargs="?", default=4096)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary) / "features.h5"
        script = [sys.executable, "-P", str(_ROOT / "tests/benchmarks/one_commit.py")]
        environment = os.environ | {"PYTHONPATH": str(_ROOT / ".package")}
        subprocess.run(
            [*script, "make", str(cache), str(chosen.rows), str(chosen.dim)],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        measure(Path(temporary))


if __name__ == "__main__":
    main()
