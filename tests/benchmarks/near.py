"""``python -m tests.benchmarks.near ROWS DIM``: similar rows by every row's cosine, and by the index.

Made-up rows as features are: 200 clusters in 256 directions whose spread falls as one over the root of their
number. 100 queries are rows of the cache, as `similar` takes them; seconds on the wall and of the processor.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fc7.classify.similar.similar import SimilarImages, SimilarOptions, similar_images
from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.writer import CacheWriter
from fc7.extract.records import ImageRef, Rows
from fc7.models.network.spec import caffe_preprocess
from tests.support.fakes import MemoryOrigin

_CLUSTERS, _DIRECTIONS, _QUERIES, _BLOCK = 200, 256, 100, 4096


def make(path: Path, n_rows: int, dim: int) -> list[str]:
    """A cache of such rows; its paths."""
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.standard_normal((dim, _DIRECTIONS)))[0].T.astype(np.float32)
    spread = (1 / np.sqrt(1 + np.arange(_DIRECTIONS))).astype(np.float32)
    centres = rng.standard_normal((_CLUSTERS, _DIRECTIONS)).astype(np.float32)
    origin = MemoryOrigin({})
    paths = [f"{i:09}.jpg" for i in range(n_rows)]
    refs = [ImageRef(name, None, None, None, 1, 1, origin, name) for name in paths]
    identity = CacheIdentity("made-up", {"fc7": "0" * 64}, {"fc7": dim}, caffe_preprocess(), True, "flatten")
    with CacheWriter(path, identity) as writer:
        for start in range(0, n_rows, _BLOCK):
            some = refs[start : start + _BLOCK]
            own = centres[rng.integers(0, _CLUSTERS, len(some))]
            own = own + 0.7 * rng.standard_normal(own.shape, np.float32)
            digests = [hashlib.sha256(ref.path.encode()).hexdigest() for ref in some]
            features = ((own * spread) @ directions).astype(np.float32)
            writer.write_segment(Rows(some, digests, {"fc7": features}))
        writer.commit(refs, [], roots=["imgs"])
    return paths


def timed(what: str, call: Callable[[], SimilarImages]) -> SimilarImages:
    """Print what a call took."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    print(f"{what}: {time.perf_counter() - wall:.2f} s, {time.process_time() - cpu:.2f} s of CPU", flush=True)
    return found


def main() -> None:
    """In a folder that is removed again."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.near")
    parser.add_argument("rows", type=int)
    parser.add_argument("dim", type=int)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "features.h5"
        paths = make(cache, chosen.rows, chosen.dim)
        queries = paths[:: max(1, len(paths) // _QUERIES)][:_QUERIES]
        exact = timed(f"{_QUERIES} queries, every row", lambda: similar_images(queries, cache))
        timed(
            "index made, and the same",
            lambda: similar_images(queries, cache, options=SimilarOptions(approximate=True)),
        )
        near = timed(
            "index loaded, and the same",
            lambda: similar_images(queries, cache, options=SimilarOptions(approximate=True)),
        )
        hits = sum(
            len({each.row for each in one.neighbours} & {each.row for each in other.neighbours})
            for one, other in zip(exact.queries, near.queries, strict=True)
        )
        size = sum(file.stat().st_size for file in Path(folder).glob("*.usearch"))
        assert near.recall is not None
        share = hits / (12 * len(queries))
        print(f"found: {share:.3f} of these, {near.recall.share:.3f} said; {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
