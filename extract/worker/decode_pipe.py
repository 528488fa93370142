"""One decoding process, as whoever gives it images sees it: started, asked, waited for, ended."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from io import FileIO
from typing import cast

import numpy as np

from fc7.extract.images import budget
from fc7.extract.patience import Patience
from fc7.extract.records import Pixels
from fc7.extract.worker.decode_process import ANSWER, FAULT, MEMORY, NEEDS, PIXELS, READY, REQUEST
from fc7.models.common.errors import ImageError
from fc7.models.common.own_python import command
from fc7.models.network.spec import PreprocessSpec

# One image of 224 or 227 pixels: with Linux's 64 KiB the two would wait for each other in between.
_PIPE_BYTES = 1 << 18
# What is added to its time for an image of so many bytes in memory, whose file may be small.
_BYTES_A_SECOND = 1e6
_END_SECONDS = 5.0


class NotStartedError(Exception):
    """The process ended before it was ready; the text says how."""


class DiedError(Exception):
    """The process is gone; the text says how."""


class DecodePipe:
    """A process that decodes one image after the other.

    Parameters
    ----------
    exact : bool
        As `extract.images.decode.prepare`.
    patience : Patience
        Of all such processes.
    awake : callable
        Seconds that this program was awake; deadlines are set by it.

    Raises
    ------
    OSError
        If no process can be started.
    """

    def __init__(
        self, spec: PreprocessSpec, exact: bool, patience: Patience, awake: Callable[[], float]
    ) -> None:
        # In a session of its own: Ctrl-C is for this process, which then ends the others.
        self._popen = subprocess.Popen(
            command("fc7.extract.worker.decode_process", spec.to_json(), "exact" if exact else "draft"),
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        self._to, self._from = cast(FileIO, self._popen.stdin), cast(FileIO, self._popen.stdout)
        for pipe in (self._to, self._from):
            _widen(pipe.fileno())
        self._ready = False
        self._between_images = True
        self._patience, self._awake = patience, awake
        self._given = 0.0
        self._until: float | None = None

    def alive(self) -> bool:
        """Whether it can take an image."""
        return self._between_images and self._popen.poll() is None

    def is_overdue(self) -> bool:
        """Whether it has had its time to answer."""
        until = self._until
        return until is not None and self._awake() > until

    def make_ready(self) -> None:
        """Wait until it can take the first image.

        Raises
        ------
        NotStartedError
        """
        if self._ready:
            return
        self._give(Patience().allows(0))
        try:
            if _read(self._from, 1) != READY:
                raise EOFError
        except (OSError, EOFError):
            raise NotStartedError(self._how_it_ended()) from None
        self._ready, self._until = True, None

    def decode(self, data: bytes) -> Pixels:
        """Pixels of an image.

        Raises
        ------
        ImageError
            If it gives none. Its cause is a MemoryError if memory was short.
        NotStartedError, DiedError
        RuntimeError
            If decoding met an error of its own, with its name.
        """
        # An exchange that anything interrupts leaves bytes in the pipes that belong to no other image.
        self._between_images = False
        self.make_ready()
        began = time.perf_counter()
        try:
            kind, numbers, answer = self._ask(data)
        except (OSError, EOFError):
            raise DiedError(self._how_it_ended()) from None
        self._until = None
        self._patience.tell(len(data), time.perf_counter() - began)
        self._between_images = True
        if kind == PIXELS:
            return np.frombuffer(answer, np.uint8).reshape(numbers)
        reason = answer.decode()
        if kind == FAULT:
            raise RuntimeError(reason)
        raise ImageError(reason) from (MemoryError() if kind == MEMORY else None)

    def _ask(self, data: bytes) -> tuple[bytes, list[int], bytearray]:
        allowed = self._patience.allows(len(data))
        self._give(allowed)
        _write(self._to, REQUEST.pack(len(data)))
        _write(self._to, data)
        with ExitStack() as held:
            kind, *numbers = ANSWER.unpack(_read(self._from, ANSWER.size))
            while kind == NEEDS:
                # Now it is this process that waits, for others that decode.
                self._until = None
                reply = _reply(held, numbers[0])
                self._give(allowed + numbers[0] / _BYTES_A_SECOND)
                _write(self._to, reply)
                kind, *numbers = ANSWER.unpack(_read(self._from, ANSWER.size))
        return kind, numbers, _read(self._from, math.prod(numbers))

    def _give(self, seconds: float) -> None:
        self._given, self._until = seconds, self._awake() + seconds

    def kill(self) -> None:
        """End it, stopped or not; whoever waits for its answer is told."""
        # It holds nothing that could be lost, and would take its time to clean up.
        self._popen.kill()

    def end(self) -> None:
        """End it and wait for that."""
        self.kill()
        self._to.close()
        self._from.close()
        # One that waits for a disk cannot even be killed.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(_END_SECONDS)

    def _how_it_ended(self) -> str:
        overdue = self.is_overdue()
        self._until = None
        self.end()
        status = self._popen.returncode
        if overdue:
            return f"had not answered for {self._given:,.0f} s"
        if status is None:
            return "does not end"
        return f"was ended by signal {-status}" if status < 0 else f"ended with {status}"


def _reply(held: ExitStack, n_bytes: int) -> bytes:
    """Hold memory for a decoding process; what it is told."""
    try:
        held.enter_context(budget.shared.room(n_bytes))
    except budget.NoRoomError as exc:
        reason = str(exc).encode()
        return REQUEST.pack(len(reason)) + reason
    return REQUEST.pack(0)


def _widen(descriptor: int) -> None:
    if sys.platform == "linux":
        import fcntl

        # Refused to who has many pipes: slower, not wrong.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _write(pipe: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[pipe.write(rest) :]


def _read(pipe: FileIO, n: int) -> bytearray:
    found = bytearray(n)
    rest = memoryview(found)
    while rest:
        got = pipe.readinto(rest)
        if not got:
            raise EOFError
        rest = rest[got:]
    return found
