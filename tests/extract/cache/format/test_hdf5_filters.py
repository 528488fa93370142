"""HDF5 image sets compressed by what the HDF5 library does not bring."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from fc7.extract import load_features
from fc7.extract.cache.format import hdf5_filters
from fc7.extract.cache.format.hdf5 import OpenFile
from fc7.extract.inputs.listing import list_inputs
from fc7.models.common.errors import CacheError, SourceError
from tests.extract.inputs.arrays.test_arrays import noise, pixels
from tests.support import CommandLine


def filtered(path: Path, number: int, name: str = "images", shape: tuple[int, ...] = (4, 5, 6, 3)) -> Path:
    """A file whose dataset names a filter that nobody has to have; its chunk is of that filter's making."""
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk(shape)
    # What is optional may be written without.
    made.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple(shape)
        group = file.require_group(name.rpartition("/")[0] or "/")
        data = h5py.h5d.create(group.id, name.rpartition("/")[2].encode(), h5py.h5t.NATIVE_UINT8, space, made)
        data.write_direct_chunk((0,) * len(shape), b"compressed", 0)
    return path


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hdf5plugin, whether it is installed or not."""
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)


@pytest.mark.parametrize(
    ("number", "name", "cure"),
    [
        (32001, "Blosc (HDF5 filter 32001)", " -m pip install -U hdf5plugin brings it"),
        (32004, "LZ4 (HDF5 filter 32004)", " -m pip install -U hdf5plugin brings it"),
        (32008, "bitshuffle (HDF5 filter 32008)", " -m pip install -U hdf5plugin brings it"),
        (32015, "Zstandard (HDF5 filter 32015)", " -m pip install -U hdf5plugin brings it"),
        (32019, "JPEG (HDF5 filter 32019)", "save it with gzip where it can be read"),
        (32099, "HDF5 filter 32099", "save it with gzip where it can be read"),
    ],
)
@pytest.mark.usefixtures("_alone")
def test_a_missing_filter_is_named_with_what_brings_it(
    tmp_path: Path, number: int, name: str, cure: str
) -> None:
    path = filtered(tmp_path / "a.h5", number)
    with pytest.raises(SourceError) as refused:
        list_inputs([path])
    said, _, what_next = str(refused.value).partition("; ")
    assert said == f"{path}: images: compressed with {name}, which is not installed"
    assert cure in what_next


def test_extract_names_the_filter_and_the_package(tmp_path: Path) -> None:
    line = CommandLine(tmp_path).with_tiny_network()
    filtered(tmp_path / "a.h5", 32001)
    # A module of this name that cannot be imported stands before one that could.
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/hdf5plugin.py").write_text("raise ImportError")
    ran = line(
        "extract", "a.h5", "--network", "tiny", "-o", "f.h5", env={"PYTHONPATH": str(tmp_path / "hidden")}
    )
    assert ran.code == 1
    assert "a.h5: images: compressed with Blosc (HDF5 filter 32001)" in ran.err
    assert "pip install -U hdf5plugin" in ran.err


@pytest.mark.usefixtures("_alone")
def test_labels_and_caches_that_lack_their_filter_say_so_too(tmp_path: Path) -> None:
    path = filtered(tmp_path / "a.h5", 32015, "labels", (4,))
    with h5py.File(path, "r+") as file:
        file["images"] = noise(4, 5, 6, 3)
    with pytest.raises(SourceError, match="labels: compressed with Zstandard"):
        list_inputs([path])
    path = filtered(tmp_path / "features.h5", 32001, "features/fc7")
    with (
        OpenFile(path, "a feature cache") as file,
        pytest.raises(CacheError, match="fc7 is compressed with Blosc"),
    ):
        file.read("features/fc7", 0, 1)


def test_the_librarys_own_filters_load_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(4, 5, 6, 3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=images, compression="gzip", shuffle=True, fletcher32=True)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("images", data=images, compression="lzf")
    monkeypatch.setattr(hdf5_filters, "_has_hdf5plugin", lambda: pytest.fail("loaded"))
    for name in ("a.h5", "b.h5"):
        np.testing.assert_array_equal(pixels(list_inputs([tmp_path / name])), images)


def test_hdf5plugin_is_used_where_it_is_installed(tmp_path: Path) -> None:
    if importlib.util.find_spec("hdf5plugin") is None:
        pytest.skip("needs hdf5plugin")
    np.save(tmp_path / "images.npy", noise(9, 40, 50, 3))
    # In other processes, so that the filters are not in this one.
    writer = (
        "import h5py, hdf5plugin, numpy as np\n"
        "for number in (32001, 32004, 32008, 32015):\n"
        "    with h5py.File(f'{number}.h5', 'w') as file:\n"
        "        file.create_dataset('images', data=np.load('images.npy'), compression=number)\n"
    )
    subprocess.run([sys.executable, "-c", writer], cwd=tmp_path, check=True, timeout=60)
    names = ["32001.h5", "32004.h5", "32008.h5", "32015.h5", "images.npy"]
    CommandLine(tmp_path).with_tiny_network().good("extract", *names, "--network", "tiny", "-o", "f.h5")
    X, _, paths = load_features(tmp_path / "f.h5")
    assert len(paths) == 45
    for i in range(9):
        rows = [row for row, path in zip(X, paths, strict=True) if str(path).endswith(f"/{i:06}")]
        np.testing.assert_array_equal(rows, [rows[0]] * 5)
