"""The catalogue's facts belong to the catalogue's files, and its names to its networks."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import CatalogEntry, WeightSource
from fc7.models.catalog.published import check_is_the_catalogues, published_facts
from fc7.models.common.errors import UsageError
from fc7.models.listing import network_rows, stored_facts
from fc7.models.network.spec import LayerSpec, NetworkSpec, torch_preprocess
from fc7.models.store import store
from fc7.models.store.importing import ImportOptions, import_network
from tests.support import CommandLine, tiny_network
from tests.support.models.fake_networks import fake_files, fake_spec
from tests.support.models.small_graphs import PLAIN, model, write

ZOO = "6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945"  # bvlcalexnet-12.onnx
BVLC_SHA1 = "9116a64c0fbe4459d18f4bb6b56d647b63920377"  # bvlc_alexnet.caffemodel
OTHER = "0" * 64


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))


def alexnet(name: str = "alexnet", source: str = f"file, sha256 {ZOO}", **changes: Any) -> NetworkSpec:
    """A complete AlexNet as an import describes it, made of the ONNX zoo's file."""
    lengths = {"pool5": (256, 6, 6), "fc6": (4096,), "fc7": (4096,), "fc8": (1000,), "prob": (1000,)}
    layers = tuple(LayerSpec(layer, layer, shape, "a" * 64) for layer, shape in lengths.items())
    return dataclasses.replace(fake_spec(name), **{"source": source, "layers": layers, **changes})


def facts(spec: NetworkSpec) -> tuple[str, float | None] | None:
    found = published_facts(spec)
    return None if found is None else (found.name, found.top1)


def test_the_facts_are_those_of_the_file_under_whatever_name() -> None:
    assert facts(alexnet()) == facts(alexnet("mine")) == ("alexnet", 57.1)
    assert facts(alexnet(source=f"x.caffemodel, sha256 {OTHER}, sha1 {BVLC_SHA1}")) == ("alexnet", 57.1)
    assert facts(alexnet(source=f"x.npy, sha256 {OTHER}")) is None
    # What stands before the end is a file's name, which anybody chooses.
    assert facts(alexnet(source=f"a, sha256 {ZOO}, sha256 {OTHER}")) is None
    assert facts(alexnet(source=f"a, sha256 {ZOO}!")) is None


def test_one_file_in_two_graphs_has_the_facts_of_each() -> None:
    plan = catalog.entry("alexnet-tf").preprocess
    assert plan is not None
    assert facts(alexnet("mine", arch="alexnet-tf", preprocess=plan)) == ("alexnet-tf", None)
    assert facts(alexnet("mine", arch="caffenet")) is None


def test_an_accuracy_holds_for_images_prepared_as_they_were() -> None:
    found = published_facts(alexnet(preprocess=torch_preprocess(227)))
    assert found is not None
    assert (found.top1, found.top5, found.accuracy_source) == (None, None, "")
    assert (found.params, found.licence) == (60_965_224, "unrestricted (BVLC)")


def test_random_weights_are_ours_and_keep_their_facts() -> None:
    spec = fake_spec("random-ones", "He-normal weights, seed 0", trained=False)
    assert published_facts(spec) is catalog.entry("alexnet-untrained")
    store.save(spec, fake_files(), replace=False)
    (row,) = [row for row in network_rows() if row["name"] == "random-ones"]
    assert (row["trained"], row["top1"], row["params"]) == (False, None, 60_965_224)


def test_an_old_store_with_another_network_under_a_name_of_the_catalogue_shows_the_files_own_facts() -> None:
    spec = fake_spec("alexnet")
    other = dataclasses.replace(spec, arch="onnx", source=f"squeezenet.onnx, sha256 {OTHER}", licence="")
    stored = store.save(other, fake_files(), replace=False)
    (row,) = [row for row in network_rows() if row["name"] == "alexnet"]
    assert [row[key] for key in ("top1", "top5", "params", "macs", "licence")] == [None] * 5
    assert row["about"] == f"imported from squeezenet.onnx, sha256 {OTHER}"
    assert row["bytes"] == stored.size
    shown = stored_facts(stored)
    assert [shown[key] for key in ("top1", "top5", "params", "macs", "accuracy_source")] == [None] * 5
    assert "not made of the file that the catalogue knows by this name" in shown["about"]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (alexnet(source=f"x, sha256 {OTHER}", arch="onnx"), "its graph is none of ours"),
        (alexnet(source=f"x, sha256 {OTHER}", arch="caffenet"), "its graph is caffenet's"),
        (alexnet(arch="alexnet-tf"), "its graph is alexnet-tf's"),
        (alexnet(source="x", layers=alexnet().layers[:3]), "none of its layers gives 1000 numbers, as fc8"),
        (alexnet("alexnet-untrained"), "it is a file of weights"),
        (
            alexnet("vgg16", arch="onnx", source=f"x, sha256 {OTHER}", layers=()),
            "none of its layers gives 4096 numbers",
        ),
        (
            alexnet("vgg16", arch="onnx", source=f"x, sha256 {catalog.entry('vgg19').sources[0].sha256}"),
            "it is the catalogue's 'vgg19'",
        ),
    ],
    ids=[*("another-graph", "caffenet", "udacity", "no-classifier", "untrained", "no-layers", "vgg19")],
)
def test_a_name_of_the_catalogue_is_refused_to_what_is_provably_another(spec: NetworkSpec, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_is_the_catalogues(spec, "net.onnx")
    text = str(caught.value)
    assert text.startswith(f"net.onnx: {why}")
    assert f"{spec.name!r} is the catalogue's name of another network" in text
    assert text.endswith("give yours a name of its own with --as")
    check_is_the_catalogues(dataclasses.replace(spec, name="mine"), "net.onnx")


def test_what_may_be_the_same_weights_is_accepted() -> None:
    for source in (f"x.npy, sha256 {OTHER}", f"zoo.onnx, sha256 {ZOO}", "written by an older fc7"):
        check_is_the_catalogues(alexnet(source=source), "net.onnx")


@pytest.mark.parametrize(
    "name", ["alexnet", "AlexNet", "alexnet-untrained", "googlenet", "GOOGLENET", "efficientnet-lite0"]
)
def test_import_refuses_another_network_and_the_store_stays_empty(tmp_path: Path, name: str) -> None:
    cli = CommandLine(tmp_path)
    file = tiny_network(tmp_path / "tiny.onnx")
    ran = cli("models", "import", file, "--as", name, "--preprocess", "caffe", "--layer", "embedding")
    assert ran.code == 2
    assert f"{name.lower()!r} is the catalogue's name of another network" in ran.err
    assert "--as" in ran.err
    assert json.loads(cli.good("models", "list", "--json").out)[0]["in_store"] is False
    assert not list((tmp_path / "store").glob("networks/*"))


def test_pull_from_an_address_of_ones_own_refuses_another_network_too(tmp_path: Path) -> None:
    from fc7.models.common.progress import Silent
    from fc7.models.store.pulling import PullOptions, pull
    from tests.support.models.web_server import serving

    data = tiny_network(tmp_path / "tiny.onnx").read_bytes()
    with serving() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "*")
        options = PullOptions(
            server.add("/tiny.onnx", data), hashlib.sha256(data).hexdigest(), layer="embedding"
        )
        with pytest.raises(UsageError, match="'googlenet' is the catalogue's name of another network"):
            pull("googlenet", Silent(), options)
    assert store.names() == []


def published_as(patch: pytest.MonkeyPatch, *entries: tuple[str, Sequence[WeightSource]]) -> None:
    """Put networks in the place of the catalogue's googlenet: name and sources of each."""
    like = catalog.entry("googlenet")
    made: list[CatalogEntry] = [
        dataclasses.replace(
            like,
            name=name,
            sources=tuple(sources),
            preprocess=PLAIN,
            default_layer="pool",
            layers=(("pool", 64),),
        )
        for name, sources in entries
    ]
    patch.setattr("fc7.models.catalog.catalog.NETWORKS", tuple(made))


def test_a_file_that_is_known_by_its_sha1_keeps_it_and_its_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(model(), tmp_path)
    sha1 = hashlib.sha1(path.read_bytes()).hexdigest()
    published_as(monkeypatch, ("known", [WeightSource((), "net.onnx", sha1=sha1)]))
    stored = import_network(path, "mine")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert stored.spec.source == f"net.onnx, sha256 {sha256}, sha1 {sha1}"
    assert facts(stored.spec) == ("known", 68.7)


def test_of_two_networks_made_of_one_file_the_one_that_is_named_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(model(), tmp_path)
    source = WeightSource((), "net.onnx", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    published_as(monkeypatch, ("first", [source]), ("second", [source]))
    assert facts(import_network(path, "second").spec) == ("second", 68.7)
    assert facts(import_network(path, "third").spec) == ("first", 68.7)


def test_of_a_file_without_a_published_hash_the_address_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(model(), tmp_path)
    published_as(monkeypatch, ("known", [WeightSource(("https://some.where/net.onnx",), "net.onnx")]))
    preprocess, layer = PLAIN, "pool"
    pulled = import_network(
        path, "a", ImportOptions(preprocess=preprocess, layer=layer, source="https://some.where/net.onnx")
    )
    assert facts(pulled.spec) == ("known", 68.7)
    assert facts(import_network(path, "b", ImportOptions(preprocess=preprocess, layer=layer)).spec) is None
