"""The one loop of stage one: images in, blocks of features out, decoding ahead of the network.

Extraction and classification both run it; neither knows how the other keeps its rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fc7.extract.clock import Clock
from fc7.extract.images import budget
from fc7.extract.records import Failure, FeatureNetwork, ImageRef, Rows
from fc7.extract.worker.calls import Batch, Calls
from fc7.extract.worker.read_ahead import NO_CARE, Care, Decode, DecodeSlots, ReadAhead
from fc7.models.common.errors import HungError


@dataclass(frozen=True, slots=True)
class Decoding:
    """How images become pixels.

    Attributes
    ----------
    decode : callable
        Bytes or pixels -> ndarray of shape (crops, height, width, 3), uint8, RGB. Called from
        `jobs` threads; raises `ImageError` for an image that gives no pixels.
    jobs : int or DecodeSlots
        Images that are decoded at once. Where reading waits for a network, more are read at once
        (`extract.records.readers_of`).
    thumbnails : bool
        Whether blocks get `extract.images.thumbnails` of their images.
    """

    decode: Decode
    jobs: int | DecodeSlots
    thumbnails: bool = False


def feature_blocks(
    images: Sequence[ImageRef],
    decoding: Decoding,
    network: Callable[[], FeatureNetwork],
    *,
    clock: Clock,
    care: Care = NO_CARE,
) -> Iterator[Rows]:
    """Read, decode and run images in their order, a batch at a time.

    Parameters
    ----------
    network : callable
        Gives the network; called once, when there is something to run.
    clock : Clock
        Is told where the time went.
    care : Care
        What is done about images that may end this process.

    Yields
    ------
    Rows
        At most one batch of them, crops averaged; none if every image of the stretch failed.

    Notes
    -----
    After Ctrl-C, and where something hangs, the batches that were run are given before that is raised.

    What is in memory does not grow with the number of images: two batches of pixels that are decoded
    ahead, one that is being filled, and one for each call of the network and for the next.
    """
    if not images:
        return
    started, loading = time.perf_counter(), 0.0
    slots = decoding.jobs if isinstance(decoding.jobs, DecodeSlots) else DecodeSlots(decoding.jobs)
    reading = ReadAhead(images, decoding.decode, slots, care=care, clock=clock)
    calls: Calls | None = None
    batch = Batch()
    try:
        for ref, found in reading:
            if isinstance(found, Failure):
                batch.failures.append(found)
                continue
            batch.refs.append(ref)
            batch.sha256.append(found.sha256)
            batch.pixels.append(found.pixels)
            if calls is None:
                began = time.perf_counter()
                with budget.shared.all():
                    calls = Calls(network(), clock, thumbnails=decoding.thumbnails)
                loading = time.perf_counter() - began
                reading.ahead = max(reading.ahead, 2 * calls.network.batch_size)
            if (len(batch.refs) + 1) * len(found.pixels) > calls.network.batch_size:
                yield from _timed(calls.start(batch), clock)
                batch = Batch()
        if calls is not None:
            if batch.refs:
                yield from _timed(calls.start(batch), clock)
                batch = Batch()
            yield from _timed(calls.rest(), clock)
        if batch.failures:
            yield Rows([], [], {}, failures=batch.failures)
    except (KeyboardInterrupt, HungError):
        if calls is not None:
            yield from _timed(calls.finished(), clock)
        raise
    finally:
        reading.close()
        if calls is not None:
            calls.close()
        clock.loop += time.perf_counter() - started - loading
        clock.loading += loading


def _timed(finished: Iterator[Rows], clock: Clock) -> Iterator[Rows]:
    for block in finished:
        given = time.perf_counter()
        yield block
        clock.write += time.perf_counter() - given
