"""Half precision: the same features, and nothing that overflows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from fc7.extract.engine.engine import nvidia_driver
from fc7.extract.engine.providers import CPU, Candidate
from fc7.extract.engine.session import Session, open_session
from fc7.extract.options import RunOptions
from fc7.extract.records import Features
from fc7.models.common.errors import ProviderError
from fc7.models.graph.files import save_graph
from fc7.models.graph.half import half
from fc7.models.graph.layers import layers_of
from fc7.models.graph.prepare import runnable
from fc7.models.network.spec import NetworkSpec, caffe_preprocess

SIDE = 24
NODE = helper.make_node


def network(folder: Path) -> tuple[Path, NetworkSpec]:
    """Convolution, LRN, pooling, two branches, BatchNormalization, a product: what AlexNets and others have.

    The responses of conv1 are about 1500, and their squares 2e6: more than half precision holds.
    """
    rng = np.random.default_rng(3)
    arrays = {
        "w1": 20 * rng.normal(0, 0.1, (8, 3, 5, 5)),
        "b1": rng.normal(0, 1, 8),
        "w2": rng.normal(0, 0.1, (6, 4, 3, 3)),
        "w3": rng.normal(0, 0.3, (6, 8, 1, 1)),
        "scale": rng.uniform(0.5, 2, 12),
        "shift": rng.normal(0, 1, 12),
        "mean": rng.normal(0, 1, 12),
        "var": rng.uniform(0.5, 2, 12),
        "w4": rng.normal(0, 0.1, (16, 12 * 25)),
        "b4": rng.normal(0, 1, 16),
    }
    nodes = [
        NODE("Conv", ["x", "w1", "b1"], ["conv1"], strides=[2, 2]),
        NODE("Relu", ["conv1"], ["relu1"]),
        NODE("LRN", ["relu1"], ["norm1"], size=5, alpha=1e-4, beta=0.75, bias=1.0),
        NODE("MaxPool", ["norm1"], ["pool1"], kernel_shape=[2, 2], strides=[2, 2]),
        NODE("Conv", ["pool1", "w2"], ["left"], group=2, pads=[1, 1, 1, 1]),
        NODE("Conv", ["pool1", "w3"], ["right"]),
        NODE("Concat", ["left", "right"], ["both"], axis=1),
        NODE("BatchNormalization", ["both", "scale", "shift", "mean", "var"], ["normal"]),
        NODE("Relu", ["normal"], ["relu2"]),
        NODE("Flatten", ["relu2"], ["flat"]),
        NODE("Gemm", ["flat", "w4", "b4"], ["fc"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("fc", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    # Before saving moves the arrays out of the graph: layers are known by what they compute.
    spec = NetworkSpec("small", "onnx", caffe_preprocess(SIDE, SIDE), tuple(layers_of(model)), "fc")
    save_graph(model, folder)
    return folder / "network.onnx", spec


def pixels(n: int = 16) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)


def least_cosine(a: Features, b: Features) -> float:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a.astype(np.float64) * b).sum(1) / lengths).min())


class InHalf(Session):
    """What a GPU is handed, computed by the CPU provider: it rounds to half where the graph says so."""

    def __init__(self, path: Path, spec: NetworkSpec, layers: list[str]) -> None:
        from fc7.extract.engine.engine import Sharing, open_engine

        prepared = runnable(path, spec, layers, fp16=True)
        super().__init__(
            lambda batch: (
                open_engine(
                    lambda _: prepared,
                    "small",
                    [Candidate(CPU, "fp32", "cpu: as asked")],
                    batch_size=lambda _: batch or 16,
                    sharing=Sharing(1, 1),
                ),
                lambda: None,
            ),
            prepared,
            layers,
            16,
            lambda note: None,
        )


def test_features_in_half_precision_point_the_same_way(tmp_path: Path) -> None:
    path, spec = network(tmp_path)
    layers = ["relu1", "norm1", "relu2", "fc"]
    single = open_session(path, spec, layers, RunOptions(device="cpu")).run(pixels())
    # What LRN squares would not fit into half precision: it must have been squared in single.
    assert single["relu1"].max() > 256
    halved = InHalf(path, spec, layers).run(pixels())
    for layer in layers:
        assert halved[layer].dtype == np.float32
        assert least_cosine(halved[layer], single[layer]) > 0.9999
        # Ten bits of mantissa were rounded somewhere, or nothing was tested.
        assert not np.array_equal(halved[layer], single[layer])


def test_convolutions_read_halves_and_lrn_reads_singles(tmp_path: Path) -> None:
    path, _ = network(tmp_path)
    from fc7.models.graph.files import load_graph

    nodes = half(load_graph(path)).graph.node
    made = {node.output[0]: node for node in nodes}
    to = {name: node.attribute[0].i for name, node in made.items() if node.op_type == "Cast"}
    for node in nodes:
        if node.op_type in ("Conv", "Gemm"):
            assert {to[name] for name in node.input if name in to} <= {TensorProto.FLOAT16}
            assert to[node.input[1]] == TensorProto.FLOAT16
        if node.op_type == "LRN":
            assert to[node.input[0]] == TensorProto.FLOAT


def test_a_network_with_branches_is_refused() -> None:
    then = helper.make_graph(
        [NODE("Identity", ["x"], ["a"])], "then", [], [helper.make_empty_tensor_value_info("a")]
    )
    other = helper.make_graph(
        [NODE("Neg", ["x"], ["b"])], "else", [], [helper.make_empty_tensor_value_info("b")]
    )
    graph = helper.make_graph(
        [NODE("If", ["yes"], ["y"], then_branch=then, else_branch=other)],
        "branches",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 4])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.array(True), "yes")],
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ProviderError, match="--precision fp32"):
        half(model)


@pytest.mark.skipif(not nvidia_driver(), reason="no NVIDIA driver")
def test_on_a_gpu_features_are_those_of_the_cpu(tmp_path: Path) -> None:
    path, spec = network(tmp_path)
    cpu = open_session(path, spec, ["fc"], RunOptions(device="cpu", precision="fp32")).run(pixels())["fc"]
    gpu = open_session(path, spec, ["fc"], RunOptions(device="cuda", precision="fp32")).run(pixels())["fc"]
    np.testing.assert_allclose(gpu, cpu, rtol=1e-3, atol=1e-3 * float(np.abs(cpu).max()))
    fp16 = open_session(path, spec, ["fc"], RunOptions(device="cuda", precision="fp16")).run(pixels())["fc"]
    assert least_cosine(fp16, cpu) >= 0.9999
