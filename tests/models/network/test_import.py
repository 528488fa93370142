"""What an import decides and says: layers by any name, pooling, prototxts, means, notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fc7.models.common.errors import UnknownLayerError, UsageError, WeightsError
from fc7.models.network.architectures import architecture
from fc7.models.network.spec import caffe_preprocess, torch_preprocess
from fc7.models.store import store
from fc7.models.store.importing import ImportOptions, built_network, import_network
from tests.support.models import caffe_files
from tests.support.models.caffe_nets import googlenet
from tests.support.models.caffe_running import write as write_caffe
from tests.support.models.small_graphs import (
    NODE,
    PLAIN,
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
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("name", ["/block/act/out", "block_act_out", "/block/act"])
def test_a_layer_answers_to_its_name_its_tensor_and_its_node(tmp_path: Path, name: str) -> None:
    nodes = [*trunk(), NODE("Relu", ["pool"], ["/block/act/out"], "/block/act")]
    stored = import_network(
        write(model(nodes, outputs=["/block/act/out"]), tmp_path),
        "net",
        ImportOptions(preprocess=PLAIN, layer=name),
    )
    assert stored.spec.default_layer == "block_act_out"
    assert stored.spec.layer(name).tensor == "/block/act/out"
    assert run(stored, [name], images())[name].shape == (3, 64)


def test_every_layers_name_can_be_typed_and_is_no_path(tmp_path: Path) -> None:
    names = ["a/b", "a_b", "a b", "c,d", "/", "..", "e\nf"]
    nodes, here = list(trunk()), "pool"
    for name in names:
        nodes.append(NODE("Relu", [here], [name]))
        here = name
    stored = import_network(
        write(model(nodes, outputs=[here]), tmp_path), "net", ImportOptions(preprocess=PLAIN, layer="pool")
    )
    found = [layer.name for layer in stored.spec.layers][3:]
    assert found == ["a_b", "a_b_2", "a_b_3", "c_d", "tensor", "tensor_2", "e_f"]


def test_an_unknown_layer_is_named_with_the_file_and_what_there_is(tmp_path: Path) -> None:
    path = write(model(), tmp_path)
    with pytest.raises(UnknownLayerError, match=r"net\.onnx: .* 'fc9'; its last tensors are .*prob"):
        import_network(path, "net", ImportOptions(preprocess=PLAIN, layer="fc9"))


def test_several_outputs_need_a_layer_and_give_each_one(tmp_path: Path) -> None:
    made = model(outputs=["prob", "pool"])
    path = write(made, tmp_path)
    with pytest.raises(UsageError, match=r"--layer; the last ones are conv, relu, pool, flat, scores, prob"):
        import_network(path, "net", ImportOptions(preprocess=PLAIN))
    stored = import_network(path, "net", ImportOptions(preprocess=PLAIN, layer="pool"))
    found = run(stored, ["prob", "pool"], images())
    for tensor, wanted in by_itself(made, ["prob", "pool"], images()).items():
        close(found[tensor], wanted)


def test_a_graph_with_an_fc7_needs_no_layer(tmp_path: Path) -> None:
    nodes = [*trunk(), NODE("Relu", ["pool"], ["fc7"]), *head("fc7")]
    assert (
        import_network(
            write(model(nodes), tmp_path), "net", ImportOptions(preprocess=PLAIN)
        ).spec.default_layer
        == "fc7"
    )


def test_an_unknown_graph_needs_its_preprocessing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--preprocess caffe"):
        import_network(write(model(), tmp_path), "net", ImportOptions(layer="pool"))


@pytest.mark.parametrize(("pool", "dim"), [("flatten", 64), ("avg", 4), ("max", 4), (None, 64)])
def test_the_pooling_is_kept_with_the_network(tmp_path: Path, pool: str | None, dim: int) -> None:
    made = model()
    chosen = {"avg": "avg", "max": "max", "flatten": "flatten"}.get(str(pool))
    said = ImportOptions(preprocess=PLAIN, layer="pool", pool=chosen)  # type: ignore[arg-type]
    stored = import_network(write(made, tmp_path), "net", said)
    spec = store.load("net").spec
    assert spec.layer("pool").dim(spec.pool) == dim
    raw = by_itself(made, ["pool"], images())["pool"]
    maps = raw.reshape(3, 4, 16)
    wanted = {64: raw, 4: maps.max(2) if pool == "max" else maps.mean(2)}[dim]
    close(run(stored, ["pool"], images())["pool"], wanted)


def test_the_crop_follows_the_graph_and_the_resize_goes_with_it(tmp_path: Path) -> None:
    path = write(model(trunk(), shape=("N", 3, 299, 280), outputs=["pool"]), tmp_path)
    spec = import_network(
        path, "net", ImportOptions(preprocess=torch_preprocess(), layer="pool")
    ).spec.preprocess
    # 299 * 256 / 224 = 341.7.
    assert (spec.crop_height, spec.crop_width, spec.resize_height, spec.resize_width) == (299, 280, 342, 320)


@pytest.mark.parametrize("classes", [1000, 1001, 10])
def test_the_classifier_is_found_by_its_number_of_classes(tmp_path: Path, classes: int) -> None:
    arrays = {"w": np.ones((classes, 64), np.float32), "b": np.zeros(classes, np.float32)}
    nodes = [
        *trunk(),
        NODE("Flatten", ["pool"], ["flat"]),
        NODE("Gemm", ["flat", "w", "b"], ["logits"], transB=1),
        NODE("Softmax", ["logits"], ["classes"], axis=1),
    ]
    made = model(nodes, outputs=["pool", "logits", "classes"], arrays=arrays)
    stored = import_network(write(made, tmp_path), "net", ImportOptions(preprocess=PLAIN, layer="pool"))
    assert stored.spec.output == (None if classes == 10 else "classes")


@pytest.mark.parametrize("arch", ["alexnet", "caffenet"])
def test_an_alexnet_of_caffe_goes_into_our_graph_by_its_prototxt(tmp_path: Path, arch: str) -> None:
    """Both have the same shapes, and the weights' own layers are left out: the prototxt alone can tell."""
    layers = caffe_files.alexnet(units=(2, 2, 2), pool_first=arch == "caffenet")[:15]
    weights, text = write_caffe(tmp_path, layers, (10, 3, 227, 227))
    weights.write_bytes(caffe_files.caffemodel([layer for layer in layers if layer.blobs]))
    stored = import_network(weights, "net", ImportOptions(prototxt=text))
    assert (stored.spec.arch, stored.spec.default_layer) == (arch, "pool5")
    assert stored.spec.preprocess == caffe_preprocess(227)


def test_a_prototxt_of_another_size_keeps_caffes_graph(tmp_path: Path) -> None:
    layers = caffe_files.alexnet(units=(2, 2, 2))[:15]
    weights, text = write_caffe(tmp_path, layers, (1, 3, 99, 99))
    spec = import_network(weights, "small", ImportOptions(prototxt=text, layer="pool5")).spec
    assert (spec.arch, spec.preprocess.crop_height, spec.layer("pool5").shape) == ("onnx", 99, (256, 2, 2))


def test_a_googlenet_of_caffe_keeps_its_own_graph_and_caffes_recipe(tmp_path: Path) -> None:
    weights, text = write_caffe(tmp_path, googlenet(63), (1, 3, 63, 63))
    mean = tmp_path / "mean.binaryproto"
    image = np.stack([np.full((2, 2), value, np.float32) for value in (101, 102, 103)])[None]
    mean.write_bytes(caffe_files.blob(image, legacy=True))
    last = [layer.tops[0] for layer in googlenet(63) if layer.type == "Pooling"][-1]
    stored = import_network(weights, "goo", ImportOptions(prototxt=text, mean=mean, layer=last))
    spec = stored.spec
    assert (spec.arch, spec.default_layer) == ("onnx", last)
    assert spec.preprocess.channel_order == "BGR"
    assert spec.preprocess.mean == (101.0, 102.0, 103.0)
    assert (spec.preprocess.crop_height, spec.preprocess.resize_height) == (63, 72)
    assert run(stored, [last], images(2, 63))[last].shape == (2, spec.layer(last).dim())


def test_a_mean_image_follows_the_channel_order_and_the_scale(tmp_path: Path) -> None:
    mean = tmp_path / "mean.binaryproto"
    mean.write_bytes(caffe_files.blob(np.array([51, 102, 153], np.float32).reshape(1, 3, 1, 1)))
    stored = import_network(
        write(model(), tmp_path), "net", ImportOptions(preprocess=torch_preprocess(), mean=mean, layer="pool")
    )
    assert stored.spec.preprocess.mean == pytest.approx((0.6, 0.4, 0.2))


def test_a_preset_of_another_size_is_fitted_to_our_graph() -> None:
    plan = architecture("alexnet-owt")
    shapes = plan.weight_shapes().items()
    trunk_weights = {key: np.zeros(shape, np.float32) for key, shape in shapes if key.startswith("conv")}
    _, spec = built_network(plan, trunk_weights, "x", caffe_preprocess(227), None)
    assert (spec.preprocess.crop_height, spec.preprocess.mean) == (224, caffe_preprocess().mean)


def test_the_readers_note_reaches_the_user(tmp_path: Path) -> None:
    layers = caffe_files.alexnet(units=(2, 2, 2))[:15]
    path, _ = write_caffe(tmp_path, layers, (1, 3, 227, 227))
    notes: list[str] = []
    import_network(path, "net", ImportOptions(arch="caffenet"), notify=notes.append)
    assert "net.caffemodel: the file's layers are alexnet's" in notes[0]


def test_a_taken_name_is_refused_before_anything_is_replaced(tmp_path: Path) -> None:
    path = write(model(), tmp_path)
    first = import_network(path, "net", ImportOptions(preprocess=PLAIN, layer="pool"))
    with pytest.raises(UsageError, match="already"):
        import_network(path, "net", ImportOptions(preprocess=PLAIN, layer="prob"))
    assert store.load("net").spec == first.spec
    assert (
        import_network(
            path, "net", ImportOptions(preprocess=PLAIN, layer="prob", replace=True)
        ).spec.default_layer
        == "prob"
    )


def test_a_folder_and_a_missing_file_are_messages(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.onnx"):
        with pytest.raises(WeightsError, match=path.name):
            import_network(path, "net", ImportOptions(preprocess=PLAIN, layer="pool"))
