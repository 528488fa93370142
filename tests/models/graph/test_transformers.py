"""Vision transformers: layers behind sizes that the graph works out, and the class token as the feature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, helper, numpy_helper

from fc7.models.graph.intake import take_in
from fc7.models.graph.sizes import all_layer_shapes
from fc7.models.graph.surgery import layer_shapes, with_image
from fc7.models.network.spec import LayerSpec, Pool, fingerprint
from fc7.models.store.importing import ImportOptions, import_network
from fc7.models.store.store import StoredNetwork
from tests.support.models.small_graphs import (
    NODE,
    PLAIN,
    SIZE,
    by_itself,
    close,
    images,
    model,
    run,
    trunk,
    write,
)
from tests.support.models.vit_graphs import Vit, export


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))


def sized(made: ModelProto, batch: int | None = None) -> ModelProto:
    return with_image(take_in(made, "net.onnx"), batch, (SIZE, SIZE))


def imported(made: ModelProto, folder: Path, pool: Pool = "token") -> StoredNetwork:
    return import_network(
        write(made, folder), "net", ImportOptions(preprocess=PLAIN, layer="last_hidden_state", pool=pool)
    )


@pytest.mark.parametrize("opset", [11, 12, 13, 14, 17])
def test_a_layer_behind_sizes_that_the_graph_computes_is_found_and_right(tmp_path: Path, opset: int) -> None:
    made = export(Vit(opset=opset))
    assert "last_hidden_state" not in layer_shapes(sized(made))  # onnx's own inference stops before it
    stored = imported(made, tmp_path)
    layer = stored.spec.layer("last_hidden_state")
    assert layer.shape == (5, 6)  # a class token and 2 x 2 patches
    wanted = by_itself(made, ["last_hidden_state"], images())["last_hidden_state"]
    close(run(stored, ["last_hidden_state"], images())["last_hidden_state"], wanted[:, :6])
    whole = import_network(
        tmp_path / "net.onnx", "flat", ImportOptions(preprocess=PLAIN, layer="last_hidden_state")
    )
    assert whole.spec.layer("last_hidden_state").dim(whole.spec.pool) == 30
    close(run(whole, ["last_hidden_state"], images())["last_hidden_state"], wanted)


def test_the_sizes_are_the_same_for_every_batch_and_a_bound_one() -> None:
    made = export(Vit())
    free = all_layer_shapes(sized(made))
    assert free["last_hidden_state"] == (5, 6)
    assert free["query_by_head"] == (2, 5, 3)
    assert free["scores"] == (2, 5, 5)
    assert {name: free[name] for name in ("conv", "patches", "embedded", "joined")} == {
        "conv": (6, 2, 2),
        "patches": (4, 6),
        "embedded": (5, 6),
        "joined": (5, 6),
    }
    bound = all_layer_shapes(sized(made, 3))
    assert {name: bound[name] for name in free} == free


def test_where_inference_loses_nothing_nothing_changes() -> None:
    made = sized(model())
    assert all_layer_shapes(made) == layer_shapes(made)


def test_rows_that_are_not_images_are_no_layer() -> None:
    """Attention that puts heads into the batch, as CLIP's export does, has a row for each head."""
    nodes = [
        *trunk(),
        NODE("Shape", ["pool"], ["shape"]),
        NODE("Gather", ["shape", "zero"], ["n"], axis=0),
        NODE("Mul", ["n", "two"], ["twice"]),
        NODE("Concat", ["twice", "rest"], ["target"], axis=0),
        NODE("Reshape", ["pool", "target"], ["heads"]),
        NODE("Relu", ["heads"], ["prob"]),
    ]
    arrays = {"zero": np.array([0]), "two": np.array([2]), "rest": np.array([-1, 4])}
    found = all_layer_shapes(sized(model(nodes, outputs=["prob"], arrays=arrays)))
    assert found == {"conv": (4, 8, 8), "relu": (4, 8, 8), "pool": (4, 4, 4)}


@pytest.mark.parametrize("size", [[1 << 29], [-1], [1 << 14, 1 << 14]])
def test_a_size_that_asks_for_the_impossible_is_left_unknown(size: list[int]) -> None:
    nodes = [
        *trunk(),
        NODE("ConstantOfShape", ["size"], ["many"], value=numpy_helper.from_array(np.array([1], np.int64))),
        NODE("ReduceSum", ["many"], ["count"], keepdims=1),
        NODE("Concat", ["shape_head", "count"], ["target"], axis=0),
        NODE("Reshape", ["pool", "target"], ["flat"]),
        NODE("Relu", ["flat"], ["prob"]),
    ]
    arrays = {"size": np.array(size), "shape_head": np.array([0])}
    made = model(nodes, outputs=["prob"], arrays=arrays)
    assert list(all_layer_shapes(sized(made))) == ["conv", "relu", "pool"]


def test_the_first_token_is_what_a_sequence_gives_and_nothing_else_changes() -> None:
    sequence, a_map, vector = (LayerSpec("a", "a", shape, "d") for shape in ((5, 6), (4, 3, 2), (7,)))
    assert [layer.dim("token") for layer in (sequence, a_map, vector)] == [6, 24, 7]
    assert [layer.dim("avg") for layer in (sequence, a_map, vector)] == [30, 4, 7]
    assert fingerprint("d", PLAIN, "token") != fingerprint("d", PLAIN)


def test_features_of_the_token_and_of_all_tokens_have_two_fingerprints(tmp_path: Path) -> None:
    made = export(Vit())
    token = imported(made, tmp_path).spec
    whole = import_network(
        tmp_path / "net.onnx", "flat", ImportOptions(preprocess=PLAIN, layer="last_hidden_state")
    ).spec
    layer = "last_hidden_state"
    assert token.fingerprint(layer) != whole.fingerprint(layer)
    assert token.fingerprint("conv") == whole.fingerprint("conv")


def test_a_float16_sequence_gives_its_token_too(tmp_path: Path) -> None:
    made = export(Vit(opset=14))
    nodes = [*made.graph.node, NODE("Cast", ["last_hidden_state"], ["halved"], to=10)]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.graph.output.append(helper.make_tensor_value_info("halved", 10, None))
    stored = import_network(
        write(made, tmp_path), "net", ImportOptions(preprocess=PLAIN, layer="halved", pool="token")
    )
    wanted = by_itself(made, ["last_hidden_state"], images())["last_hidden_state"][:, :6]
    close(run(stored, ["halved"], images())["halved"], wanted, 2e-3)
