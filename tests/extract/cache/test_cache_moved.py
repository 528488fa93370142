"""Rows that a commit moves as bytes: the same file as if all were written anew, and no damage hidden."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from fc7.extract.cache.format import target
from fc7.extract.cache.format.sealed_reader import SealedReader
from fc7.extract.cache.reader import load_features
from fc7.extract.cache.verify import verify
from fc7.extract.records import Rows
from fc7.models.common.errors import CacheCorruptError, CacheError
from tests.extract.cache.test_cache_damage import chunks, flip
from tests.extract.cache.test_cache_format import IMAGES, VERSION_1
from tests.extract.cache.test_cache_verify import forge
from tests.support.extract.cache_support import Image, check_plainly, identity, refs, sha, write, writer

DIM = 1 << 15  # eight rows make a chunk of a mebibyte
WIDE = identity(("fc7",), dims={"fc7": DIM})
NAMES = [f"{i:03}" for i in range(43)]
CHANGES: dict[str, Callable[[list[str]], list[str]]] = {
    "nothing but labels": lambda names: names,
    "rows at the end": lambda names: [*names, "900", "901"],
    "a row in front": lambda names: ["!", *names],
    "a row amid": lambda names: sorted([*names, "0205"]),
    "without one": lambda names: names[:13] + names[14:],
    "without a chunk": lambda names: names[:8] + names[16:],
    "every third left": lambda names: names[::3],
    "one row left": lambda names: names[20:21],
}


def rows_of(names: list[str]) -> NDArray[np.float32]:
    rows = [np.random.default_rng(sum(name.encode())).standard_normal(DIM) for name in names]
    return np.array(rows, np.float32).reshape(-1, DIM)


def bring(path: Path, names: list[str], label: str = "x", *, repair: bool = False) -> None:
    """A cache of just these names; rows that it has are not given again."""
    with writer(path, identity=WIDE, repair=repair) as cache:
        new = [name for name in names if not (name in cache.known and cache.known[name].layers)]
        if new:
            some = refs({name: Image(name) for name in new})
            cache.write_segment(Rows(some, [sha(name) for name in new], {"fc7": rows_of(new)}))
        cache.commit(refs({name: Image(name, label) for name in names}), [], roots=["imgs"])


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("before") / "features.h5"
    bring(path, NAMES)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, before: bytes) -> Path:
    path = tmp_path / "features.h5"
    path.write_bytes(before)
    return path


def content(path: Path) -> dict[str, list[bytes]]:
    """Every chunk as it lies there, and the checksums; the runs, which a history changes, are not here."""
    whole = path.read_bytes()
    found = {name: [whole[part.start : part.stop] for part in parts] for name, parts in chunks(path).items()}
    with h5py.File(path) as file:
        return {**found, "checksums": [file["checksums"][:].tobytes()]}


def without_checksums(columns: dict[str, NDArray[Any]]) -> None:
    del columns["checksums_of_rows/fc7"]


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The datasets whose rows are read through HDF5 from now on."""
    seen: list[str] = []
    real = SealedReader._checked

    def noted(file: SealedReader, name: str, first: int, last: int) -> NDArray[np.float32]:
        seen.append(name)
        found: NDArray[np.float32] = real(file, name, first, last)
        return found

    monkeypatch.setattr(SealedReader, "_checked", noted)
    return seen


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kernel", [True, False], ids=["by the kernel", "plainly"])
def test_every_chunk_is_to_the_byte_that_of_a_cache_that_is_made_anew(
    path: Path, change: str, kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kernel:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    names = CHANGES[change](NAMES)
    anew = path.with_name("anew.h5")
    bring(anew, names, "y")
    seen = decoded(monkeypatch)
    bring(path, names, "y")
    read = [name for name in seen if name.startswith("features/")]
    # Segments are read whole before they are relied on.
    assert len(read) <= len(set(names) - set(NAMES))
    assert content(path) == content(anew)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["features/fc7"][:], rows_of(names))
    assert verify(path).ok


@pytest.mark.parametrize("change", ["nothing but labels", "rows at the end", "a row in front", "without one"])
def test_a_flipped_bit_moves_along_and_stays_found(path: Path, change: str) -> None:
    part = chunks(path)["features/fc7"][2]
    flip(path, part.start + 5 * 4 * DIM + 77, 6)  # of row 21
    bring(path, names := CHANGES[change](NAMES), "y")
    row = names.index(NAMES[21])
    block = range(row // 8 * 8, min(row // 8 * 8 + 8, len(names)))
    [problem] = verify(path).problems
    assert f"dataset features/fc7, rows {block[0]}-{block[-1]}" in problem
    with pytest.raises(CacheCorruptError, match=f"rows {block[0]}-{block[-1]}"):
        load_features(path)
    with h5py.File(path) as file, pytest.raises(OSError, match=r"Fletcher32|filter"):
        file["features/fc7"][row]
    bring(path, names, "y", repair=True)
    assert verify(path).ok
    np.testing.assert_array_equal(load_features(path).X, rows_of(names))


def test_every_byte_of_a_chunk_counts_after_it_has_moved(path: Path) -> None:
    whole = path.read_bytes()
    places = np.random.default_rng(0).integers(0, 8 * 4 * DIM + 4, 6).tolist()
    for place in [*places, 0, 8 * 4 * DIM, 8 * 4 * DIM + 3]:
        path.write_bytes(whole)
        flip(path, chunks(path)["features/fc7"][1].start + place, place % 8)
        bring(path, NAMES, "y")
        assert len(verify(path).problems) == 1, place


def test_damaged_checksums_of_rows_are_made_anew_of_rows_that_are_checked(path: Path) -> None:
    flip(path, chunks(path)["checksums_of_rows/fc7"][0].start + 5, 2)
    assert "checksums_of_rows/fc7" in verify(path).problems[0]
    bring(path, NAMES)  # nothing else has changed
    assert verify(path).ok
    flip(path, chunks(path)["checksums_of_rows/fc7"][0].start + 5, 2)
    flip(path, chunks(path)["features/fc7"][1].start + 99, 3)
    damaged = path.read_bytes()
    with pytest.raises(CacheCorruptError, match=r"rows 8-15.*extract --repair redoes just the damaged"):
        bring(path, NAMES[1:])
    assert path.read_bytes() == damaged


def test_an_earlier_file_has_its_rows_checked_and_moves_them_from_then_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content_before = content(path)
    forge(path, without_checksums)
    seen = decoded(monkeypatch)
    bring(path, NAMES, "y")
    assert "features/fc7" in seen
    seen.clear()
    bring(path, NAMES)
    assert "features/fc7" not in seen
    assert content(path) == content_before
    forge(path, without_checksums)
    flip(path, chunks(path)["features/fc7"][1].start + 99, 3)
    with pytest.raises(CacheCorruptError, match=r"rows 8-15.*extract --repair"):
        bring(path, NAMES, "y")


def test_a_file_of_version_1_is_gone_on_with_and_gets_checksums_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    path.write_bytes(VERSION_1.read_bytes())
    images = {name: dataclasses.replace(image, label="other") for name, image in IMAGES.items()}
    with writer(path, ("fc6", "fc7")) as cache:
        cache.commit(refs(images), [], roots=["imgs"])
    check_plainly(path, images, ("fc6", "fc7"))
    assert {"checksums_of_rows/fc6", "checksums_of_rows/fc7"} <= chunks(path).keys()


def test_a_chunk_that_lies_beyond_the_end_of_a_file_is_named(path: Path) -> None:
    start = chunks(path)["features/fc7"][2].start
    content = path.read_bytes().replace(start.to_bytes(8, "little"), (1 << 30).to_bytes(8, "little"))
    path.write_bytes(content)
    with pytest.raises(CacheError, match="damaged or cut short"):
        bring(path, NAMES, "y")
    assert path.read_bytes() == content


def test_a_chunk_that_the_library_keeps_back_ends_the_commit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()
    monkeypatch.setattr(target.Target, "_put", lambda *_: None)
    real = target.Target.write

    def kept_back(self: target.Target, data: memoryview) -> int:
        return len(data) if len(data) > 1 << 19 else real(self, data)

    monkeypatch.setattr(target.Target, "write", kept_back)
    with pytest.raises(RuntimeError, match="kept back a chunk"):
        bring(path, NAMES, "y")
    assert path.read_bytes() == before


def test_rows_of_few_numbers_that_change_places_keep_their_features(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    images = {f"{i:03}": Image(str(i)) for i in range(60)}
    write(path, images)
    turned = {f"{59 - i:03}": Image(str(i)) for i in range(60)}
    with writer(path) as cache:
        cache.commit(refs(turned), [], roots=["imgs"], moved={f"{59 - i:03}": f"{i:03}" for i in range(60)})
    check_plainly(path, turned)
    assert verify(path).ok
