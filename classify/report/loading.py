"""A features.h5 with the layer that a classifier was fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classify.classifier import Classifier
from classify.matching import layer_for
from classify.rows import Table, make_table
from extract.cache.header import Header
from extract.cache.reader import CacheReader, Columns
from extract.stages import Failure


@dataclass(frozen=True, slots=True, eq=False)
class LoadedCache:
    """Everything in it that a report needs.

    Attributes
    ----------
    path : Path
    header : Header
    layer : str
    X : ndarray of shape (n_rows, n_features), float32
    columns : Columns
    failures : list of Failure
    thumbnails : ndarray of shape (n_rows, 64), uint8
    """

    path: Path
    header: Header
    layer: str
    X: NDArray[np.float32]
    columns: Columns
    failures: list[Failure]
    thumbnails: NDArray[np.uint8]

    @property
    def n_images(self) -> int:
        """Rows and failures."""
        return self.header.rows + self.header.failures

    def table(self) -> Table | None:
        """The labelled rows; None if no image has a label.

        Raises
        ------
        DataError
            If a feature is NaN or infinite.
        """
        columns = self.columns
        if not any(columns.label):
            return None
        return make_table(
            self.X,
            columns.label,
            paths=columns.path,
            sha256=columns.sha256,
            groups=columns.group,
            splits=None,
            thumbnails=self.thumbnails,
        )


def load_for(path: Path, classifier: Classifier) -> LoadedCache:
    """Read the layer whose fingerprint the classifier has.

    Raises
    ------
    MismatchError
        If the cache does not have it.
    CacheError
        If the cache cannot be read.
    """
    with CacheReader(path) as reader:
        layer = layer_for(reader, path, classifier.identity, "give the cache it was fitted on, or fit again")
        X = np.empty((reader.n_rows, reader.identity.dims[layer]), np.float32)
        for rows, block in reader.iter_blocks(layer):
            X[rows] = block
        return LoadedCache(
            path, reader.header, layer, X, reader.columns(), reader.failures(), reader.thumbnails()
        )
