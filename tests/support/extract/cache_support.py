"""What the tests of the cache share: images that are a few bytes, features that follow from them."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fc7.extract.cache.commit.write import CommitResult
from fc7.extract.cache.format.identity import CacheIdentity
from fc7.extract.cache.writer import CacheWriter
from fc7.extract.records import Failure, ImageRef, Rows
from fc7.models.network.spec import PreprocessSpec, caffe_preprocess
from tests.support.fakes import MemoryOrigin

DIMS = {"pool5": 6, "fc6": 4, "fc7": 3}
ORIGIN = MemoryOrigin({})
EMPTY = Rows([], [], {})


@dataclass(frozen=True)
class Image:
    """An image of a made-up folder; content that begins with "bad" cannot be decoded."""

    content: str
    label: str | None = None
    mtime_ns: int = 1
    group: str | None = None
    split: str | None = None


Folder = dict[str, Image]
PETS: Folder = {f"{label}/{i}.jpg": Image(f"{label}{i}", label) for label in ("cat", "dog") for i in range(3)}


def identity(
    layers: Sequence[str] = ("pool5", "fc6", "fc7"),
    *,
    network: str = "alexnet",
    weights: str = "w",
    preprocess: PreprocessSpec | None = None,
    dims: Mapping[str, int] = DIMS,
) -> CacheIdentity:
    """A made-up network; `weights` stands for its weights."""
    spec = preprocess or caffe_preprocess()
    return CacheIdentity(
        network=network,
        fingerprints={layer: sha(f"{weights}{layer}{spec.to_json()}") for layer in layers},
        dims={layer: dims[layer] for layer in layers},
        preprocess=spec,
        trained=True,
        pool="flatten",
    )


def sha(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def features_of(content: str, layer: str, dim: int) -> NDArray[np.float32]:
    """What the made-up network gives for an image; float16 can hold it."""
    seed = zlib.crc32(f"{content}/{layer}".encode())
    return (np.random.default_rng(seed).integers(-512, 512, dim) / 8).astype(np.float32)


def ref(path: str, image: Image | str) -> ImageRef:
    image = Image(image) if isinstance(image, str) else image
    size = len(image.content.encode())
    return ImageRef(path, image.label, image.group, image.split, size, image.mtime_ns, ORIGIN, path)


def refs(images: Mapping[str, Image | str]) -> list[ImageRef]:
    """The listing: sorted by path."""
    return [ref(path, images[path]) for path in sorted(images)]


def content_of(image: Image | str) -> str:
    return image if isinstance(image, str) else image.content


def block(
    images: Mapping[str, Image | str], layers: Iterable[str] = ("fc7",), dims: Mapping[str, int] = DIMS
) -> Rows:
    """Finished rows of images."""
    contents = [content_of(images[path]) for path in sorted(images)]
    return Rows(
        refs(images),
        [sha(content) for content in contents],
        {
            layer: np.array([features_of(content, layer, dims[layer]) for content in contents], np.float32)
            for layer in layers
        },
    )


def writer(path: Path, layers: Sequence[str] = ("fc7",), **options: Any) -> CacheWriter:
    given: dict[str, Any] = {"identity": identity(), "provenance": {"provider": "test"}, "layers": layers}
    given |= options
    provenance = given.pop("provenance")
    made = CacheWriter(path, **given)
    made.provenance = provenance
    return made


def write(
    path: Path,
    images: Mapping[str, Image | str],
    failures: Sequence[Failure] = (),
    layers: Sequence[str] = ("fc7",),
    **options: Any,
) -> CommitResult:
    """A whole run that extracts everything anew, in one segment."""
    with writer(path, layers, **options) as cache:
        cache.write_segment(replace(block(images, cache.layers_needed), failures=failures))
        return cache.commit(refs(images), failures, roots=["imgs"])


def failure(path: str, reason: str = "not an image", mtime_ns: int = 1) -> Failure:
    return Failure(path, reason, 7, mtime_ns)


class CrashError(Exception):
    """The run ends here, as if it had been killed between two calls."""


@dataclass
class RunResult:
    """What a run did."""

    extracted: list[str]
    commit: CommitResult


def run(
    path: Path,
    folder: Mapping[str, Image],
    layers: Sequence[str] = ("fc7",),
    *,
    per_segment: int = 2,
    crash_after: int | None = None,
    **options: Any,
) -> RunResult:
    """Bring a cache up to date as extraction does, doing only what changed; a small peer of the pipeline."""
    extracted: list[str] = []
    with writer(path, layers, **options) as cache:
        needed = cache.layers_needed
        failures: list[Failure] = []
        rows: Folder = {}
        moved: dict[str, str] = {}
        work: Folder = {}
        for name, image in sorted(folder.items()):
            size, row, failed = (
                len(image.content.encode()),
                cache.known.get(name),
                cache.known_failures.get(name),
            )
            twin = cache.rows_with_sha256(sha(image.content)) if row is None else None
            if row and (row.size, row.mtime_ns) == (size, image.mtime_ns) and row.layers >= set(needed):
                rows[name] = image
            elif failed and (failed.size, failed.mtime_ns) == (size, image.mtime_ns):
                failures.append(failed)
            elif twin is not None and cache.known[twin].layers >= set(needed):
                moved[name] = twin
                rows[name] = image
            else:
                work[name] = image
        names = list(work)
        for number, start in enumerate(range(0, len(names), per_segment)):
            if number == crash_after:
                raise CrashError
            some = {name: work[name] for name in names[start : start + per_segment]}
            good = {name: image for name, image in some.items() if not image.content.startswith("bad")}
            bad = [
                Failure(name, f"cannot decode {image.content!r}", len(image.content), image.mtime_ns)
                for name, image in some.items()
                if name not in good
            ]
            cache.write_segment(replace(block(good, needed) if good else EMPTY, failures=bad))
            extracted += some
            rows |= good
            failures += bad
        if crash_after is not None:
            raise CrashError
        return RunResult(extracted, cache.commit(refs(rows), failures, roots=["imgs"], moved=moved))


def left(path: Path) -> list[str]:
    """What lies beside a cache, itself included."""
    return sorted(found.name for found in path.parent.iterdir())


def read_plainly(path: Path) -> dict[str, Any]:
    """Every dataset but the checksums, read with h5py alone; texts as lists of str."""
    found: dict[str, Any] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and not name.startswith("checksums"):
            is_text = h5py.check_string_dtype(node.dtype) is not None
            found[name] = list(node.asstr()[:]) if is_text else node[:]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def check_plainly(path: Path, folder: Mapping[str, Image | str], layers: Sequence[str] = ("fc7",)) -> None:
    """By h5py alone: each readable image's row is there once, under its name, with its own features."""
    images = {name: Image(image) if isinstance(image, str) else image for name, image in folder.items()}
    good = [name for name in sorted(images) if not images[name].content.startswith("bad")]
    found = read_plainly(path)
    assert found["path"] == good
    for column in ("label", "group", "split"):
        assert found[column] == [getattr(images[name], column) or "" for name in good]
    assert found["sha256"] == [sha(images[name].content) for name in good]
    assert found["size"].tolist() == [len(images[name].content.encode()) for name in good]
    assert found["mtime_ns"].tolist() == [images[name].mtime_ns for name in good]
    assert {name for name in found if name.startswith("features/")} == {f"features/{n}" for n in layers}
    for layer in layers:
        expected = [features_of(images[name].content, layer, DIMS[layer]) for name in good]
        expected_rows = np.array(expected, np.float32).reshape(-1, DIMS[layer])
        np.testing.assert_array_equal(found[f"features/{layer}"], expected_rows)
    assert found["failures/path"] == sorted(set(images) - set(good))
