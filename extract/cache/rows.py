"""Rows of a cache as a reader gives them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.images.thumbnails import Thumbnails
from fc7.extract.inputs.tables.corrections import Corrected
from fc7.models.common.record_repr import one_line_repr
from fc7.models.common.terminal import one_line


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """All rows of one layer; ``X, y, paths = load_features(...)`` takes out the three most wanted.

    Attributes
    ----------
    X : ndarray of shape (n_rows, dim), float32
    y : ndarray of shape (n_rows,), str
        Labels; empty for an image without one.
    paths : list of str
        Sorted, unique, relative to their root.
    groups, splits : ndarray of shape (n_rows,), str
        Empty where there is none.
    sha256 : list of str
        Hex digests of the image files.
    thumbnails : ndarray of shape (n_rows, 96), uint8
        8 x 8 greys of each image, then 4 x 4 Cb and Cr; zeros where there are none.
    identity : CacheIdentity
        Of the whole cache; ``identity.fingerprints[layer]`` is this layer's.
    roots : tuple of str
        Where the images lay.
    corrected : Corrected or None
        What corrections did to the labels; None if they are those of the cache.
    """

    X: NDArray[np.float32]
    y: NDArray[np.str_]
    paths: list[str]
    groups: NDArray[np.str_]
    splits: NDArray[np.str_]
    sha256: list[str]
    thumbnails: Thumbnails
    layer: str
    identity: CacheIdentity
    roots: tuple[str, ...]
    corrected: Corrected | None = None

    def __repr__(self) -> str:
        rows, dim = self.X.shape
        classes = len(np.unique(self.y[self.y != ""]))
        source = one_line(f"{self.layer} of {self.identity.network}")
        return f"FeatureSet({rows} rows of {dim} features, {source}, {classes} classes)"

    # A union of their types would be wrong for each of the three that a caller unpacks.
    def __iter__(self) -> Iterator[Any]:
        """`X`, `y` and `paths`."""
        return iter((self.X, self.y, self.paths))

    @property
    def fingerprint(self) -> str:
        """What made these features."""
        return self.identity.fingerprints[self.layer]


@dataclass(frozen=True, slots=True)
class RowColumns:
    """What rows are about; item i of every field is the same row.

    Attributes
    ----------
    path, label, group, split, sha256 : list of str
        Empty texts where there is no label, group or split.
    """

    path: list[str]
    label: list[str]
    group: list[str]
    split: list[str]
    size: NDArray[np.int64]
    mtime_ns: NDArray[np.int64]
    sha256: list[str]

    __repr__ = one_line_repr
