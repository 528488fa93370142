"""Images read and decoded ahead of whoever takes them, in their order."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np

from fc7.extract.clock import Clock
from fc7.extract.images import budget
from fc7.extract.patience import STEP, Patience, close, wait_for
from fc7.extract.records import UNSEEN, Failure, ImageRef, Pixels, readers_of
from fc7.models.common.errors import HungError, ImageError

Decode = Callable[[bytes | Pixels], Pixels]
Watch = Callable[[ImageRef], AbstractContextManager[object]]
_Found = tuple["DecodedImage | _Starved | Failure", float]


@dataclass(frozen=True, slots=True)
class Care:
    """What is done about images that may end the process that reads them.

    Attributes
    ----------
    watch : callable
        Every image is read and decoded inside ``with watch(ref):``.
    alone : collection of str
        Paths of images that are read and decoded while no other is.
    apart : collection of str
        Paths of images that `decode` decodes.
    decode : callable or None
        Decodes in another process.
    """

    watch: Watch = nullcontext
    alone: Collection[str] = frozenset()
    apart: Collection[str] = frozenset()
    decode: Decode | None = None


NO_CARE = Care()


@dataclass(slots=True)
class DecodedImage:
    """An image that was read and resized."""

    sha256: str
    pixels: Pixels


@dataclass(slots=True)
class _Starved:
    """An image for which there was not enough memory, perhaps because others had it."""

    reason: str


class DecodeSlots:
    """Who decodes: so many at a time, or one alone. Calls of `feature_blocks` that share it take turns."""

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
        # Two that each held some of the slots would wait for each other.
        with self._asking:
            for _ in range(self.jobs):
                self._free.acquire()
        try:
            yield
        finally:
            self._free.release(self.jobs)


class ReadAhead:
    """Iterates over images and what they gave, some of them ahead.

    An image for which there was not enough memory is tried a second time, when no other is being
    decoded; then it is a failure, of the kind that is tried again on the next run. A file that is much of
    the memory that is free is not read before it can be decoded. An image that does not come to an end, as
    on a disk that hangs, ends the run: a thread cannot be ended.

    Parameters
    ----------
    images : sequence of ImageRef
        At least one.
    decode, slots, care
        As for `extract.worker.stream.feature_blocks`.
    clock : Clock
        Is told how long reading and decoding kept its threads busy.

    Attributes
    ----------
    ahead : int
        How many images are read before they are asked for.
    """

    def __init__(
        self, images: Sequence[ImageRef], decode: Decode, slots: DecodeSlots, care: Care, clock: Clock
    ) -> None:
        self._decode, self._slots, self._care, self._clock = decode, slots, care, clock
        self._threads = slots.jobs + max(
            readers_of(o) for o in {id(i.origin): i.origin for i in images}.values()
        )
        self.ahead = 2 * max(self._threads, 8)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")
        self._upcoming = iter(images)
        self._patience = Patience()
        # Seconds that were waited for images; each thread's image, and how many they were when it was begun.
        self._waited = 0.0
        self._working: dict[int, tuple[ImageRef, float]] = {}
        # An image that is to be alone is begun when its turn has come.
        self._waiting: deque[tuple[ImageRef, Future[_Found] | None]] = deque()

    def __iter__(self) -> Iterator[tuple[ImageRef, DecodedImage | Failure]]:
        while True:
            while len(self._waiting) < self.ahead and (ref := next(self._upcoming, None)) is not None:
                alone = ref.path in self._care.alone
                self._waiting.append((ref, None if alone else self._begin(ref, self._slots.one())))
            if not self._waiting:
                return
            ref, future = self._waiting.popleft()
            found = self._finish(future) if future is not None else self._read_alone(ref)
            if isinstance(found, _Starved):
                found = self._read_alone(ref)
            if isinstance(found, _Starved):
                why = f"{found.reason} (2 tries, the second with no other being decoded)"
                found = Failure(ref.path, why, ref.size, mtime_ns=UNSEEN)
            yield ref, found

    def close(self) -> None:
        """Read nothing more and wait for what is being decoded, a few seconds at most."""
        close(self._pool)

    def _begin(self, ref: ImageRef, turn: AbstractContextManager[None]) -> Future[_Found]:
        return self._pool.submit(self._read, ref, turn)

    def _finish(self, future: Future[_Found]) -> DecodedImage | _Starved | Failure:
        found, seconds = wait_for(future, self._look)
        self._clock.decode += seconds
        return found

    def _read_alone(self, ref: ImageRef) -> DecodedImage | _Starved | Failure:
        others = [future for _, future in self._waiting if future is not None]
        while wait(others, STEP).not_done:
            self._look()
        return self._finish(self._begin(ref, self._slots.alone()))

    def _look(self) -> None:
        """Look for images that do not come to an end.

        Raises
        ------
        HungError
        """
        self._waited += STEP
        for ref, begun in list(self._working.values()):
            # A decoding process is ended earlier, by whoever gave it the image.
            allowed = 2 * self._patience.allows(ref.size)
            if self._waited - begun > allowed:
                raise HungError(f"{ref.path}: reading and decoding it has not ended within {allowed:,.0f} s")

    @contextmanager
    def _at_work(self, ref: ImageRef) -> Iterator[None]:
        me, begun = threading.get_ident(), time.perf_counter()
        self._working[me] = ref, self._waited
        try:
            yield
        finally:
            del self._working[me]
            self._patience.tell(ref.size, time.perf_counter() - begun)

    def _read(self, ref: ImageRef, turn: AbstractContextManager[None]) -> _Found:
        """What an image gave, and how long that kept all threads busy: one of n is busy for an nth."""
        with self._care.watch(ref):
            if ref.size >= budget.SMALL and budget.shared.is_much(self._threads * ref.size):
                return self._read_large(ref, turn)
            started = time.perf_counter()
            with self._at_work(ref):
                data = _bytes_of(ref)
            read = (time.perf_counter() - started) / self._threads
            if isinstance(data, _Starved | Failure):
                return data, read
            with turn, self._at_work(ref):
                started = time.perf_counter()
                found = self._decoded(ref, data)
                return found, read + (time.perf_counter() - started) / self._slots.jobs

    def _read_large(self, ref: ImageRef, turn: AbstractContextManager[None]) -> _Found:
        """The same for a file that must not wait in memory."""
        with turn, self._at_work(ref):
            started = time.perf_counter()
            try:
                with budget.shared.room(ref.size):
                    data = _bytes_of(ref)
                    found = data if isinstance(data, _Starved | Failure) else self._decoded(ref, data)
            except budget.NoRoomError as exc:
                found = _Starved(f"{ref.size:,} bytes: {exc}, more memory than there is")
            return found, (time.perf_counter() - started) / self._slots.jobs

    def _decoded(self, ref: ImageRef, data: bytes | Pixels) -> DecodedImage | _Starved | Failure:
        content = data if isinstance(data, bytes) else np.ascontiguousarray(data).data
        care = self._care
        decode = care.decode if care.decode is not None and ref.path in care.apart else self._decode
        try:
            return DecodedImage(hashlib.sha256(content).hexdigest(), decode(data))
        except ImageError as exc:
            if isinstance(exc.__cause__, MemoryError):
                return _Starved(str(exc))
            return Failure(ref.path, str(exc), ref.size, mtime_ns=ref.mtime_ns)
        except MemoryError:
            return _Starved("decoding it needs more memory than there is")


def _bytes_of(ref: ImageRef) -> bytes | Pixels | _Starved | Failure:
    try:
        return ref.origin.read(ref)
    except ImageError as exc:
        return Failure(ref.path, str(exc), ref.size, mtime_ns=UNSEEN)
    except MemoryError:
        return _Starved(f"{ref.size:,} bytes, and reading them needs more memory than there is")
