"""The AlexNets we build ourselves, out of Caffe files: the same arrays and digests as from any format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fc7.models.backbones.alexnet import build_graph
from fc7.models.caffe.graph import build_caffe_graph
from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.graph.digest import tensor_digests
from fc7.models.network.architectures import Architecture, Conv, Dense, Step, architecture
from fc7.models.weights.caffe_model import CaffeBlob, CaffeLayer, alexnet_weights
from fc7.models.weights.match_architecture import fit_architecture
from fc7.models.weights.reading import read_weights
from fc7.models.weights.sniffing import sniff
from tests.support.models.caffe_files import Layer, alexnet, caffemodel, canonical_weights
from tests.support.models.caffe_nets import googlenet
from tests.support.models.caffe_running import assert_equal, built, pixels, run_graph, run_opencv, write
from tests.support.models.weights_files import safetensors, torchvision_names

DIMS = (10, 3, 227, 227)
# conv1 to pool5 in the published sizes; both AlexNets have 15 layers up to there.
TRUNKS = {
    "alexnet": alexnet(units=(2, 2, 2))[:15],
    "caffenet": alexnet(units=(2, 2, 2), pool_first=True)[:15],
}


@dataclass
class Full:
    """A full-size AlexNet, and its files."""

    layers: list[Layer]
    files: tuple[Path, Path]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    layers = alexnet()
    files = write(tmp_path_factory.mktemp("full"), layers, DIMS, version=1)
    yield Full(layers, files)
    files[0].unlink()  # 244 MB


def test_a_full_size_alexnet_is_known_and_read_whole(full: Full) -> None:
    read = read_weights(full.files[0])
    assert read is not None
    assert (read.format, read.arch, read.note) == ("Caffe model", "alexnet", "")
    expected = canonical_weights(full.layers)
    assert list(read.arrays) == list(expected)
    assert all(np.array_equal(read.arrays[key], expected[key]) for key in expected)


def test_a_full_size_alexnet_equals_opencvs(full: Full) -> None:
    image = pixels(1, 3, 227, 227)
    theirs = run_opencv(full.files, full.layers, image)
    ours = run_graph(build_caffe_graph(*full.files), image)
    assert ours["fc7"].shape == (1, 4096)
    assert_equal(ours, theirs, full.layers)


@pytest.mark.parametrize("arch", TRUNKS)
@pytest.mark.parametrize(
    "form",
    [
        {"version": 2},
        {"version": 2, "name": "", "double": True},
        {"version": 1, "legacy": True},
        {"version": 0, "legacy": True},
        {"version": 2, "packed": False},
    ],
    ids=str,
)
def test_every_form_of_a_caffemodel_gives_the_arrays_of_a_safetensors_file(
    arch: str, form: dict[str, Any], tmp_path: Path
) -> None:
    layers = TRUNKS[arch]
    (tmp_path / "weights.bin").write_bytes(caffemodel(layers, **form))
    weights = canonical_weights(layers)
    (tmp_path / "other.bin").write_bytes(safetensors(torchvision_names(weights)))
    found = read_weights(tmp_path / "weights.bin")
    other = read_weights(tmp_path / "other.bin", arch)
    assert found is not None
    assert other is not None
    assert sniff(tmp_path / "weights.bin") == "caffe"
    assert found.arch == other.arch == arch
    assert list(found.arrays) == list(other.arrays) == list(weights)
    for key, array in found.arrays.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, other.arrays[key])


def narrow(name: str, channels: tuple[int, ...], units: tuple[int, ...]) -> Architecture:
    """One of our architectures with fewer channels and units."""
    plan, sizes = architecture(name), iter((*channels, *units))
    steps: list[Step] = []
    for step in plan.steps:
        if isinstance(step, Conv):
            steps.append(replace(step, channels=next(sizes)))
        else:
            steps.append(replace(step, units=next(sizes)) if isinstance(step, Dense) else step)
    return replace(plan, steps=tuple(steps))


@pytest.mark.parametrize("arch", ["alexnet", "caffenet"])
def test_with_its_prototxt_every_layer_has_the_digest_of_our_own_graph(arch: str, tmp_path: Path) -> None:
    sizes = (8, 12, 8, 8, 8), (7, 6, 5)
    layers = alexnet(*sizes, pool_first=arch == "caffenet")
    weights = canonical_weights(layers)
    found = tensor_digests(built(tmp_path, layers, DIMS))
    ours = tensor_digests(build_graph(narrow(arch, *sizes), weights))
    assert {name: found[name] for name in ours} == ours
    assert {"pool5", "fc6_pre", "fc7", "fc8", "prob"} <= set(ours)
    other = "alexnet" if arch == "caffenet" else "caffenet"
    assert tensor_digests(build_graph(narrow(other, *sizes), weights))["fc7"] != ours["fc7"]


def test_weights_without_the_other_layers_need_the_users_word(tmp_path: Path) -> None:
    path = tmp_path / "stripped.caffemodel"
    path.write_bytes(caffemodel([layer for layer in TRUNKS["alexnet"] if layer.blobs]))
    with pytest.raises(UsageError, match=r"alexnet, caffenet.*--arch"):
        read_weights(path)
    read = read_weights(path, "caffenet")
    assert read is not None
    assert (read.arch, read.note) == ("caffenet", "")


def test_the_users_word_beats_the_files_layers_and_a_note_says_so(tmp_path: Path) -> None:
    path = tmp_path / "alexnet.caffemodel"
    path.write_bytes(caffemodel(TRUNKS["alexnet"]))
    read = read_weights(path, "caffenet")
    assert read is not None
    assert read.arch == "caffenet"
    assert "layers are alexnet's" in read.note


def learned(layers: list[Layer]) -> list[CaffeLayer]:
    return [
        CaffeLayer(layer.name, layer.type, tuple(CaffeBlob(a.shape, a.reshape(-1)) for a in layer.blobs))
        for layer in layers
    ]


def test_r_cnns_last_layer_is_known_by_its_place_and_left_out(full: Full) -> None:
    layers = learned(full.layers[:-2])
    scores = (CaffeBlob((200, 4096), np.ones(819200, np.float32)), CaffeBlob((200,), np.ones(200)))
    layers.append(CaffeLayer("fc-rcnn", "InnerProduct", scores))
    arrays, arch = alexnet_weights(layers, "rcnn.caffemodel")
    assert arrays["fc8.weight"].shape == (200, 4096)
    assert arch == "alexnet"
    _, kept, note = fit_architecture(arrays, arch, "rcnn.caffemodel")
    assert list(kept)[-1] == "fc7.bias"
    assert "200 classes" in note


def test_fully_connected_layers_written_as_convolutions_are_the_same_numbers() -> None:
    layers = alexnet((4, 6, 4, 4, 4), (8, 7, 5))
    expected, _ = alexnet_weights(learned(layers), "plain")
    turned = [
        replace(layer, type="Convolution", blobs=[layer.blobs[0].reshape(8, 4, 6, 6), layer.blobs[1]])
        if layer.name == "fc6"
        else layer
        for layer in layers
    ]
    found, arch = alexnet_weights(learned(turned), "turned")
    assert arch is None
    assert all(np.array_equal(found[key], expected[key]) for key in expected)


def test_another_network_asks_for_its_prototxt(tmp_path: Path) -> None:
    path = tmp_path / "googlenet.caffemodel"
    path.write_bytes(caffemodel(googlenet(61)))
    with pytest.raises(WeightsError, match=r"conv1/7x7_s2.*deploy\.prototxt with --prototxt"):
        read_weights(path)


def test_a_prototxt_without_group_2_is_told_what_would_fit(tmp_path: Path) -> None:
    weights, text = write(tmp_path, TRUNKS["alexnet"], DIMS)
    text.write_text(text.read_text().replace("    group: 2\n", "", 1))
    with pytest.raises(
        WeightsError,
        match=r"line 46: layer conv2 .*\(256, 48, 5, 5\).*\(256, 96, 5, 5\).*`group: 2` would fit",
    ):
        build_caffe_graph(weights, text)
