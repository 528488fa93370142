"""The one loop of stage one: images in, blocks of features out, decoding ahead of the network.

Extraction and classification both run it; neither knows how the other keeps its rows.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np

from extract.stages import Failure, FeatureNetwork, ImageRef, Pixels, RowBlock, readers_of
from models.errors import ImageError

NEVER = -1
"""The modification time of a failure that says nothing about the file's content."""

Decode = Callable[[bytes | Pixels], Pixels]
Watch = Callable[[ImageRef], AbstractContextManager[object]]


@dataclass(slots=True)
class Clock:
    """Where the loop's time went, in seconds.

    Attributes
    ----------
    decode : float
        The network had nothing to do and waited for pixels.
    inference : float
        The network ran.
    write : float
        The caller kept what it was given.
    """

    decode: float = 0.0
    inference: float = 0.0
    write: float = 0.0

    @property
    def bottleneck(self) -> str:
        """The stage that took longest."""
        return max(("decode", "inference", "write"), key=lambda stage: float(getattr(self, stage)))

    def describe(self) -> str:
        """Shares in per cent: ``decode 71 %, inference 26 %, write 3 %``."""
        total = self.decode + self.inference + self.write
        shares = {name: getattr(self, name) / total if total else 0 for name in self.__slots__}
        return ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in shares.items())


@dataclass(slots=True)
class _Ready:
    """An image that was read and resized."""

    sha256: str
    pixels: Pixels


@dataclass(slots=True)
class _Starved:
    """An image for which there was not enough memory, perhaps because others had it."""

    reason: str


@dataclass(slots=True)
class _Batch:
    refs: list[ImageRef] = field(default_factory=list)
    sha256: list[str] = field(default_factory=list)
    pixels: list[Pixels] = field(default_factory=list)


class Turns:
    """Who decodes: so many at a time, or one alone. Calls of `feature_blocks` that share one take turns.

    Parameters
    ----------
    jobs : int
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._free = threading.Semaphore(jobs)
        self._asking = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[None]:
        """One of several."""
        with self._free:
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The only one."""
        # Two that each held some of the turns would wait for each other.
        with self._asking:
            for _ in range(self.jobs):
                self._free.acquire()
        try:
            yield
        finally:
            self._free.release(self.jobs)


def default_jobs() -> int:
    """Decode threads: one for every core this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def feature_blocks(
    images: Sequence[ImageRef],
    decode: Decode,
    network: Callable[[], FeatureNetwork],
    *,
    jobs: int | Turns,
    clock: Clock,
    watch: Watch = nullcontext,
) -> Iterator[tuple[RowBlock, list[Failure]]]:
    """Read, decode and run images in their order, a batch at a time.

    Parameters
    ----------
    images : sequence of ImageRef
    decode : callable
        Bytes or pixels -> ndarray of shape (crops, height, width, 3), uint8, RGB. Called from
        `jobs` threads; raises `ImageError` for an image that gives no pixels.
    network : callable
        Gives the network; called once, when there is something to run.
    jobs : int or Turns
        Images that are decoded at once. Where reading waits for a network, more are read at once
        (`extract.stages.readers_of`).
    clock : Clock
        Is told where the time went.
    watch : callable
        Every image is read and decoded inside ``with watch(ref):``.

    Yields
    ------
    block : RowBlock
        At most one batch of rows, crops averaged; empty if every image of the stretch failed.
    failures : list of Failure
        Images of the same stretch that gave no row.

    Notes
    -----
    At most three batches are in memory, whatever the number of images. An image for which there was not
    enough memory is tried a second time, when no other is being decoded; then it is a failure.
    """
    if not images:
        return
    turns = jobs if isinstance(jobs, Turns) else Turns(jobs)

    def read(ref: ImageRef, turn: AbstractContextManager[None]) -> _Ready | _Starved | Failure:
        with watch(ref):
            return _read(ref, decode, turn)

    threads = turns.jobs + max(map(readers_of, {id(ref.origin): ref.origin for ref in images}.values()))
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        waiting: deque[tuple[ImageRef, Future[_Ready | _Starved | Failure]]] = deque()
        upcoming = iter(images)
        live = None
        batch, failures = _Batch(), list[Failure]()
        ahead = 2 * max(threads, 8)
        try:
            while True:
                while len(waiting) < ahead and (ref := next(upcoming, None)) is not None:
                    waiting.append((ref, pool.submit(read, ref, turns.one())))
                if not waiting:
                    break
                ref, future = waiting.popleft()
                started = time.perf_counter()
                ready = future.result()
                if isinstance(ready, _Starved):
                    wait([other for _, other in waiting])
                    ready = read(ref, turns.alone())
                clock.decode += time.perf_counter() - started
                if isinstance(ready, _Starved):
                    why = f"{ready.reason} (2 tries, the second with no other being decoded)"
                    ready = Failure(ref.path, why, ref.size, ref.mtime_ns)
                if isinstance(ready, Failure):
                    failures.append(ready)
                    continue
                batch.refs.append(ref)
                batch.sha256.append(ready.sha256)
                batch.pixels.append(ready.pixels)
                if live is None:
                    live = network()
                    ahead = max(ahead, 2 * live.batch_size)
                if (len(batch.refs) + 1) * len(ready.pixels) > live.batch_size:
                    yield from _run(batch, failures, live, clock)
                    batch, failures = _Batch(), []
            if batch.refs and live is not None:
                yield from _run(batch, failures, live, clock)
            elif failures:
                yield RowBlock([], [], {}), failures
        finally:
            for _, future in waiting:
                future.cancel()


def _read(ref: ImageRef, decode: Decode, turn: AbstractContextManager[None]) -> _Ready | _Starved | Failure:
    try:
        data = ref.origin.read(ref)
    except ImageError as exc:
        # A file that vanished, or a disk that was away, may be back without having changed: with a
        # time that no file has, the failure is tried again on every run.
        return Failure(ref.path, str(exc), ref.size, NEVER)
    except MemoryError:
        return _Starved(f"{ref.size:,} bytes, and reading them needs more memory than there is")
    content = data if isinstance(data, bytes) else np.ascontiguousarray(data).data
    try:
        with turn:
            return _Ready(hashlib.sha256(content).hexdigest(), decode(data))
    except ImageError as exc:
        if isinstance(exc.__cause__, MemoryError):
            return _Starved(str(exc))
        return Failure(ref.path, str(exc), ref.size, ref.mtime_ns)
    except MemoryError:
        return _Starved("decoding it needs more memory than there is")


def _run(
    batch: _Batch, failures: list[Failure], network: FeatureNetwork, clock: Clock
) -> Iterator[tuple[RowBlock, list[Failure]]]:
    started = time.perf_counter()
    pixels = np.concatenate(batch.pixels)
    crops = len(pixels) // len(batch.refs)
    size = network.batch_size
    parts = [network.run(pixels[start : start + size]) for start in range(0, len(pixels), size)]
    features = {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]}
    if crops > 1:
        features = {
            layer: rows.reshape(len(batch.refs), crops, -1).mean(1, dtype=np.float32)
            for layer, rows in features.items()
        }
    kept = time.perf_counter()
    clock.inference += kept - started
    yield RowBlock(batch.refs, batch.sha256, features), failures
    clock.write += time.perf_counter() - kept
