"""The datasets ``/thumbnail`` and ``/colour``: 64 greys and 32 colours of every row. A file without one of
them, as older ones are, is as good as one of zeros there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.commit.row_locations import RowLocations
from fc7.extract.cache.format.sealed_reader import SealedReader, distinct
from fc7.extract.cache.format.sealed_writer import SealedWriter
from fc7.extract.cache.format.sources import Sources
from fc7.extract.images.thumbnails import GREYS, LENGTH, Thumbnails
from fc7.models.common.errors import CacheCorruptError

_STEP = 1 << 16
_PARTS = {"thumbnail": slice(0, GREYS), "colour": slice(GREYS, LENGTH)}


def thumbnail_names(file: SealedReader) -> list[str]:
    """Those of the datasets that a cache or segment has; older ones have none, or no colours."""
    names = file.names()
    return [name for name in _PARTS if name in names]


def read_thumbnails(file: SealedReader) -> Thumbnails:
    """Thumbnails of all rows: shape (n_rows, 96), zeros where there is nothing.

    Raises
    ------
    CacheCorruptError
    """
    n_rows = file["path"].shape[0]
    thumbnails = np.zeros((n_rows, LENGTH), np.uint8)
    for name in thumbnail_names(file):
        thumbnails[:, _PARTS[name]] = file.read(name, 0, n_rows)
    return thumbnails


def write_thumbnails(file: SealedWriter, thumbnails: Thumbnails | None) -> None:
    """Add the datasets to a segment, if they are known."""
    if thumbnails is not None and len(thumbnails):
        for name, numbers in _PARTS.items():
            part = np.ascontiguousarray(thumbnails[:, numbers])
            file.add(name, part.shape, np.uint8).append(part)


def copy_thumbnails(file: SealedWriter, locations: RowLocations, sources: Sources) -> None:
    """Add the datasets to a cache, each if any file that gives rows has it."""
    files = [sources[number] for number in distinct(locations.source[0])]
    for name, numbers in _PARTS.items():
        if any(name in thumbnail_names(each) for each in files):
            width = numbers.stop - numbers.start
            column = file.add(name, (len(locations.records), width), np.uint8)
            for part in _gathered(name, width, locations, sources=sources):
                column.append(part)


def _gathered(
    name: str, width: int, locations: RowLocations, sources: Sources
) -> Iterator[NDArray[np.uint8]]:
    # All layers of a row were made from the same content, so any of them leads to its thumbnail.
    source, row = locations.source[0], locations.row[0]
    for start in range(0, len(row), _STEP):
        some, rows = source[start : start + _STEP], row[start : start + _STEP]
        part = np.zeros((len(rows), width), np.uint8)
        for number in distinct(some):
            wanted = some == number
            # No row is worth less without its thumbnail, so a damaged one is left out.
            with contextlib.suppress(CacheCorruptError):
                part[wanted] = sources[number].take(name, rows[wanted])
        yield part
