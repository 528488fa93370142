"""Images in .npy and .npz files and in traffic-sign pickles."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fc7.extract.inputs.listing import list_inputs
from fc7.extract.records import Listing
from fc7.models.common.errors import Fc7Error, ImageError, SourceError, UnsafeFileError, WeightsError

RNG = np.random.default_rng(0)


def noise(*shape: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, shape, np.uint8)


def pixels(listing: Listing) -> NDArray[Any]:
    return np.stack([np.asarray(ref.origin.read(ref)) for ref in listing.images])


def labels(listing: Listing) -> list[str | None]:
    return [ref.label for ref in listing.images]


@pytest.mark.parametrize(
    ("x", "y"), [("images", "labels"), ("x", "y"), ("X", "Y"), ("data", "targets"), ("features", "label")]
)
def test_an_npz_file_is_read_by_the_names_people_use(tmp_path: Path, x: str, y: str) -> None:
    images = noise(12, 5, 7, 3)
    arrays: dict[str, Any] = {x: images, y: np.arange(12) % 3, "other": np.zeros(2)}
    np.savez_compressed(tmp_path / "set.npz", **arrays)
    notes: list[str] = []
    listing = list_inputs([tmp_path / "set.npz"], notify=notes.append)
    np.testing.assert_array_equal(pixels(listing), images)
    assert labels(listing) == ["0", "1", "2"] * 4
    assert notes == [f"{tmp_path / 'set.npz'}: images from {x}, labels from {y}"]
    first = listing.images[0]
    assert (first.path, first.shown) == ("set.npz/000000", f"{tmp_path.as_posix()}/set.npz/000000")
    assert (first.size, first.mtime_ns) == (105, (tmp_path / "set.npz").stat().st_mtime_ns)
    assert listing.roots == (str(tmp_path / "set.npz"),)


@pytest.mark.parametrize("count", [1, 999, 12_345])
def test_keys_keep_the_order_of_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("fc7.extract.inputs.arrays.stacks._FEWEST_DIGITS", 3)
    np.save(tmp_path / "many.npy", np.zeros((count, 2, 5), np.uint8))
    paths = [ref.path for ref in list_inputs([tmp_path / "many.npy"]).images]
    assert paths[0] == f"many.npy/{0:0{5 if count > 1000 else 3}}"
    assert paths == sorted(paths)
    assert [int(path[9:]) for path in paths] == list(range(count))


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npy_file_is_read_image_by_image(tmp_path: Path, order: Any) -> None:
    images = noise(40, 6, 9, 3)
    np.save(tmp_path / "x.npy", np.asarray(images, order=order))
    listing = list_inputs([tmp_path / "x.npy"])
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda ref: ref.origin.read(ref), listing.images))
    np.testing.assert_array_equal(np.stack(read), images)
    assert labels(listing) == [None] * 40


def test_an_npy_file_is_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4000, 64, 64, 3), np.uint8))  # 49 MB
    tracemalloc.start()
    listing = list_inputs([tmp_path / "x.npy"])
    for ref in listing.images[::500]:
        ref.origin.read(ref)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_an_npy_file_cut_short_while_it_is_read_fails_and_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, noise(50, 64, 64, 3))
    listing = list_inputs([path])
    os.truncate(path, 200_000)
    assert len(listing.images[0].origin.read(listing.images[0])) == 64
    with pytest.raises(ImageError, match="become shorter"):
        listing.images[-1].origin.read(listing.images[-1])


def test_an_npy_file_that_vanishes_fails_image_by_image(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", noise(2, 4, 4, 3))
    (ref, _) = list_inputs([tmp_path / "x.npy"]).images
    (tmp_path / "x.npy").unlink()
    with pytest.raises(ImageError, match="vanished"):
        ref.origin.read(ref)


def test_the_axes_are_turned_to_rows_columns_colours(tmp_path: Path) -> None:
    images = noise(5, 6, 7, 3)
    for name, stored, expected in (
        ("first", images.transpose(0, 3, 1, 2), images),
        ("grey", images[..., 0], images[..., 0]),
        ("grey1", images[..., :1], images[..., 0]),
        ("grey1first", images[:, None, :, :, 0], images[..., 0]),
    ):
        np.savez(tmp_path / f"{name}.npz", x=stored)
        np.testing.assert_array_equal(pixels(list_inputs([tmp_path / f"{name}.npz"])), expected)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(-3, 1 << 40), min_size=1, max_size=6),
    st.sampled_from(["int", "float", "column", "text"]),
)
def test_labels_in_any_form_are_the_same_text(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], form: str
) -> None:
    array: NDArray[Any] = np.array(values)
    array = {"int": array, "float": array * 1.0, "column": array[:, None], "text": array.astype(str)}[form]
    path = tmp_path_factory.mktemp("y") / "a.npz"
    np.savez(path, x=noise(len(values), 2, 2, 3), y=array)
    assert labels(list_inputs([path])) == [str(value) for value in values]


def test_one_hot_labels_are_the_number_of_the_column(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=noise(3, 2, 2, 3), y=np.eye(4)[[3, 0, 1]])
    assert labels(list_inputs([tmp_path / "a.npz"])) == ["3", "0", "1"]


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (np.arange(4), r"labels of shape \(4,\) for 3 images"),
        (np.array([0.5, 1, 2]), "not whole numbers"),
        (np.array([np.nan, 1, 2]), "not whole numbers"),
        (np.ones((3, 2), int), "not one-hot"),
        (np.array([1j, 2, 3]), "label of type complex"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path: Path, y: NDArray[Any], says: str) -> None:
    np.savez(tmp_path / "a.npz", x=noise(3, 2, 2, 3), y=y)
    with pytest.raises(SourceError, match=rf"a\.npz: y: .*{says}|{says}"):
        list_inputs([tmp_path / "a.npz"])


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.zeros((3, 4, 4, 3)), "float64 were found, uint8"),
        (np.zeros(12, np.uint8), r"shape \(12,\) were found"),
        (np.zeros((3, 4, 5, 6), np.uint8), r"shape \(3, 4, 5, 6\) were found"),
        (np.zeros((3, 0, 4, 3), np.uint8), "without pixels"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path: Path, x: NDArray[Any], says: str) -> None:
    np.savez(tmp_path / "a.npz", x=x)
    with pytest.raises(SourceError, match=says):
        list_inputs([tmp_path / "a.npz"])


@pytest.mark.parametrize("keys", [("x", "images"), ("x", "x_train"), ("a", "b"), ("val_images", "x_valid")])
def test_names_that_could_mean_several_things_are_listed(tmp_path: Path, keys: tuple[str, ...]) -> None:
    arrays: dict[str, Any] = {key: noise(2, 3, 3, 3) for key in keys}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(SourceError, match=rf"holds .*{keys[0]} \(2, 3, 3, 3\).*Names that are read: images"):
        list_inputs([tmp_path / "a.npz"])


@pytest.mark.parametrize("style", ["{0}_{1}", "{1}_{0}"])
def test_the_parts_of_a_divided_set_become_splits(tmp_path: Path, style: str) -> None:
    arrays: dict[str, Any] = {}
    for i, part in enumerate(("train", "val", "test")):
        arrays[style.format("images", part)] = np.full((i + 1, 2, 2, 3), i, np.uint8)
        arrays[style.format("labels", part)] = np.full((i + 1, 1), 10 + i)
    np.savez(tmp_path / "m.npz", **arrays)
    listing = list_inputs([tmp_path / "m.npz"])
    found = {(r.path.split("/")[1], r.split, r.label, int(np.max(r.origin.read(r)))) for r in listing.images}
    assert found == {
        (style.format("images", part), part, str(10 + i), i)
        for i, part in enumerate(("train", "val", "test"))
    }
    assert [ref.path for ref in listing.images] == sorted(ref.path for ref in listing.images)
    assert len(listing.images) == 6


def signs(folder: Path, protocol: int, **more: Any) -> NDArray[np.uint8]:
    images = noise(6, 32, 32, 3)
    data = {"features": images, "labels": np.array([14, 2, 14, 40, 2, 99], np.uint8), **more}
    (folder / "train.p").write_bytes(pickle.dumps(data, protocol))
    return images


NAMES = "ClassId,SignName\n2,Speed limit (50km/h)\n14,Stop\n40,Same\n41,Same\n"


@pytest.mark.parametrize("protocol", range(6))
def test_the_traffic_signs_are_read_with_their_names(tmp_path: Path, protocol: int) -> None:
    images = signs(tmp_path, protocol, sizes=np.ones((6, 2), np.uint8), coords=np.ones((6, 4), np.uint8))
    assert labels(list_inputs([tmp_path / "train.p"])) == ["14", "2", "14", "40", "2", "99"]
    (tmp_path / "signnames.csv").write_text(NAMES)
    listing = list_inputs([tmp_path / "train.p"])
    np.testing.assert_array_equal(pixels(listing), images)
    limit = "Speed limit (50km/h)"
    assert labels(listing) == ["Stop", limit, "Stop", "Same (40)", limit, "99"]
    assert listing.images[5].path == "train.p/000005"


def python_2_pickle(images: NDArray[np.uint8], values: NDArray[np.uint8]) -> bytes:
    """As Python 2.7's cPickle and NumPy 1.x wrote protocol 2: data as byte strings, old module names."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    def array(value: NDArray[np.uint8]) -> bytes:
        shape = b"(" + b"".join(b"J" + struct.pack("<i", size) for size in value.shape) + b"t"
        dtype = (
            b"cnumpy\ndtype\n"
            + text(b"u1")
            + b"K\x00K\x01\x87R(K\x03"
            + text(b"|")
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        new = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        return new + b"(K\x01" + shape + dtype + b"\x89" + text(value.tobytes()) + b"tb"

    return b"\x80\x02}(" + text(b"features") + array(images) + text(b"labels") + array(values) + b"u."


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    images, values = noise(3, 32, 32, 3), np.array([200, 7, 7], np.uint8)
    data = python_2_pickle(images, values)
    np.testing.assert_array_equal(pickle.loads(data, encoding="latin1")["features"], images)
    (tmp_path / "train.p").write_bytes(data)
    listing = list_inputs([tmp_path / "train.p"])
    np.testing.assert_array_equal(pixels(listing), images)
    assert labels(listing) == ["200", "7", "7"]


class RunsCode:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("name", ["train.p", "train.pickle", "x.npy", "x.npz"])
def test_a_hostile_pickle_runs_nothing(tmp_path: Path, name: str) -> None:
    proof = tmp_path / "executed"
    evil = RunsCode(f"touch {proof}")
    path = tmp_path / name
    if name.endswith(".npy"):
        np.save(path, np.array([evil], object), allow_pickle=True)
    elif name.endswith(".npz"):
        np.savez(path, x=np.array([evil], object))
    else:
        path.write_bytes(pickle.dumps({"features": noise(1, 4, 4, 3), "labels": [1], "more": evil}))
    with pytest.raises((UnsafeFileError, SourceError), match="refused"):
        list_inputs([path])
    assert not proof.exists()


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "train.p"])
@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_a_damaged_array_file_is_named(tmp_path: Path, name: str, damage: str) -> None:
    signs(tmp_path, 2)
    np.save(tmp_path / "a.npy", noise(9, 8, 8, 3))
    np.savez(tmp_path / "a.npz", x=noise(9, 8, 8, 3))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(
        {"cut": data[: len(data) // 2], "empty": b"", "text": b"404 not found"}[damage]
    )
    with pytest.raises((SourceError, WeightsError), match=f"{name}: .*damaged|{name}: .*none"):
        list_inputs([tmp_path / name])


def test_a_pickle_of_something_else_says_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "train.p").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(SourceError, match="holds a list; a dict with features and labels"):
        list_inputs([tmp_path / "train.p"])


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "ClassId,SignName\nx,Stop\n", "ClassId,SignName\n1\n"])
def test_a_table_of_names_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    signs(tmp_path, 2)
    (tmp_path / "signnames.csv").write_text(text)
    with pytest.raises(SourceError, match=r"signnames\.csv: .*repair it, or move it away"):
        list_inputs([tmp_path / "train.p"])


def test_an_npz_bomb_is_refused_before_it_unfolds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fc7.extract.images.limits.FREE_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((1000, 64, 64, 3), np.uint8))
    tracemalloc.start()
    with pytest.raises(UnsafeFileError, match=r"expand to 12,\d\d\d,\d\d\d or more"):
        list_inputs([tmp_path / "a.npz"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def test_a_header_that_claims_the_moon_costs_nothing(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1152921504606846976, 4, 4, 3), }"
    header = header.ljust(117) + b"\n"
    raw = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(48)
    (tmp_path / "a.npy").write_bytes(raw)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", raw)
    tracemalloc.start()
    for name in ("a.npy", "a.npz"):
        with pytest.raises(Fc7Error, match="damaged"):
            list_inputs([tmp_path / name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20
