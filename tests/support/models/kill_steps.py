"""Run as a program: do one thing to the store again and again, killed one step later each time.

Prints, one line a run, which network was there afterwards (its mark, or ``none``); the last line is
the run that was not killed. A fork for each run spares the start of an interpreter.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys

from fc7.models.common.errors import UnknownNetworkError
from fc7.models.store import store
from tests.support.models.fake_networks import fake_files, fake_spec

# Audit events name every change on the disk before it happens: PEP 578.
STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


def main(action: str, before: str) -> None:
    """`action` is save or remove; `before` is the mark of the network that is there first, or none."""
    for step in itertools.count(1):
        prepare(before)
        child = os.fork()
        if child == 0:
            run_until(step, action)
        _, status = os.waitpid(child, 0)
        print(found(), flush=True)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


def prepare(before: str) -> None:
    if before != "none":
        store.save(fake_spec("mine", before), fake_files(before), replace=True)
    elif store.names():
        store.remove("mine")


def run_until(step: int, action: str) -> None:
    """Never returns."""
    left = step

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        # Deleting a folder names its files relative to a descriptor.
        inside = event in ("os.remove", "os.rmdir") or os.environ["FC7_HOME"] in str(args[:1])
        if event in STEPS and inside:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    code = 1
    try:
        if action == "remove":
            store.remove("mine")
        else:
            store.save(fake_spec("mine", "b"), fake_files("b"), replace=True)
        code = 0
    finally:
        os._exit(code)


def found() -> str:
    """Which network is there; it must be whole."""
    try:
        network = store.load("mine")
    except UnknownNetworkError:
        assert store.names() == []
        return "none"
    assert store.names() == ["mine"]
    store.verify("mine")
    mark = network.spec.source
    assert network.graph_path.read_bytes() == b"graph " + mark.encode()
    return mark


if __name__ == "__main__":
    main(*sys.argv[1:])
