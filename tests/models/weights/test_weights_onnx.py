"""AlexNets out of ONNX files, whatever their exporter calls and stores things."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from fc7.models.common.errors import WeightsError
from fc7.models.network.architectures import ARCHITECTURES, Conv, Dense, MaxPool, Norm
from fc7.models.weights.onnx_file import OnnxAlexNet, OtherGraph, read_onnx
from tests.support import ROOT
from tests.support.models import weights_files as wf
from tests.support.models.weights_onnx_files import Dialect, alexnet

NETWORKS = ROOT / ".." / "shared" / "networks"
ZOO = Dialect()


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def read(folder: Path, model: onnx.ModelProto) -> OnnxAlexNet:
    found = read_onnx(saved(folder, model))
    assert isinstance(found, OnnxAlexNet), found
    return found


def reason(folder: Path, model: onnx.ModelProto) -> str:
    found = read_onnx(saved(folder, model))
    assert isinstance(found, OtherGraph)
    return found.reason


def same(found: Any, expected: wf.Weights) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert found[key].dtype == np.float32
        assert found[key].flags.c_contiguous
        assert found[key].shape == array.shape
        assert found[key].tobytes() == array.tobytes()


DIALECTS = {
    "zoo": ZOO,
    "weights listed as inputs": Dialect(weights_as_inputs=True),
    "constant nodes": Dialect(hold="constant"),
    "transposed initializers": Dialect(hold="transpose"),
    "reshaped initializers": Dialect(hold="reshape"),
    "behind Identity": Dialect(hold="identity"),
    "Gemm without transB": Dialect(dense="gemm"),
    "MatMul and Add": Dialect(dense="matmul"),
    "MatMul of a transposed initializer": Dialect(dense="matmul", hold="transpose"),
    "bias added after Conv": Dialect(conv_bias="add"),
    "dense layers as Conv": Dialect(dense="conv"),
    "torchvision": Dialect(
        order="pool",
        conv1=(4, 2),
        pool={},
        flatten=[("AveragePool", {"kernel_shape": [1, 1]}), ("Flatten", {"axis": 1}), ("Identity", {})],
        end=(),
    ),
    "caffenet": Dialect(order="pool, norm"),
    "the best five at the end": Dialect(end=[("Softmax", {}), ("Identity", {}), ("Elu", {})]),
    "cast at the front": Dialect(front=[("Cast", {"to": TensorProto.FLOAT}), ("Identity", {})]),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_the_weights_are_bit_identical_in_every_dialect(tmp_path: Path, name: str) -> None:
    weights = wf.small_weights()
    same(read(tmp_path, alexnet(weights, DIALECTS[name])).arrays, weights)


@pytest.mark.parametrize("hold", ["initializer", "constant", "cast"])
@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_float_types_become_float32(tmp_path: Path, hold: Any, kind: Any) -> None:
    weights = {key: array.astype(np.float16) for key, array in wf.small_weights().items()}
    model = alexnet({key: array.astype(kind) for key, array in weights.items()}, Dialect(hold=hold))
    same(read(tmp_path, model).arrays, {key: array.astype(np.float32) for key, array in weights.items()})


def test_bfloat16_initializers_become_float32(tmp_path: Path) -> None:
    weights = wf.small_weights()
    model = alexnet(weights)
    for tensor in model.graph.initializer:
        halves = (numpy_helper.to_array(tensor).view(np.uint32) >> 16).astype(np.uint16)
        tensor.data_type, tensor.raw_data = TensorProto.BFLOAT16, halves.tobytes()
    cut = {k: (a.view(np.uint32) & 0xFFFF0000).view(np.float32) for k, a in weights.items()}
    same(read(tmp_path, model).arrays, cut)


def test_numbers_stored_one_by_one_are_read(tmp_path: Path) -> None:
    """Old exporters fill `float_data` instead of `raw_data`."""
    weights = wf.small_weights()
    model = alexnet(weights)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).reshape(-1).tolist()
        tensor.ClearField("raw_data")
        tensor.float_data.extend(values)
    same(read(tmp_path, model).arrays, weights)


@pytest.mark.parametrize(
    ("order", "between"),
    [
        ("norm, pool", lambda i: (Norm(f"norm{i}"), MaxPool(f"pool{i}"))),
        ("pool, norm", lambda i: (MaxPool(f"pool{i}"), Norm(f"norm{i}"))),
        ("pool", lambda i: (MaxPool(f"pool{i}"),)),
    ],
)
def test_the_plan_tells_what_comes_first(tmp_path: Path, order: Any, between: Any) -> None:
    found = read(tmp_path, alexnet(wf.small_weights(), Dialect(order=order, conv1=(4, 2))))
    assert found.steps == (
        Conv("conv1", 4, kernel=3, stride=4, pad=2),
        *between(1),
        Conv("conv2", 6, kernel=3, pad=2, group=2),
        *between(2),
        Conv("conv3", 4, kernel=3, pad=1),
        Conv("conv4", 4, kernel=3, pad=1, group=2),
        Conv("conv5", 4, kernel=3, pad=1, group=2),
        MaxPool("pool5"),
        Dense("fc6", 8),
        Dense("fc7", 7),
        Dense("fc8", 5),
    )


def test_layers_without_a_bias_have_one_of_zeros(tmp_path: Path) -> None:
    weights = wf.small_weights()
    model = alexnet(weights)
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            del node.input[2]
    same(
        read(tmp_path, model).arrays,
        {key: a if key.endswith("weight") else np.zeros_like(a) for key, a in weights.items()},
    )


@pytest.mark.parametrize("last", ["conv1", "conv4", "fc7"])
def test_a_trunk_is_read_as_far_as_it_goes(tmp_path: Path, last: str) -> None:
    weights = wf.small_weights()
    keys = list(weights)
    trunk = {key: weights[key] for key in keys[: keys.index(f"{last}.bias") + 1]}
    same(read(tmp_path, alexnet(trunk)).arrays, trunk)


OTHERS = {
    "its own mean": (replace(ZOO, front=[("Neg", {})]), "it has Neg before its first layer"),
    "NHWC": (replace(ZOO, front=[("Transpose", {"perm": [0, 3, 1, 2]})]), "it has Transpose before"),
    "MATLAB": (replace(ZOO, producer="MATLAB Deep Learning Toolbox Converter"), "MATLAB's networks take RGB"),
    "other LRN": (replace(ZOO, norm={**ZOO.norm, "alpha": 2e-5}), "normalises by other constants"),
    "other pool": (replace(ZOO, pool={"kernel_shape": [2, 2]}), "pools otherwise than 3x3 by 2"),
    "padded pool": (replace(ZOO, pool={"pads": [1, 1, 1, 1]}), "pools otherwise"),
    "another map": (
        replace(ZOO, flatten=[("AveragePool", {"kernel_shape": [2, 2]})]),
        "it has AveragePool after",
    ),
    "NHWC map": (
        replace(ZOO, flatten=[("Transpose", {"perm": [0, 2, 3, 1]})]),
        "it has Transpose after pool5",
    ),
    "SAME pool": (replace(ZOO, pool={"auto_pad": "SAME_UPPER"}), "a rule that depends on the image's size"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_graph_that_computes_something_else_is_no_alexnet_of_ours(tmp_path: Path, name: str) -> None:
    dialect, message = OTHERS[name]
    assert message in reason(tmp_path, alexnet(wf.small_weights(), dialect))


def test_a_missing_relu_a_branch_and_a_learned_bias_are_noticed(tmp_path: Path) -> None:
    model = alexnet(wf.small_weights())
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "Identity"
    assert reason(tmp_path, model) == "no ReLU follows conv1"
    relu.op_type = "LeakyRelu"
    assert reason(tmp_path, model) == "it has LeakyRelu after conv1"
    relu.op_type = "Relu"
    model.graph.node.add(op_type="Elu", input=[relu.output[0]], output=["other"])
    assert "it branches after" in reason(tmp_path, model)
    model = alexnet(wf.small_weights())
    model.graph.node[0].input[2] = "computed"
    assert reason(tmp_path, model) == "the bias of conv1 is not a constant of its size"


@pytest.mark.parametrize("shape", [(4,), (1, 1, 1, 4), (4, 1), (1,)])
def test_an_add_along_another_axis_is_no_bias(tmp_path: Path, shape: tuple[int, ...]) -> None:
    model = alexnet(wf.small_weights(), Dialect(conv_bias="add"))
    name = next(node for node in model.graph.node if node.op_type == "Add").input[1]
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    bias.CopyFrom(numpy_helper.from_array(np.ones(shape, np.float32), name))
    assert reason(tmp_path, model) == "the bias of conv1 is not a constant of its size"


def test_shape_arithmetic_beside_the_image_is_no_branch(tmp_path: Path) -> None:
    weights = wf.small_weights()
    model = alexnet(weights)
    flatten = next(node for node in model.graph.node if node.op_type == "Flatten")
    model.graph.node.add(op_type="Shape", input=[flatten.input[0]], output=["size"])
    flatten.op_type = "Reshape"
    flatten.input.append("size")
    same(read(tmp_path, model).arrays, weights)


def test_a_circle_in_the_graph_ends(tmp_path: Path) -> None:
    model = alexnet({key: a for key, a in wf.small_weights().items() if key.startswith("conv1")})
    model.graph.node.add(op_type="Identity", input=[model.graph.node[-1].output[0]], output=["circle"])
    model.graph.node.add(op_type="Identity", input=["circle"], output=[model.graph.node[0].output[0]])
    assert isinstance(read_onnx(saved(tmp_path, model)), OnnxAlexNet | OtherGraph)


def test_arrays_that_claim_the_impossible_are_refused(tmp_path: Path) -> None:
    for dims in ([1 << 60], [-1, 3, 3, 3], [1 << 32, 1 << 32], [1] * 20):
        model = alexnet(wf.small_weights())
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)
        with pytest.raises(WeightsError, match="an array of an absurd shape"):
            read_onnx(saved(tmp_path, model))
    model = alexnet(wf.small_weights())
    model.graph.initializer[0].dims[0] += 1
    with pytest.raises(
        WeightsError, match=r"array w0 does not hold the 540 bytes of its shape \(5, 3, 3, 3\)"
    ):
        read_onnx(saved(tmp_path, model))


def test_quantised_weights_are_not_taken_for_numbers(tmp_path: Path) -> None:
    model = alexnet(wf.small_weights())
    model.graph.initializer[0].data_type = TensorProto.INT8
    assert "not a constant of 4 dimensions" in reason(tmp_path, model)


def test_a_file_of_two_gibibytes_is_named_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.onnx"
    with path.open("wb") as stream:
        stream.truncate(1 << 31)
    with pytest.raises(WeightsError, match=r"cannot have 2 GiB or more.*save_as_external_data=True"):
        read_onnx(path)


def test_the_shared_trunk_is_a_bvlc_alexnet_and_the_other_networks_are_none() -> None:
    if not NETWORKS.is_dir():
        pytest.skip("../shared is not here")
    path = NETWORKS / "alexnet-bvlc-pq-to-pool5.onnx"
    found = read_onnx(path)
    assert isinstance(found, OnnxAlexNet)
    assert found.steps == ARCHITECTURES["alexnet"].steps[: len(found.steps)]
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load_model(str(path)).graph.initializer}
    for key, array in found.arrays.items():
        layer, _, kind = key.partition(".")
        np.testing.assert_array_equal(array, tensors[f"{layer}_{kind[0]}"])
    for name in ("googlenet-bvlc", "squeezenet1.1", "squeezenet1.1-fp16-batch1"):
        other = read_onnx(NETWORKS / f"{name}.onnx")
        assert isinstance(other, OtherGraph)
        assert "it branches after" in other.reason
