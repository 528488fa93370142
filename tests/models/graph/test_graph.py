"""Our graphs against a plain NumPy implementation of the published layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fc7.extract.engine.session import open_session
from fc7.extract.options import RunOptions
from fc7.extract.records import Features
from fc7.models.backbones.alexnet import build_graph
from fc7.models.common.errors import UnknownLayerError, WeightsError
from fc7.models.graph.files import load_graph, save_graph
from fc7.models.graph.surgery import cut
from fc7.models.network.architectures import ARCHITECTURES, architecture
from fc7.models.network.spec import NetworkSpec
from fc7.models.store.importing import built_network
from fc7.models.weights.untrained import untrained_weights
from tests.support.models import reference

LAYERS = ["pool5", "fc6_pre", "fc6", "fc7_pre", "fc7", "prob"]
RNG = np.random.default_rng(7)


def random_weights(arch: str) -> reference.Weights:
    """He-normal with biases that matter, so that a lost or shifted bias shows."""
    weights = untrained_weights(architecture(arch), seed=3)
    for key, value in weights.items():
        if key.endswith("bias"):
            weights[key] = RNG.normal(0, 2, value.shape).astype(np.float32)
    # Scores of He-normal size would make every softmax a one-hot vector and hide errors.
    weights["fc8.weight"] /= 50
    return weights


def random_images(size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Two images with large and small structure."""
    coarse = RNG.integers(0, 256, (2, 8, 8, 3)).repeat(-(-size // 8), 1).repeat(-(-size // 8), 2)
    fine = RNG.integers(-40, 40, (2, size, size, 3))
    images: np.ndarray[Any, np.dtype[np.uint8]] = np.clip(coarse[:, :size, :size] + fine, 0, 255).astype(
        np.uint8
    )
    return images


def relative_error(found: Features, wanted: np.ndarray[Any, Any]) -> float:
    wanted = wanted.reshape(found.shape)
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


class Case:
    """One network in a folder, its features by the product, and what the reference needs."""

    def __init__(self, arch: str, folder: Path) -> None:
        self.weights = random_weights(arch)
        plan = architecture(arch)
        model, self.spec = built_network(plan, self.weights, arch, plan.preprocess, None)
        save_graph(model, folder)
        self.images = random_images(plan.preprocess.crop_height)
        session = open_session(
            folder / "network.onnx", self.spec, LAYERS, RunOptions(device="cpu", batch_size=2)
        )
        self.features = session.run(self.images)


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case("alexnet", tmp_path_factory.mktemp("alexnet"))


@pytest.fixture(scope="module")
def caffenet(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case("caffenet", tmp_path_factory.mktemp("caffenet"))


@pytest.fixture(scope="module")
def owt(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case("alexnet-owt", tmp_path_factory.mktemp("owt"))


def assert_close(case: Case, wanted: dict[str, reference.Array]) -> None:
    for layer in LAYERS:
        assert relative_error(case.features[layer], wanted[layer]) < 1e-4, layer


def test_bvlc_alexnet_equals_the_numpy_layers(alexnet: Case) -> None:
    assert_close(alexnet, reference.bvlc(reference.caffe_input(alexnet.images), alexnet.weights))


def test_caffenet_equals_the_numpy_layers(caffenet: Case) -> None:
    wanted = reference.bvlc(reference.caffe_input(caffenet.images), caffenet.weights, pool_first=True)
    assert_close(caffenet, wanted)


def test_torchvision_alexnet_equals_the_numpy_layers(owt: Case) -> None:
    assert_close(owt, reference.torchvision(reference.torch_input(owt.images), owt.weights))


def test_a_row_is_the_same_whatever_runs_beside_it(alexnet: Case, owt: Case, tmp_path: Path) -> None:
    for case, arch in ((alexnet, "alexnet"), (owt, "alexnet-owt")):
        plan = architecture(arch)
        model, spec = built_network(plan, case.weights, arch, plan.preprocess, None)
        (tmp_path / arch).mkdir()
        save_graph(model, tmp_path / arch)
        session = open_session(
            tmp_path / arch / "network.onnx", spec, ["fc7"], RunOptions(device="cpu", batch_size=9)
        )
        images = np.concatenate([random_images(plan.preprocess.crop_height) for _ in range(4)])
        whole = session.run(images)["fc7"]
        for n in (1, 3, 7):
            assert relative_error(session.run(images[:n])["fc7"], whole[:n]) < 1e-5


@pytest.mark.parametrize(
    "swap",
    [{"pool_first": True}, {"alpha": 0.0}, {"alpha": 5e-4}, {"swap_groups": True}, {"flatten": "hwc"}],
    ids=str,
)
def test_a_swapped_detail_is_noticed(alexnet: Case, swap: dict[str, Any]) -> None:
    wanted = reference.bvlc(reference.caffe_input(alexnet.images), alexnet.weights, **swap)
    assert relative_error(alexnet.features["fc7"], wanted["fc7"]) > 1e-2


def test_rgb_in_place_of_bgr_is_noticed(alexnet: Case) -> None:
    wanted = reference.bvlc(reference.caffe_input(alexnet.images[..., ::-1]), alexnet.weights)
    assert relative_error(alexnet.features["fc7"], wanted["fc7"]) > 1e-2


def test_torchvisions_flattening_order_is_noticed(owt: Case) -> None:
    wanted = reference.torchvision(reference.torch_input(owt.images), owt.weights, flatten="hwc")
    assert relative_error(owt.features["fc7"], wanted["fc7"]) > 1e-2


def test_the_same_graph_equals_pytorchs_layers(owt: Case) -> None:
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    w = {key: torch.from_numpy(value) for key, value in owt.weights.items()}
    x = torch.from_numpy(reference.torch_input(owt.images).astype(np.float32))
    x = f.max_pool2d(f.relu(f.conv2d(x, w["conv1.weight"], w["conv1.bias"], 4, 2)), 3, 2)
    x = f.max_pool2d(f.relu(f.conv2d(x, w["conv2.weight"], w["conv2.bias"], 1, 2)), 3, 2)
    for layer in ("conv3", "conv4", "conv5"):
        x = f.relu(f.conv2d(x, w[f"{layer}.weight"], w[f"{layer}.bias"], 1, 1))
    x = torch.flatten(f.max_pool2d(x, 3, 2), 1)
    for layer in ("fc6", "fc7"):
        x = f.relu(f.linear(x, w[f"{layer}.weight"], w[f"{layer}.bias"]))
    assert relative_error(owt.features["fc7"], x.numpy()) < 1e-4


def test_the_bvlc_graph_equals_pytorchs_layers(alexnet: Case) -> None:
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    w = {key: torch.from_numpy(value) for key, value in alexnet.weights.items()}
    x = torch.from_numpy(reference.caffe_input(alexnet.images).astype(np.float32))
    for layer, stride, pad, group in (("conv1", 4, 0, 1), ("conv2", 1, 2, 2)):
        x = f.relu(f.conv2d(x, w[f"{layer}.weight"], w[f"{layer}.bias"], stride, pad, 1, group))
        x = f.max_pool2d(f.local_response_norm(x, 5, 1e-4, 0.75, 1.0), 3, 2)
    for layer, group in (("conv3", 1), ("conv4", 2), ("conv5", 2)):
        x = f.relu(f.conv2d(x, w[f"{layer}.weight"], w[f"{layer}.bias"], 1, 1, 1, group))
    x = torch.flatten(f.max_pool2d(x, 3, 2), 1)
    for layer in ("fc6", "fc7"):
        x = f.relu(f.linear(x, w[f"{layer}.weight"], w[f"{layer}.bias"]))
    assert relative_error(alexnet.features["fc7"], x.numpy()) < 1e-4


# Design section 4's table, counted by hand from the published layers.
PARAMETERS = {
    "alexnet": [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000],
    "caffenet": [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000],
    "alexnet-owt": [23_296, 307_392, 663_936, 884_992, 590_080, 37_752_832, 16_781_312, 4_097_000],
}


@pytest.mark.parametrize("arch", PARAMETERS)
def test_parameters_count_as_published(arch: str) -> None:
    layers = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert [architecture(arch).parameters(layer) for layer in layers] == PARAMETERS[arch]


def test_a_cut_leaves_out_the_weights_it_does_not_need(alexnet: Case, tmp_path: Path) -> None:
    model = build_graph(architecture("alexnet"), alexnet.weights)
    save_graph(model, tmp_path)
    kept = {tensor.name for tensor in cut(load_graph(tmp_path / "network.onnx"), ["pool5"]).graph.initializer}
    assert kept == {f"conv{i}.{kind}" for i in range(1, 6) for kind in ("weight", "bias")}


def test_every_named_tensor_of_the_design_is_a_layer(alexnet: Case) -> None:
    names = [layer.name for layer in alexnet.spec.layers]
    for name in ["pool5", "fc6_pre", "fc6", "fc7_pre", "fc7", "fc8", "prob"]:
        assert name in names
    assert alexnet.spec.layer("pool5").shape == (256, 6, 6)
    assert alexnet.spec.layer("fc7").dim() == 4096
    assert alexnet.spec.default_layer == "fc7"


def test_an_unknown_layer_is_named_with_those_there_are(alexnet: Case) -> None:
    with pytest.raises(UnknownLayerError, match=r"fc9.*fc7"):
        alexnet.spec.layer("fc9")


def test_a_trunk_ends_where_its_weights_end() -> None:
    weights = untrained_weights(architecture("alexnet"))
    trunk = {key: value for key, value in weights.items() if key.startswith("conv")}
    plan = architecture("alexnet")
    _, spec = built_network(plan, trunk, "trunk", plan.preprocess, None)
    assert spec.default_layer == spec.layers[-1].name == "pool5"
    _, whole = built_network(plan, weights, "whole", plan.preprocess, None)
    assert whole.fingerprint("pool5") == spec.fingerprint("pool5")


def test_a_gap_in_the_weights_is_refused() -> None:
    weights = untrained_weights(architecture("alexnet"))
    del weights["conv3.weight"]
    with pytest.raises(WeightsError, match=r"conv3\.weight"):
        build_graph(architecture("alexnet"), weights)


def test_weights_of_another_architecture_are_refused_with_both_shapes() -> None:
    weights = untrained_weights(architecture("alexnet-owt"))
    with pytest.raises(WeightsError, match=r"conv1\.weight \(64, 3, 11, 11\), needed \(96, 3, 11, 11\)"):
        build_graph(architecture("alexnet"), weights)


def test_untrained_weights_are_the_same_bytes_everywhere() -> None:
    """Pinned: made once; another machine, NumPy or C library must give the same."""
    plan = architecture("alexnet")
    _, spec = built_network(plan, untrained_weights(plan), "alexnet-untrained", plan.preprocess, None)
    assert spec.layer("fc7").digest == "8824ff3db3f925db00f444476fab3057eecab81fbbf0497642b3865eb4363543"


def test_untrained_weights_have_he_normal_deviation() -> None:
    for key, value in untrained_weights(architecture("alexnet")).items():
        if key.endswith("weight"):
            wanted = np.sqrt(2 / np.prod(value.shape[1:]))
            assert value.std() == pytest.approx(wanted, rel=0.02)
            assert abs(value.mean()) < wanted / 20


def test_the_spec_survives_its_own_json(alexnet: Case) -> None:
    assert NetworkSpec.from_json(alexnet.spec.to_json()) == alexnet.spec


def test_one_changed_weight_changes_the_layers_after_it_only(alexnet: Case) -> None:
    changed = {key: value.copy() for key, value in alexnet.weights.items()}
    changed["fc6.bias"][17] += 1
    plan = ARCHITECTURES["alexnet"]
    _, spec = built_network(plan, changed, "changed", plan.preprocess, None)
    assert spec.fingerprint("pool5") == alexnet.spec.fingerprint("pool5")
    assert spec.fingerprint("fc6_pre") != alexnet.spec.fingerprint("fc6_pre")
    assert spec.fingerprint("fc7") != alexnet.spec.fingerprint("fc7")
