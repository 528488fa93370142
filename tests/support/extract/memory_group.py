"""A real limit of memory for what a test starts: a control group of Linux, where one can be made."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fc7.models.common import memory

_IN_GROUP = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


@contextlib.contextmanager
def memory_group(limit: int) -> Iterator[list[str]]:
    """What a command begins with, so that its processes have `limit` bytes together; skips elsewhere."""
    found = _make(limit)
    if found is None:
        pytest.skip("no control group with a limit of memory can be made here (Linux, root)")
    try:
        yield ["sh", "-c", _IN_GROUP, str(found)]
    finally:
        # The kernel may still count processes that have ended.
        for _ in range(50):
            try:
                found.rmdir()
            except OSError:
                time.sleep(0.05)
            else:
                break


def _make(limit: int) -> Path | None:
    for parent, name, *_ in memory._groups():
        folder = parent / f"fc7-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / name).write_text(str(limit))
        except OSError:
            folder.rmdir()
        else:
            return folder
    return None
