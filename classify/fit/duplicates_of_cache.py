"""The duplicates of a features.h5 by name: what the command `duplicates` lists."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fc7.classify.data.load import one_layer
from fc7.classify.data.options import parse_cosine
from fc7.classify.data.rows import check_finite
from fc7.classify.duplicates.find import Duplicates, Pair, find_duplicates
from fc7.classify.image_columns import ImageColumns
from fc7.extract.cache.reader import FeatureSet
from fc7.extract.inputs.tables.corrections import Corrections
from fc7.models.common.progress import Progress


@dataclass(frozen=True, slots=True)
class NamedDuplicates:
    """Duplicates and the cache they were found in; rows count within it."""

    cache: FeatureSet
    found: Duplicates

    @property
    def conflicts(self) -> list[Pair]:
        """Pairs under two labels, nearest first."""
        return [pair for pair in self.found.pairs if self.conflicting(pair)]

    @property
    def straddling(self) -> list[Pair]:
        """Pairs of a training and a test image by the cache's own split, nearest first."""
        split = self.cache.splits
        return [p for p in self.found.pairs if {split[p.first], split[p.second]} == {"train", "test"}]

    @property
    def suggested(self) -> dict[int, str]:
        """Row -> what more than half of the labelled images of its picture are labelled, where it is not."""
        found = {}
        for rows in self.found.groups:
            votes = Counter(str(self.cache.y[row]) for row in rows if self.cache.y[row])
            label, most = votes.most_common(1)[0] if votes else ("", 0)
            if 2 * most > votes.total():
                found.update({row: label for row in rows if self.cache.y[row] not in ("", label)})
        return found

    def conflicting(self, pair: Pair) -> bool:
        """Whether the two have labels, and different ones."""
        first, second = self.cache.y[pair.first], self.cache.y[pair.second]
        return bool(first and second and first != second)


def duplicates_of_cache(
    features: str | Path,
    threshold: str = "auto",
    *,
    layer: str | None = None,
    corrections: Corrections | str | Path | None = None,
    progress: Progress | None = None,
) -> NamedDuplicates:
    """Load features and find the images that are one picture.

    Parameters
    ----------
    features : str or Path
        A cache that `extract` made.
    threshold : str
        ``auto``, or a cosine above 0 and up to 1.
    layer : str or None
        Which layer of the cache; None for its only or last one.
    corrections : Corrections, str, Path or None
        As `load_features` takes them.

    Raises
    ------
    UsageError
        If the threshold is none of these, or the cache has no such layer.
    DataError
        If features are NaN or infinite.
    CacheError
        If the cache cannot be read.
    """
    cosine = None if threshold == "auto" else parse_cosine("--threshold", threshold, ("auto",))
    cache = one_layer(features, layer, corrections)
    rows = np.arange(len(cache.paths))
    check_finite(cache.X, rows, lambda i: repr(cache.paths[i]))
    found = find_duplicates(
        cache.X,
        rows,
        cache.y.tolist(),
        known=ImageColumns(sha256=cache.sha256, groups=cache.groups.tolist(), thumbnails=cache.thumbnails),
        cosine=cosine,
        progress=progress,
    )
    return NamedDuplicates(cache, found)
