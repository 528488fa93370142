"""A network in integers: its weights, its layers, which of them stay in single precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from fc7.extract.engine import quantiser
from fc7.extract.engine.importing import import_network
from fc7.extract.engine.session import open_session
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.options import RunOptions
from fc7.extract.quantise.network import QuantisedNetwork, QuantiseOptions, quantise
from fc7.extract.quantise.search import cosines
from fc7.models.common.errors import DataError, UnknownLayerError, UsageError, WeightsError
from fc7.models.common.progress import Silent
from fc7.models.graph.files import load_whole_graph
from fc7.models.network.spec import PreprocessSpec
from fc7.models.store import store
from fc7.models.store.importing import ImportOptions
from fc7.models.store.store import StoredNetwork
from tests.support import SIDE, write_pictures

CPU = RunOptions(device="cpu", threads=1)
RAW = PreprocessSpec("warp", SIDE, SIDE, SIDE, SIDE, "RGB", mean=(128.0, 128.0, 128.0))


def made(folder: Path, outlier: float = 0.0, name: str = "net") -> StoredNetwork:
    """conv, ReLU, 1x1 conv, ReLU, mean, Gemm: ``fc``, 12 numbers; ``prob`` behind it.

    With an outlier one channel of the first map is that number everywhere, and nobody reads it: a scale that
    covers it leaves little of the other channels.
    """
    rng = np.random.default_rng(0)
    arrays = {
        "w1": rng.normal(0, 0.05, (8, 3, 3, 3)),
        "b1": rng.normal(0, 1, 8),
        "w2": rng.normal(0, 0.3, (16, 8, 1, 1)),
        "b2": rng.normal(0, 1, 16),
        "w3": rng.normal(0, 0.3, (12, 16)),
        "b3": rng.normal(0, 1, 12),
        "w4": rng.normal(0, 0.3, (5, 12)),
    }
    if outlier:
        arrays["w1"][0], arrays["b1"][0], arrays["w2"][:, 0] = 0, outlier, 0
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Conv", ["x", "w1", "b1"], ["c1"], "first", strides=[2, 2]),
            node("Relu", ["c1"], ["r1"]),
            node("Conv", ["r1", "w2", "b2"], ["c2"], "second"),
            node("Relu", ["c2"], ["r2"]),
            node("GlobalAveragePool", ["r2"], ["p"]),
            node("Flatten", ["p"], ["f"]),
            node("Gemm", ["f", "w3", "b3"], ["fc"], "third", transB=1),
            node("Gemm", ["fc", "w4"], ["scores"], "fourth", transB=1),
            node("Softmax", ["scores"], ["prob"], axis=1),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("prob", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(value.astype(np.float32), key) for key, value in arrays.items()],
    )
    file = folder / f"{name}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(file))
    return import_network(file, name, ImportOptions(preprocess=RAW, layer="fc", licence="mine"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    write_pictures(tmp_path / "imgs", per_class=5)
    return tmp_path


def quantised(
    folder: Path, stored: StoredNetwork, options: QuantiseOptions | None = None
) -> QuantisedNetwork:
    options = options or QuantiseOptions(f"{stored.spec.name}-int8")
    return quantise(stored, list_inputs([folder / "imgs"]), options, CPU, Silent(), lambda note: None)


def rows(network: StoredNetwork, layer: str) -> NDArray[np.float32]:
    pictures = np.random.default_rng(1).integers(0, 256, (6, SIDE, SIDE, 3), np.uint8)
    return open_session(network.graph_path, network.spec, [layer], CPU).run(pictures)[layer]


def test_weights_are_rounded_to_127_steps_of_each_channel(here: Path) -> None:
    stored = made(here)
    found = quantised(here, stored)
    arrays = {
        a.name: numpy_helper.to_array(a) for a in load_whole_graph(found.network.graph_path).graph.initializer
    }
    originals = {
        a.name: numpy_helper.to_array(a) for a in load_whole_graph(stored.graph_path).graph.initializer
    }
    for name in ("w1", "w2", "w3"):
        whole, scale = arrays[f"{name}_quantized"], arrays[f"{name}_scale"]
        assert whole.dtype == np.int8
        wanted = np.abs(originals[name]).reshape(len(scale), -1).max(axis=1) / 127
        np.testing.assert_allclose(scale, wanted, rtol=1e-5)
        steps = scale.reshape(-1, *[1] * (whole.ndim - 1))
        assert np.abs(whole * steps - originals[name]).max() <= 0.501 * scale.max()
        assert name not in arrays
    # What lies behind the features is as it was.
    np.testing.assert_array_equal(arrays["w4"], originals["w4"])
    assert found.found.quantised == ("first", "second", "third")
    assert found.found.single == ()


def test_every_layer_is_there_and_close_and_none_is_taken_for_the_originals(here: Path) -> None:
    stored = made(here)
    spec = quantised(here, stored).network.spec
    assert [layer.name for layer in spec.layers] == [layer.name for layer in stored.spec.layers]
    for layer in stored.spec.layers:
        own, other = rows(stored, layer.name), rows(store.load("net-int8"), layer.name)
        assert cosines(own, other).min() > 0.995
        assert not np.array_equal(own, other)
        assert spec.fingerprint(layer.name) != stored.spec.fingerprint(layer.name)
    assert (spec.preprocess, spec.licence, spec.default_layer) == (stored.spec.preprocess, "mine", "fc")
    assert not spec.source.endswith(stored.spec.source)
    store.verify("net-int8")


def test_the_layer_that_integers_ruin_stays_in_single_precision(here: Path) -> None:
    stored = made(here, outlier=60_000.0)
    found = quantised(here, stored)
    # The first layer is left out first, which does not help; then the one that reads the outlier.
    assert found.found.single == ("first", "second")
    assert found.found.quantised == ("third",)
    assert found.found.cosine >= 0.9995
    assert cosines(rows(stored, "fc"), rows(found.network, "fc")).min() > 0.999
    # Before its only integers it computes what the original does.
    np.testing.assert_array_equal(rows(stored, "r2"), rows(found.network, "r2"))
    assert found.network.spec.fingerprint("r2") == stored.spec.fingerprint("r2")
    assert found.network.spec.fingerprint("fc") != stored.spec.fingerprint("fc")


def test_another_layer_becomes_the_networks_own_and_what_follows_stays(here: Path) -> None:
    found = quantised(here, made(here), QuantiseOptions("cut", layer="r2"))
    assert found.network.spec.default_layer == "r2"
    assert found.found.quantised == ("first", "second")


def test_wrong_calls_and_networks_are_refused_and_nothing_is_added(here: Path) -> None:
    stored = made(here)
    for name in ("net", "alexnet", "AlexNet-int8"):
        with pytest.raises(UsageError, match=r"already|catalogue's name"):
            quantised(here, stored, QuantiseOptions(name))
    with pytest.raises(UnknownLayerError):
        quantised(here, stored, QuantiseOptions("a", layer="fc9"))
    again = quantised(here, stored).network
    with pytest.raises(WeightsError, match="computes in integers already"):
        quantised(here, again, QuantiseOptions("a"))
    (here / "imgs").rename(here / "away")
    (here / "imgs" / "red").mkdir(parents=True)
    (here / "imgs" / "red" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"none of the images can be read \(.*a\.png"):
        quantised(here, stored, QuantiseOptions("a"))
    assert store.names() == ["net", "net-int8"]


def test_an_image_that_cannot_be_read_is_left_out_of_the_ranges(here: Path) -> None:
    (here / "imgs" / "red" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert quantised(here, made(here)).n_calibration == 15


def test_a_stop_leaves_nothing_in_the_network_store(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = made(here)
    before = sorted(path.name for path in (here / "store" / "networks").iterdir())

    def stop(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(quantiser._Batches, "get_next", stop)
    with pytest.raises(KeyboardInterrupt):
        quantised(here, stored)
    assert sorted(path.name for path in (here / "store" / "networks").iterdir()) == before


def test_a_network_of_a_fixed_batch_is_measured_in_batches_of_that(here: Path) -> None:
    from fc7.models.graph.pixels import pixels_in
    from fc7.models.graph.quantised import to_quantise

    fed = pixels_in(to_quantise(load_whole_graph(made(here).graph_path), "net"), RAW)
    fed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    pictures = np.random.default_rng(1).integers(0, 256, (6, SIDE, SIDE, 3), np.uint8)
    whole = quantiser.quantise_statically(fed, ["first"], pictures, "net", Silent())
    assert any(node.op_type == "QuantizeLinear" for node in whole.graph.node)


def test_pictures_of_one_colour_still_give_a_picture_range(here: Path) -> None:
    """A range of no width would be a scale of zero."""
    for path in (here / "imgs").rglob("*.png"):
        Image.new("RGB", (SIDE, SIDE), (128, 128, 128)).save(path)
    found = quantised(here, made(here))
    assert np.isfinite(rows(found.network, "fc")).all()
