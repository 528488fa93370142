"""The network's own classes: names in ILSVRC's order, probabilities once, every image a line."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import NodeProto
from PIL import Image
from typer.testing import CliRunner

from fc7.classify.commands.imagenet import imagenet
from fc7.classify.predict.imagenet import (
    ImagenetOptions,
    class_probabilities,
    classifier_layer,
    imagenet_images,
)
from fc7.models.common.errors import UsageError
from fc7.models.network.imagenet_classes import imagenet_classes
from fc7.models.network.spec import LayerSpec, NetworkSpec
from fc7.models.store import store
from fc7.models.store.importing import ImportOptions, import_network
from tests.support import ROOT
from tests.support.models.small_graphs import NODE, PLAIN, model, write

CPU = ImagenetOptions(network="net", device="cpu", jobs=1)
REDS = (0, 60, 255)
SHARED = ROOT / ".." / "shared"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Squares of one red each, an unreadable file among them."""
    made = tmp_path / "imgs"
    made.mkdir()
    for red in REDS:
        Image.new("RGB", (10, 10), (red, 40, 90)).save(made / f"red{red:03}.png")
    (made / "red100.png").write_bytes(b"no picture")
    return made


def expected_scores(red: int) -> NDArray[np.float64]:
    """Highest for the class whose number is the red's share of 999."""
    c = np.arange(1000)
    return 0.01 * (2 * c * red * 999 / 255 - c.astype(np.float64) ** 2)


def softmax(scores: NDArray[Any]) -> NDArray[Any]:
    raised = np.exp(scores - scores.max())
    return np.asarray(raised / raised.sum())


def bring(folder: Path, *, form: str = "prob", background: bool = False) -> None:
    """A network with `expected_scores`: a vector, a map of one place, or of four (``places``)."""
    c = np.arange(1000, dtype=np.float64)
    w = np.zeros((1000, 3, 1, 1))
    w[:, 0, 0, 0] = 0.02 * c * 999 / 255
    b = -0.01 * c**2
    if background:
        w, b = np.concatenate([w[:1], w]), np.concatenate([[-2.0], b])
    pooled = "data" if form == "places" else "mean"
    nodes: list[NodeProto] = [NODE("GlobalAveragePool", ["data"], ["mean"])] if pooled == "mean" else []
    nodes.append(NODE("Conv", [pooled, "w", "b"], ["map"]))
    last = "map"
    if form in ("prob", "logits"):
        nodes.append(NODE("Flatten", ["map"], ["logits"]))
        last = "logits"
    if form in ("prob", "mapprob"):
        nodes.append(NODE("Softmax", [last], ["prob"], axis=1))
        last = "prob"
    arrays: dict[str, NDArray[Any]] = {"w": w.astype(np.float32), "b": b.astype(np.float32)}
    made = model(nodes, outputs=[last], arrays=arrays)
    import_network(write(made, folder), "net", ImportOptions(preprocess=PLAIN, layer="map", replace=True))


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_table_of_classes_is_ilsvrcs() -> None:
    classes = imagenet_classes()
    assert len({found.wnid for found in classes}) == len(classes) == 1000
    assert [found.wnid for found in classes] == sorted(found.wnid for found in classes)
    assert classes[0].label == "n01440764 tench, Tinca tinca"
    assert classes[281].label == "n02123045 tabby, tabby cat"
    assert classes[999].wnid == "n15075141"
    assert [found.wnid for found in classes if found.name == "crane"] == ["n02012849", "n03126707"]


def test_the_table_of_classes_equals_the_shared_list() -> None:
    path = SHARED / "networks" / "ilsvrc12-synset-words.txt"
    if not path.is_file():
        pytest.skip("../shared/networks is not here")
    assert [found.label for found in imagenet_classes()] == path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("form", ["prob", "logits", "mapprob", "map"])
def test_vectors_and_maps_scores_and_probabilities_give_the_same_lines(
    tmp_path: Path, folder: Path, form: str
) -> None:
    bring(tmp_path, form=form)
    summary = imagenet_images([folder], tmp_path / "out.csv", replace(CPU, top_k=3))
    assert (summary.images, summary.classified, len(summary.failures)) == (4, 3, 1)
    lines = read((tmp_path / "out.csv").read_text(encoding="utf-8"))
    assert [Path(line["path"]).name for line in lines] == [
        "red000.png",
        "red060.png",
        "red100.png",
        "red255.png",
    ]
    assert "not an image" in lines[2]["error"]
    for red, line in zip(REDS, [lines[0], lines[1], lines[3]], strict=True):
        wanted = softmax(expected_scores(red))
        best = np.argsort(-wanted)[:3]
        names = imagenet_classes()
        assert line["label"] == names[best[0]].label
        assert {line[f"label_{i}"] for i in (1, 2, 3)} == {names[c].label for c in best}
        assert float(line["score"]) == pytest.approx(wanted[best[0]], abs=2e-4)


def test_a_map_of_scores_for_each_place_is_averaged(tmp_path: Path, folder: Path) -> None:
    """Imported as any graph; its output is given here, because a map names no classes by itself."""
    import dataclasses

    bring(tmp_path, form="places")
    stored = store.load("net")
    layer = stored.spec.layer("map")
    assert (layer.dim(), layer.dim("avg")) == (64000, 1000)
    spec = dataclasses.replace(stored.spec, output="map")
    stored = store.save(spec, lambda new: copy_network(stored.folder, new), replace=True)
    imagenet_images([folder / "red255.png"], tmp_path / "out.csv", replace(CPU, top_k=1))
    assert (
        read((tmp_path / "out.csv").read_text(encoding="utf-8"))[0]["label"] == imagenet_classes()[999].label
    )


def test_tensorflows_background_class_shifts_nothing(tmp_path: Path, folder: Path) -> None:
    bring(tmp_path, background=True)
    imagenet_images([folder], tmp_path / "out.csv", replace(CPU, top_k=1))
    lines = read((tmp_path / "out.csv").read_text(encoding="utf-8"))
    assert [line["label"] for line in lines if line["label"]] == [
        imagenet_classes()[round(red * 999 / 255)].label for red in REDS
    ]


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 50), st.booleans())
def test_probabilities_are_a_softmax_exactly_once(seed: int, spread: float, already: bool) -> None:
    scores = np.random.default_rng(seed).normal(0, spread, 1000)
    wanted = softmax(scores)
    row = wanted if already else scores
    found = class_probabilities(row[None].astype(np.float32))[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_row_of_nan_stays_nan_and_does_not_spread() -> None:
    rows = np.stack([np.full(1000, np.nan), np.full(1000, 1e-3)]).astype(np.float32)
    found = class_probabilities(rows)
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], 1e-3, rtol=1e-6)


def spec(**changes: Any) -> NetworkSpec:
    layers = (LayerSpec("pool5", "pool5", (9216,), "0" * 64), LayerSpec("ten", "ten", (10,), "0" * 64))
    return NetworkSpec("trunk", "onnx", PLAIN, layers, "pool5", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "network 'trunk' has no classifier"),
        ({"output": "ten"}, "network 'trunk' has no classifier"),
        ({"output": "ten", "trained": False}, "random weights"),
    ],
)
def test_a_network_without_the_classifier_says_so(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        classifier_layer(spec(**changes))


def command(*arguments: str) -> Any:
    import typer

    app = typer.Typer()
    app.command()(imagenet)
    return CliRunner().invoke(app, list(arguments))


def test_the_table_names_every_image_and_the_unreadable_one(tmp_path: Path, folder: Path) -> None:
    bring(tmp_path)
    done = command(str(folder), "--network", "net", "--device", "cpu", "--top-k", "2")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    place = next(i for i, line in enumerate(lines) if line.endswith("red255.png"))
    assert lines[place + 1].strip().endswith("toilet tissue, toilet paper, bathroom tissue (n15075141)")
    assert "%" in lines[place + 1]
    place = next(i for i, line in enumerate(lines) if line.endswith("red100.png"))
    assert lines[place + 1].startswith("  unreadable: not an image")


def test_pictures_whose_name_says_nothing_are_named_too_and_the_rest_is_counted(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fc7.extract.images.codecs import heif

    monkeypatch.setattr(heif, "_reader", lambda: None)
    bring(tmp_path)
    (folder / "red255.png").rename(folder / "red255.jpg_large")
    (folder / "phone").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "notes.txt").write_text("text")
    done = command(str(folder), "--network", "net", "--device", "cpu", "--top-k", "1")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    place = next(i for i, line in enumerate(lines) if line.endswith("red255.jpg_large"))
    assert "toilet tissue" in lines[place + 1]
    place = next(i for i, line in enumerate(lines) if line.endswith("phone"))
    assert lines[place + 1].endswith(" -m pip install 'fc7[heif]'")
    assert "not images: 1 .txt" in done.stderr


def test_the_command_exits_0_when_all_is_read_and_writes_what_it_says(tmp_path: Path, folder: Path) -> None:
    bring(tmp_path)
    out = tmp_path / "classes.txt"
    done = command(str(folder / "red255.png"), "--network", "net", "--device", "cpu", "-o", str(out))
    assert done.exit_code == 0
    assert "toilet tissue" in out.read_text(encoding="utf-8")
    assert done.stdout == ""
    assert f"wrote {out}" in done.stderr


def test_csv_on_stdout_is_csv_and_nothing_else(tmp_path: Path, folder: Path) -> None:
    bring(tmp_path)
    done = command(str(folder), "--network", "net", "--device", "cpu", "--format", "csv", "--top-k", "1")
    assert [line["label"][:9] for line in read(done.stdout) if not line["error"]] == [
        imagenet_classes()[round(red * 999 / 255)].wnid for red in REDS
    ]


def test_trained_networks_see_a_sandal_and_a_t_shirt(tmp_path: Path) -> None:
    """Two photographs whose class both networks give over 80 %."""
    images, networks = SHARED / "images" / "clothing", SHARED / "networks"
    if not images.is_dir() or not networks.is_dir():
        pytest.skip("../shared is not here")
    for kind, wanted in (("shoes", "n04133789"), ("t-shirt", "n03595614")):
        picture = min((images / kind).iterdir())
        for name in ("googlenet-bvlc", "squeezenet1.1"):
            import_network(networks / f"{name}.onnx", "net", ImportOptions(replace=True))
            imagenet_images([picture], tmp_path / "out.csv", replace(CPU, top_k=1))
            line = read((tmp_path / "out.csv").read_text(encoding="utf-8"))[0]
            assert line["label"].startswith(wanted)
            assert float(line["score"]) > 0.8


def copy_network(old: Path, new: Path) -> None:
    for name in ("network.onnx", "network.weights"):
        if (old / name).exists():
            shutil.copy(old / name, new / name)
