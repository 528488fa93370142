"""The dataset ``/thumbnail``: 64 grey values of every row. A file without it is as good as one of zeros."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from extract.cache.placed import Placed
from extract.cache.sealed_reader import SealedReader
from extract.cache.sealed_writer import SealedWriter
from extract.cache.sources import Sources
from extract.thumbnails import LENGTH, Thumbnails
from models.errors import CacheCorruptError

NAME = "thumbnail"
_STEP = 1 << 16


def has_thumbnails(file: SealedReader) -> bool:
    """Whether a cache or segment has any; those made before there were thumbnails have not."""
    return NAME in file.names()


def read_thumbnails(file: SealedReader) -> Thumbnails:
    """Thumbnails of all rows: shape (n_rows, 64), zeros where there is none.

    Raises
    ------
    CacheCorruptError
    """
    n_rows = file["path"].shape[0]
    if not has_thumbnails(file):
        return np.zeros((n_rows, LENGTH), np.uint8)
    found: NDArray[np.uint8] = file.read(NAME, 0, n_rows)
    return found


def check_thumbnails(file: SealedReader) -> None:
    """Read all of them and keep none.

    Raises
    ------
    CacheCorruptError
        If a checksum fails.
    """
    if has_thumbnails(file):
        for _ in file.pieces(NAME):
            pass


def write_thumbnails(file: SealedWriter, thumbnails: Thumbnails | None) -> None:
    """Add the dataset to a segment, if they are known."""
    if thumbnails is not None and len(thumbnails):
        file.add(NAME, thumbnails.shape, np.uint8).append(thumbnails)


def copy_thumbnails(file: SealedWriter, placed: Placed, sources: Sources) -> None:
    """Add the dataset to a cache, if any file that gives rows has one."""
    if any(has_thumbnails(sources[number]) for number in np.unique(placed.source[0]).tolist()):
        column = file.add(NAME, (len(placed.records), LENGTH), np.uint8)
        for thumbnails in _gathered(placed, sources):
            column.append(thumbnails)


def _gathered(placed: Placed, sources: Sources) -> Iterator[Thumbnails]:
    # All layers of a row were made from the same content, so any of them leads to its thumbnail.
    source, row = placed.source[0], placed.row[0]
    for start in range(0, len(row), _STEP):
        some, rows = source[start : start + _STEP], row[start : start + _STEP]
        thumbnails = np.zeros((len(rows), LENGTH), np.uint8)
        for number in np.unique(some).tolist():
            wanted = some == number
            # No row is worth less without its thumbnail, so a damaged one is left out.
            with contextlib.suppress(CacheCorruptError):
                thumbnails[wanted] = sources[number].take(NAME, rows[wanted])
        yield thumbnails
