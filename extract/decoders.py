"""Decoding in other processes, where there are more cores than threads can keep busy.

Whoever decodes holds the interpreter's lock for 1.1 of the 5.8 ms that a JPEG of 500x375 takes: threads
decode 900 of these a second at most, however many cores there are. Handing one to another process takes 0.4
ms of the lock (tests/benchmarks/NOTES.md). On two cores both are as fast, and threads need no time to start
and no 39 MB each. A process that dies takes with it only the image that it was given.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from typing import cast

import numpy as np

from extract import budget
from extract.decode_process import ANSWER, FAULT, MEMORY, NEEDS, PIXELS, READY, REQUEST, decode_here
from extract.own_python import command
from extract.reading import Decode
from extract.stages import Pixels
from models.errors import ImageError
from models.progress import Notify
from models.spec import PreprocessSpec

THREADS_SERVE = 8
"""With more images at once than this they are decoded in processes. Five or six threads are as many as the
lock serves where the network runs on a GPU; where it takes most of the cores itself, more."""
# A process starts in the time of some 80 images; of a short run none is worth it.
_FEWEST_IMAGES = 100

# One image of 224 or 227 pixels: with Linux's 64 KiB the two would wait for each other in between.
_PIPE_BYTES = 1 << 18


@contextmanager
def decoder(
    spec: PreprocessSpec,
    exact: bool,
    jobs: int,
    n_images: int | None,
    notify: Notify = lambda note: None,
) -> Iterator[Decode]:
    """What turns an image into the network's pixels, in this process or in others.

    Parameters
    ----------
    spec : PreprocessSpec
    exact : bool
        As `extract.images.prepare`.
    jobs : int
        How many images will be decoded at once.
    n_images : int or None
        How many there are to decode; None for many.
    notify : callable
        Is told in one line where threads decode since processes cannot.

    Yields
    ------
    callable
        Bytes or pixels -> ndarray of shape (crops, height, width, 3), uint8, RGB. Raises `ImageError`; its
        cause is a MemoryError where the image may yet be decoded when no other is.
    """
    if jobs <= THREADS_SERVE or (n_images is not None and n_images < _FEWEST_IMAGES * jobs):
        yield decode_here(spec, exact)
        return
    most = min(jobs, _room_for(jobs))
    if most < jobs:
        notify(f"open files are limited: {most} of {jobs} images at once are decoded in processes; ulimit -n")
    processes = DecodeProcesses(spec, exact, most, notify)
    try:
        yield processes
    finally:
        processes.close()


@contextmanager
def decoder_apart(
    spec: PreprocessSpec, exact: bool, jobs: int, notify: Notify
) -> Iterator[DecodeProcesses | None]:
    """What decodes in other processes, of which the first is ready; None for no images at once.

    Parameters
    ----------
    spec, exact, jobs, notify
        As for `decoder`.
    """
    if not jobs:
        yield None
        return
    processes = DecodeProcesses(spec, exact, min(jobs, _room_for(jobs)), notify)
    try:
        processes.start_one()
        yield processes
    finally:
        processes.close()


def _room_for(jobs: int) -> int:
    """How many processes, with two pipes each, this one has descriptors for beside what else it opens."""
    if sys.platform == "win32":
        return jobs
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return jobs if allowed == resource.RLIM_INFINITY else max(0, (allowed - 2 * jobs - 64) // 2)


class DecodeProcesses:
    """Decodes each image in another process; as many are started as there are calls at a time.

    Parameters
    ----------
    spec : PreprocessSpec
    exact : bool
        As `extract.images.prepare`.
    most : int
        Processes at a time. Calls beyond them decode here, and so do all if no process starts.
    notify : callable
        Is told why, once.
    """

    def __init__(self, spec: PreprocessSpec, exact: bool, most: int, notify: Notify) -> None:
        self._spec, self._exact = spec, exact
        self._here = decode_here(spec, exact)
        self._most, self._notify = most, notify
        # The last one that was free is the next to work: none is started that is not needed.
        self._free: list[_Process] = []
        self._working = 0
        self._changing = threading.Lock()

    def __call__(self, data: bytes | Pixels) -> Pixels:
        """Pixels of an image.

        Raises
        ------
        ImageError
            If it gives none. Its cause is a MemoryError if memory was short, or if the process died,
            which it mostly does for want of memory.
        """
        # Of an array there is nothing to decode: sending it would cost more than resizing it.
        process = None if isinstance(data, np.ndarray) else self._take()
        if process is None or isinstance(data, np.ndarray):
            return self._here(data)
        try:
            return process.decode(data)
        except _NotStartedError as exc:
            self._do_without(f"one {exc} before it was ready")
            return self._here(data)
        except _DiedError as exc:
            raise ImageError(f"the process that decoded it {exc}") from MemoryError()
        finally:
            self._give_back(process)

    def start_one(self) -> None:
        """Have a process ready before it is needed, so that starting it is not taken for decoding."""
        process = self._take()
        if process is not None:
            with contextlib.suppress(_NotStartedError):
                process.make_ready()
            self._give_back(process)

    def _take(self) -> _Process | None:
        with self._changing:
            if self._working >= self._most:
                return None
            self._working += 1
            while self._free:
                process = self._free.pop()
                if process.alive():
                    return process
                process.end()
        try:
            return _Process(self._spec, self._exact)
        except OSError as exc:
            with self._changing:
                self._working -= 1
                most = self._working
            self._do_without(exc.strerror or str(exc), most)
            return None

    def _do_without(self, reason: str, most: int = 0) -> None:
        """Start no process beyond so many any more."""
        with self._changing:
            told, self._most = self._most <= most, min(self._most, most)
        if not told:
            self._notify(f"decoding in {most or 'no'} processes, else in threads: {reason}")

    def _give_back(self, process: _Process) -> None:
        with self._changing:
            self._working -= 1
            if process.alive():
                self._free.append(process)
                return
        process.end()

    def close(self) -> None:
        """End the processes, when no call is under way any more."""
        for process in self._free:
            process.end()
        self._free.clear()


class _NotStartedError(Exception):
    """The process ended before it was ready; the text says how."""


class _DiedError(Exception):
    """The process is gone; the text says how."""


class _Process:
    def __init__(self, spec: PreprocessSpec, exact: bool) -> None:
        # In a session of its own: Ctrl-C is for this process, which then ends the others.
        self._popen = subprocess.Popen(
            command("extract.decode_process", spec.to_json(), "exact" if exact else "draft"),
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

    def alive(self) -> bool:
        """Whether it can take an image."""
        return self._between_images and self._popen.poll() is None

    def make_ready(self) -> None:
        """Wait until it can take the first image."""
        try:
            if not self._ready and _read(self._from, 1) != READY:
                raise EOFError
        except (OSError, EOFError):
            self.end()
            raise _NotStartedError(_how(self._popen.returncode)) from None
        self._ready = True

    def decode(self, data: bytes) -> Pixels:
        # An exchange that anything interrupts leaves bytes in the pipes that belong to no other image.
        self._between_images = False
        self.make_ready()
        try:
            _write(self._to, REQUEST.pack(len(data)))
            _write(self._to, data)
            with ExitStack() as held:
                kind, *numbers = ANSWER.unpack(_read(self._from, ANSWER.size))
                while kind == NEEDS:
                    _write(self._to, _reply(held, numbers[0]))
                    kind, *numbers = ANSWER.unpack(_read(self._from, ANSWER.size))
            answer = _read(self._from, math.prod(numbers))
        except (OSError, EOFError):
            self.end()
            raise _DiedError(_how(self._popen.returncode)) from None
        self._between_images = True
        if kind == PIXELS:
            return np.frombuffer(answer, np.uint8).reshape(numbers)
        reason = answer.decode()
        if kind == FAULT:
            raise RuntimeError(reason)
        raise ImageError(reason) from (MemoryError() if kind == MEMORY else None)

    def end(self) -> None:
        # It holds nothing that could be lost, and would take its time to clean up.
        self._popen.kill()
        self._to.close()
        self._from.close()
        self._popen.wait()


def _reply(held: ExitStack, n_bytes: int) -> bytes:
    """Hold memory for a decoding process; what it is told."""
    try:
        held.enter_context(budget.shared.room(n_bytes))
    except budget.NoRoomError as exc:
        reason = str(exc).encode()
        return REQUEST.pack(len(reason)) + reason
    return REQUEST.pack(0)


def _how(status: int) -> str:
    return f"was ended by signal {-status}" if status < 0 else f"ended with {status}"


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
