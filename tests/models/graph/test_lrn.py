"""LRN of every size, exponent and type, against its definition in NumPy's float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from fc7.models.graph.fast import expand_lrn
from fc7.models.graph.files import load_whole_graph
from fc7.models.graph.half import half
from fc7.models.graph.surgery import inferred_types
from fc7.models.store.importing import ImportOptions, import_network
from tests.support.models.reference import lrn
from tests.support.models.small_graphs import NODE, PLAIN, images, model, run, trunk, write

KINDS = {
    "float32": (TensorProto.FLOAT, 1e-6),
    "float64": (TensorProto.DOUBLE, 1e-6),
    # Half a unit in the last place of 11 and of 8 bits, for the input and for the result.
    "float16": (TensorProto.FLOAT16, 2.0**-11),
    "bfloat16": (TensorProto.BFLOAT16, 2.0**-8),
}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))


def with_lrn(kind: int, **settings: Any) -> ModelProto:
    """Large responses, LRN of them as ``norm``; ``large`` and ``norm`` are (4, 8, 8)."""
    nodes = [
        *trunk()[:2],
        NODE("Mul", ["relu", "forty"], ["big"]),
        NODE("Cast", ["big"], ["large"], to=kind),
        NODE("LRN", ["large"], ["norm"], "norm_node", **settings),
    ]
    return model(nodes, outputs=["norm"], arrays={"forty": np.array(40, np.float32)})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings",
    [
        {"size": 3},
        {"size": 5, "alpha": 2e-3, "beta": 0.5, "bias": 2.0},
        {"size": 4},
        {"size": 2, "alpha": 0.1, "beta": 0.3, "bias": 0.5},
        {"size": 1, "beta": 1.0},
        {"size": 99, "beta": 0.0},
    ],
    ids=str,
)
def test_an_lrn_gives_what_its_definition_says(tmp_path: Path, kind: str, settings: dict[str, Any]) -> None:
    elements, tolerance = KINDS[kind]
    path = write(with_lrn(elements, **settings), tmp_path)
    found = run(
        import_network(path, "net", ImportOptions(preprocess=PLAIN, layer="norm")),
        ["large", "norm"],
        images(),
    )
    large = found["large"].reshape(3, 4, 8, 8)
    # Squared in half precision these would be infinite, and their quotients 0.
    assert large.max() ** 2 > 65504
    names = {"size": "n", "bias": "k"}
    wanted = lrn(large.astype(float), **{names.get(k, k): v for k, v in settings.items()}).reshape(3, -1)
    np.testing.assert_allclose(found["norm"], wanted, rtol=2 * tolerance, atol=1e-6)


def test_a_network_that_is_all_in_half_precision_normalises_right(tmp_path: Path) -> None:
    nodes = [
        *trunk()[:2],
        NODE("Mul", ["relu", "forty"], ["large"]),
        NODE("LRN", ["large"], ["norm"], size=5),
        NODE("MaxPool", ["norm"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    arrays = {"forty": np.array(40, np.float16)}
    made = model(nodes, kind=TensorProto.FLOAT16, outputs=["pool"], arrays=arrays)
    stored = import_network(write(made, tmp_path), "net", ImportOptions(preprocess=PLAIN, layer="pool"))
    found = run(stored, ["large", "norm", "pool"], images())
    wanted = lrn(found["large"].reshape(3, 4, 8, 8).astype(float))
    np.testing.assert_allclose(found["norm"], wanted.reshape(3, -1), rtol=2.0**-10, atol=1e-6)
    pooled = wanted.reshape(3, 4, 4, 2, 4, 2).max((3, 5)).reshape(3, -1)
    np.testing.assert_allclose(found["pool"], pooled, rtol=2.0**-10, atol=1e-6)
    # What a GPU would be handed with --precision fp16 squares in single precision too.
    rewritten = expand_lrn(half(load_whole_graph(stored.graph_path)))
    kinds = inferred_types(rewritten)
    squares = [node.output[0] for node in rewritten.graph.node if node.output[0].endswith("(square)")]
    assert [kinds[name] for name in squares] == [TensorProto.FLOAT]
    assert kinds["norm"] == TensorProto.FLOAT16


@pytest.mark.parametrize("shape", [(4, 64), (4, 2, 8, 4)])
def test_lrn_of_maps_that_are_not_planes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Signals and volumes: ONNX allows both, ONNX Runtime's own LRN neither."""
    nodes = [
        *trunk()[:2],
        NODE("Reshape", ["relu", "to"], ["map"]),
        NODE("LRN", ["map"], ["norm"], size=2, alpha=0.1, beta=0.6),
    ]
    made = model(nodes, outputs=["norm"], arrays={"to": np.array([0, *shape], np.int64)})
    stored = import_network(write(made, tmp_path), "net", ImportOptions(preprocess=PLAIN, layer="norm"))
    found = run(stored, ["map", "norm"], images())
    wanted = lrn(found["map"].reshape(3, *shape).astype(float), 0.1, 2, 0.6).reshape(3, -1)
    np.testing.assert_allclose(found["norm"], wanted, rtol=2e-6, atol=1e-6)
