"""``python -m tests.benchmarks.fit_memory``: seconds and peak memory of the command `fit` on many rows.

A cache of drawn rows (`feature_rows`) is made once in a folder; each `fit` is a process of its own, so that
its peak is its own. 100,000 rows of 4096 numbers are 1.6 GB.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fc7.extract.cache.writer import CacheWriter
from fc7.extract.records import ImageRef, Rows
from tests.benchmarks.feature_rows import feature_rows
from tests.support.extract.cache_support import ORIGIN, identity

_ROOT = Path(__file__).resolve().parents[2]
_SEGMENT = 2048


def make_cache(path: Path, n: int, n_features: int, n_classes: int) -> None:
    """A features.h5 of `n` drawn rows, their labels as folders."""
    X, y = feature_rows(n, n_features, n_classes, overlap=3.0)
    order = sorted(range(n), key=lambda i: (y[i], i))
    refs = [
        ImageRef(f"{y[i]}/{i:08}.jpg", str(y[i]), None, None, i, i, ORIGIN, k) for k, i in enumerate(order)
    ]
    with CacheWriter(path, identity(("fc7",), dims={"fc7": n_features})) as writer:
        for start in range(0, n, _SEGMENT):
            some = slice(start, start + _SEGMENT)
            digests = [hashlib.sha256(str(i).encode()).hexdigest() for i in order[some]]
            writer.write_segment(Rows(refs[some], digests, {"fc7": X[order[some]]}))
        writer.commit(refs, [], roots=["imgs"])


def measured(arguments: list[str]) -> tuple[str, float, float]:
    """What `fit` printed, its seconds and its peak in GB."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "cli.py", "fit", *arguments], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"fit {' '.join(arguments)} ended with status {status}")
    return text, time.perf_counter() - started, usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    """A line for each call of `fit`."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.fit_memory", epilog="More arguments go to fit."
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=4096)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--heads", nargs="+", default=["svm", "softmax"], choices=["svm", "softmax"])
    parser.add_argument("--folder", type=Path, help="where the cache is kept for the next time")
    chosen, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        cache = folder / f"{chosen.rows}x{chosen.features}-{chosen.classes}.h5"
        if not cache.exists():
            own = [sys.executable, "-c", "import sys; from pathlib import Path; "
                   "from tests.benchmarks.fit_memory import make_cache; "
                   "make_cache(Path(sys.argv[1]), *map(int, sys.argv[2:]))"]  # fmt: skip
            subprocess.run([*own, str(cache), *map(str, (chosen.rows, chosen.features, chosen.classes))],
                           cwd=_ROOT, check=True)  # fmt: skip
        for head in chosen.heads:
            out = str(Path(temporary) / "classifier.onnx")
            text, seconds, peak = measured([str(cache), f"--{head}", "-o", out, *more])
            accuracy = next(line for line in text.splitlines() if line.startswith("accuracy"))
            print(
                f"{chosen.rows} x {chosen.features}, {chosen.classes} classes, --{head} {' '.join(more)}: "
                f"{seconds:.0f} s, peak {peak:.2f} GB, {accuracy}",
                flush=True,
            )


if __name__ == "__main__":
    main()
