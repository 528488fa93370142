"""Images that lie as one array: how one of them is read, and how the rows are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fc7.extract.inputs.arrays.layout import ArrayLayout
from fc7.extract.inputs.places.folders import escape
from fc7.extract.inputs.places.join import ListedSource
from fc7.extract.records import ImageRef, Listing, Pixels
from fc7.models.common.errors import ImageError

# Rows that are added later shall not rename those that are there, up to a million.
_FEWEST_DIGITS = 6


class Stack(Protocol):
    """Images by number."""

    @property
    def layout(self) -> ArrayLayout:
        """Their axes."""

    def image(self, index: int) -> Pixels:
        """One image: ndarray of shape (H, W, 3), (H, W, 4) or (H, W), uint8, from any thread.

        Raises
        ------
        models.common.errors.ImageError
        """


@dataclass(frozen=True, slots=True)
class MemoryStack:
    """An array in memory."""

    array: NDArray[Any]
    layout: ArrayLayout

    def image(self, index: int) -> Pixels:
        """One image, copied."""
        axis = self.layout.axis
        return self.layout.picture(self.array if axis is None else np.take(self.array, index, axis))


class FileStack:
    """An array in a file whose images lie one after the other; only the one asked for is in memory.

    Read, not mapped: a mapped file that another process cuts short ends this one (SIGBUS). Opened
    for each image, as images in a folder are: no thread waits for another.

    Parameters
    ----------
    start : int
        Where the first image lies.
    shape : tuple of int
        Of one image as it lies.
    """

    def __init__(self, path: Path, start: int, shape: tuple[int, ...], layout: ArrayLayout) -> None:
        self.layout = layout
        self._path = path
        self._start = start
        self._shape = shape

    def image(self, index: int) -> Pixels:
        """One image from the file."""
        size = self.layout.bytes_each
        try:
            with self._path.open("rb") as file:
                file.seek(self._start + index * size)
                data = file.read(size)
        except FileNotFoundError as exc:
            raise ImageError("the array file vanished after it was listed") from exc
        except OSError as exc:
            raise ImageError(f"cannot be read: {exc.strerror or exc}") from exc
        if len(data) != size:
            raise ImageError("the array file has become shorter since it was listed")
        return self.layout.picture(np.frombuffer(data, np.uint8).reshape(self._shape))


@dataclass(frozen=True, slots=True)
class StackOrigin:
    """Rows of an array; `ImageRef.locator` is the index."""

    name: str
    stack: Stack

    def read(self, ref: ImageRef) -> Pixels:
        """The pixels of one image.

        Raises
        ------
        ImageError
        """
        return self.stack.image(int(ref.locator))


@dataclass(frozen=True, slots=True)
class Stacked:
    """One part of an array file: its images, and their labels if it has any."""

    stack: Stack
    labels: Sequence[str] | None
    split: str | None
    folder: str


def stack_source(path: Path, typed: str, parts: Sequence[Stacked]) -> ListedSource:
    """Every image of an array file.

    The path is the file's name and the index, with as many zeros before it as keep the order
    of the indices when paths are sorted: ``train.p/000017``, and ``set.npz/x_train/000017`` in a
    file of several parts.
    """
    key = f"{escape(path.name)}/"
    around = escape(str(Path(typed).parent))
    mtime_ns = path.stat().st_mtime_ns
    images = []
    for part in sorted(parts, key=lambda part: part.folder):
        origin = StackOrigin(around, part.stack)
        count, size = part.stack.layout.count, part.stack.layout.bytes_each
        digits = max(_FEWEST_DIGITS, len(str(count - 1)))
        start = f"{key}{part.folder}/" if part.folder else key
        label = _labeller(part.labels)
        images += [
            ImageRef(
                f"{start}{index:0{digits}}",
                label=label(index),
                group=None,
                split=part.split,
                size=size,
                mtime_ns=mtime_ns,
                origin=origin,
                locator=index,
            )
            for index in range(count)
        ]
    return ListedSource(typed, str(path), Listing(images, (), {}, roots=(escape(typed),)), key=key)


def _labeller(labels: Sequence[str] | None) -> Callable[[int], str | None]:
    if labels is None:
        return lambda index: None
    return lambda index: labels[index] or None
