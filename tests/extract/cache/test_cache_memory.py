"""Memory does not grow with the features, and hardly with the number of images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")

COMMIT = """
import hashlib, sys
from pathlib import Path
import numpy as np
from fc7.extract.cache.writer import CacheWriter
from fc7.extract.records import ImageRef, Rows
from tests.support.extract.cache_support import ORIGIN, identity

path, n_rows, dim, per_segment = Path(sys.argv[1]), *map(int, sys.argv[2:])

def megabytes(name):
    status = Path("/proc/self/status").read_text()
    return int(status.partition(name + ":")[2].split()[0]) / 1024

refs = [ImageRef(f"class/{i:08}.jpg", "class", None, None, i, i, ORIGIN, i) for i in range(n_rows)]
rows = np.ones((per_segment, dim), np.float32)
with CacheWriter(path, identity(("fc7",), dims={"fc7": dim})) as writer:
    for start in range(0, n_rows, per_segment):
        some = refs[start : start + per_segment]
        digests = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(start, start + len(some))]
        writer.write_segment(Rows(some, digests, {"fc7": rows[: len(some)]}))
    before = megabytes("VmRSS")
    assert writer.commit(refs, [], roots=["imgs"]).rows == n_rows
print(megabytes("VmHWM") - before)
"""


def megabytes_of_a_commit(path: Path, n_rows: int, dim: int, per_segment: int) -> float:
    """How far a commit went above what the process had before."""
    arguments = [sys.executable, "-c", COMMIT, str(path), str(n_rows), str(dim), str(per_segment)]
    shown = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(shown.stdout)


def test_a_commit_of_eight_times_the_features_takes_no_more_memory(tmp_path: Path) -> None:
    small = megabytes_of_a_commit(tmp_path / "small.h5", 1500, 2048, 300)
    large = megabytes_of_a_commit(tmp_path / "large.h5", 1500, 16384, 300)
    assert (tmp_path / "large.h5").stat().st_size > 98e6
    assert large - small < 60
    assert large < 80


def test_a_commit_takes_little_for_an_image(tmp_path: Path) -> None:
    """20 bytes for its place; the rest is the blocks of the files that are open, which stop growing."""
    few = megabytes_of_a_commit(tmp_path / "few.h5", 20_000, 4, 1_000)
    many = megabytes_of_a_commit(tmp_path / "many.h5", 120_000, 4, 6_000)
    assert (many - few) * 2**20 / 100_000 < 220
