"""Network and head as one graph: the numbers of the two run one after the other, whatever the graphs are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from fc7.models.common.errors import WeightsError
from fc7.models.graph import fusion
from fc7.models.graph.fusion import fuse, write_model
from fc7.models.graph.pixels import pixels_in
from fc7.models.graph.surgery import cut
from fc7.models.graph.vectors import vectors_out
from fc7.models.network.spec import LayerSpec
from tests.support.models.small_graphs import NODE, PLAIN, images, model, trunk

DIM, CLASSES = 64, 3


def small_head(opset: int = 13) -> bytes:
    """``features`` -> ``label``, ``probabilities``; its inner names are what a network may use as well."""
    rng = np.random.default_rng(1)
    arrays = {"conv_w": rng.normal(0, 0.05, (CLASSES, DIM)), "scale": np.array(0.5)}
    graph = helper.make_graph(
        [
            NODE("Cast", ["features"], ["relu"], to=TensorProto.DOUBLE),
            NODE("Gemm", ["relu", "conv_w"], ["conv"], transB=1),
            NODE("Mul", ["conv", "scale"], ["pool"]),
            NODE("ArgMax", ["pool"], ["label"], axis=1, keepdims=0),
            NODE("Softmax", ["pool"], ["prob"], axis=1),
            NODE("Cast", ["prob"], ["probabilities"], to=TensorProto.FLOAT),
        ],
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", DIM])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES]),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


def layer(tensor: str) -> LayerSpec:
    return LayerSpec(tensor, tensor, (DIM,), "")


def ready(made: ModelProto, tensor: str = "pool") -> ModelProto:
    """As `models.graph.prepare.prepared` gives a network."""
    return vectors_out(pixels_in(cut(made, [tensor]), PLAIN), {"layer": layer(tensor)}, "flatten")


def run(data: bytes, feeds: dict[str, NDArray[Any]], outputs: list[str]) -> dict[str, NDArray[Any]]:
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return dict(zip(outputs, session.run(outputs, feeds), strict=True))


def one_after_the_other(network: ModelProto, x: NDArray[np.uint8], crops: int = 1) -> dict[str, NDArray[Any]]:
    session = ort.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = session.run(None, {session.get_inputs()[0].name: x})[0]
    rows = rows.reshape(-1, crops, DIM).mean(1, dtype=np.float32)
    return run(small_head(), {"features": rows}, ["label", "probabilities"])


def fused_answers(
    network: ModelProto, tmp_path: Path, x: NDArray[np.uint8], **options: Any
) -> tuple[ModelProto, dict[str, NDArray[Any]]]:
    fused = fuse(network, tmp_path, small_head(), ["label", "probabilities"], **options)
    path = tmp_path / "full.onnx"
    written = write_model(fused, path, {"classes": "[]"})
    onnx.checker.check_model(str(path), full_check=True)
    loaded = onnx.load(str(path))
    assert {(e.key, e.value) for e in loaded.metadata_props} == {("classes", "[]")}
    return loaded, run(path.read_bytes(), {"images": x}, list(written.outputs))


def same(found: dict[str, NDArray[Any]], wanted: dict[str, NDArray[Any]]) -> None:
    np.testing.assert_array_equal(found["label"], wanted["label"])
    np.testing.assert_allclose(found["probabilities"], wanted["probabilities"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("opset", [7, 9, 11, 12, 13, 17, 18, 21, 23])
def test_graphs_of_every_operator_set_become_one(opset: int, tmp_path: Path) -> None:
    made = model(trunk(), outputs=["pool"], opset=opset)
    x = images(5)
    wanted = one_after_the_other(ready(made), x)
    assert wanted["probabilities"].std(axis=0).min() > 0.01
    loaded, found = fused_answers(ready(made), tmp_path, x)
    same(found, wanted)
    assert [entry.version for entry in loaded.opset_import] == [max(opset, 13)]


def test_names_of_the_network_never_meet_those_of_the_head(tmp_path: Path) -> None:
    """Its input is called images, its arrays and tensors as the head's outputs and inner values."""
    names = {
        "data": "images",
        "conv_w": "label",
        "conv_b": "scale",
        "conv": "features",
        "relu": "probabilities",
    }
    made = model(trunk(), outputs=["pool"])
    wanted = one_after_the_other(ready(made), images(4))
    for node in made.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*made.graph.initializer, *made.graph.input):
        value.name = names.get(value.name, value.name)
    _, found = fused_answers(ready(made), tmp_path, images(4))
    same(found, wanted)


def test_what_a_sub_graph_reads_from_outside_is_renamed_with_it(tmp_path: Path) -> None:
    def branch(op: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(f"{op} out", TensorProto.FLOAT, None)
        return helper.make_graph([NODE(op, ["relu", "bias"], [f"{op} out"])], op, [], [out])

    nodes = [
        *trunk()[:2],
        NODE("If", ["yes"], ["chosen"], then_branch=branch("Add"), else_branch=branch("Mul")),
        NODE("MaxPool", ["chosen"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    bias = np.linspace(0, 9, 4, dtype=np.float32).reshape(1, 4, 1, 1)
    made = model(nodes, outputs=["pool"], arrays={"yes": np.array(True)})
    made.graph.initializer.append(numpy_helper.from_array(bias, "bias"))
    network = vectors_out(pixels_in(made, PLAIN), {"layer": layer("pool")}, "flatten")
    wanted = one_after_the_other(network, images(4))
    _, found = fused_answers(network, tmp_path, images(4))
    same(found, wanted)


def test_functions_of_the_network_are_written_out(tmp_path: Path) -> None:
    twice = helper.make_function(
        "own", "Twice", ["x"], ["y"], [NODE("Add", ["x", "x"], ["y"])], [helper.make_opsetid("", 12)]
    )
    nodes = [*trunk()[:2], NODE("Twice", ["relu"], ["twice"], domain="own")]
    nodes.append(NODE("MaxPool", ["twice"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]))
    made = model(nodes, outputs=["pool"], opset=12)
    made.opset_import.append(helper.make_opsetid("own", 1))
    made.functions.append(twice)
    network = vectors_out(pixels_in(made, PLAIN), {"layer": layer("pool")}, "flatten")
    wanted = one_after_the_other(network, images(4))
    _, found = fused_answers(network, tmp_path, images(4))
    same(found, wanted)


def test_ten_rows_of_an_image_are_averaged(tmp_path: Path) -> None:
    made, x = model(trunk(), outputs=["pool"]), images(30)
    wanted = one_after_the_other(ready(made), x, crops=10)
    loaded, found = fused_answers(ready(made), tmp_path, x, crops=10)
    same(found, wanted)
    assert found["label"].shape == (3,)
    assert [
        v.type.tensor_type.shape.dim[0].dim_param for v in (loaded.graph.input[0], loaded.graph.output[0])
    ] == [
        "n_crops",
        "n",
    ]


@pytest.mark.parametrize(("batch", "crops", "out"), [(1, 1, 1), (4, 1, 4), (20, 10, 2)])
def test_a_network_bound_to_a_batch_gives_a_file_bound_to_it(
    batch: int, crops: int, out: int, tmp_path: Path
) -> None:
    made = model(trunk(), outputs=["pool"], shape=(batch, 3, 8, 8))
    x = images(batch)
    wanted = one_after_the_other(ready(made), x, crops)
    loaded, found = fused_answers(ready(made), tmp_path, x, crops=crops)
    same(found, wanted)
    assert loaded.graph.input[0].type.tensor_type.shape.dim[0].dim_value == batch
    assert loaded.graph.output[1].type.tensor_type.shape.dim[0].dim_value == out


def test_ten_crops_that_do_not_fit_into_the_batch_are_refused(tmp_path: Path) -> None:
    made = model(trunk(), outputs=["pool"], shape=(4, 3, 8, 8))
    with pytest.raises(WeightsError, match=r"bound to batches of 4, and the 10 crops .* --crops 1"):
        fuse(ready(made), tmp_path, small_head(), ["label"], crops=10)


def test_labels_as_texts(tmp_path: Path) -> None:
    names = ["a\nb", "<i>", "普通話"]
    made, x = model(trunk(), outputs=["pool"]), images(6)
    _, found = fused_answers(ready(made), tmp_path, x, names=names)
    assert found["name"].tolist() == [names[i] for i in found["label"]]


def test_arrays_beyond_one_file_go_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, x = model(trunk(), outputs=["pool"]), images(3)
    wanted = one_after_the_other(ready(made), x)
    monkeypatch.setattr(fusion, "_LARGEST_FILE", 100)
    fused = fuse(ready(made), tmp_path, small_head(), ["label", "probabilities"])
    written = write_model(fused, tmp_path / "full.onnx", {})
    assert [file.name for file in written.files] == ["full.onnx", "full.onnx.data"]
    assert written.files[1].stat().st_size >= CLASSES * DIM * 8
    session = ort.InferenceSession(str(tmp_path / "full.onnx"), providers=["CPUExecutionProvider"])
    same(dict(zip(["label", "probabilities"], session.run(None, {"images": x}), strict=True)), wanted)


def test_operators_of_another_domain_stay_as_they_are(tmp_path: Path) -> None:
    nodes = [*trunk()[:2], NODE("Gelu", ["relu"], ["gelu"], domain="com.microsoft")]
    nodes.append(NODE("MaxPool", ["gelu"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]))
    made = model(nodes, outputs=["pool"], opset=12)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    network = vectors_out(pixels_in(made, PLAIN), {"layer": layer("pool")}, "flatten")
    wanted = one_after_the_other(network, images(4))
    _, found = fused_answers(network, tmp_path, images(4))
    same(found, wanted)


def test_a_graph_that_cannot_be_converted_says_what_to_do() -> None:
    # Of today's operators the converter can raise every one; down from 13 it knows no way for a Cast.
    head = onnx.load_model_from_string(small_head())
    with pytest.raises(WeightsError, match=r"cannot be raised from operator set 13 to 12.*No Adapter.*Cast"):
        fusion._raised(head, 12)
