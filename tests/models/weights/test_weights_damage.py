"""Files cut short or changed: a result or one of our errors, never anything else, and soon."""

from __future__ import annotations

import os
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fc7.models.common.errors import Fc7Error
from fc7.models.network.canonical import canonical
from fc7.models.weights.npy_dict import read_npy_dict
from fc7.models.weights.onnx_file import OnnxAlexNet, read_onnx
from fc7.models.weights.reading import read_weights
from fc7.models.weights.safetensors_file import read_safetensors
from fc7.models.weights.state_dict import from_state_dict
from fc7.models.weights.torch_file import read_torch
from tests.support.models import weights_files as wf
from tests.support.models.weights_onnx_files import Dialect, alexnet

SMALL = wf.small_weights()
NAMED = wf.torchvision_names(SMALL)
Reader = Callable[[Path], Any]


def as_state_dict(path: Path) -> Any:
    return from_state_dict(read_torch(path), str(path))


def as_safetensors(path: Path) -> Any:
    return from_state_dict(read_safetensors(path), str(path))


def as_npy(path: Path) -> Any:
    return canonical(read_npy_dict(path), str(path))


FILES: dict[str, tuple[bytes, Reader]] = {
    "zip .pth": (wf.torch_zip(NAMED), as_state_dict),
    "packed .pth": (wf.torch_zip(NAMED, compression=zipfile.ZIP_DEFLATED), as_state_dict),
    "legacy .pth": (wf.torch_legacy(NAMED), as_state_dict),
    "safetensors": (wf.safetensors(SMALL), as_safetensors),
    "npy of Python 2": (wf.npy_dict(SMALL), as_npy),
    "onnx": (alexnet(SMALL).SerializeToString(), read_onnx),
    "onnx of constants": (alexnet(SMALL, Dialect(hold="constant")).SerializeToString(), read_onnx),
}


def outcome(read: Reader, path: Path) -> Any:
    """What the reader gives, or the text of its Fc7Error; any other exception fails the test."""
    try:
        return read(path)
    except Fc7Error as error:
        assert str(path) in str(error)  # noqa: PT017
        return str(error)


@pytest.mark.parametrize("form", FILES)
def test_the_undamaged_file_is_read(tmp_path: Path, form: str) -> None:
    data, read = FILES[form]
    path = tmp_path / "x"
    path.write_bytes(data)
    found = read(path)
    arrays = found.arrays if isinstance(found, OnnxAlexNet) else found
    assert {k: a.tobytes() for k, a in arrays.items()} == {k: a.tobytes() for k, a in SMALL.items()}


@pytest.mark.parametrize("form", FILES)
def test_a_file_cut_at_every_seventh_is_refused_with_its_name(tmp_path: Path, form: str) -> None:
    data, read = FILES[form]
    path = tmp_path / "x"
    for sevenths in range(7):
        path.write_bytes(data[: len(data) * sevenths // 7])
        for reader in (read, read_weights):
            if sevenths or reader is read_weights:
                assert isinstance(outcome(reader, path), str), f"{sevenths}/7 of {form} was read"


@pytest.mark.parametrize("form", FILES)
def test_a_file_cut_by_one_byte_or_lengthened_does_not_pass_for_whole(tmp_path: Path, form: str) -> None:
    data, read = FILES[form]
    path = tmp_path / "x"
    path.write_bytes(data[:-1])
    assert isinstance(outcome(read, path), str)
    path.write_bytes(data + os.urandom(40))
    outcome(read, path)


@pytest.mark.parametrize("form", FILES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
    early=st.booleans(),
    cut=st.none() | st.floats(0, 1),
)
def test_random_damage_gives_a_result_or_an_error_of_ours(
    tmp_path: Path, form: str, flips: list[tuple[float, int]], early: bool, cut: float | None
) -> None:
    data, read = FILES[form]
    damaged = bytearray(data)
    # Half of the damage goes where the structure is: the first and the last kilobytes.
    span = min(1500, len(data)) if early else len(data)
    for place, value in flips:
        at = int(place * span)
        damaged[at if value % 2 or not early else -1 - at] = value
    path = tmp_path / "x"
    path.write_bytes(bytes(damaged if cut is None else damaged[: int(cut * len(damaged))]))
    began = time.monotonic()
    tracemalloc.start()
    try:
        outcome(read, path)
        outcome(read_weights, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20
    assert time.monotonic() - began < 10
