"""Images in HDF5 files, MATLAB's among them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from fc7.extract.inputs.arrays.hdf5_images import is_feature_cache
from fc7.extract.inputs.listing import list_inputs
from fc7.models.common.errors import SourceError, UnsafeFileError, UsageError
from tests.extract.inputs.arrays.test_arrays import labels, noise, pixels

MATLAB_TEXT = (
    b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  5 10:00:00 2026 HDF5 schema 1.00 ."
)


def matlab_file(path: Path, **variables: NDArray[Any]) -> Path:
    """What MATLAB's ``save -v7.3`` writes: a user block with its text, every array's axes in reverse."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            data = file.create_dataset(name, data=value.T)
            data.attrs["MATLAB_class"] = np.bytes_(value.dtype.name)
    with path.open("r+b") as raw:
        raw.write(MATLAB_TEXT.ljust(124) + b"\0\2IM")
    return path


def test_images_and_labels_of_an_ordinary_file(tmp_path: Path) -> None:
    images = noise(300, 6, 8, 3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=images, chunks=(64, 6, 8, 3), compression="gzip")
        file["labels"] = [f"class {i % 3}" for i in range(300)]
    notes: list[str] = []
    listing = list_inputs([tmp_path / "a.h5"], notify=notes.append)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda ref: ref.origin.read(ref), listing.images))
    np.testing.assert_array_equal(np.stack(read), images)
    assert labels(listing) == ["class 0", "class 1", "class 2"] * 100
    assert listing.images[17].path == "a.h5/000017"
    assert notes == [f"{tmp_path / 'a.h5'}: images from images, labels from labels"]


@pytest.mark.parametrize("layout", ["HWCN", "NHWC"])
def test_matlabs_order_is_turned_back(tmp_path: Path, layout: str) -> None:
    images = noise(7, 5, 9, 3)
    in_matlab = images.transpose(1, 2, 3, 0) if layout == "HWCN" else images
    path = matlab_file(tmp_path / "a.mat", images=in_matlab, labels=np.arange(7.0)[:, None])
    with h5py.File(path) as file:
        assert file["images"].shape == ((7, 3, 9, 5) if layout == "HWCN" else (3, 9, 5, 7))
    listing = list_inputs([path])
    np.testing.assert_array_equal(pixels(listing), images)
    assert labels(listing) == [str(i) for i in range(7)]


@pytest.mark.parametrize("layout", ["HWN", "NHW"])
def test_matlabs_grey_images_are_told_apart_by_the_number_of_labels(tmp_path: Path, layout: str) -> None:
    images = noise(7, 5, 9)
    in_matlab = images.transpose(1, 2, 0) if layout == "HWN" else images
    path = matlab_file(tmp_path / "a.mat", x=in_matlab, y=np.arange(7.0)[None, :])
    np.testing.assert_array_equal(pixels(list_inputs([path])), images)


def test_an_array_of_h5write_without_marks_is_known_by_its_first_axis(tmp_path: Path) -> None:
    images = noise(7, 5, 9, 3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = images.T
    np.testing.assert_array_equal(pixels(list_inputs([tmp_path / "a.h5"])), images)


def test_channels_first_without_marks_is_read_as_rows_columns_and_said(tmp_path: Path) -> None:
    images = noise(7, 5, 9, 3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = images.transpose(0, 3, 1, 2)
    notes: list[str] = []
    np.testing.assert_array_equal(pixels(list_inputs([tmp_path / "a.h5"], notify=notes.append)), images)
    assert "read as (N, channels, rows, columns) (7, 3, 5, 9)" in notes[0]


def test_a_cell_array_and_a_char_array_of_matlab_are_labels(tmp_path: Path) -> None:
    words = ["cat", "Zebra ü", "x"]
    path = matlab_file(tmp_path / "a.mat", images=noise(4, 5, 3, 3))
    with h5py.File(path, "r+") as file:
        for i, word in enumerate(words):
            file[f"#refs#/{i}"] = np.frombuffer(word.encode("utf-16-le"), np.uint16)[:, None]
        references = [file[f"#refs#/{i}"].ref for i in range(3)]
        cells = file.create_dataset("labels", (1, 3), dtype=h5py.ref_dtype)
        cells[0] = references
        cells.attrs["MATLAB_class"] = np.bytes_("cell")
    assert labels(list_inputs([path])) == words
    with h5py.File(path, "r+") as file:
        del file["labels"]
        padded = np.array([[ord(c) for c in word.ljust(7)] for word in words], np.uint16)
        file["labels"] = padded.T
        file["labels"].attrs["MATLAB_class"] = np.bytes_("char")
    assert labels(list_inputs([path])) == words


def test_reading_in_blocks_gives_the_same_whatever_the_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fc7.extract.inputs.arrays.hdf5_images._BLOCK_BYTES", 1000)
    images = noise(53, 4, 6, 3)
    for number, chunks in enumerate([None, (1, 4, 6, 3), (7, 2, 6, 1), (53, 4, 6, 3), (50, 1, 1, 1)]):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("images", data=images, chunks=chunks)
        listing = list_inputs([tmp_path / f"{number}.h5"])
        np.testing.assert_array_equal(pixels(listing), images)


def test_a_cache_of_features_given_as_images_says_what_it_is(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "features.h5", "w") as file:
        file.attrs["format"] = "fc7-features"
        file["features/fc7"] = np.zeros((2, 4096), np.float32)
    assert is_feature_cache(tmp_path / "features.h5")
    with pytest.raises(UsageError, match="holds features that fc7 made, not images"):
        list_inputs([tmp_path / "features.h5"])


def test_an_image_set_or_a_broken_file_is_no_cache(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = noise(2, 3, 3, 3)
    (tmp_path / "b.h5").write_bytes(b"x")
    assert not is_feature_cache(tmp_path / "a.h5")
    assert not is_feature_cache(tmp_path / "b.h5")
    assert not is_feature_cache(tmp_path / "gone.h5")


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = noise(2, 3, 3, 3)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["images"] = h5py.ExternalLink("other.h5", "/images")
    with pytest.raises(SourceError, match="no array is named as images"):
        list_inputs([tmp_path / "link.h5"])
    (tmp_path / "raw").write_bytes(bytes(54))
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("images", (2, 3, 3, 3), np.uint8, external=[(str(tmp_path / "raw"), 0, 54)])
    with pytest.raises(UnsafeFileError, match="lies in other files; refused"):
        list_inputs([tmp_path / "raw.h5"])
    layout = h5py.VirtualLayout((2, 3, 3, 3), np.uint8)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "images", (2, 3, 3, 3))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("images", layout)
    with pytest.raises(UnsafeFileError, match="lies in other files; refused"):
        list_inputs([tmp_path / "virtual.h5"])


def test_a_dataset_that_claims_what_it_does_not_hold_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", (1 << 40, 32, 32, 3), np.uint8, chunks=(1, 32, 32, 3))
    with pytest.raises(UnsafeFileError, match=r"0 bytes that expand to 3,377,\d+"):
        list_inputs([tmp_path / "a.h5"])


@pytest.mark.parametrize(
    "data", [b"", b"MATLAB 5.0 MAT-file, Platform", b"not found", b"\x89HDF\r\n\x1a\n" + bytes(300)]
)
def test_a_file_that_cannot_be_read_says_what_to_do(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(SourceError, match=r"a\.mat: .*(again)"):
        list_inputs([tmp_path / "a.mat"])
