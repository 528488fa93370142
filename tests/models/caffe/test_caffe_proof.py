"""Whole Caffe networks, every blob: our graph against OpenCV's own Caffe reader and against NumPy."""

from __future__ import annotations

from pathlib import Path

import pytest

from fc7.models.caffe.graph import build_caffe_graph
from tests.support.models.caffe_files import Layer, alexnet, tensor_names
from tests.support.models.caffe_nets import googlenet, resnet, squeezenet
from tests.support.models.caffe_running import (
    assert_equal,
    built,
    numpy_values,
    pixels,
    run_graph,
    run_opencv,
    write,
)

CHANNELS, UNITS = (8, 16, 12, 12, 16), (32, 24, 10)
NETS: dict[str, tuple[list[Layer], tuple[int, ...]]] = {
    "alexnet": (alexnet(CHANNELS, UNITS), (2, 3, 227, 227)),
    "caffenet": (alexnet(CHANNELS, UNITS, pool_first=True), (2, 3, 227, 227)),
    # At 224 Caffe's rounding up and the usual rounding down part: 27, 13, 6 against 26, 12, 5.
    "alexnet at 224": (alexnet(CHANNELS, UNITS), (1, 3, 224, 224)),
    "googlenet": (googlenet(75), (2, 3, 75, 93)),
    "googlenet at 61": (googlenet(61), (2, 3, 61, 62)),
    "resnet": (resnet(), (2, 3, 50, 47)),
    "squeezenet": (squeezenet(), (2, 3, 57, 40)),
}


@pytest.mark.parametrize("name", NETS)
def test_every_blob_equals_opencvs(name: str, tmp_path: Path) -> None:
    layers, dims = NETS[name]
    image = pixels(*dims)
    files = write(tmp_path, layers, dims)
    theirs = run_opencv(files, layers, image)
    assert_equal(run_graph(build_caffe_graph(*files), image), theirs, layers)


@pytest.mark.parametrize("name", NETS)
def test_every_blob_equals_numpys(name: str, tmp_path: Path) -> None:
    layers, dims = NETS[name]
    image = pixels(*dims)
    ours = run_graph(built(tmp_path, layers, dims), image)
    assert_equal(ours, numpy_values(layers, image), layers)


@pytest.mark.parametrize("name", ["alexnet", "googlenet"])
def test_the_older_layer_messages_and_four_sized_blobs_give_the_same_graph(name: str, tmp_path: Path) -> None:
    layers, dims = NETS[name]
    today = built(tmp_path, layers, dims)
    assert built(tmp_path, layers, dims, version=1, legacy=True) == today
    image = pixels(*dims)
    files = write(tmp_path, layers, dims, version=1)
    if name == "googlenet":  # OpenCV reads V1 too, so the file itself is right
        assert_equal(run_graph(today, image), run_opencv(files, layers, image), layers)


def test_the_comparison_would_notice_swapped_layers(tmp_path: Path) -> None:
    layers, dims = NETS["alexnet"]
    image = pixels(*dims)
    ours = run_graph(built(tmp_path, layers, dims), image)
    scores = [layer for layer in layers if layer.name == "fc8"]
    with pytest.raises(AssertionError, match="fc8"):
        assert_equal(ours, numpy_values(NETS["caffenet"][0], image), scores)


def test_the_blobs_keep_their_caffe_names_and_the_last_one_is_the_output(tmp_path: Path) -> None:
    layers, dims = NETS["resnet"]
    model = built(tmp_path, layers, dims)
    made = {name for node in model.graph.node for name in node.output}
    assert set(tensor_names(layers).values()) <= made
    assert {"conv1", "conv1_pre", "conv1_pre2", "conv1_pre3"} <= made
    assert [value.name for value in model.graph.output] == ["prob"]
    assert [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == [
        "n", 3, 50, 47,
    ]  # fmt: skip
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
