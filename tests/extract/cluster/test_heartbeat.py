"""Places that no longer answer are lost after their patience, and said to be."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from fc7.extract.cluster import heartbeat as heartbeat
from fc7.extract.cluster.heartbeat import ClusterLostError, Endpoint, Heartbeat
from tests.support import ROOT

# The main thread hears of nothing: it sleeps, as one that is held up in Ray.
HELD_UP = """
import socket, sys, time
from fc7.extract.cluster import heartbeat
from fc7.extract.cluster.heartbeat import Heartbeat, Endpoint
heartbeat._LOOK_SECONDS = 0.05
listening = socket.create_server(("127.0.0.1", 0))
address = "127.0.0.1:%d" % listening.getsockname()[1]
with Heartbeat([Endpoint("the head node", address, 0.1)], last=0.3):
    print("what was printed before")
    listening.close()
    time.sleep(100)
"""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_LOOK_SECONDS", 0.02)


def listen(port: int = 0) -> tuple[socket.socket, str]:
    server = socket.create_server(("127.0.0.1", port))
    return server, f"127.0.0.1:{server.getsockname()[1]}"


def comes(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


def test_the_first_of_those_that_are_silent_is_named() -> None:
    (head, where), (own, own_where) = listen(), listen()
    with Heartbeat([Endpoint("the head", where, 60), Endpoint("the node", own_where, 0.1)]) as line:
        assert line.answers()
        line.check()
        head.close()
        own.close()
        assert not line.answers()
        assert comes(lambda: line.lost)
        with pytest.raises(ClusterLostError, match=rf"the head at {where} is gone \(.+\); finished"):
            line.check()


def test_a_place_that_answers_again_in_time_is_not_lost() -> None:
    head, where = listen()
    with Heartbeat([Endpoint("the head", where, 1.0)]) as line:
        head.close()
        assert comes(lambda: not line.answers())
        head, _ = listen(int(where.rpartition(":")[2]))
        time.sleep(1.5)
        assert not line.lost
        head.close()


def test_a_place_that_never_answered_is_not_watched() -> None:
    server, where = listen()
    server.close()
    with Heartbeat([Endpoint("behind a firewall", where, 0)]) as line:
        assert line.answers()
        time.sleep(0.2)
        assert not line.lost


def test_a_process_that_is_held_up_in_ray_ends_with_the_message_and_code_1() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", HELD_UP], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout) == (1, "what was printed before\n")
    assert ran.stderr.startswith("error: the head node at 127.0.0.1:")
    assert ran.stderr.count("\n") == 1
