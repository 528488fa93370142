"""Whether the parts of a cluster still answer without which a run cannot end.

Ray ends the process that uses it when the cluster's head node, or the node that the process is connected
to, is gone: in the midst of whatever it does, a minute or twelve seconds later, with nothing that a user
could act on (2.60). What is here is earlier.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from fc7.models.common.errors import Fc7Error
from fc7.models.common.stopping import end_at_once

_PING_SECONDS = 5.0
_LOOK_SECONDS = 1.0
LAST_SECONDS = 40.0
_ANOTHER = "start a cluster again (`ray start --head`) and run the same command with its address"


class ClusterLostError(Fc7Error):
    """Ray can do nothing for this process any more, not even end in good order."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Something that must answer.

    Attributes
    ----------
    name : str
        For people.
    address : str
        ``host:port``.
    patience : float
        Seconds without an answer after which it is lost.
    remedy : str
        What to do then.
    """

    name: str
    address: str
    patience: float
    remedy: str = _ANOTHER


class Heartbeat:
    """Looks after places, in a thread of its own, until it is closed; a context manager.

    Parameters
    ----------
    places : iterable of Endpoint
        Those that do not answer at first are left out: behind a firewall nothing can be told.
    last : float
        Seconds without an answer after which the process is ended from here, because the thread that should
        have heard of it is held up in Ray and would be ended by it without a message.
    """

    def __init__(self, places: Iterable[Endpoint], last: float = LAST_SECONDS) -> None:
        self._places = [place for place in places if why_silent(place) is None]
        self._last = last
        self._silent: dict[Endpoint, float] = {}
        self._lost: str | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        if self._places:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()

    @property
    def lost(self) -> bool:
        """Whether a place has been silent for too long."""
        return self._lost is not None

    def answers(self) -> bool:
        """Whether all places do at this moment: only then may Ray be asked what it asks them."""
        return all(why_silent(place) is None for place in self._places)

    def check(self) -> None:
        """Cheap; to be called often.

        Raises
        ------
        ClusterLostError
            If a place is lost.
        """
        if self._lost is not None:
            raise ClusterLostError(self._lost)

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            for place in self._places:
                self._look(place)

    def _look(self, place: Endpoint) -> None:
        why = why_silent(place)
        if why is None:
            self._silent.pop(place, None)
            return
        silent = time.monotonic() - self._silent.setdefault(place, time.monotonic())
        if silent >= place.patience and self._lost is None:
            # Where several are silent, the first is why.
            first = next(other for other in self._places if other in self._silent)
            self._lost = lost_message(first, why)
        if silent >= self._last and not self._closed.is_set():
            print(f"error: {self._lost}", file=sys.stderr, flush=True)
            leave()


def ping(address: str, seconds: float = _PING_SECONDS) -> None:
    """Open a connection and close it.

    Parameters
    ----------
    address : str
        ``host:port``, or the same after ``ray://``.

    Raises
    ------
    OSError, ValueError
        If nothing answers, or it is no host:port.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()


def leave() -> None:
    """End this process with code 1 and without Ray, which would wait for what is gone."""
    end_at_once(1)


def lost_message(place: Endpoint, why: str) -> str:
    """What to say of a place that does not answer any more."""
    return f"{place.name} at {place.address} is gone ({why}); finished features are kept: {place.remedy}"


def why_silent(place: Endpoint) -> str | None:
    """Why a place does not answer; None if it does."""
    try:
        ping(place.address)
    except (OSError, ValueError) as exc:
        return getattr(exc, "strerror", None) or str(exc)
    return None
