"""The features of a new file: rows move as bytes, or else are decoded, checked and summed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.format.header import features_name
from fc7.extract.cache.format.row_column import Piece, RowColumn
from fc7.extract.cache.format.sealed_reader import SealedReader, distinct
from fc7.extract.cache.format.sources import Ints, Sources
from fc7.models.common.errors import CacheCorruptError, DataError
from fc7.models.common.progress import Progress

# Where neighbours are fewer bytes on average, to decode their block costs less than to fetch each by itself.
_LEAST_RUN_BYTES = 1 << 12


@dataclass(frozen=True, slots=True)
class LayerRows:
    """Where the rows of a layer lie.

    Attributes
    ----------
    source, row : ndarray of shape (n_rows,)
        Number of the file, and the row there.
    """

    layer: str
    source: NDArray[np.int32]
    row: Ints


def write_features(column: RowColumn, rows: LayerRows, sources: Sources, progress: Progress) -> None:
    """Fill a layer's dataset.

    Raises
    ------
    OSError
        If the file system fails.
    CacheCorruptError
        If a row that has to be decoded fails its checksum.
    DataError
        If a number is too large for float16.
    """
    name = features_name(rows.layer)
    for start in range(0, len(rows.row), column.step):
        piece = column.piece()
        source, row = rows.source[start : start + piece.n_rows], rows.row[start : start + piece.n_rows]
        for number in distinct(source):
            at = np.flatnonzero(source == number)
            file = sources[number]
            if file[name].dtype != column.dtype or not _moved(file, name, row[at], at=at, piece=piece):
                taken = rounded(file.take(name, row[at]), column.dtype, rows.layer)
                piece.put(at, taken)
        column.append(piece)
        progress.advance(piece.n_rows)


def _moved(file: SealedReader, name: str, rows: Ints, at: Ints, piece: Piece) -> bool:
    """Let rows move as bytes, with their checksums; False if they have to be decoded."""
    places = file.chunks(name)
    if places is None or places.row_bytes != piece.row_bytes:
        return False
    try:
        checksums = file.row_checksums(name, rows)
    except CacheCorruptError:
        # The rows themselves may be whole: they are checked, and summed anew.
        return False
    if checksums is None:
        return False
    runs = len(piece.run_starts(at, rows, places))
    if len(rows) * piece.row_bytes < runs * _LEAST_RUN_BYTES:
        return False
    piece.move(at, rows, places, raw=file.raw)
    piece.checksums[at] = checksums
    return True


def rounded(rows: NDArray[Any], dtype: np.dtype[Any], layer: str) -> NDArray[Any]:
    """Features as they are stored.

    Raises
    ------
    DataError
        If a finite number would become infinite in float16.

    Examples
    --------
    >>> rounded(np.array([[1 / 3, 65504]], np.float32), np.dtype("f2"), "fc7")
    array([[3.333e-01, 6.550e+04]], dtype=float16)
    """
    with np.errstate(over="ignore"):
        stored = rows.astype(dtype, copy=False)
    if dtype == np.float16 and (np.isinf(stored) & np.isfinite(rows)).any():
        largest = float(np.abs(rows[np.isfinite(rows)]).max())
        raise DataError(
            f"layer {layer} has values up to {largest:.6g}, and float16 ends at 65504: keep float32"
        )
    return stored
