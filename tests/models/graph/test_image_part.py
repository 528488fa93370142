"""Graphs of several inputs: what one image feeds is kept, everything else is named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from fc7.models.common.errors import UnknownLayerError, UsageError, WeightsError
from fc7.models.store.importing import ImportOptions, import_network
from fc7.models.store.store import StoredNetwork
from tests.support import CommandLine
from tests.support.models.small_graphs import NODE, PLAIN, SIZE, close, images, run, trunk, weights, write

TOKENS = 6
VALUE = helper.make_tensor_value_info


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))


def made_of(
    nodes: Sequence[NodeProto], inputs: Sequence[Any], outputs: Sequence[str], **arrays: NDArray[Any]
) -> ModelProto:
    read = {name for node in nodes for name in node.input}
    held = {name: value for name, value in {**weights(), **arrays}.items() if name in read}
    graph = helper.make_graph(
        list(nodes),
        "towers",
        list(inputs),
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    for value in graph.output:
        value.type.tensor_type.elem_type = TensorProto.FLOAT
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


PIXELS = VALUE("pixel_values", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])
IDS = VALUE("input_ids", TensorProto.INT64, ["texts", TOKENS])
MASK = VALUE("attention_mask", TensorProto.INT64, ["texts", TOKENS])


def clip() -> ModelProto:
    """Two towers as a CLIP export has them: unit vectors of images and of texts, and their products.

    Both towers read ``scale``, which is computed from a constant; the nodes do not stand in order.
    """
    image = [
        *trunk("pixel_values"),
        NODE("Flatten", ["pool"], ["/visual/flat"]),
        NODE("Gemm", ["/visual/flat", "fc_w", "fc_b"], ["/visual/projection"], transB=1),
        NODE("Mul", ["/visual/projection", "scale"], ["/visual/scaled"]),
        NODE("ReduceL2", ["/visual/scaled"], ["/visual/norm"], axes=[1]),
        NODE("Div", ["/visual/scaled", "/visual/norm"], ["image_embeds"]),
    ]
    text = [
        NODE("Gather", ["words", "input_ids"], ["/text/words"]),
        NODE("Cast", ["attention_mask"], ["/text/mask"], to=TensorProto.FLOAT),
        NODE("Unsqueeze", ["/text/mask", "last"], ["/text/weights"]),
        NODE("Mul", ["/text/words", "/text/weights"], ["/text/masked"]),
        NODE("ReduceSum", ["/text/masked", "middle"], ["/text/sum"], keepdims=0),
        NODE("Mul", ["/text/sum", "scale"], ["text_embeds"]),
    ]
    scale = [
        NODE("Constant", [], ["log"], value_float=0.5),
        NODE("Exp", ["log"], ["scale"]),
    ]
    both = [
        NODE("Transpose", ["text_embeds"], ["turned"], perm=[1, 0]),
        NODE("MatMul", ["image_embeds", "turned"], ["logits_per_image"]),
    ]
    rng = np.random.default_rng(3)
    return made_of(
        [*both, *text, *image, *scale],
        [IDS, PIXELS, MASK],
        ["logits_per_image", "text_embeds", "image_embeds"],
        words=rng.normal(0, 1, (50, 5)).astype(np.float32),
        last=np.array([2]),
        middle=np.array([1]),
    )


def of_the_whole(made: ModelProto, tensor: str, **fed: NDArray[Any]) -> NDArray[np.float32]:
    """The original graph, its nodes put in order, by ONNX Runtime with all its inputs."""
    graph = made.graph
    known = {v.name for v in graph.input} | {t.name for t in graph.initializer} | {""}
    left, ordered = list(graph.node), list[NodeProto]()
    while left:
        ready = next(node for node in left if known.issuperset(node.input))
        left.remove(ready)
        known.update(ready.output)
        ordered.append(ready)
    whole = onnx.ModelProto()
    whole.CopyFrom(made)
    del whole.graph.node[:]
    whole.graph.node.extend(ordered)
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run([tensor], fed)[0])


def nchw(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return pixels.transpose(0, 3, 1, 2).astype(np.float32)


def imported(
    made: ModelProto, folder: Path, layer: str | None, notes: list[str] | None = None
) -> StoredNetwork:
    say = notes.append if notes is not None else None
    return import_network(
        write(made, folder), "net", ImportOptions(preprocess=PLAIN, layer=layer, replace=True), notify=say
    )


@pytest.mark.parametrize("layer", ["image_embeds", "/visual/projection", "visual_projection", "pool_node"])
def test_the_image_tower_of_a_clip_export_gives_what_the_whole_graph_gives(
    tmp_path: Path, layer: str
) -> None:
    made, notes = clip(), list[str]()
    stored = imported(made, tmp_path, layer, notes)
    rng = np.random.default_rng(1)
    ids, mask = rng.integers(0, 50, (3, TOKENS)), rng.integers(0, 2, (3, TOKENS))
    pixels = images()
    tensor = stored.spec.layer(layer).tensor
    # A graph's own output can be asked for; any other tensor is made one.
    if tensor not in [value.name for value in made.graph.output]:
        made.graph.output.append(VALUE(tensor, TensorProto.FLOAT, None))
    wanted = of_the_whole(made, tensor, pixel_values=nchw(pixels), input_ids=ids, attention_mask=mask)
    close(run(stored, [layer], pixels)[layer], wanted.reshape(3, -1))
    assert notes == [
        "net.onnx: has the inputs input_ids, pixel_values, attention_mask; "
        "what pixel_values alone feeds is kept"
    ]


def test_nothing_of_the_text_tower_is_kept(tmp_path: Path) -> None:
    stored = imported(clip(), tmp_path, "image_embeds")
    kept = onnx.load(str(stored.graph_path))
    assert {tensor.name for tensor in kept.graph.initializer} >= {"conv_w", "fc_w"}
    assert "words" not in {tensor.name for tensor in kept.graph.initializer}
    assert [value.name for value in kept.graph.input] == ["pixel_values"]
    assert {layer.tensor for layer in stored.spec.layers}.isdisjoint(
        {"text_embeds", "/text/sum", "logits_per_image"}
    )


def test_without_a_layer_those_that_one_image_feeds_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--layer") as told:
        imported(clip(), tmp_path, None)
    named = str(told.value).rpartition("the last ones are ")[2].split(", ")
    assert named[-1] == "image_embeds"
    assert set(named) == {
        "conv",
        "relu",
        "pool",
        "visual_flat",
        "visual_projection",
        "visual_scaled",
        "visual_norm",
        "image_embeds",
    }


def test_a_layer_that_needs_the_text_too_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as told:
        imported(clip(), tmp_path, "logits_per_image")
    text = str(told.value)
    assert (
        "layer 'logits_per_image' needs input_ids (int64, texts x 6), pixel_values (float, batch x 3 x 8 x "
        "8), attention_mask (int64, texts x 6), and one image is all that is fed" in text
    )
    assert re.search(r"Layers that need pixel_values alone: .*/visual/projection.*image_embeds$", text)
    with pytest.raises(UsageError, match=r"needs input_ids \(int64, texts x 6\), attention_mask"):
        imported(clip(), tmp_path, "text_embeds")
    with pytest.raises(UnknownLayerError, match=r"'embeds'; its last tensors are .*image_embeds"):
        imported(clip(), tmp_path, "embeds")


def switched(kind: int, shape: Sequence[int], *, late: bool = False) -> ModelProto:
    """A trunk whose pixels, or only whose last layer, depend on a switch."""
    switch = [
        NODE("Cast", ["is_training"], ["on"], to=TensorProto.FLOAT),
        NODE("Mul", ["pool" if late else "pixel_values", "on"], ["noise"]),
        NODE("Add", ["pool" if late else "pixel_values", "noise"], ["late" if late else "shaken"]),
    ]
    nodes = [*trunk("pixel_values" if late else "shaken"), *switch]
    return made_of(nodes, [PIXELS, VALUE("is_training", kind, shape)], ["late" if late else "pool"])


@pytest.mark.parametrize(
    ("kind", "shape", "named"),
    [
        (TensorProto.INT64, [], "is_training (int64, one number)"),
        (TensorProto.BOOL, [1], "is_training (bool, 1)"),
        (TensorProto.FLOAT, [], "is_training (float, one number)"),
    ],
)
def test_a_switch_that_every_layer_reads_is_named_and_the_way_out_works_as_printed(
    tmp_path: Path, kind: int, shape: list[int], named: str
) -> None:
    made = switched(kind, shape)
    with pytest.raises(WeightsError) as told:
        imported(made, tmp_path, "pool")
    assert f"net.onnx: every layer needs {named}, and one image is all that is fed" in str(told.value)
    advice = str(told.value)[str(told.value).index("model.graph.initializer") :]
    exec(advice, {"model": made, "onnx": onnx, "numpy": np})
    found = run(imported(made, tmp_path, "pool"), ["pool"], images())["pool"]
    plain = imported(made_of(trunk("pixel_values"), [PIXELS], ["pool"]), tmp_path, "pool")
    close(found, run(plain, ["pool"], images())["pool"])


def test_what_comes_before_a_switch_is_to_be_had(tmp_path: Path) -> None:
    made = switched(TensorProto.INT64, [], late=True)
    stored = imported(made, tmp_path, "pool")
    assert [layer.name for layer in stored.spec.layers] == ["conv", "relu", "pool"]
    with pytest.raises(
        UsageError, match=r"layer 'late' needs pixel_values .*is_training .*For is_training a value"
    ):
        imported(made, tmp_path, "late")


def test_of_two_images_the_one_that_the_layer_needs_is_fed(tmp_path: Path) -> None:
    left, right = (VALUE(name, TensorProto.FLOAT, ["n", 3, SIZE, SIZE]) for name in ("left", "right"))
    nodes = [
        *trunk("left"),
        NODE("GlobalAveragePool", ["right"], ["means"]),
        NODE("GlobalMaxPool", ["pool"], ["greatest"]),
        NODE("Concat", ["means", "greatest"], ["joined"], axis=1),
    ]
    made = made_of(nodes, [left, right], ["joined"])
    stored = imported(made, tmp_path, "means")
    pixels = images()
    close(run(stored, ["means"], pixels)["means"], pixels.mean((1, 2)))
    assert imported(made, tmp_path, "greatest").spec.layer("greatest").shape == (4, 1, 1)
    with pytest.raises(
        UsageError, match=r"which image is meant. Layers that need left alone: .*greatest; right alone: means"
    ):
        imported(made, tmp_path, None)
    with pytest.raises(UsageError, match=r"layer 'joined' needs left .*, right "):
        imported(made, tmp_path, "joined")


def test_a_clip_export_from_the_command_line(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    file = write(clip(), tmp_path)
    without = cli("models", "import", file, "--as", "clip", "--preprocess", "clip")
    assert without.code == 2
    assert "image_embeds" in without.err
    assert "text_embeds" not in without.err.partition("--layer")[2]
    ran = cli.good(
        "models", "import", file, "--as", "clip", "--preprocess", "clip", "--layer", "image_embeds"
    )
    assert "features image_embeds (5), short side 8 bicubic, centre crop 8x8, RGB" in ran.out
    assert (
        cli("models", "import", file, "--as", "b", "--preprocess", "clip", "--layer", "text_embeds").code == 2
    )
