"""Calls of a network, several at a time, finished in the order of their start."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from fc7.extract.clock import Clock
from fc7.extract.images.thumbnails import thumbnail
from fc7.extract.patience import STEP, Patience, close, wait_for
from fc7.extract.records import Failure, FeatureNetwork, Features, ImageRef, Pixels, Rows
from fc7.models.common.errors import HungError
from fc7.models.common.terminal import counted

_Answer = tuple[dict[str, Features], float]

_NOT_FINITE = (
    "the network gave NaN or infinity for it: the network may be damaged, or half precision too narrow "
    "(--precision fp32 --retry-failed)"
)


@dataclass(slots=True)
class Batch:
    """Decoded images that will be run together, and the failures of the same stretch.

    Attributes
    ----------
    sha256 : list of str
        Hex digests of the bytes that were decoded.
    pixels : list of ndarray of shape (crops, height, width, 3), uint8
    """

    refs: list[ImageRef] = field(default_factory=list)
    sha256: list[str] = field(default_factory=list)
    pixels: list[Pixels] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class Calls:
    """A network at work.

    As many batches run as the network takes at once, and one more waits, so that the network goes on
    while the caller keeps what it was given. A call that does not come back ends the run.

    Parameters
    ----------
    clock : Clock
        Is told how long the network was busy.
    thumbnails : bool
        Whether to make them.
    """

    def __init__(self, network: FeatureNetwork, clock: Clock, *, thumbnails: bool) -> None:
        self.network = network
        self._clock = clock
        self._thumbnails = thumbnails
        self._pool = ThreadPoolExecutor(network.calls_at_once, thread_name_prefix="network")
        self._closed = False
        self._patience = Patience()
        self._running: deque[tuple[Batch, Future[_Answer]]] = deque()

    def start(self, batch: Batch) -> Iterator[Rows]:
        """Have a batch run; gives the oldest ones, finished, while there are too many."""
        self._running.append((batch, self._pool.submit(_run, batch, self.network)))
        while len(self._running) > self.network.calls_at_once:
            yield self._oldest()

    def rest(self) -> Iterator[Rows]:
        """Everything that is still running."""
        while self._running:
            yield self._oldest()

    def finished(self) -> Iterator[Rows]:
        """The oldest ones that have finished or do so within a few seconds, so that they are not lost."""
        self.close()
        while self._running:
            call = self._running[0][1]
            if call.cancelled() or not call.done() or call.exception() is not None:
                return
            yield self._oldest()

    def close(self) -> None:
        """Start nothing more and wait for what runs, a few seconds at most, and that once."""
        if not self._closed:
            self._closed = True
            close(self._pool)

    def _oldest(self) -> Rows:
        batch, call = self._running[0]
        features, seconds = self._answer(call, len(batch.refs))
        self._running.popleft()
        self._clock.inference += seconds / self.network.calls_at_once
        features = _sound_rows(batch, features)
        # Here, since this thread would else wait for the next call.
        made = self._thumbnails and bool(batch.refs)
        thumbnails = np.stack([thumbnail(pixels) for pixels in batch.pixels]) if made else None
        return Rows(batch.refs, batch.sha256, features, thumbnails=thumbnails, failures=batch.failures)

    def _answer(self, call: Future[_Answer], images: int) -> _Answer:
        """What a call gives, the oldest that runs.

        Raises
        ------
        HungError
        """
        waited, allowed = 0.0, self._patience.allows(images)

        def look() -> None:
            nonlocal waited
            waited += STEP
            if waited > allowed:
                raise HungError(
                    f"the network has not answered for {allowed:,.0f} s ({counted(images, 'image')})"
                )

        features, seconds = wait_for(call, look)
        self._patience.tell(images, seconds)
        return features, seconds


def _run(batch: Batch, network: FeatureNetwork) -> _Answer:
    """Rows of a batch, crops averaged, and the seconds that they took."""
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
    return features, time.perf_counter() - started


def _sound_rows(batch: Batch, features: dict[str, Features]) -> dict[str, Features]:
    """The rows of finite numbers; an image without one in every layer leaves the batch for its failures."""
    sound = np.logical_and.reduce([np.isfinite(rows).all(axis=1) for rows in features.values()])
    if sound.all():
        return features
    batch.failures += [
        Failure(ref.path, _NOT_FINITE, ref.size, mtime_ns=ref.mtime_ns)
        for ref, kept in zip(batch.refs, sound, strict=True)
        if not kept
    ]
    kept = np.flatnonzero(sound).tolist()
    batch.refs = [batch.refs[i] for i in kept]
    batch.sha256 = [batch.sha256[i] for i in kept]
    batch.pixels = [batch.pixels[i] for i in kept]
    return {layer: rows[kept] for layer, rows in features.items()}
