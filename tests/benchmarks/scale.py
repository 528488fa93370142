"""``python -m tests.benchmarks.scale``: a commit, a listing, duplicates, similar images; seconds and memory.

Each measurement is a process of its own, so that its peak is its own. Nothing is read from images:
rows and files are made up, because none of them opens any.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fc7.classify.fit.duplicates_of_cache import duplicates_of_cache
from fc7.classify.similar.nearest import nearest_rows
from fc7.classify.similar.similar import similar_images
from fc7.extract.cache.reader import CacheReader, load_features
from fc7.extract.cache.writer import CacheWriter
from fc7.extract.images.thumbnails import LENGTH
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.plan import make_plan
from fc7.extract.records import ImageRef, Rows
from tests.benchmarks.feature_rows import feature_rows
from tests.support.extract.cache_support import ORIGIN, identity

_ROOT = Path(__file__).resolve().parents[2]
_FILES_A_FOLDER = 2000


def megabytes(field: str) -> float:
    """What Linux says of this process: VmRSS is now, VmHWM the most there ever was."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition(field + ":")[2].split()[0]) / 1024


class Stopwatch:
    """Seconds since it was made: on the wall, and of this process's CPU, which others change less."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return f"{wall:.1f} s ({cpu:.1f} of CPU)"


def commit(folder: Path, n_rows: int, dim: int) -> str:
    """Write segments of finished rows, as workers do; then commit them, as the driver does."""
    refs = [
        ImageRef(
            f"class-{i // 1000:05}/image-{i:08}.jpg", f"class-{i // 1000:05}", None, None, i, i, ORIGIN, i
        )
        for i in range(n_rows)
    ]
    per_segment = min(4096, (32 << 20) // (4 * dim))
    rng = np.random.default_rng(0)
    rows = rng.random((per_segment, dim), np.float32)
    thumbnails = rng.integers(1, 256, (per_segment, LENGTH), np.uint8)
    path = folder / "features.h5"
    network = identity(("fc7",), dims={"fc7": dim})
    with CacheWriter(path, network) as writer:
        started = Stopwatch()
        for start in range(0, n_rows, per_segment):
            some = refs[start : start + per_segment]
            digests = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(start, start + len(some))]
            block = Rows(some, digests, {"fc7": rows[: len(some)]}, thumbnails[: len(some)])
            writer.write_segment(block)
        written = str(started)
        before = megabytes("VmRSS")
        started = Stopwatch()
        writer.commit(refs, [], roots=["imgs"])
        committed = str(started)
    above = megabytes("VmHWM") - before
    started = Stopwatch()
    with CacheWriter(path, network) as writer:
        found = str(started)
        work = make_plan(refs, writer.known, writer.known_failures, ["fc7"]).work
        result = writer.commit(refs, [], roots=["imgs"])
    assert not work
    assert not result.written
    return (
        f"commit of {n_rows} rows x {dim}: {committed}, {above:.0f} MB above the {before:.0f} MB "
        f"that the process had ({above * 2**20 / n_rows:.0f} bytes a row); segments took {written}, "
        f"the file has {path.stat().st_size / 1e6:.0f} MB; a run that changes nothing {started}, "
        f"of which opening {found}"
    )


def listing(folder: Path, n_files: int) -> str:
    """List empty files in folders of 2,000, under paths of usual length."""
    for start in range(0, n_files, _FILES_A_FOLDER):
        below = folder / "imgs" / f"class-{start // _FILES_A_FOLDER:05}"
        below.mkdir(parents=True)
        for i in range(start, min(n_files, start + _FILES_A_FOLDER)):
            (below / f"photograph-{i:09}.jpg").touch()
    before = megabytes("VmRSS")
    started = Stopwatch()
    found = list_inputs([folder / "imgs"])
    listed = str(started)
    held, peak = megabytes("VmRSS") - before, megabytes("VmHWM") - before
    letters = sum(len(ref.path) for ref in found.images) / n_files
    return (
        f"listing of {n_files} files, paths of {letters:.0f} letters: {listed}, "
        f"{held * 2**20 / n_files:.0f} bytes a path held, {peak * 2**20 / n_files:.0f} at the peak"
    )


def duplicates(folder: Path, n_rows: int, dim: int) -> str:
    """What the command `duplicates` does with a cache of 50 classes, where one row in 50 has a copy."""
    refs = [
        ImageRef(f"class-{i % 50:02}/{i:08}.jpg", f"class-{i % 50:02}", None, None, i, i, ORIGIN, i)
        for i in range(n_rows)
    ]
    order = sorted(range(n_rows), key=lambda i: refs[i].path)
    rng = np.random.default_rng(0)
    X, _ = feature_rows(n_rows, dim, 50)
    greys = rng.integers(1, 256, (n_rows, LENGTH), np.uint8)
    planted = n_rows // 50
    X[-planted:] = X[:planted] * (1 + rng.normal(0, 0.05, (planted, dim)).astype(np.float32))
    greys[-planted:] = greys[:planted]
    path = folder / "features.h5"
    with CacheWriter(path, identity(("fc7",), dims={"fc7": dim})) as writer:
        for start in range(0, n_rows, 2048):
            some = order[start : start + 2048]
            digests = [hashlib.sha256(str(i).encode()).hexdigest() for i in some]
            writer.write_segment(Rows([refs[i] for i in some], digests, {"fc7": X[some]}, greys[some]))
        writer.commit([refs[i] for i in order], [], roots=["imgs"])
    del X
    command = "import sys; from tests.benchmarks.scale import search; search(sys.argv[1])"
    ran = subprocess.run(
        [sys.executable, "-c", command, str(path)], cwd=_ROOT, check=True, capture_output=True, text=True
    )
    return f"duplicates of {n_rows} rows x {dim}, {planted} planted: {ran.stdout.strip()}"


def search(path: str) -> None:
    """In a process of its own; prints what it took."""
    started, cpu = time.perf_counter(), time.process_time()
    found = duplicates_of_cache(path).found
    took, used = time.perf_counter() - started, time.process_time() - cpu
    print(f"{len(found.groups)} groups, {took:.0f} s ({used:.0f} s of CPU), peak {megabytes('VmHWM'):.0f} MB")


def similar(folder: Path, n_rows: int, dim: int) -> str:
    """Twelve nearest rows of one row and of twenty, from a cache of random rows."""
    commit(folder, n_rows, dim)
    command = "import sys; from tests.benchmarks.scale import nearest; nearest(int(sys.argv[2]), sys.argv[1])"
    said = []
    for n in ("1", "20"):
        own = [sys.executable, "-c", command, str(folder / "features.h5"), n]
        said.append(subprocess.run(own, cwd=_ROOT, check=True, capture_output=True, text=True).stdout.strip())
    return f"similar among {n_rows} rows x {dim}: {'; '.join(said)}"


def nearest(n_queries: int, path: str) -> None:
    """In a process of its own; prints what it took, reading the file included, and comparing alone."""
    with CacheReader(path) as reader:
        queries = reader.columns(slice(0, n_queries)).path
    started = Stopwatch()
    similar_images(queries, path)
    from_file, peak = str(started), megabytes("VmHWM")
    X = load_features(path).X
    started = Stopwatch()
    nearest_rows(X[:n_queries], [(slice(0, len(X)), X)], 12)
    print(f"{n_queries} of them: {from_file} out of the file, peak {peak:.0f} MB; {started} in memory")


def main() -> None:
    """Each measurement in a process and a folder of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale")
    parser.add_argument(
        "what",
        nargs="*",
        default=[
            *("commit:2000000:8", "commit:100000:4096", "listing:2000000"),
            *("duplicates:50000:4096", "similar:100000:4096"),
        ],
    )
    parser.add_argument("--folder", type=Path, default=None, help="where 10 GB may be written for a while")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    for what in chosen.what:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as temporary:
            if not chosen.here:
                own = [sys.executable, "-m", "tests.benchmarks.scale", what, "--here"]
                subprocess.run([*own, "--folder", temporary], cwd=_ROOT, check=True)
                continue
            kind, *sizes = what.split(":")
            measures: dict[str, Callable[..., str]] = {
                "commit": commit,
                "listing": listing,
                "duplicates": duplicates,
                "similar": similar,
            }
            print(measures[kind](Path(temporary), *map(int, sizes)), flush=True)


if __name__ == "__main__":
    main()
