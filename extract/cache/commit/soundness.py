"""Which rows of a cache can be used: those that pass their checksums and are finite numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fc7.extract.cache.commit.thumbnail_columns import thumbnail_names
from fc7.extract.cache.format.header import features_name
from fc7.extract.cache.format.sealed_reader import SealedReader
from fc7.models.common.errors import CacheCorruptError


def unusable_features(file: SealedReader, layer: str) -> Iterator[tuple[range, CacheCorruptError | None]]:
    """Read a layer; rows that must be made anew, and the failed checksum: None where a number is not finite.

    `extract` refuses rows with NaN or infinity; it did not always, and an old cache may hold some.
    """
    for rows, found in file.blocks(features_name(layer)):
        if isinstance(found, CacheCorruptError):
            yield rows, found
            continue
        for row in np.flatnonzero(~np.isfinite(found).all(axis=1)).tolist():
            yield range(rows.start + row, rows.start + row + 1), None


def lost_rows(file: SealedReader, layers: Sequence[str]) -> dict[str, list[range]]:
    """Layer -> rows that must be made anew; those whose thumbnail is damaged are of the first layer.

    A commit takes a row's thumbnail from the file that holds its first layer.
    """
    lost = {layer: [rows for rows, _ in unusable_features(file, layer)] for layer in layers}
    lost[layers[0]] += [rows for name in thumbnail_names(file) for rows, _ in file.damaged(name)]
    return lost
