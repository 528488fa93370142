"""Every byte that matters is checked: flips, zeros, swaps and cuts are found, and cost little."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from fc7.extract.cache.info import describe
from fc7.extract.cache.reader import CacheReader, load_features
from fc7.extract.cache.verify import verify
from fc7.extract.records import Rows
from fc7.models.common.errors import CacheCorruptError, CacheError, UsageError
from tests.support.extract.cache_support import (
    PETS,
    CrashError,
    Image,
    block,
    check_plainly,
    failure,
    identity,
    refs,
    run,
    sha,
    write,
    writer,
)

DIM = 1 << 15  # eight rows make a block
N_ROWS = 24
WIDE = identity(("fc7",), dims={"fc7": DIM})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with several blocks of features; never changed."""
    path = tmp_path_factory.mktemp("whole") / "features.h5"
    images = {f"{i:02}.jpg": Image(str(i), f"class {i % 3}") for i in range(N_ROWS)}
    rows = np.random.default_rng(0).standard_normal((N_ROWS, DIM), dtype=np.float32)
    with writer(path, identity=WIDE) as cache:
        digests = [sha(image.content) for _, image in sorted(images.items())]
        cache.write_segment(Rows(refs(images), digests, {"fc7": rows}))
        cache.commit(refs(images), [failure("broken.jpg")], roots=["imgs"])
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    path = tmp_path / "features.h5"
    path.write_bytes(whole.read_bytes())
    return path


def chunks(path: Path) -> dict[str, list[range]]:
    """Where the bytes of each checksummed dataset lie."""
    found: dict[str, list[range]] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and node.chunks:
            infos = [node.id.get_chunk_info(i) for i in range(node.id.get_num_chunks())]
            found[name] = [range(info.byte_offset, info.byte_offset + info.size) for info in infos]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def flip(path: Path, position: int, bit: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(position)
        byte = stream.read(1)[0]
        stream.seek(position)
        stream.write(bytes([byte ^ 1 << bit]))


def everything(path: Path) -> tuple[object, ...]:
    """All that our reader gives."""
    with CacheReader(path) as reader:
        columns = reader.columns()
        features = load_features(path).X.tobytes()
        texts = (columns.path, columns.label, columns.group, columns.split, columns.sha256)
        return (
            reader.header,
            texts,
            columns.size.tolist(),
            columns.mtime_ns.tolist(),
            features,
            reader.failures(),
        )


def is_whole(path: Path) -> bool:
    try:
        return verify(path).ok
    except CacheError:
        return False  # not even an HDF5 file any more


def test_a_flip_of_any_bit_of_any_dataset_is_found(copy: Path) -> None:
    places = random.Random(0)
    for name, parts in chunks(copy).items():
        for _ in range(12 if name.startswith("features") else 3):
            position, bit = places.choice(places.choice(parts)), places.randrange(8)
            flip(copy, position, bit)
            report = verify(copy)
            assert len(report.problems) == 1, f"{name}: bit {bit} of byte {position}"
            assert name in report.problems[0]
            flip(copy, position, bit)
    assert verify(copy).ok


def test_a_flip_anywhere_is_found_or_changes_nothing(whole: Path, copy: Path) -> None:
    expected = everything(whole)
    data = {position for parts in chunks(copy).values() for part in parts for position in part}
    outside = [position for position in range(copy.stat().st_size) if position not in data]
    places = random.Random(1)
    found = 0
    for position in places.sample(outside, 30):
        bit = places.randrange(8)
        flip(copy, position, bit)
        if is_whole(copy):
            assert everything(copy) == expected, f"bit {bit} of byte {position}"
        else:
            found += 1
        flip(copy, position, bit)
    assert 0 < found < 30


def test_a_chunk_of_zeros_passes_hdf5s_checksum_and_not_ours(copy: Path) -> None:
    part = chunks(copy)["features/fc7"][2]
    with copy.open("r+b") as stream:
        stream.seek(part.start)
        stream.write(bytes(len(part)))
    with h5py.File(copy) as file:
        assert not file["features/fc7"][16:24].any()
    assert "dataset features/fc7, rows 16-23: wrong CRC-32" in verify(copy).problems[0]
    with pytest.raises(CacheCorruptError, match="rows 16-23"):
        load_features(copy)


def test_two_chunks_in_each_others_place_pass_hdf5s_checksum_and_not_ours(copy: Path) -> None:
    first, second = chunks(copy)["features/fc7"][:2]
    content = copy.read_bytes()
    with copy.open("r+b") as stream:
        stream.seek(first.start)
        stream.write(content[second.start : second.stop])
        stream.seek(second.start)
        stream.write(content[first.start : first.stop])
    with h5py.File(copy) as file:
        assert file["features/fc7"][:16].shape == (16, DIM)
    problems = verify(copy).problems
    assert [problem.split(": ")[1] for problem in problems] == [
        "dataset features/fc7, rows 0-7",
        "dataset features/fc7, rows 8-15",
    ]


@pytest.mark.parametrize("keep", [0, 1, 7, 100, 3000, 0.5, 0.999])
def test_a_file_that_was_cut_is_said_to_be_damaged(copy: Path, keep: float) -> None:
    os.truncate(copy, int(keep if keep >= 1 or not keep else keep * copy.stat().st_size))
    calls: list[Callable[[Path], object]] = [load_features, describe]
    for call in calls:
        with pytest.raises(CacheError, match=r"empty|damaged or cut short|not a feature cache"):
            call(copy)
    size = copy.stat().st_size
    with pytest.raises(CacheError), writer(copy, identity=WIDE):
        pytest.fail("it was let in")
    assert copy.stat().st_size == size


def test_repair_redoes_just_the_damaged_rows(copy: Path) -> None:
    flip(copy, chunks(copy)["features/fc7"][1].start + 99, 3)
    with CacheReader(copy) as reader:
        columns = reader.columns()
    listing = [
        ref
        for path, label, content in zip(columns.path, columns.label, map(str, range(N_ROWS)), strict=True)
        for ref in refs({path: Image(content, label)})
    ]
    with writer(copy, identity=WIDE, repair=True) as cache:
        assert cache.notes == ["8 damaged rows of layer fc7 will be redone"]
        lacking = [ref for ref in listing if not cache.known[ref.path].layers]
        assert lacking == listing[8:16]
        again = Rows(lacking, [sha(str(i)) for i in range(8, 16)], {"fc7": np.ones((8, DIM), np.float32)})
        cache.write_segment(again)
        cache.commit(listing, [], roots=["imgs"])
    assert verify(copy).ok
    assert load_features(copy).X[8:16].all()


def test_a_damaged_label_is_healed_by_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    run(path, PETS)
    flip(path, chunks(path)["label"][0].start + 3, 1)
    assert not verify(path).ok
    assert run(path, PETS).extracted == []
    check_plainly(path, PETS)


def test_a_damaged_segment_is_dropped_by_name_and_its_images_are_done_again(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    with pytest.raises(CrashError):
        run(path, PETS, crash_after=3)
    damaged = tmp_path / "features.h5.work" / "000001.h5"
    flip(damaged, chunks(damaged)["features/fc7"][0].start, 0)
    with writer(path) as cache:
        assert "dropped a damaged segment" in cache.notes[0]
        assert str(damaged) in cache.notes[0]
        assert not damaged.exists()
    assert run(path, PETS).extracted == ["cat/2.jpg", "dog/0.jpg"]
    check_plainly(path, PETS)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"some text", "is not a feature cache: its first bytes are not HDF5's"),
        (b"", "is empty"),
        (None, "does not exist"),
    ],
)
def test_what_is_no_cache_is_said_to_be_none(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    calls: list[Callable[[Path], object]] = [load_features, describe]
    for call in calls:
        with pytest.raises(CacheError, match=told):
            call(path)


def test_somebody_elses_hdf5_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "experiment.h5"
    with h5py.File(path, "w") as file:
        file["results"] = np.arange(3)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"experiment\.h5: an HDF5 file .* stands there"), writer(path):
        pytest.fail("it was let in")
    assert path.read_bytes() == before


def test_a_newer_format_asks_for_a_newer_program(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    write(path, {"a": "x"})
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(CacheError, match="format version 2; this fc7 reads up to 1") as caught:
        load_features(path)
    assert not isinstance(caught.value, CacheCorruptError)
    before = path.read_bytes()
    with pytest.raises(CacheError, match="newer fc7"), writer(path):
        pytest.fail("it was let in")
    assert path.read_bytes() == before


def test_an_edited_attribute_breaks_the_seal(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    write(path, {"a": "x"})
    with h5py.File(path, "a") as file:
        file.attrs["network"] = "another"
    with pytest.raises(CacheCorruptError, match="not as they were sealed"):
        load_features(path)
    assert not verify(path).ok


def test_a_missing_dataset_is_damage_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    write(path, {"a": "x"})
    with h5py.File(path, "a") as file:
        del file["label"]
    assert "label" in verify(path).problems[0]


def test_a_file_that_was_replaced_under_the_lock_is_not_mixed_in(tmp_path: Path) -> None:
    path, other = tmp_path / "features.h5", tmp_path / "other.h5"
    write(path, {"a": "x"})
    write(other, {"a": "y"})
    with writer(path) as cache:
        cache.write_segment(block({"b": "z"}))
        other.replace(path)
        with pytest.raises(CacheError, match="replaced by someone else"):
            cache.commit(refs({"a": "x", "b": "z"}), [], roots=[])
    check_plainly(path, {"a": "y"})
