"""What is said of rows that stay as they are, for images that cannot be looked at now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fc7.extract.cache.commit.index import RowIndex
from fc7.extract.cache.format.sources import Sources


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A row as it was written; a `Record`."""

    path: str
    label: str | None
    group: str | None
    split: str | None
    size: int
    mtime_ns: int


def kept_rows(sources: Sources, index: RowIndex, paths: Sequence[str]) -> list[KeptRow]:
    """The rows of some paths, which must be in the index with a layer each, in their order.

    Raises
    ------
    CacheCorruptError
        If a text fails its checksum.
    """
    if not paths:
        return []
    at = np.array([index.find(path) for path in paths], np.int64)
    layer = (index.source[:, at] >= 0).argmax(axis=0)
    source, row = index.source[layer, at], index.row[layer, at]
    texts = [[text.decode() or None for text in sources.take(name, source, row).tolist()] for name in _TEXTS]
    return [
        KeptRow(
            path,
            label=label,
            group=group,
            split=split,
            size=int(index.size[i]),
            mtime_ns=int(index.mtime_ns[i]),
        )
        for path, label, group, split, i in zip(paths, *texts, at.tolist(), strict=True)
    ]


_TEXTS = ("label", "group", "split")
