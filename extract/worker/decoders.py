"""Decoding in other processes, where there are more cores than threads can keep busy.

Whoever decodes holds the interpreter's lock for 1.1 of the 5.8 ms that a JPEG of 500x375 takes: threads
decode 900 of these a second at most, however many cores there are. Handing one to another process takes 0.4
ms of the lock (tests/benchmarks/NOTES.md). On two cores both are as fast, and threads need no time to start
and no 39 MB each. A process that dies takes with it only the image that it was given, and so does one that
does not answer, as if it were stopped: it is ended when its time is up.

`pebble` (5.2.3) names the image that ended its process or outlived its time, as this does, but handing one
over takes 1.2 ms of this process's time where ours takes 0.7, and a worker has no way to ask for memory
before it decodes.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from fc7.extract.patience import STEP, Patience
from fc7.extract.records import Pixels
from fc7.extract.worker.decode_pipe import DecodePipe, DiedError, NotStartedError
from fc7.extract.worker.decode_process import decode_here
from fc7.extract.worker.read_ahead import Care, Decode
from fc7.models.common.errors import ImageError
from fc7.models.common.progress import Notify
from fc7.models.common.stopping import before_end
from fc7.models.network.spec import PreprocessSpec

THREADS_SERVE = 8
"""With more images at once than this they are decoded in processes. Five or six threads are as many as the
lock serves where the network runs on a GPU; where it takes most of the cores itself, more."""
# A process starts in the time of some 80 images; of a short run none is worth it.
_FEWEST_IMAGES = 100


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
    exact : bool
        As `extract.images.decode.prepare`.
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
    processes = DecodeProcesses(spec, exact, most, notify=notify)
    try:
        yield processes
    finally:
        processes.close()


@contextmanager
def decoder_apart(
    spec: PreprocessSpec, exact: bool, jobs: int, care: Care, notify: Notify
) -> Iterator[DecodeProcesses | None]:
    """What decodes in other processes, however few the images; None where none needs that.

    Parameters
    ----------
    spec, exact, jobs, notify
        As for `decoder`.
    care : Care
        Which images need it. For those that are tried alone a process is made ready before.
    """
    if not care.apart:
        yield None
        return
    processes = DecodeProcesses(spec, exact, min(jobs, _room_for(jobs)), notify=notify)
    try:
        if care.alone:
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
    exact : bool
        As `extract.images.decode.prepare`.
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
        self._free: list[DecodePipe] = []
        self._working: set[DecodePipe] = set()
        self._starting = 0
        self._changing = threading.Lock()
        self._patience = Patience()
        # Seconds; a program that was stopped meanwhile was not awake.
        self._awake = 0.0
        self._closed = threading.Event()
        self._unregister = before_end(self._kill)
        threading.Thread(target=self._watch, name="deadlines", daemon=True).start()

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
        except NotStartedError as exc:
            self._do_without(f"one {exc} before it was ready")
            return self._here(data)
        except DiedError as exc:
            raise ImageError(f"the process that decoded it {exc}") from MemoryError()
        finally:
            self._release(process)

    def start_one(self) -> None:
        """Have a process ready before it is needed, so that starting it is not taken for decoding."""
        process = self._take()
        if process is not None:
            with contextlib.suppress(NotStartedError):
                process.make_ready()
            self._release(process)

    def _take(self) -> DecodePipe | None:
        with self._changing:
            if len(self._working) + self._starting >= self._most:
                return None
            while self._free:
                process = self._free.pop()
                if process.alive():
                    self._working.add(process)
                    return process
                process.end()
            self._starting += 1
        try:
            process = DecodePipe(self._spec, self._exact, self._patience, awake=lambda: self._awake)
        except OSError as exc:
            with self._changing:
                self._starting -= 1
                most = len(self._working) + self._starting
            self._do_without(exc.strerror or str(exc), most)
            return None
        with self._changing:
            self._starting -= 1
            self._working.add(process)
        return process

    def _do_without(self, reason: str, most: int = 0) -> None:
        """Start no process beyond so many any more."""
        with self._changing:
            told, self._most = self._most <= most, min(self._most, most)
        if not told:
            self._notify(f"decoding in {most or 'no'} processes, else in threads: {reason}")

    def _release(self, process: DecodePipe) -> None:
        with self._changing:
            self._working.discard(process)
            if process.alive():
                self._free.append(process)
                return
        process.end()

    def _watch(self) -> None:
        while not self._closed.wait(STEP):
            self._awake += STEP
            for process in tuple(self._working):
                if process.is_overdue():
                    process.kill()

    def close(self) -> None:
        """End the processes; a call that is under way ends with an error."""
        self._closed.set()
        self._unregister()
        self._kill()
        for process in self._free:
            process.end()
        self._free.clear()

    def _kill(self) -> None:
        """Kill all of them and wait for none: whoever waits for an answer sees it and cleans up."""
        for process in (*tuple(self._working), *tuple(self._free)):
            process.kill()
