"""Threads against processes: ``python -m tests.benchmarks.decoding FOLDER -j 1 2 8 16``.

For each number of images at once, images of a folder read, hashed and decoded a second, and milliseconds of
this process's own processor time for each; interleaved, medians. How long threads hold the interpreter's
lock is not seen from inside: ``py-spy record --gil --nonblocking -r 500 -f raw -o FILE -- python -m
tests.benchmarks.decoding FOLDER -j 2 --ways threads`` samples it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from unittest.mock import patch

from fc7.extract.clock import Clock
from fc7.extract.inputs.sources import list_images
from fc7.extract.records import ImageRef
from fc7.extract.worker import decoders
from fc7.extract.worker.read_ahead import NO_CARE, DecodeSlots, ReadAhead
from fc7.models.network.architectures import architecture

_WAYS = {"threads": 1 << 20, "processes": 0}


def decoded(images: list[ImageRef], way: str, jobs: int, seconds: float) -> tuple[float, float]:
    """Images a second, and milliseconds of this process for each."""
    spec = architecture("alexnet").preprocess
    with (
        patch.object(decoders, "THREADS_SERVE", _WAYS[way]),
        decoders.decoder(spec, False, jobs, None) as decode,
    ):
        turns, warm = DecodeSlots(jobs), False
        while True:
            started, cpu, n = time.perf_counter(), time.process_time(), 0
            while n == 0 or (warm and time.perf_counter() - started < seconds):
                reading = ReadAhead(images, decode, turns, NO_CARE, Clock())
                n += sum(1 for _ in reading)
                reading.close()
            if warm:
                break
            warm = True
        return n / (time.perf_counter() - started), 1e3 * (time.process_time() - cpu) / n


def main() -> None:
    """A line for each number and way."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.decoding")
    parser.add_argument("folder", type=Path)
    parser.add_argument("-j", "--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--ways", nargs="+", default=list(_WAYS), choices=list(_WAYS))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    images = list(list_images([chosen.folder]).images)
    kinds = [(jobs, way) for jobs in chosen.jobs for way in chosen.ways]
    found: dict[tuple[int, str], list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for _ in range(chosen.rounds):
        for jobs, way in kinds:
            found[jobs, way].append(decoded(images, way, jobs, chosen.seconds))
    for (jobs, way), rounds in found.items():
        rate, own = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"-j {jobs:3} {way:9} {rate:6.0f} images/s, {own:.2f} ms of this process an image")


if __name__ == "__main__":
    main()
