"""The trained networks of ../shared: imported, cut and run; two files of one network agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fc7.extract.engine.importing import import_network
from fc7.extract.engine.session import Session, open_session
from fc7.extract.options import RunOptions
from fc7.models.network.spec import caffe_preprocess
from fc7.models.store import store
from fc7.models.store.importing import ImportOptions
from fc7.models.store.store import StoredNetwork
from tests.support import ROOT

SHARED = ROOT / ".." / "shared" / "networks"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/networks is not here")

# File -> default layer, length of its vector, output. Shapes by the published architectures.
NETWORKS: dict[str, tuple[str, int, str | None]] = {
    "googlenet-bvlc": ("pool5_7x7_s1_out", 1024, "prob_out"),
    "squeezenet1.1": ("fire9_concat_out", 512, "prob_out"),
    "squeezenet1.1-fp16-batch1": ("fire9_concat_1", 512, "softmaxout_1"),
    "alexnet-bvlc-pq-to-pool5": ("pool5_out", 9216, None),
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StoredNetwork]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FC7_HOME", str(tmp_path_factory.mktemp("home")))
        return {name: import_network(SHARED / f"{name}.onnx", name) for name in NETWORKS}


def pictures(n: int, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Blocks of colour with edges: enough for features that differ."""
    coarse = np.random.default_rng(2).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    step = -(-size // 8)
    return coarse.repeat(step, 1).repeat(step, 2)[:, :size, :size]


def session(stored: StoredNetwork, layers: list[str], batch: int | None = None) -> Session:
    return open_session(
        stored.graph_path, stored.spec, layers, RunOptions(device="cpu", batch_size=batch, threads=2)
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_each_file_is_known_cut_and_run(imported: dict[str, StoredNetwork], name: str) -> None:
    layer, dim, output = NETWORKS[name]
    spec = imported[name].spec
    assert (spec.default_layer, spec.layer(layer).dim(spec.pool), spec.output) == (layer, dim, output)
    features = session(imported[name], [layer], 2).run(pictures(2, spec.preprocess.crop_height))[layer]
    assert features.shape == (2, dim)
    assert np.isfinite(features).all()
    assert np.linalg.norm(features[0] - features[1]) > 1e-2 * np.linalg.norm(features)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_in_a_batch_is_the_row_alone(imported: dict[str, StoredNetwork], name: str) -> None:
    layer = NETWORKS[name][0]
    x = pictures(3, imported[name].spec.preprocess.crop_height)
    together = session(imported[name], [layer], 3).run(x)[layer]
    alone = session(imported[name], [layer], 1)
    for i in range(3):
        single = alone.run(x[i : i + 1])[layer][0]
        np.testing.assert_allclose(together[i], single, rtol=1e-4, atol=1e-4 * np.abs(single).max())


def test_the_file_bound_to_one_image_was_freed_and_computes_what_it_did(
    imported: dict[str, StoredNetwork],
) -> None:
    """Against the untouched file in ONNX Runtime, one image at a time."""
    import onnxruntime

    stored = imported["squeezenet1.1-fp16-batch1"]
    x = pictures(3, 224)
    found = session(stored, ["softmaxout_1"], 3)
    assert found.batch_size == 3
    rows = found.run(x)["softmaxout_1"]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    original = onnxruntime.InferenceSession(
        (SHARED / "squeezenet1.1-fp16-batch1.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    mean = np.array([104.0, 117.0, 123.0], np.float32).reshape(1, 3, 1, 1)
    for image, row in zip(x, rows, strict=True):
        bgr = image[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) - mean
        wanted = original.run(None, {"data_0": bgr.astype(np.float16)})[0].reshape(-1)
        np.testing.assert_allclose(row, wanted.astype(np.float32), atol=2e-3)


def test_both_squeezenets_agree_on_the_same_224_input_to_the_accuracy_of_fp16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, imported: dict[str, StoredNetwork]
) -> None:
    """The fp32 file takes 227; its convolutions take any size, so it is imported again at 224."""
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    model = onnx.load_model(str(SHARED / "squeezenet1.1.onnx"))
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.Clear()
    free = tmp_path / "free.onnx"
    free.write_bytes(model.SerializeToString())
    half = imported["squeezenet1.1-fp16-batch1"]
    single = import_network(
        free, "fp32", ImportOptions(preprocess=half.spec.preprocess, layer="fire9_concat_out", pool="avg")
    )
    assert single.spec.preprocess == half.spec.preprocess
    x = pictures(4, 224)
    a = session(single, ["fire9_concat_out", "prob_out"], 4).run(x)
    b = session(half, ["fire9_concat_1", "softmaxout_1"], 4).run(x)
    features, halves = a["fire9_concat_out"], b["fire9_concat_1"]
    # float16 has 11 bits: 5e-4 a step, and the error grows over 26 layers.
    assert np.abs(features - halves).max() < 1e-2 * np.abs(features).max()
    cosine = (features * halves).sum(1) / np.linalg.norm(features, axis=1) / np.linalg.norm(halves, axis=1)
    assert cosine.min() > 0.9999
    assert np.abs(a["prob_out"] - b["softmaxout_1"]).max() < 2e-2
    assert (a["prob_out"].argmax(1) == b["softmaxout_1"].argmax(1)).all()


def test_the_trunk_has_the_recipe_of_bvlc_and_no_classifier(imported: dict[str, StoredNetwork]) -> None:
    spec = imported["alexnet-bvlc-pq-to-pool5"].spec
    assert spec.preprocess == caffe_preprocess(227)
    assert spec.output is None
    assert store.check_name(spec.name) == spec.name
