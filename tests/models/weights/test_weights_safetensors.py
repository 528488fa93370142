"""safetensors: by hand against a hand-written file, and against the format's own package."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.weights.safetensors_file import read_safetensors
from tests.support.models import weights_files as wf

ARRAYS: dict[str, Any] = {
    "a": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "b": np.array([1.5, -0.0]),
    "c": np.array([[1], [2]], np.float16),
    "scalar": np.array(7, np.int64),
}


def saved(folder: Path, data: bytes) -> Path:
    path = folder / "x.safetensors"
    path.write_bytes(data)
    return path


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(found) == set(expected)
    for key, array in expected.items():
        assert found[key].shape == array.shape
        assert found[key].dtype == array.dtype
        assert found[key].tobytes() == array.tobytes()


def test_a_file_written_by_hand_comes_back_bit_identical(tmp_path: Path) -> None:
    same(read_safetensors(saved(tmp_path, wf.safetensors(ARRAYS))), ARRAYS)


def test_a_file_of_the_formats_own_package_comes_back_bit_identical(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    arrays = {**ARRAYS, "empty": np.empty((0, 3), np.float32), "flag": np.array([True])}
    package.save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "np"})
    same(read_safetensors(tmp_path / "x.safetensors"), arrays)


@settings(max_examples=25, deadline=None)
@given(array=hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)))
def test_the_package_reads_what_the_reader_reads(tmp_path_factory: Any, array: Any) -> None:
    package = pytest.importorskip("safetensors.numpy")
    path = saved(tmp_path_factory.mktemp("st"), wf.safetensors({"w": array}))
    same(read_safetensors(path), package.load_file(path))


def test_bfloat16_is_widened_exactly(tmp_path: Path) -> None:
    values = np.array([1.0, -3.140625], np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    header = {"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    found = read_safetensors(saved(tmp_path, wf.safetensors_of(header, halves)))["w"]
    assert found.dtype == np.float32
    assert found.tobytes() == values.tobytes()


def test_a_file_without_tensors_holds_none(tmp_path: Path) -> None:
    assert read_safetensors(saved(tmp_path, wf.safetensors_of({}, b""))) == {}


def place(begin: Any, end: Any, dtype: Any = "F32", shape: Any = None) -> dict[str, Any]:
    return {
        "dtype": dtype,
        "shape": [(end - begin) // 4] if shape is None else shape,
        "data_offsets": [begin, end],
    }


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"w": place(0, 20)}, "tensor w ends at byte 20 of 16"),
        ({"w": place(0, 8)}, "8 bytes after its last tensor"),
        ({"v": place(0, 8), "w": place(4, 16)}, "tensor w overlaps the one before"),
        ({"v": place(0, 4), "w": place(8, 16)}, "tensor w leaves 4 bytes unexplained"),
        ({"w": place(0, 16, shape=[2, 3])}, r"of F32 \(2, 3\) needs 24 bytes and is given 16"),
        ({"w": place(0, 16, shape=[1 << 60])}, "absurd shape or place"),
        ({"w": place(0, 16, shape=[-1, -4])}, "absurd shape or place"),
        ({"w": place(0, 16, shape=[True] * 17)}, "absurd shape or place"),
        ({"w": place(0, 16, shape=[4.0])}, "absurd shape or place"),
        ({"w": place(16, 0, shape=[0])}, "is given -16"),
        ({"w": place(0, 16, dtype="F8_E4M3", shape=[16])}, "is of type F8_E4M3; needed one of F64, F32"),
        ({"w": place(0, 16, dtype=7)}, "lacks its dtype, shape or offsets"),
        ({"w": {"dtype": "F32"}}, "lacks its dtype, shape or offsets"),
        ({"w": 3}, "lacks its dtype, shape or offsets"),
        ([1], "not a JSON object"),
        (b'{"w": {}, "w": {}}', "one name twice"),
        (b'{"w": ', "a damaged safetensors header"),
        (b"\xff\xfe{}", "a damaged safetensors header"),
        (b"[" * 200_000, "a damaged safetensors header"),
        (b'{"w": ' + b"9" * 6000 + b"}", "a damaged safetensors header"),
        ({"new\nline\x1b[0m": 3}, r"tensor new\\nline\\x1b\[0m lacks"),
    ],
)
def test_a_header_that_does_not_add_up_is_named(tmp_path: Path, header: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        read_safetensors(saved(tmp_path, wf.safetensors_of(header, bytes(16))))


@pytest.mark.parametrize("length", [1 << 60, (1 << 64) - 1, 1 << 31, 100])
def test_a_header_longer_than_the_file_is_refused_unread(tmp_path: Path, length: int) -> None:
    path = saved(tmp_path, length.to_bytes(8, "little") + b'{"w": {}}')
    tracemalloc.start()
    try:
        with pytest.raises(
            UnsafeFileError, match=f"claims a header of {length} bytes in a file of 17; refused"
        ):
            read_safetensors(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_header_beyond_all_measure_is_refused_though_it_is_there(tmp_path: Path) -> None:
    data = wf.safetensors_of(b"{}" + b" " * (1 << 24), b"")
    with pytest.raises(UnsafeFileError, match="a header of 16777218 bytes, more than"):
        read_safetensors(saved(tmp_path, data))
