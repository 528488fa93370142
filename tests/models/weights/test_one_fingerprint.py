"""The same weights give one fingerprint, whatever file they came in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fc7.models.network.architectures import architecture
from fc7.models.store.importing import ImportOptions, import_network
from fc7.models.weights.untrained import untrained_weights
from tests.support.models import caffe_files, weights_files, weights_onnx_files


@pytest.fixture(scope="module")
def trunk() -> weights_files.Weights:
    """conv1 to conv5 of BVLC's shapes: 9 MB, and every format can hold them."""
    weights = untrained_weights(architecture("alexnet"), seed=5)
    return {key: value for key, value in weights.items() if key.startswith("conv")}


def caffe_trunk(trunk: weights_files.Weights) -> bytes:
    """A caffemodel that ends at pool5."""
    layers = caffe_files.alexnet(units=(2, 2, 2))
    layers = layers[: [layer.name for layer in layers].index("fc6")]
    for layer in layers:
        if layer.blobs:
            layer.blobs = [trunk[f"{layer.name}.weight"], trunk[f"{layer.name}.bias"]]
    return caffe_files.caffemodel(layers)


def test_six_formats_one_fingerprint(
    trunk: weights_files.Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    content = {
        "zip.pth": weights_files.torch_zip(trunk),
        "legacy.pth": weights_files.torch_legacy(trunk),
        "plain.safetensors": weights_files.safetensors(trunk),
        "bvlc_alexnet.npy": weights_files.npy_dict(trunk),
        "bvlc.caffemodel": caffe_trunk(trunk),
        "graph.onnx": weights_onnx_files.alexnet(trunk).SerializeToString(),
    }
    found = {}
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
        network = import_network(tmp_path / name, name.replace(".", "-"), ImportOptions(arch="alexnet"))
        found[name] = network.spec.fingerprint("pool5")
    assert len(set(found.values())) == 1, found

    changed = dict(trunk)
    changed["conv3.bias"] = changed["conv3.bias"] + np.float32(1e-6)
    (tmp_path / "other.safetensors").write_bytes(weights_files.safetensors(changed))
    other = import_network(tmp_path / "other.safetensors", "other", ImportOptions(arch="alexnet"))
    assert other.spec.fingerprint("pool5") not in found.values()


def test_the_architecture_is_part_of_it(
    trunk: weights_files.Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    (tmp_path / "w.safetensors").write_bytes(weights_files.safetensors(trunk))
    prints = {
        arch: import_network(
            tmp_path / "w.safetensors", f"my-{arch}", ImportOptions(arch=arch)
        ).spec.fingerprint("pool5")
        for arch in ("alexnet", "caffenet", "alexnet-tf")
    }
    assert len(set(prints.values())) == 3
