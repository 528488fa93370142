"""A graph bound to one image is freed where its trial shows that rows stay apart; both sides are run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto

from fc7.extract.engine.importing import import_network
from fc7.models.graph.files import load_graph
from fc7.models.graph.surgery import fixed_batch
from fc7.models.store import importing
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

F4 = np.float32


def whole(*values: int) -> NDArray[np.int64]:
    """Shapes and axes are int64 in ONNX."""
    return np.array(values, np.int64)


@pytest.fixture(autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path_factory.mktemp("home")))


def bound(
    nodes: Sequence[NodeProto], arrays: dict[str, Any] | None = None, *, batch: int | str = 1, opset: int = 13
) -> ModelProto:
    return model(
        nodes,
        shape=(batch, 3, SIZE, SIZE),
        outputs=[nodes[-1].output[0]],
        arrays={name: np.asarray(value) for name, value in (arrays or {}).items()},
        opset=opset,
    )


def after_pool(
    op: str, *others: str, opset: int = 13, arrays: dict[str, Any] | None = None, **settings: Any
) -> ModelProto:
    """One more node behind ``pool`` (1, 4, 4, 4)."""
    return bound([*trunk(), NODE(op, ["pool", *others], ["out"], **settings)], arrays, opset=opset)


# Each treats rows apart; a second input is a constant.
APART: dict[str, ModelProto] = {
    "reshape to one image": after_pool("Reshape", "to", arrays={"to": whole(1, 64)}),
    "reshape to one image and the rest": after_pool("Reshape", "to", arrays={"to": whole(1, -1)}),
    "reshape to as many as there are": after_pool("Reshape", "to", arrays={"to": whole(-1, 64)}),
    "reshape that keeps": after_pool("Reshape", "to", arrays={"to": whole(0, 16, 4)}),
    "flatten": after_pool("Flatten"),
    "transpose behind the batch": after_pool("Transpose", perm=[0, 2, 3, 1]),
    "mean over pixels": after_pool("ReduceMean", axes=[2, 3], keepdims=0),
    "mean over pixels, axes as input": after_pool("ReduceMean", "a", arrays={"a": whole(-1, -2)}, opset=18),
    "softmax over channels": after_pool("Softmax", axis=1),
    "softmax over the last": after_pool("Softmax", opset=13),
    "add a map": after_pool("Add", "map", arrays={"map": np.ones((1, 4, 4, 4), F4)}),
    "add a number a channel": after_pool("Add", "c", arrays={"c": np.ones((4, 1, 1), F4)}),
    "matrix product": after_pool("MatMul", "w", arrays={"w": np.ones((4, 2), F4)}),
    "pad pixels": after_pool("Pad", "p", arrays={"p": whole(0, 0, 1, 1, 0, 0, 1, 1)}),
    "pad pixels, old": after_pool("Pad", pads=[0, 0, 1, 1, 0, 0, 1, 1], opset=9),
    "slice channels": after_pool(
        "Slice", "s", "e", "a", arrays={"s": whole(1), "e": whole(3), "a": whole(1)}
    ),
    "slice channels, old": after_pool("Slice", starts=[1], ends=[3], axes=[1], opset=9),
    "swap channels": after_pool("Gather", "i", arrays={"i": whole(3, 2, 1, 0)}, axis=1),
    "prelu": after_pool("PRelu", "slope", arrays={"slope": np.full((4, 1, 1), 0.1, F4)}),
    "unsqueeze behind": after_pool("Unsqueeze", "a", arrays={"a": whole(-1)}),
    "reshape to a computed shape": bound(
        [*trunk(), NODE("Shape", ["pool"], ["sizes"]), NODE("Reshape", ["pool", "sizes"], ["out"])]
    ),
    "transpose of the batch, and back": bound(
        [
            *trunk(),
            NODE("Transpose", ["pool"], ["turned"], perm=[1, 0, 2, 3]),
            NODE("Transpose", ["turned"], ["out"], perm=[1, 0, 2, 3]),
        ]
    ),
    "whole network": bound([*trunk(), *head()]),
    "concat of channels": bound([*trunk(), NODE("Concat", ["pool", "pool"], ["out"], axis=1)]),
    "sum of two maps": bound([*trunk(), NODE("Add", ["conv", "relu"], ["out"])]),
    "split of channels": bound(
        [*trunk(), NODE("Split", ["pool"], ["a", "b"], axis=1), NODE("Max", ["a", "b"], ["out"])]
    ),
    "two rows times a matrix": bound(
        [*trunk(), NODE("Flatten", ["pool"], ["flat"]), NODE("MatMul", ["flat", "w"], ["out"])],
        {"w": np.ones((64, 3), F4)},
    ),
}

# Each mixes rows, or has none for each image once the batch is free.
MIXING: dict[str, ModelProto] = {
    "softmax over the batch": after_pool("Softmax", axis=0),
    "mean over the batch": after_pool("ReduceMean", axes=[0, 2], keepdims=1),
    "mean over everything": after_pool("ReduceMean"),
    "flatten of the batch": after_pool("Flatten", axis=0),
    "flatten of the batch with channels": after_pool("Flatten", axis=2),
    "squeeze of the batch": after_pool("Squeeze"),
    "unsqueeze in front": after_pool("Unsqueeze", "a", arrays={"a": whole(0)}),
    "concat of the batch": bound([*trunk(), NODE("Concat", ["pool", "pool"], ["out"], axis=0)]),
    "concat with a constant": after_pool("Concat", "c", arrays={"c": np.ones((1, 4, 4, 4), F4)}, axis=1),
    "slice of the batch": after_pool("Slice", "s", "e", arrays={"s": whole(0), "e": whole(9)}),
    "gather of the batch": after_pool("Gather", "i", arrays={"i": whole(0)}, axis=0),
    "pad of the batch": after_pool("Pad", "p", arrays={"p": whole(0, 0, 0, 0, 1, 0, 0, 0)}),
    "rows against columns": bound(
        [
            *trunk(),
            NODE("ReduceMean", ["pool"], ["row"], axes=[1, 2], keepdims=0),
            NODE("Add", ["pool", "row"], ["out"]),
        ]
    ),
    "gram matrix": bound(
        [
            *trunk(),
            NODE("Flatten", ["pool"], ["flat"]),
            NODE("Transpose", ["flat"], ["columns"], perm=[0, 1]),
            NODE("Gemm", ["flat", "columns"], ["out"], transB=1),
        ]
    ),
    "indices of the maximum": bound(
        [
            *trunk(),
            NODE("MaxPool", ["pool"], ["top", "where"], kernel_shape=[2, 2]),
            NODE("Cast", ["where"], ["out"], to=TensorProto.FLOAT),
        ]
    ),
}


@pytest.mark.parametrize("case", APART)
def test_rows_that_stay_apart_are_freed_and_equal_one_by_one(case: str, tmp_path: Path) -> None:
    made = APART[case]
    out = made.graph.output[0].name
    notes: list[str] = []
    path = write(made, tmp_path)
    stored = import_network(path, "net", ImportOptions(preprocess=PLAIN, layer=out), notify=notes.append)
    assert "it now takes any" in "".join(notes)
    close(run(stored, [out], images(3), 3)[out], by_itself(made, [out], images(3))[out])


def batch_of(stored: StoredNetwork) -> int | None:
    return fixed_batch(load_graph(stored.graph_path))


@pytest.mark.parametrize("case", MIXING)
def test_rows_that_mix_keep_their_batch_and_are_right_in_it(case: str, tmp_path: Path) -> None:
    made = MIXING[case]
    notes: list[str] = []
    stored = import_network(
        write(made, tmp_path), "net", ImportOptions(preprocess=PLAIN, layer="pool"), notify=notes.append
    )
    assert batch_of(stored) == 1
    assert "bound to batches of 1 and runs with these" in "".join(notes)
    close(run(stored, ["pool"], images())["pool"], by_itself(made, ["pool"], images())["pool"])


def test_without_a_trial_a_graph_keeps_its_batch(tmp_path: Path) -> None:
    stored = importing.import_network(
        write(APART["whole network"], tmp_path), "net", ImportOptions(preprocess=PLAIN, layer="pool")
    )
    assert batch_of(stored) == 1


def test_the_class_output_may_mix_where_the_default_layer_does_not(tmp_path: Path) -> None:
    """The layer that is asked for later must not be refused for a batch that the file never had."""
    mixing = MIXING["mean over the batch"]
    stored = import_network(write(mixing, tmp_path), "net", ImportOptions(preprocess=PLAIN, layer="relu"))
    close(run(stored, ["out"], images())["out"], by_itself(mixing, ["out"], images())["out"])


def test_a_batch_of_four_is_freed_like_one_of_one(tmp_path: Path) -> None:
    nodes = [*trunk(), NODE("Reshape", ["pool", "to"], ["out"])]
    made = bound(nodes, {"to": whole(4, 64)}, batch=4)
    stored = import_network(write(made, tmp_path), "net", ImportOptions(preprocess=PLAIN, layer="out"))
    single = bound(nodes, {"to": whole(1, 64)})
    close(run(stored, ["out"], images(3), 3)["out"], by_itself(single, ["out"], images(3))["out"])


def test_a_promised_free_batch_with_a_reshape_to_one_inside_is_mended(tmp_path: Path) -> None:
    nodes = [*trunk(), NODE("Reshape", ["pool", "to"], ["out"])]
    made = bound(nodes, {"to": whole(1, 64)}, batch="N")
    stored = import_network(write(made, tmp_path), "net", ImportOptions(preprocess=PLAIN, layer="out"))
    close(run(stored, ["out"], images(3), 3)["out"], by_itself(made, ["out"], images(3))["out"])
