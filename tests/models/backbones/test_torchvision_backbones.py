"""torchvision's backbones: our graphs against torchvision's own modules, and the catalogue's layers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fc7.extract.engine.session import open_session
from fc7.extract.options import RunOptions
from fc7.models.backbones.build import needed_shapes
from fc7.models.backbones.known import BACKBONES
from fc7.models.backbones.match_backbone import fit_backbone
from fc7.models.catalog import catalog
from fc7.models.graph.files import save_graph
from fc7.models.network.canonical import CanonicalWeights
from fc7.models.store.importing import built_network, import_network
from tests.support.models import weights_files

RNG = np.random.default_rng(6)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def resnet50() -> dict[str, str]:
    """Our layer -> torchvision's module, whose output it is."""
    blocks = {
        f"stage{s}.{b + 1}": f"layer{s}.{b}" for s, n in enumerate((3, 4, 6, 3), 1) for b in range(n - 1)
    }
    stages = {f"stage{s}": f"layer{s}" for s in range(1, 5)}
    shortcuts = {f"stage{s}.1.shortcut": f"layer{s}.0.downsample" for s in range(1, 5)}
    return {"stem_pool": "maxpool", **blocks, **stages, **shortcuts, "pool": "avgpool", "scores": "fc"}


def mobilenet_v3_large() -> dict[str, str]:
    blocks = {f"block{b}": f"features.{b}" for b in range(1, 16)}
    ends = {"head": "features.16", "pool": "avgpool", "dense_pre": "classifier.0", "scores": "classifier.3"}
    inner = {"block4.squeeze": "features.4.block.2", "block1.depthwise": "features.1.block.0"}
    return {"stem": "features.0", **blocks, **inner, **ends}


def convnext_tiny() -> dict[str, str]:
    stages = {f"stage{s}": f"features.{2 * s - 1}" for s in range(1, 5)}
    blocks = {
        f"stage{s}.{b + 1}": f"features.{2 * s - 1}.{b}"
        for s, n in enumerate((3, 3, 9, 3), 1)
        for b in range(n - 1)
    }
    shrinks = {f"stage{s}.shrink": f"features.{2 * s - 2}" for s in range(2, 5)}
    norms = {f"stage{s}.norm": f"features.{2 * s - 2}.0" for s in range(2, 5)}
    # Inside a block channels stand last on both sides.
    parts = ("depthwise", "", "norm", "expand", "gelu", "project")
    inner = {f"stage2.1.{part}": f"features.3.0.block.{i}" for i, part in enumerate(parts) if part}
    ends = {"pool": "avgpool", "norm": "classifier.0", "scores": "classifier.2"}
    return {"stem": "features.0", **blocks, **stages, **shrinks, **norms, **inner, **ends}


NETWORKS = {
    "resnet50-v2": ("resnet50", resnet50()),
    "mobilenet-v3-large": ("mobilenet_v3_large", mobilenet_v3_large()),
    "convnext-tiny": ("convnext_tiny", convnext_tiny()),
}


def lively(torch: Any, net: Any) -> Any:
    """Random statistics and scales, which PyTorch begins with as 0 and 1."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.3, 1.5)
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.LayerNorm):
            module.weight.data.uniform_(0.5, 1.3)
            module.bias.data.normal_(0, 0.2)
        if hasattr(module, "layer_scale"):
            module.layer_scale.data.uniform_(0.1, 0.5)
    return net.eval()


@pytest.mark.parametrize("arch", NETWORKS)
def test_every_named_layer_equals_torchvisions(arch: str, tmp_path: Path) -> None:
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    name, modules = NETWORKS[arch]
    torch.manual_seed(0)
    net = lively(torch, getattr(models, name)())
    wanted: dict[str, NDArray[Any]] = {}
    for layer, module in modules.items():

        def keep(module: Any, inputs: Any, output: Any, layer: str = layer) -> None:
            wanted[layer] = output.numpy().copy()

        net.get_submodule(module).register_forward_hook(keep)
    images = RNG.integers(0, 256, (2, 14, 14, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    with torch.no_grad():
        net(torch.from_numpy(((images / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)))

    fitted = fit_backbone({key: value.numpy() for key, value in net.state_dict().items()}, None, "file.pth")
    assert fitted is not None
    assert (fitted[0], fitted[2]) == (arch, f"taken for {arch} by the names and shapes of its arrays")
    plan = BACKBONES[arch]
    model, spec = built_network(plan, fitted[1], arch, plan.preprocess, None)
    save_graph(model, tmp_path)
    whole = dataclasses.replace(spec, pool="flatten")
    session = open_session(
        tmp_path / "network.onnx", whole, [*modules, "prob"], RunOptions(device="cpu", batch_size=2)
    )
    found = session.run(images)
    for layer, array in wanted.items():
        rows = array.reshape(2, -1)
        assert np.abs(found[layer] - rows).max() < 1e-4 * np.abs(rows).max(), layer
    assert len(wanted) == len(modules)
    np.testing.assert_allclose(found["prob"].sum(1), 1, atol=1e-5)


def random_arrays(arch: str) -> CanonicalWeights:
    """Of the plan's shapes; small, so that nothing overflows on the way, and variances positive."""
    shapes = needed_shapes(BACKBONES[arch])
    return {key: RNG.random(shape, np.float32) / np.float32(10) for key, shape in shapes.items()}


@pytest.mark.parametrize("arch", BACKBONES)
def test_the_catalogues_layers_are_there_and_as_long_as_it_says(arch: str) -> None:
    plan, entry = BACKBONES[arch], catalog.entry(arch)
    _, spec = built_network(plan, random_arrays(arch), arch, plan.preprocess, None)
    assert [(name, spec.layer(name).dim(spec.pool)) for name, _ in entry.layers] == list(entry.layers)
    assert (spec.default_layer, spec.output) == (entry.default_layer, "prob")
    names = [layer.name for layer in spec.layers]
    assert len(names) == len(set(names))
    assert not any("_in" in name for name in names)


def test_a_state_dict_of_ones_own_is_imported_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    (tmp_path / "mine.pth").write_bytes(weights_files.torch_zip(random_arrays("mobilenet-v3-large")))
    notes: list[str] = []
    stored = import_network(tmp_path / "mine.pth", "mine", notify=notes.append)
    assert notes == ["mine.pth: taken for mobilenet-v3-large by the names and shapes of its arrays"]
    assert stored.spec.preprocess.describe().startswith("short side 232 bilinear, centre crop 224x224, RGB")
    images = RNG.integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    session = open_session(stored.graph_path, stored.spec, ["dense", "prob"], RunOptions(device="cpu"))
    together = session.run(images)
    assert together["dense"].shape == (3, 1280)
    np.testing.assert_allclose(together["prob"].sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(session.run(images[:1])["dense"], together["dense"][:1], rtol=1e-4, atol=1e-4)
