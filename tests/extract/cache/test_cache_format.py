"""The file as others see it: h5py alone, no code of ours."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from fc7.extract.cache.reader import CacheReader, load_features
from fc7.extract.cache.verify import verify
from fc7.extract.records import ImageRef, Rows
from fc7.models.network.spec import combined_fingerprint
from tests.support import ROOT
from tests.support.extract.cache_support import (
    DIMS,
    ORIGIN,
    Image,
    check_plainly,
    failure,
    features_of,
    identity,
    read_plainly,
    refs,
    sha,
    write,
    writer,
)

VERSION_1 = ROOT / "tests/data" / "cache-v1.h5"
IMAGES = {
    "cats/tom.jpg": Image("tom", "cats", 10**18 + 7, group="7", split="train"),
    "dögs/rex 2.jpg": Image("rex", "dögs", 5),
    "plain.png": Image("plain"),
}


def make_version_1(path: Path) -> None:
    """What the file in tests/data holds; it was made by this function and is never made again."""
    write(path, IMAGES, [failure("broken.gif", "cut short after 12 bytes")], ("fc6", "fc7"))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    make_version_1(tmp_path / "features.h5")
    return tmp_path / "features.h5"


def test_a_file_of_version_1_loads_for_ever() -> None:
    check_plainly(VERSION_1, {**IMAGES, "broken.gif": "bad"}, ("fc6", "fc7"))
    assert verify(VERSION_1).ok
    features = load_features(VERSION_1)
    assert features.layer == "fc7"
    assert features.paths == sorted(IMAGES)
    assert features.y.tolist() == ["cats", "dögs", ""]
    assert features.groups.tolist() == ["7", "", ""]
    assert features.splits.tolist() == ["train", "", ""]
    assert features.roots == ("imgs",)
    np.testing.assert_array_equal(features.X[0], features_of("tom", "fc7", 3))
    with CacheReader(VERSION_1) as reader:
        assert reader.failures() == [failure("broken.gif", "cut short after 12 bytes")]
        assert reader.identity == identity(("fc6", "fc7"))


def test_a_file_of_version_1_is_gone_on_with_untouched(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    path.write_bytes(VERSION_1.read_bytes())
    with writer(path, ("fc6", "fc7")) as cache:
        assert sorted(cache.known) == sorted(IMAGES)
        result = cache.commit(refs(IMAGES), list(cache.known_failures.values()), roots=["imgs"])
    assert not result.written
    assert path.read_bytes() == VERSION_1.read_bytes()


def test_the_names_shapes_and_types_are_those_that_are_documented(cache: Path) -> None:
    with h5py.File(cache, "r") as file:
        for layer in ("fc6", "fc7"):
            dataset = file[f"features/{layer}"]
            assert dataset.shape == (3, DIMS[layer])
            assert dataset.dtype == np.dtype("<f4")
            assert dataset.fletcher32
            assert dataset.attrs["layer"].decode() == layer
            assert dataset.attrs["fingerprint"].decode() == identity().fingerprints[layer]
        for name in ("path", "label", "group", "split", "sha256", "failures/path", "failures/reason"):
            text = h5py.check_string_dtype(file[name].dtype)
            assert text.encoding == "utf-8"
            assert text.length, "a variable-length text lies in a heap without a checksum"
            assert file[name].fletcher32
        for name in ("size", "mtime_ns", "failures/size", "failures/mtime_ns"):
            assert file[name].dtype == np.dtype("<i8")
            assert file[name].fletcher32
    assert read_plainly(cache)["label"] == ["cats", "dögs", ""]


def test_the_attributes_are_those_that_are_documented(cache: Path) -> None:
    with h5py.File(cache, "r") as file:
        found = dict(file.attrs)
    assert found["format"] == b"fc7-features"
    assert found["format_version"] == 1
    assert found["network"] == b"alexnet"
    assert [layer.decode() for layer in found["layers"]] == ["fc6", "fc7"]
    assert found["fingerprint"].decode() == combined_fingerprint(identity(("fc6", "fc7")).fingerprints)
    assert json.loads(found["preprocessing"])["crop_height"] == 227
    assert [root.decode() for root in found["roots"]] == ["imgs"]
    assert (found["trained"], found["pool"]) == (1, b"flatten")
    assert (found["rows"], found["failures"], found["labelled"], found["classes"]) == (3, 1, 2, 2)
    assert json.loads(found["runs"]) == [{"provider": "test", "rows": 3}]
    assert "tool_version" in found


def test_any_reader_of_hdf5_1_8_can_open_it(cache: Path) -> None:
    # Superblock version 2 and version 1 B-trees came with HDF5 1.8; 1.10 brought 3.
    assert cache.read_bytes()[:9] == b"\x89HDF\r\n\x1a\n\x02"


def test_the_checksums_can_be_followed_without_our_code(cache: Path) -> None:
    datasets = {}
    with h5py.File(cache, "r") as file:
        about = file["checksums"].attrs
        crcs = file["checksums"][:].tolist()
        names = [name.decode() for name in about["datasets"]]
        for name, block in zip(names, about["rows_per_block"].tolist(), strict=True):
            rows = file[name][:]
            expected = [zlib.crc32(rows[i : i + block].tobytes()) for i in range(0, len(rows), block)]
            own, crcs = crcs[: len(expected)], crcs[len(expected) :]
            assert own == expected
            attributes = file[name].attrs
            datasets[name] = {
                "shape": list(rows.shape),
                "dtype": rows.dtype.str,
                "rows_per_block": block,
                "attributes": {
                    key: _plain(attributes[key]) for key in ("layer", "fingerprint") if key in attributes
                },
                "crc32": hashlib.sha256(np.array(own, "<u4").tobytes()).hexdigest(),
            }
        assert crcs == []
        covered = {key.decode(): _plain(file.attrs[key]) for key in about["covered"]}
        text = json.dumps(
            {"attributes": covered, "datasets": datasets}, sort_keys=True, separators=(",", ":")
        )
        assert about["seal"].decode() == hashlib.sha256(text.encode()).hexdigest()
        assert set(names) | {"checksums"} == set(all_datasets(file))
        assert set(covered) == set(file.attrs)


def all_datasets(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
    return found


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode()
    return [item.decode() for item in value] if isinstance(value, np.ndarray) else int(str(value))


def test_what_others_add_is_not_in_the_way(cache: Path) -> None:
    with h5py.File(cache, "a") as file:
        file.attrs["note"] = "mine"
        file["features/fc7"].attrs["seen"] = 1.5
        file["mine"] = np.zeros(3)
    assert verify(cache).ok
    assert load_features(cache).X.shape == (3, 3)


def test_blocks_are_about_a_mebibyte(tmp_path: Path) -> None:
    wide = identity(("fc7",), dims={"fc7": 4096})
    rows = np.arange(300 * 4096, dtype=np.float32).reshape(300, 4096)
    images = {f"{i:03}": str(i) for i in range(300)}
    path = tmp_path / "features.h5"
    with writer(path, identity=wide) as cache:
        listing = refs(images)
        cache.write_segment(Rows(listing, [sha(str(i)) for i in range(300)], {"fc7": rows}))
        cache.commit(listing, [], roots=[])
    with h5py.File(path) as file:
        assert file["features/fc7"].chunks == (64, 4096)
        np.testing.assert_array_equal(file["features/fc7"][:], rows)


def test_names_of_layers_may_hold_slashes(tmp_path: Path) -> None:
    names = ("inception_4a/output", "100%", ".")
    odd = identity(names, dims=dict.fromkeys(names, 2))
    images = {"a": "x"}
    block = Rows(refs(images), [sha("x")], {name: np.full((1, 2), i, "f4") for i, name in enumerate(names)})
    with writer(tmp_path / "features.h5", names, identity=odd) as cache:
        cache.write_segment(block)
        cache.commit(refs(images), [], roots=[])
    assert set(read_plainly(tmp_path / "features.h5")) > {
        "features/inception_4a%2Foutput",
        "features/100%25",
        "features/%2E",
    }
    for i, name in enumerate(names):
        assert load_features(tmp_path / "features.h5", name).X.tolist() == [[i, i]]


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)
FEATURES = numpy_st.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(width=32, allow_nan=True)
)


@settings(max_examples=15, deadline=None)
@given(FEATURES, st.data())
def test_what_is_written_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory,
    rows: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    data: st.DataObject,
) -> None:
    n = len(rows)
    paths = sorted(data.draw(st.lists(TEXTS, min_size=n, max_size=n, unique=True)))
    texts = [data.draw(st.lists(st.one_of(st.none(), TEXTS), min_size=n, max_size=n)) for _ in range(3)]
    numbers = data.draw(st.lists(st.integers(0, 2**63 - 1), min_size=n, max_size=n))
    listing = [
        ImageRef(path, label, group, split, number, number, ORIGIN, 0)
        for path, label, group, split, number in zip(paths, *texts, numbers, strict=True)
    ]
    path = tmp_path_factory.mktemp("bits") / "features.h5"
    with writer(path) as cache:
        cache.write_segment(Rows(listing, [sha(path) for path in paths], {"fc7": rows}))
        cache.commit(listing, [], roots=["é"])
    found = read_plainly(path)
    assert found["features/fc7"].tobytes() == rows.tobytes()
    assert found["path"] == paths
    assert found["mtime_ns"].tolist() == numbers
    for name, column in zip(("label", "group", "split"), texts, strict=True):
        assert found[name] == [text or "" for text in column]
    features = load_features(path)
    assert features.X.tobytes() == rows.tobytes()
    assert features.paths == paths
    assert features.y.tolist() == [text or "" for text in texts[0]]
    assert features.sha256 == [sha(path) for path in paths]
