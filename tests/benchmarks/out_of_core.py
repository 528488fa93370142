"""``python -m tests.benchmarks.out_of_core [FEATURES.h5 ...]``: SGD from the cache against the exact fit.

Each cache is fitted twice with the same split: in memory, and with `--memory` one byte less than its features
take, so that they are gone through four parts at a time and C is chosen on a quarter of them. Exact copies
alone are kept on one side, as out of core cannot do more. Without a cache 5,000 drawn rows of 4096 with 50
classes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fc7.classify.fit.fit import FitOptions
from fc7.classify.fit.from_cache import CachedLayer, fit_cache
from fc7.extract.cache.reader import CacheReader
from tests.benchmarks.fit_memory import make_cache


def main() -> None:
    """A line for each cache and head."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.out_of_core")
    parser.add_argument("features", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="splits, of which the mean is given")
    parser.add_argument("--heads", nargs="+", default=["svm", "softmax"], choices=["svm", "softmax"])
    parser.add_argument("--drawn", type=int, nargs=3, default=(5000, 4096, 50), metavar="N")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        caches: list[Path] = chosen.features
        if not caches:
            caches = [Path(temporary) / "drawn.h5"]
            make_cache(caches[0], *chosen.drawn)
        for cache in caches:
            with CacheReader(cache) as reader:
                size = 4 * reader.n_rows * reader.identity.dims[reader.layers[-1]]
            for head in chosen.heads:
                found: dict[int, list[tuple[float, float, float]]] = {size: [], size - 1: []}
                for seed in range(chosen.seeds):
                    options = FitOptions(head=head, seed=seed, duplicates="exact")
                    for memory, rows in found.items():
                        started = time.process_time()
                        result = fit_cache(
                            CachedLayer(cache, memory=memory), Path(temporary) / "c.onnx", options
                        )
                        spent = time.process_time() - started
                        rows.append((result.metrics.accuracy, result.metrics.log_loss, spent))
                exact, parts = (np.mean(rows, axis=0) for rows in found.values())
                apart = np.std([x[0] - y[0] for x, y in zip(*found.values(), strict=True)], ddof=1)
                print(
                    f"{cache.name} {head}, {chosen.seeds} splits: {_described('exact', exact)}; "
                    f"{_described('out of core', parts)}; difference "
                    f"{100 * (parts[0] - exact[0]):+.2f} points, from split to split {100 * apart:.2f}",
                    flush=True,
                )


def _described(name: str, figures: NDArray[np.float64]) -> str:
    accuracy, log_loss, cpu = figures
    return f"{name} {accuracy:.2%}, log loss {log_loss:.3f}, CPU {cpu:.0f} s"


if __name__ == "__main__":
    main()
