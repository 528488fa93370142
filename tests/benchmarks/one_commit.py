"""One commit, in a process of its own, by whatever fc7 is on the path: ``commits`` starts it.

It imports nothing of this checkout, so that an earlier one can be measured, too.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

_ROWS_A_FOLDER = 1000
_ROWS_A_SEGMENT = 2048
_THUMBNAIL = 96


def part(*names: str) -> Any:
    """The first of some modules that there is. Rooms at the top come first: an fc7 may be installed, too."""
    for name in names[:-1]:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    return importlib.import_module(names[-1])


RECORDS = part("extract.stages", "fc7.extract.records")
IDENTITY = part("extract.cache.identity", "fc7.extract.cache.format.identity")
SPEC = part("models.spec", "fc7.models.network.spec")
WRITER = part("extract.cache.writer", "fc7.extract.cache.writer")


def image(number: int, ending: str = "", label: str | None = None) -> Any:
    """One of a folder's thousand images; the listing never opens it."""
    folder = f"class-{number // _ROWS_A_FOLDER:06}"
    path = f"{folder}/image-{number:09}{ending}.jpg"
    return RECORDS.ImageRef(path, label or folder, None, None, number, number, None, number)


def keep(writer: Any, images: list[Any], dim: int) -> None:
    """Write segments of rows."""
    rng = np.random.default_rng(0)
    for start in range(0, len(images), _ROWS_A_SEGMENT):
        some = images[start : start + _ROWS_A_SEGMENT]
        rows = rng.random((len(some), dim), np.float32)
        thumbnails = rng.integers(1, 256, (len(some), _THUMBNAIL), np.uint8)
        digests = [hashlib.sha256(ref.path.encode()).hexdigest() for ref in some]
        if hasattr(RECORDS, "Rows"):
            writer.write_segment(RECORDS.Rows(some, digests, {"fc7": rows}, thumbnails))
        else:
            writer.write_segment(RECORDS.RowBlock(some, digests, {"fc7": rows}, thumbnails), [])


def changed(change: str, n: int) -> tuple[list[Any], list[Any]]:
    """The listing after a change of one row in a hundred, and what of it is new."""
    some, at_random = n // 100, set(np.random.default_rng(1).permutation(n)[: n // 100].tolist())
    if change == "make":
        return (listing := [image(i) for i in range(n)]), listing
    if change == "one":
        new = [image(n // 3, "-new")]
    elif change == "add":
        new = [image(n + i) for i in range(some)]
    elif change == "add-anywhere":
        new = [image(i, "-new") for i in at_random]
    else:
        new = []
    gone: set[int] = set()
    if change == "remove":
        gone = set(range(n // 3, n // 3 + some))
    elif change == "remove-anywhere":
        gone = at_random
    relabelled = at_random if change == "relabel" else set()
    old = [image(i, label="other" if i in relabelled else None) for i in range(n) if i not in gone]
    return sorted([*old, *new], key=lambda ref: str(ref.path)), sorted(new, key=lambda ref: str(ref.path))


def main() -> None:
    """Commit a change to a cache; what it took, as JSON."""
    change, path, n, dim = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    preprocess = SPEC.caffe_preprocess()
    network = IDENTITY.CacheIdentity("alexnet", {"fc7": 64 * "0"}, {"fc7": dim}, preprocess, True, "flatten")
    listing, new = changed(change, n)
    try:
        writer = WRITER.CacheWriter(path, network)
    except TypeError:
        writer = WRITER.CacheWriter(path, network, provenance={})
    with writer:
        keep(writer, new, dim)
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        result = writer.commit(listing, [], roots=["imgs"])
        wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    assert result.written
    assert result.rows == len(listing)
    took = {
        "wall": wall,
        "user": after.ru_utime - before.ru_utime,
        "system": after.ru_stime - before.ru_stime,
        "megabytes": (after.ru_maxrss - held) / 1024,
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main()
