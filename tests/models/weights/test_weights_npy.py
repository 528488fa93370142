"""The .npy dict of the Udacity lab: layouts turned exactly, Python 2's pickles and NumPy's included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.weights.npy_dict import canonical_layout, read_npy_dict
from tests.support.models import weights_files as wf


def saved(folder: Path, data: bytes) -> Path:
    path = folder / "bvlc-alexnet.npy"
    path.write_bytes(data)
    return path


def same(found: dict[str, Any], expected: wf.Weights) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert found[key].shape == array.shape
        assert np.ascontiguousarray(found[key]).tobytes() == array.tobytes()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_file_that_python_2_wrote_is_turned_into_our_layout(tmp_path: Path, version: int) -> None:
    weights = wf.small_weights()
    same(read_npy_dict(saved(tmp_path, wf.npy_dict(weights, version))), weights)


def test_the_two_writers_of_these_tests_agree(tmp_path: Path) -> None:
    weights = wf.small_weights()
    same(read_npy_dict(saved(tmp_path, wf.npy_dict_by_numpy(weights))), weights)


@pytest.mark.parametrize("form", ["pairs", "tuples", "object arrays", "caffe-tensorflow"])
def test_a_file_that_numpy_saves_today_is_turned_into_our_layout(tmp_path: Path, form: str) -> None:
    weights = wf.small_weights()
    content: dict[str, Any] = {}
    for layer, (w, b) in wf.tensorflow_layout(weights).items():
        held = np.empty(2, object)
        held[:] = [w, b]
        content[layer] = {
            "pairs": [w, b],
            "tuples": (w, b),
            "object arrays": held,
            "caffe-tensorflow": {"weights": w, "biases": b},
        }[form]
    np.save(tmp_path / "x.npy", content)  # type: ignore[arg-type]  # NumPy makes a 0-dimensional array of it
    same(read_npy_dict(tmp_path / "x.npy"), weights)


def test_the_layouts_of_design_are_turned_at_full_size() -> None:
    """Every number of fc6's input is traced: cell (y, x) of channel c goes to c, y, x."""
    y, x, c = np.meshgrid(np.arange(6), np.arange(6), np.arange(256), indexing="ij")
    theirs = (c * 36 + y * 6 + x).reshape(9216, 1).astype(np.float32)
    conv5 = np.zeros((3, 3, 192, 256), np.float32)
    found = canonical_layout(
        {"conv5": (conv5, np.zeros(256)), "fc6": (np.repeat(theirs, 2, axis=1), np.zeros(2))}, "x"
    )
    np.testing.assert_array_equal(found["fc6.weight"], [np.arange(9216)] * 2)
    assert found["conv5.weight"].shape == (256, 192, 3, 3)


def test_a_trunk_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    weights = {key: array for key, array in wf.small_weights().items() if key.startswith("conv")}
    same(read_npy_dict(saved(tmp_path, wf.npy_dict(weights))), weights)


def dict_of(layers: dict[str, Any]) -> bytes:
    pairs = {wf.p_text_of_python2(k.encode()): v for k, v in layers.items()}
    return wf.npy_of(wf.p_dump(wf.p_object_array(wf.p_dict(pairs))))


PAIR = wf.p_list(wf.p_array(np.zeros((3, 3, 3, 4), np.float32)), wf.p_array(np.zeros(4, np.float32)))
FLAT = wf.p_list(wf.p_array(np.zeros((3, 4), np.float32)), wf.p_array(np.zeros(4, np.float32)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (dict_of({"conv1": PAIR, "conv1_1": PAIR}), "a dict with conv1, conv1_1; give conv1, conv2"),
        (dict_of({}), "a dict with nothing; give conv1, conv2"),
        (dict_of({"conv1": wf.p_list(wf.p_int(1), wf.p_int(2))}), "conv1 is not a pair of arrays"),
        (
            dict_of({"conv1": FLAT}),
            r"conv1 has weights \(3, 4\) and biases \(4,\), needed 4 dimensions and 1",
        ),
        (
            dict_of({"conv5": PAIR, "fc6": FLAT}),
            "fc6 takes 3 numbers, which is not a square map of conv5's 4",
        ),
        (wf.npy_of(wf.p_dump(wf.p_list(PAIR))), "holds a list"),
        (wf.npy_of(b"", descr="<f4", shape="(3, 4)"), r"an array of type <f4 and shape \(3, 4\)"),
        (wf.npy_of(b"", shape="(3,)"), r"an array of type \|O and shape \(3,\)"),
        (wf.npy_of(b"", version=4), "of a version after 3"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "a damaged .npy header"),
        (b"\x93NUMPY\x01\x00\x20\x00{'descr': __import__('os').abort()", "a damaged .npy header"),
        (wf.npy_of(b""), "a damaged pickle"),
    ],
)
def test_what_is_no_such_dict_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        read_npy_dict(saved(tmp_path, data))


def test_a_dict_that_calls_the_system_runs_nothing(tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    call = wf.p_call(wf.p_name("posix", "system"), wf.p_text(f"touch {proof}"))
    with pytest.raises(UnsafeFileError, match=r"asks for posix\.system"):
        read_npy_dict(saved(tmp_path, dict_of({"conv1": call})))
    assert not proof.exists()
