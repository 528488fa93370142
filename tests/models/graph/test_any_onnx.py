"""ONNX graphs of every form that exporters write: imported, run, and equal to onnx's own evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fc7.extract.engine.importing import import_network
from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.store.importing import ImportOptions
from fc7.models.store.store import StoredNetwork
from tests.support.models.small_graphs import (
    NODE,
    PLAIN,
    SIZE,
    by_itself,
    close,
    head,
    images,
    model,
    run,
    trunk,
    write,
)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))


def imported(made: onnx.ModelProto, folder: Path, layer: str = "pool") -> StoredNetwork:
    return import_network(write(made, folder), "net", ImportOptions(preprocess=PLAIN, layer=layer))


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 21])
def test_every_opset_from_7_on_gives_what_onnx_computes(tmp_path: Path, opset: int) -> None:
    made = model(opset=opset)
    stored = imported(made, tmp_path)
    found = run(stored, ["pool", "scores", "prob"], images())
    for tensor, wanted in by_itself(made, ["pool", "scores", "prob"], images()).items():
        close(found[tensor], wanted)


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [(TensorProto.FLOAT, 1e-5), (TensorProto.FLOAT16, 4e-3)],
    ids=["float32", "float16"],
)
@pytest.mark.parametrize("batch", [1, "N", None])
def test_floating_inputs_of_any_batch(
    tmp_path: Path, kind: int, tolerance: float, batch: int | str | None
) -> None:
    made = model(kind=kind, shape=(batch, 3, SIZE, SIZE))
    found = run(imported(made, tmp_path), ["pool", "prob"], images(), 2)
    for tensor, wanted in by_itself(made, ["pool", "prob"], images()).items():
        close(found[tensor], wanted, tolerance)


def test_a_uint8_network_is_fed_the_pixels_and_its_mean_is_its_own(tmp_path: Path) -> None:
    nodes = [NODE("Cast", ["data"], ["float"], to=TensorProto.FLOAT), *trunk("float"), *head()]
    made = model(nodes, outputs=["prob"])
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    notes: list[str] = []
    from fc7.models.network.spec import torch_preprocess

    stored = import_network(
        write(made, tmp_path),
        "net",
        ImportOptions(preprocess=torch_preprocess(), layer="pool"),
        notify=notes.append,
    )
    assert stored.spec.preprocess.mean == (0.0, 0.0, 0.0)
    assert "takes uint8 pixels" in "".join(notes)
    close(run(stored, ["prob"], images())["prob"], by_itself(made, ["prob"], images())["prob"])


def test_a_float64_network_is_fed_float64(tmp_path: Path) -> None:
    nodes = [NODE("Cast", ["data"], ["float"], to=TensorProto.FLOAT), *trunk("float"), *head()]
    made = model(nodes)
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    close(
        run(imported(made, tmp_path), ["prob"], images())["prob"], by_itself(made, ["prob"], images())["prob"]
    )


@pytest.mark.parametrize("kind", [TensorProto.BFLOAT16, TensorProto.INT8, TensorProto.STRING])
def test_other_input_types_are_named(tmp_path: Path, kind: int) -> None:
    made = model()
    made.graph.input[0].type.tensor_type.elem_type = kind
    with pytest.raises(WeightsError, match=rf"type {TensorProto.DataType.Name(kind)}; float32"):
        imported(made, tmp_path)


def tensorflow_like() -> onnx.ModelProto:
    """NHWC in, a Transpose to convolve, and back again for what follows."""
    nodes = [
        NODE("Transpose", ["data"], ["chw"], perm=[0, 3, 1, 2]),
        *trunk("chw"),
        NODE("Transpose", ["pool"], ["hwc"], perm=[0, 2, 3, 1]),
        NODE("Add", ["hwc", "one"], ["shifted"]),
    ]
    return model(
        nodes, shape=("N", SIZE, SIZE, 3), outputs=["shifted"], arrays={"one": np.ones(4, np.float32)}
    )


def test_channels_last_maps_are_flattened_in_their_own_order(tmp_path: Path) -> None:
    made = tensorflow_like()
    stored = imported(made, tmp_path, "shifted")
    wanted = by_itself(made, ["pool", "shifted"], images(), last=True)
    found = run(stored, ["pool", "shifted"], images())
    close(found["pool"], wanted["pool"])
    close(found["shifted"], wanted["shifted"])
    assert stored.spec.layer("shifted").shape == (4, 4, 4)
    assert [layer.name for layer in stored.spec.layers if layer.channels_last] == ["hwc", "shifted"]


@pytest.mark.parametrize("pool", ["avg", "max"])
def test_channels_last_maps_are_pooled_over_their_pixels(tmp_path: Path, pool: str) -> None:
    nodes = [
        NODE("Transpose", ["data"], ["chw"], perm=[0, 3, 1, 2]),
        NODE("Conv", ["chw", "conv_w", "conv_b"], ["conv"], strides=[2, 1]),
        NODE("Transpose", ["conv"], ["hwc"], perm=[0, 2, 3, 1]),
    ]
    made = model(nodes, shape=("N", SIZE, SIZE, 3), outputs=["hwc"])
    stored = import_network(
        write(made, tmp_path),
        "net",
        ImportOptions(preprocess=PLAIN, layer="hwc", pool="avg" if pool == "avg" else "max"),
    )
    raw = by_itself(made, ["hwc"], images(), last=True)["hwc"].reshape(3, 3, 6, 4)
    found = run(stored, ["hwc"], images())["hwc"]
    assert stored.spec.layer("hwc").dim(stored.spec.pool) == 4
    close(found, raw.mean((1, 2)) if pool == "avg" else raw.max((1, 2)))


@pytest.mark.parametrize("name", ["images", "images_0_cast", "features"])
def test_an_input_may_be_called_as_our_own_are(tmp_path: Path, name: str) -> None:
    made = model([*trunk(name)], outputs=["pool"])
    made.graph.input[0].name = name
    found = run(imported(made, tmp_path), ["pool"], images())
    close(found["pool"], by_itself(made, ["pool"], images())["pool"])


def test_height_and_width_left_free_become_the_crop(tmp_path: Path) -> None:
    made = model(trunk(), shape=("N", 3, "H", "W"), outputs=["pool"])
    stored = imported(made, tmp_path)
    assert stored.spec.layer("pool").shape == (4, 4, 4)
    close(run(stored, ["pool"], images())["pool"], by_itself(made, ["pool"], images())["pool"])


def test_a_fully_free_input_is_told_channels_last_by_its_transpose(tmp_path: Path) -> None:
    made = tensorflow_like()
    for dim in made.graph.input[0].type.tensor_type.shape.dim:
        dim.Clear()
    stored = imported(made, tmp_path, "shifted")
    wanted = by_itself(made, ["shifted"], images(), last=True)["shifted"]
    close(run(stored, ["shifted"], images())["shifted"], wanted)


def test_weights_listed_as_inputs_as_in_old_files(tmp_path: Path) -> None:
    made = model(listed=True, ir=3, opset=7)
    assert len(made.graph.input) == 5
    close(
        run(imported(made, tmp_path), ["prob"], images())["prob"], by_itself(made, ["prob"], images())["prob"]
    )


def test_a_second_input_with_a_default_is_left_to_it(tmp_path: Path) -> None:
    nodes = [*trunk(), NODE("Mul", ["pool", "strength"], ["scaled"])]
    made = model(nodes, outputs=["scaled"], arrays={"strength": np.full(1, 3, np.float32)})
    made.graph.input.append(helper.make_tensor_value_info("strength", TensorProto.FLOAT, [1]))
    found = run(imported(made, tmp_path, "scaled"), ["pool", "scaled"], images())
    np.testing.assert_array_equal(found["scaled"], 3 * found["pool"])


def test_a_second_input_that_nobody_reads_is_left_out_and_one_of_no_image_is_named(tmp_path: Path) -> None:
    made = model()
    made.graph.input.append(helper.make_tensor_value_info("im_info", TensorProto.FLOAT, [1, 3]))
    found = run(imported(made, tmp_path), ["prob"], images())["prob"]
    close(found, by_itself(model(), ["prob"], images())["prob"])
    made.graph.input[0].type.tensor_type.shape.dim.pop()
    with pytest.raises(WeightsError, match="2 inputs \\(data, im_info\\)"):
        import_network(write(made, tmp_path), "other", ImportOptions(preprocess=PLAIN, layer="prob"))


@pytest.mark.parametrize(
    ("shape", "message"),
    [(("N", 1, 8, 8), "1 channels"), (("N", 3), "2 dimensions"), (("N", 3, 1 << 20, 1 << 20), "absurd")],
)
def test_an_input_that_is_no_rgb_image_is_a_message(
    tmp_path: Path, shape: tuple[int | str, ...], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        imported(model(shape=shape), tmp_path)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_arrays_in_files_beside_the_graph_come_along(tmp_path: Path, dtype: type) -> None:
    made = model(kind=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    wanted = by_itself(made, ["prob"], images())["prob"]
    folder = tmp_path / "export"
    (folder / "data").mkdir(parents=True)
    onnx.save_model(
        made,
        str(folder / "net.onnx"),
        save_as_external_data=True,
        all_tensors_to_one_file=False,
        size_threshold=0,
    )
    stored = import_network(folder / "net.onnx", "net", ImportOptions(preprocess=PLAIN, layer="pool"))
    for file in folder.rglob("*"):
        if file.is_file():
            file.unlink()
    close(run(stored, ["prob"], images())["prob"], wanted, 1e-5 if dtype is np.float32 else 4e-3)


def test_weights_in_constant_nodes_become_arrays(tmp_path: Path) -> None:
    made = model()
    constants = [NODE("Constant", [], [tensor.name], value=tensor) for tensor in made.graph.initializer]
    wanted = imported(made, tmp_path).spec.layer("prob").digest
    del made.graph.initializer[:]
    nodes = [*constants, *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    stored = import_network(write(made, tmp_path), "constants", ImportOptions(preprocess=PLAIN, layer="pool"))
    assert stored.spec.layer("prob").digest == wanted
    assert stored.graph_path.stat().st_size < stored.size


def test_nodes_in_any_order_are_sorted(tmp_path: Path) -> None:
    made = model()
    wanted = by_itself(made, ["prob"], images())["prob"]
    nodes = list(made.graph.node)[::-1]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    close(run(imported(made, tmp_path), ["prob"], images())["prob"], wanted)


def test_identity_and_dropout_pass_the_digest_on(tmp_path: Path) -> None:
    nodes = [*trunk(), NODE("Identity", ["pool"], ["same"]), NODE("Dropout", ["same"], ["kept", "mask"])]
    stored = imported(model(nodes, outputs=["kept"]), tmp_path)
    spec = stored.spec
    assert spec.layer("kept").digest == spec.layer("same").digest == spec.layer("pool").digest
    assert "mask" not in [layer.name for layer in spec.layers]
    found = run(stored, ["pool", "kept"], images())
    np.testing.assert_array_equal(found["pool"], found["kept"])


def test_a_training_graph_is_refused(tmp_path: Path) -> None:
    ones = np.ones(4, np.float32)
    nodes = [
        *trunk(),
        NODE("BatchNormalization", ["pool", "s", "b", "m", "v"], ["bn", "m2", "v2"], training_mode=1),
    ]
    made = model(nodes, outputs=["bn"], opset=15, arrays={"s": ones, "b": ones, "m": ones, "v": ones})
    with pytest.raises(WeightsError, match=r"model\.eval"):
        imported(made, tmp_path)


@pytest.mark.parametrize("as_node", [True, False])
def test_a_dropout_that_is_on_is_refused_and_one_that_is_off_is_not(tmp_path: Path, as_node: bool) -> None:
    def with_dropout(on: bool) -> onnx.ModelProto:
        nodes = [*trunk(), NODE("Dropout", ["pool", "ratio", "on"], ["kept"], "drop")]
        made = model(nodes, outputs=["kept"], arrays={"ratio": np.array(0.5, np.float32), "on": np.array(on)})
        if as_node:
            switch = made.graph.initializer[-1]
            assert switch.name == "on"
            made.graph.node.insert(0, NODE("Constant", [], ["on"], value=switch))
            del made.graph.initializer[-1]
        return made

    with pytest.raises(WeightsError, match=r"Dropout 'drop' is on.*model\.eval"):
        imported(with_dropout(True), tmp_path)
    assert imported(with_dropout(False), tmp_path).spec.layer("kept").shape == (4, 4, 4)


def if_graph() -> onnx.ModelProto:
    """``If`` whose branches read a tensor and a weight of the graph around them."""

    def branch(name: str, op: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)
        own = numpy_helper.from_array(np.arange(400, dtype=np.float32)[:4].reshape(4, 1, 1), f"{name}_own")
        nodes = [
            NODE(op, ["pool", "outer"], [f"{name}_raw"]),
            NODE("Add", [f"{name}_raw", f"{name}_own"], [f"{name}_out"]),
        ]
        return helper.make_graph(nodes, name, [], [out], [own])

    nodes = [
        *trunk(),
        NODE(
            "If",
            ["flag"],
            ["chosen"],
            "if_node",
            then_branch=branch("a", "Mul"),
            else_branch=branch("b", "Add"),
        ),
        NODE("Relu", ["chosen"], ["after"]),
        NODE("Sigmoid", ["relu"], ["elsewhere"]),
    ]
    made = model(nodes, outputs=["after"], arrays={"flag": np.array(True)})
    made.graph.initializer.append(numpy_helper.from_array(np.full((4, 1, 1), 2, np.float32), "outer"))
    return made


def test_branches_survive_the_cut_with_what_they_read_outside(tmp_path: Path) -> None:
    made = if_graph()
    stored = imported(made, tmp_path, "relu")
    wanted = by_itself(made, ["pool"], images())["pool"].reshape(3, 4, 4, 4)
    found = run(stored, ["after"], images())["after"]
    expected = np.maximum(2 * wanted + np.arange(4).reshape(4, 1, 1), 0)
    close(found, expected.reshape(3, -1))


def test_sequences_are_no_layers_and_cannot_be_chosen(tmp_path: Path) -> None:
    nodes = [
        *trunk(),
        NODE("SequenceConstruct", ["pool", "relu"], ["both"], "seq_node"),
        NODE("SequenceAt", ["both", "zero"], ["first"]),
        NODE("Shape", ["pool"], ["sizes"]),
    ]
    made = model(nodes, outputs=["first"], arrays={"zero": np.array(0, np.int64)})
    names = [layer.name for layer in imported(made, tmp_path).spec.layers]
    assert names[:3] == ["conv", "relu", "pool"]
    assert not {"both", "sizes"} & set(names)
    for wanted in ("both", "seq_node", "sizes"):
        with pytest.raises(UsageError, match="choose another --layer"):
            import_network(write(made, tmp_path), "other", ImportOptions(preprocess=PLAIN, layer=wanted))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"opset": 9999}, r"opset 9999, and the newest .* knows is \d+\. Upgrade"),
        ({"ir": 9999}, r"IR version 9999, and the newest .* reads is \d+\. Upgrade"),
        ({"opset": 6}, r"opset 6; 7 and later are run"),
    ],
    ids=str,
)
def test_versions_out_of_range_are_named_with_the_way_out(
    tmp_path: Path, change: dict[str, int], message: str
) -> None:
    made = model()
    if "opset" in change:
        made.opset_import[0].version = change["opset"]
    made.ir_version = change.get("ir", made.ir_version)
    with pytest.raises(WeightsError, match=message):
        imported(made, tmp_path)


def test_an_opset_newer_than_the_runtime_is_read_as_the_one_its_operators_are_from(tmp_path: Path) -> None:
    """Convolution and pooling are of opset 22, and every runtime that fc7 takes reads 23."""
    made = model(trunk(), outputs=["pool"], opset=onnx.defs.onnx_opset_version())
    stored = imported(made, tmp_path)
    assert onnx.load_model(str(stored.graph_path)).opset_import[0].version == 23
    close(run(stored, ["pool"], images())["pool"], by_itself(made, ["pool"], images())["pool"])


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.BFLOAT16])
def test_convolutions_of_a_type_no_runtime_has_are_refused_at_import(tmp_path: Path, kind: int) -> None:
    nodes = [NODE("Cast", ["data"], ["cast"], to=kind), *trunk("cast")]
    made = model(nodes, outputs=["pool"], kind=kind)
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    with pytest.raises(WeightsError, match=rf"{TensorProto.DataType.Name(kind)} .*float32"):
        imported(made, tmp_path)


def test_the_newest_ir_that_onnx_writes_runs(tmp_path: Path) -> None:
    made = model(ir=onnx.IR_VERSION)
    close(
        run(imported(made, tmp_path), ["prob"], images())["prob"], by_itself(made, ["prob"], images())["prob"]
    )
