"""The command line, in which something hangs: ``python -m tests.support.extract.hanging WHERE ARGUMENT...``.

``read`` and ``decode`` do so at the eleventh image, ``network`` at the second batch; it is printed then.
``measure`` is not the command line but the process that `models bench` starts, and ``bench`` a command line
whose processes are such.
"""

from __future__ import annotations

import itertools
import os
import runpy
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import fc7.extract.engine.bench
import fc7.extract.engine.engine
import fc7.extract.engine.session
import fc7.extract.images.decode
import fc7.extract.inputs.listing
import fc7.extract.inputs.places.folders
import fc7.extract.pipeline
from fc7.extract import patience
from fc7.extract.cache.writer import CacheWriter

PLACES: dict[str, tuple[Any, str, int]] = {
    "list": (fc7.extract.pipeline, "list_inputs", 1),
    "load": (fc7.extract.engine.session, "open_session", 1),
    "measure": (fc7.extract.engine.session, "open_session", 1),
    "open": (fc7.extract.engine.engine, "open_file", 1),
    "read": (fc7.extract.inputs.places.folders.FolderOrigin, "read", 11),
    "decode": (fc7.extract.images.decode, "prepare", 11),
    "network": (fc7.extract.engine.session.Session, "run", 2),
    "commit": (CacheWriter, "commit", 1),
}


def hang() -> None:
    print("hangs", flush=True)
    # Not in one call, which Ctrl-C would not interrupt on every system.
    while threading.current_thread() is threading.main_thread():
        time.sleep(0.05)
    threading.Event().wait()


def hang_at(owner: Any, name: str, number: int) -> None:
    usual: Callable[..., Any] = getattr(owner, name)
    calls = itertools.count(1)

    def call(*arguments: Any, **options: Any) -> Any:
        if next(calls) == number:
            hang()
        return usual(*arguments, **options)

    setattr(owner, name, call)


def hanging(module: str, *arguments: str) -> list[str]:
    """As `models.common.own_python.command`."""
    return [sys.executable, "-m", "tests.support.extract.hanging", "measure", *arguments]


def main(where: str, *arguments: str) -> None:
    patience._CLOSE_SECONDS = float(os.environ.get("CLOSE_SECONDS", "0.5"))
    sys.argv = ["fc7", *arguments]
    if where == "bench":
        fc7.extract.engine.bench.command = hanging  # type: ignore[attr-defined]
    else:
        hang_at(*PLACES[where])
    if where == "measure":
        runpy.run_module("fc7.extract.engine.bench_process", run_name="__main__")
        return
    from fc7 import cli

    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
