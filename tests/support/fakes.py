"""Small peers of each stage, so that a test of one needs none of the others' libraries."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np

from fc7.extract.records import Features, ImageRef, Pixels
from fc7.models.common.errors import ImageError


class MemoryOrigin:
    """Images in a dictionary: path -> bytes. A path that maps to None cannot be read."""

    def __init__(self, files: Mapping[str, bytes | None], name: str = "memory") -> None:
        self.files = dict(files)
        self.name = name
        self.reads: list[str] = []

    def read(self, ref: ImageRef) -> bytes | Pixels:
        self.reads.append(ref.path)
        data = self.files[ref.path]
        if data is None:
            raise ImageError("cannot be opened")
        return data

    def refs(self, *, mtime_ns: int = 1) -> list[ImageRef]:
        """The listing: label is the folder."""
        return [
            ImageRef(
                path, path.rpartition("/")[0] or None, None, None, len(data or b""), mtime_ns, self, path
            )
            for path, data in sorted(self.files.items())
        ]


def decode_first_byte(data: bytes | Pixels) -> Pixels:
    """One crop of one grey 2x2 square whose value is the first byte; ``bad`` cannot be decoded."""
    if data == b"bad":
        raise ImageError("not an image")
    return np.full((1, 2, 2, 3), data[0], np.uint8)


class CountingDecode:
    """`decode_first_byte` that knows how many of its results have not been run yet."""

    def __init__(self) -> None:
        self.alive = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, data: bytes | Pixels) -> Pixels:
        with self._lock:
            self.alive += 1
            self.most = max(self.most, self.alive)
        return decode_first_byte(data)

    def taken(self, n: int) -> None:
        """`n` results were run."""
        with self._lock:
            self.alive -= n


class MeanNetwork:
    """Features: the mean pixel, and twice that; remembers the size of every batch."""

    def __init__(self, batch_size: int = 4, layers: Sequence[str] = ("fc7",), calls_at_once: int = 1) -> None:
        self.batch_size = batch_size
        self.calls_at_once = calls_at_once
        self.layers = tuple(layers)
        self.batches: list[int] = []

    def run(self, images: Pixels) -> dict[str, Features]:
        assert images.dtype == np.uint8
        assert 0 < len(images) <= self.batch_size
        self.batches.append(len(images))
        mean = images.reshape(len(images), -1).mean(1, dtype=np.float32)
        return {layer: np.stack([mean, 2 * mean], 1).astype(np.float32) for layer in self.layers}
