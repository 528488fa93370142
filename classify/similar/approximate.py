"""An index of a cache's rows that finds most of the nearest ones without looking at every row.

The graph of Malkov and Yashunin ("Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs", 2018), by usearch, in half precision. It is kept beside the cache, with what it
is an index of, and made anew when the cache has changed. How much it finds is measured when it is made.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fc7.classify.similar.nearest import Nearest, nearest_rows
from fc7.extract.cache.reader import CacheReader
from fc7.models.common.cores import default_jobs
from fc7.models.common.durable import write_whole
from fc7.models.common.errors import Fc7Error, UsageError
from fc7.models.common.program import pip_install
from fc7.models.common.progress import Progress

if TYPE_CHECKING:
    from usearch.index import Index

# With these it found 99 of 100 on rows like features (tests/benchmarks/NOTES.md); more costs time at once.
_NEIGHBOURS, _EXPANSION_ADD, _EXPANSION_SEARCH = 16, 64, 128
_TRIED, _TRIED_K = 100, 12
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Recall:
    """Which share of the exactly nearest rows an index finds.

    Attributes
    ----------
    share : float
        Of the `k` nearest of `n` rows of the cache itself.
    """

    share: float
    n: int
    k: int

    def describe(self) -> str:
        """For people."""
        return f"an index, which finds {self.share:.1%} of the {self.k} nearest (tried on {self.n} rows)"


@dataclass(frozen=True, slots=True)
class NearIndex:
    """An index that is loaded; use `near_index`."""

    recall: Recall
    _index: Index

    def nearest(self, queries: NDArray[np.float32], k: int, own_rows: NDArray[np.int64]) -> Nearest:
        """As `nearest_rows`, but for rows that it does not find, and cosines of half precision."""
        found = self._index.search(queries, k + 1, threads=default_jobs())
        keys, cosines = np.atleast_2d(found.keys), 1 - np.atleast_2d(found.distances)
        rows = np.full((len(queries), k), -1, np.int64)
        near = np.full((len(queries), k), np.nan, np.float32)
        for i, own in enumerate(own_rows.tolist()):
            kept = [(int(row), c) for row, c in zip(keys[i], cosines[i], strict=True) if int(row) != own][:k]
            rows[i, : len(kept)] = [row for row, _ in kept]
            near[i, : len(kept)] = [min(1.0, float(c)) for _, c in kept]
        return Nearest(rows, near)


def near_index(reader: CacheReader, layer: str, progress: Progress) -> NearIndex:
    """The index of a layer's rows, made if there is none of them as they are.

    Raises
    ------
    UsageError
        If the extra is not installed, or something else stands where the index is kept.
    Fc7Error
        If it cannot be written.
    """
    try:
        from usearch.index import Index
    except ImportError as exc:
        raise UsageError(
            f"--approximate needs the package usearch: {pip_install('fc7[near]')}; without it every row is "
            "compared"
        ) from exc
    file = reader.path.with_name(f"{reader.path.name}.{layer}.usearch")
    about = file.with_name(f"{file.name}.json")
    index = Index(
        ndim=reader.identity.dims[layer],
        metric="cos",
        dtype="f16",
        connectivity=_NEIGHBOURS,
        expansion_add=_EXPANSION_ADD,
        expansion_search=_EXPANSION_SEARCH,
    )
    known = _known(about)
    if file.exists() and known is None:
        raise UsageError(f"{file}: something else stands where the index would be kept; move it away")
    if known is not None and known["of"] == _stamp(reader, layer) and file.exists():
        index.load(str(file))
        return NearIndex(Recall(known["recall"], known["tried"], known["k"]), index)
    _fill(index, reader, layer, progress=progress)
    made = NearIndex(_recall(index, reader, layer), index)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        # In this order: an index is only read with what it is an index of.
        about.unlink(missing_ok=True)
        index.save(str(part))
        part.replace(file)
        said = {
            "format": _FORMAT,
            "of": _stamp(reader, layer),
            "recall": made.recall.share,
            "tried": made.recall.n,
            "k": made.recall.k,
        }
        write_whole(about, json.dumps(said).encode())
    except (OSError, RuntimeError) as exc:
        raise Fc7Error(f"{file}: the index cannot be written: {exc}") from exc
    finally:
        part.unlink(missing_ok=True)
    return made


def _fill(index: Index, reader: CacheReader, layer: str, progress: Progress) -> None:
    progress.start(reader.n_rows, "indexing")
    for where, X in reader.iter_blocks(layer, rows=4096):
        index.add(np.arange(where.start, where.stop), X, threads=default_jobs())
        progress.advance(len(X))
    progress.finish()


def _recall(index: Index, reader: CacheReader, layer: str) -> Recall:
    n, k = min(_TRIED, reader.n_rows), max(1, min(_TRIED_K, reader.n_rows - 1))
    rows = np.sort(np.random.default_rng(0).choice(reader.n_rows, n, replace=False)).astype(np.int64)
    queries = reader.take(rows, layer)
    exact = nearest_rows(queries, reader.iter_blocks(layer, rows=4096), k, own_rows=rows)
    found = NearIndex(Recall(0, 0, k), index).nearest(queries, k, rows)
    pairs = zip(exact.rows.tolist(), found.rows.tolist(), strict=True)
    hits = sum(len(set(a) & set(b) - {-1}) for a, b in pairs)
    return Recall(hits / max(1, int(np.count_nonzero(exact.rows >= 0))), n, k)


def _stamp(reader: CacheReader, layer: str) -> list[Any]:
    status = reader.path.stat()
    return [status.st_mtime_ns, status.st_size, reader.n_rows, reader.identity.fingerprints[layer]]


def _known(about: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(about.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == _FORMAT else None
