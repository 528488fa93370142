"""Each Caffe layer against NumPy, and what a network that cannot be built says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fc7.models.caffe.graph import build_caffe_graph
from fc7.models.common.errors import WeightsError
from tests.support.models.caffe_files import Layer, Maker, Word, alexnet
from tests.support.models.caffe_running import assert_equal, built, numpy_values, pixels, run_graph, write
from tests.support.models.weights_files import safetensors

DIMS = (2, 6, 9, 7)
RNG = np.random.default_rng(11)


def numbers(*shape: int) -> Any:
    return RNG.uniform(0.3, 1.5, shape).astype(np.float32)


def layer(kind: str, params: dict[str, Any] | None = None, *blobs: Any, **others: Any) -> Layer:
    return Layer("it", kind, others.get("bottoms", ["data"]), ["out"], params or {}, list(blobs))


SINGLE = {
    "relu": layer("ReLU"),
    "leaky relu": layer("ReLU", {"negative_slope": 0.1}),
    "prelu": layer("PReLU", {}, numbers(6)),
    "prelu shared": layer("PReLU", {"channel_shared": True}, numbers(1)),
    "elu": layer("ELU", {"alpha": 0.5}),
    "sigmoid": layer("Sigmoid"),
    "tanh": layer("TanH"),
    "abs": layer("AbsVal"),
    "power": layer("Power", {"power": 2.0, "scale": 0.5, "shift": 3.0}),
    "power of nothing": layer("Power"),
    "lrn": layer("LRN", {"local_size": 3, "alpha": 0.02, "beta": 0.6, "k": 2.0}),
    "batch norm": layer("BatchNorm", {"eps": 0.001}, numbers(6), numbers(6), numbers(1)),
    "batch norm never trained": layer("BatchNorm", {"eps": 1.0}, numbers(6), numbers(6), numbers(1) * 0),
    "scale": layer("Scale", {}, numbers(6)),
    "scale and bias": layer("Scale", {"bias_term": True}, numbers(6), numbers(6)),
    "bias": layer("Bias", {}, numbers(6)),
    "softmax": layer("Softmax"),
    "softmax along rows": layer("Softmax", {"axis": 2}),
    "flatten": layer("Flatten"),
    "reshape": layer("Reshape", {"shape": {"dim": [0, 3, 18, 7]}}),
    "inner product": layer("InnerProduct", {"num_output": 4}, numbers(4, 378), numbers(4)),
    "inner product transposed": layer(
        "InnerProduct", {"num_output": 4, "transpose": True, "bias_term": False}, numbers(378, 4)
    ),
    "dropout": layer("Dropout", {"dropout_ratio": 0.5}),
    "convolution": layer(
        "Convolution", {"num_output": 4, "kernel_size": [3, 2], "stride": [2, 1], "pad": [1, 0], "group": 2},
        numbers(4, 3, 3, 2), numbers(4),
    ),
    "dilated convolution": layer(
        "Convolution", {"num_output": 4, "kernel_size": 3, "dilation": 2, "bias_term": False},
        numbers(4, 6, 3, 3),
    ),
    "convolution for each channel": layer(
        "Convolution", {"num_output": 6, "kernel_h": 1, "kernel_w": 3, "group": 6},
        numbers(6, 1, 1, 3), numbers(6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("inputs", ["input_dim", "input_shape", "layer"])
def test_a_layer_equals_numpys(name: str, inputs: str, tmp_path: Path) -> None:
    image = pixels(*DIMS) * np.float32(0.02)
    files = write(tmp_path, [SINGLE[name]], (1, *DIMS[1:]), inputs=inputs)
    ours = run_graph(build_caffe_graph(*files), image)
    theirs = numpy_values([SINGLE[name]], image)
    if name == "prelu shared":
        theirs["it"] = np.where(image > 0, image, image * SINGLE[name].blobs[0][0])
    assert ours["out"].shape == theirs["it"].shape
    assert_equal(ours, theirs, [SINGLE[name]], 1e-5)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"coeff": [1.0, -0.5, 2.0]},
        {"operation": Word("PROD")},
        {"operation": Word("MAX")},
        {"operation": Word("1"), "coeff": [1.0, 1.0, 1.0]},
    ],
    ids=str,
)
def test_eltwise_joins_three_blobs(params: dict[str, Any], tmp_path: Path) -> None:
    net = Maker(2)
    net.add("Power", "a", "data", scale=2.0)
    net.add("TanH", "b", "data")
    net.add("Eltwise", "joined", ["data", "a", "b"], **params)
    image = pixels(*DIMS) * np.float32(0.02)
    theirs = numpy_values(net.layers, image)
    assert_equal(run_graph(built(tmp_path, net.layers, DIMS), image), theirs, net.layers, 1e-5)


def test_squeeze_and_excitation_multiplies_maps_by_vectors(tmp_path: Path) -> None:
    net = Maker(4)
    net.add("Pooling", "mean", "data", pool=Word("AVE"), global_pooling=True)
    net.dense("gate", "mean", 6, 6)
    net.add("Sigmoid", "gate_sigmoid", "gate", "gate")
    net.add("Scale", "gated", ["data", "gate"], axis=0)
    image = pixels(*DIMS)
    theirs = numpy_values(net.layers, image)
    assert_equal(run_graph(built(tmp_path, net.layers, DIMS), image), theirs, net.layers)


def test_concat_joins_along_the_axis_that_is_named(tmp_path: Path) -> None:
    net = Maker(6)
    net.add("TanH", "b", "data")
    net.add("Concat", "rows", ["data", "b"], axis=2)
    net.add("Concat", "channels", ["rows", "rows"], concat_dim=1)
    net.layers[-1].params = {"concat_dim": 1}
    image = pixels(*DIMS)
    theirs = numpy_values(net.layers, image)
    ours = run_graph(built(tmp_path, net.layers, DIMS), image)
    assert ours["channels"].shape == (2, 12, 18, 7)
    assert_equal(ours, theirs, net.layers)


def test_split_and_silence_leave_the_numbers_alone(tmp_path: Path) -> None:
    split = Layer("split", "Split", ["data"], ["one", "two"])
    silence = Layer("quiet", "Silence", ["two"], [])
    model = built(tmp_path, [split, silence], DIMS)
    assert [value.name for value in model.graph.output] == ["one"]
    image = pixels(*DIMS)
    np.testing.assert_array_equal(run_graph(model, image)["two"], image)


def test_an_input_that_is_changed_in_place_goes_on_under_another_name(tmp_path: Path) -> None:
    net = Maker()
    net.add("Power", "centre", "data", "data", shift=-3.0)
    net.add("ReLU", "relu", "data", "positive")
    image = pixels(*DIMS)
    ours = run_graph(built(tmp_path, net.layers, DIMS), image)
    np.testing.assert_allclose(ours["data_"], image - 3, rtol=1e-5)
    np.testing.assert_allclose(ours["positive"], np.maximum(image - 3, 0), rtol=1e-5)


def test_layers_of_the_training_phase_are_left_out(tmp_path: Path) -> None:
    net = Maker()
    net.conv("conv1", "data", 6, 4, 3)
    for phase in ("TRAIN", "TEST"):
        twin = net.add("Power", f"power_{phase}", "conv1", "power", scale=2.0 if phase == "TEST" else 9.0)
        twin.extra = {"include": {"phase": Word(phase)}}
    net.add("Power", "loud", "power", scale=5.0).extra = {"exclude": {"phase": Word("TEST")}}
    net.add("Power", "staged", "power", scale=5.0).extra = {"include": {"stage": "deploy"}}
    image = pixels(*DIMS)
    ours = run_graph(built(tmp_path, net.layers, DIMS), image)
    assert set(ours) == {"conv1", "power"}
    np.testing.assert_allclose(ours["power"], ours["conv1"] * 2, rtol=1e-6)


def blobless(*names: str) -> list[Layer]:
    layers = alexnet((4, 4, 4, 4, 4), (3, 3, 3))
    for entry in layers:
        if entry.name in names:
            entry.blobs = []
    return layers


BROKEN = {
    "a layer without weights": (blobless("conv3"), r"layer conv3 .*shapes nothing, needed \(4, 4, 3, 3\)"),
    "an unknown layer": ([layer("Permute")], r"layer it \(Permute\): layers of this type are not read"),
    "a loss": ([layer("SoftmaxWithLoss")], "bring the network's deploy.prototxt"),
    "data": ([Layer("d", "Data", [], ["x"])], "bring the network's deploy.prototxt"),
    "an accuracy": ([layer("Accuracy")], "bring the network's deploy.prototxt"),
    "a missing blob": ([layer("ReLU", bottoms=["nowhere"])], "reads nowhere, which no layer before it makes"),
    "another depth": ([layer("InnerProduct", {"num_output": 4}, numbers(4, 9), numbers(4))],
                      r"\(4, 9\).*needed \(4, 378\), \(4,\)"),
    "no scale factor": ([layer("BatchNorm", {}, numbers(6), numbers(6))], r"needed \(6,\), \(6,\), \(1,\)"),
    "batch statistics": ([layer("BatchNorm", {"use_global_stats": False})], "one image has no batch"),
    "a within-channel norm": ([layer("LRN", {"norm_region": Word("WITHIN_CHANNEL")})], "ACROSS_CHANNELS"),
    "an even norm": ([layer("LRN", {"local_size": 4})], "an odd number"),
    "unequal blobs": ([Layer("p", "Pooling", ["data"], ["p"], {"kernel_size": 2}),
                       layer("Eltwise", bottoms=["data", "p"])], "they must be equal"),
    "blobs that cannot be joined": ([Layer("p", "Pooling", ["data"], ["p"], {"kernel_size": 2}),
                                     layer("Concat", bottoms=["data", "p"])], "do not fit"),
    "images joined with images": ([layer("Concat", {"axis": 0}, bottoms=["data", "data"])], "along axis 0"),
    "mixed images": ([layer("Reshape", {"shape": {"dim": [-1, 9]}})], "one image must stay together"),
    "a setting from elsewhere": ([layer("ReLU", {"clip": 6.0})], "clip is not known here"),
    "a blob made twice": ([layer("ReLU"), Layer("again", "TanH", ["data"], ["out"])], "makes already"),
    "one name twice": ([layer("Scale", {}, numbers(6)),
                        Layer("it", "Scale", ["out"], ["x"], {}, [numbers(6)])],
                       "twice with weights"),
    "groups that do not divide": ([layer("Convolution", {"num_output": 4, "kernel_size": 1, "group": 4})],
                                  "4 outputs and 6 input channels"),
    "a kernel too large": ([layer("Convolution", {"num_output": 1, "kernel_size": 12, "bias_term": False},
                                  numbers(1, 6, 12, 12))], "kernel is larger than its input"),
    "a map from a vector": ([layer("Flatten"), Layer("n", "LRN", ["out"], ["n"])], "a map of channels"),
    "not a number": ([layer("Scale", {}, numbers(6) * np.float32(np.nan))], "NaN or infinite"),
    "absurd padding": ([layer("Convolution", {"num_output": 1, "kernel_size": 1, "pad": 16384,
                              "bias_term": False}, numbers(1, 6, 1, 1))], "which no network has"),
    "scaling dropout": ([layer("Dropout", {"scale_train": False})], "scale_train: false"),
    "nothing": ([Layer("quiet", "Silence", ["data"], [])], "no layer computes anything"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_network_that_cannot_be_built_says_where_and_why(name: str, tmp_path: Path) -> None:
    layers, message = BROKEN[name]
    dims = (1, 3, 99, 99) if layers[0].name == "conv1" else (1, *DIMS[1:])
    with pytest.raises(WeightsError, match=message) as raised:
        built(tmp_path, layers, dims)
    assert "deploy.prototxt" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_and_mistaken_files_are_named(tmp_path: Path) -> None:
    weights, text = write(tmp_path, [SINGLE["relu"]], DIMS)
    with pytest.raises(WeightsError, match=r"gone\.caffemodel: cannot be read"):
        build_caffe_graph(tmp_path / "gone.caffemodel", text)
    with pytest.raises(WeightsError, match=r"gone\.prototxt: cannot be read"):
        build_caffe_graph(weights, tmp_path / "gone.prototxt")
    with pytest.raises(WeightsError, match="bytes of a format that is not known"):
        build_caffe_graph(text, text)
    weights.write_bytes(safetensors({}))
    with pytest.raises(WeightsError, match=r"of the format safetensors; .*with a \.caffemodel"):
        build_caffe_graph(weights, text)
