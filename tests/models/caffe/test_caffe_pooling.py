"""Caffe's pooling windows at every size: against loops in NumPy, and against OpenCV."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.models.common.errors import WeightsError
from tests.support.models.caffe_files import AVE, MAX, Layer, Word
from tests.support.models.caffe_running import (
    assert_equal,
    built,
    numpy_values,
    pixels,
    run_graph,
    run_opencv,
    write,
)


def one_pool(**params: Any) -> list[Layer]:
    return [Layer("pool", "Pooling", ["data"], ["pool"], params)]


@st.composite
def poolings(draw: st.DrawFn) -> tuple[list[Layer], tuple[int, int, int, int]]:
    """Any pooling whose windows all hold a pixel, as Caffe demands of networks that make sense."""
    sides: list[int] = []
    params: dict[str, Any] = {}
    padded = draw(st.booleans())
    for side in "hw":
        kernel = draw(st.integers(1, 6))
        # Without padding Caffe does not leave out a last window beyond the image.
        stride = draw(st.integers(1, 7 if padded else kernel))
        pad = draw(st.integers(0, kernel - 1)) if padded else 0
        sides.append(draw(st.integers(max(1, kernel - 2 * pad), 17)))
        params |= {f"kernel_{side}": kernel, f"stride_{side}": stride, f"pad_{side}": pad}
        if padded and pad == 0 and stride > kernel:
            params[f"stride_{side}"] = kernel
    method = draw(st.sampled_from([MAX, AVE]))
    return one_pool(pool=method, **params), (1, 2, sides[0], sides[1])


@settings(max_examples=120, deadline=None)
@given(poolings())
def test_any_pooling_equals_caffes_loops(case: tuple[list[Layer], tuple[int, int, int, int]]) -> None:
    layers, dims = case
    image = pixels(*dims)
    with tempfile.TemporaryDirectory() as folder:
        ours = run_graph(built(Path(folder), layers, dims), image)
    assert_equal(ours, numpy_values(layers, image), layers, 1e-6)


@pytest.mark.parametrize("method", [MAX, AVE], ids=lambda word: word.text)
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad"),
    [(6, 3, 2, 0), (7, 3, 2, 0), (8, 3, 2, 1), (9, 3, 2, 1), (10, 5, 3, 2), (5, 2, 2, 1), (14, 5, 3, 0)],
)
def test_ceil_pooling_equals_opencvs(
    method: Word, size: int, kernel: int, stride: int, pad: int, tmp_path: Path
) -> None:
    layers, dims = one_pool(pool=method, kernel_size=kernel, stride=stride, pad=pad), (2, 3, size, size + 1)
    image = pixels(*dims)
    theirs = run_opencv(write(tmp_path, layers, dims), layers, image)
    assert_equal(run_graph(built(tmp_path, layers, dims), image), theirs, layers, 1e-6)


def test_the_last_window_of_an_average_divides_by_what_caffe_divides_by(tmp_path: Path) -> None:
    # 4 pixels, padded by 1: windows of 3 begin at -1, 1 and 3. The last one covers pixel 3, one
    # padding, and one place beyond that Caffe does not count: it divides by 2.
    image = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 1, 4)
    params = {"kernel_h": 1, "kernel_w": 3, "stride_h": 1, "stride_w": 2, "pad_h": 0, "pad_w": 1}
    model = built(tmp_path, one_pool(pool=AVE, **params), image.shape)
    np.testing.assert_allclose(run_graph(model, image)["pool"].ravel(), [1.0, 3.0, 2.0], rtol=1e-6)


def test_round_mode_floor_leaves_the_last_part_out(tmp_path: Path) -> None:
    image = pixels(1, 1, 6, 6)
    for mode in ({"round_mode": Word("FLOOR")}, {"ceil_mode": False}):
        model = built(tmp_path, one_pool(pool=MAX, kernel_size=3, stride=2, **mode), image.shape)
        pooled = run_graph(model, image)["pool"]
        assert pooled.shape == (1, 1, 2, 2)
        assert pooled[0, 0, 0, 0] == image[0, 0, :3, :3].max()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"pool": Word("STOCHASTIC"), "kernel_size": 2}, "pools at random"),
        ({"pool": MAX}, r"has the kernel nothing"),
        ({"kernel_size": 0}, "has the kernel 0"),
        ({"kernel_size": 3, "kernel_h": 3, "kernel_w": 3}, "gives its kernel both ways"),
        ({"kernel_h": 3}, "has the kernel 3"),
        ({"kernel_size": 2, "pad": 2}, "padding must be smaller"),
        ({"kernel_size": 20}, "would hold no pixel"),
        ({"kernel_size": 1, "stride": 7}, "would hold no pixel"),
        ({"kernel_size": 3, "global_pooling": True}, "takes one of them"),
        ({"kernel_size": 3, "stride": 10**30}, "a whole number was needed"),
        ({"kernel_size": 3, "stochastic": 1}, "stochastic is not known here"),
    ],
)
def test_a_pooling_that_cannot_be_says_why(params: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message) as raised:
        built(tmp_path, one_pool(**params), (1, 3, 9, 9))
    assert "deploy.prototxt, line " in str(raised.value)
