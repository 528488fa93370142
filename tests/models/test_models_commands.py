"""The commands of `models`: what they call, what they print, how they fail."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from models import catalog, store
from models.commands import app
from models.errors import UnknownNetworkError, UsageError, WeightsError
from models.preprocess_options import PreprocessOptions
from models.spec import caffe_preprocess, torch_preprocess
from models.store import StoredNetwork
from tests.models.fake_networks import fake_files, fake_spec
from tests.models.web_server import Server, serving

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FC7_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as running:
        yield running


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    def fake(path: Path, name: str, **how: Any) -> StoredNetwork:
        how.pop("notify")("a note of the import")
        calls.append({"file": path, "name": name, **how})
        return store.save(fake_spec(name), fake_files(), replace=how["replace"])

    monkeypatch.setattr("models.importing.import_network", fake)
    return calls


def run(*arguments: str) -> str:
    """What the command printed on stdout; its error is raised."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def put(name: str, **how: Any) -> StoredNetwork:
    return store.save(fake_spec(name, **how), fake_files(), replace=False)


def test_the_table_has_a_line_for_every_network_with_what_to_choose_by() -> None:
    put("mine")
    put("alexnet")
    (put("broken").folder / "network.json").write_text("{")
    head, *lines = run("list").splitlines()
    assert head.split() == ["NETWORK", "HERE", "TOP-1/5", "MB", "PARAMS", "MACS", "FEATURES", "LICENCE"]
    table = {line.split()[0]: line for line in lines}
    assert list(table) == [*catalog.names(), "broken", "mine"]
    assert " ".join(table["alexnet"].split()) == (
        "alexnet yes 57.1/80.2 243.9 61.0 M 724.4 M fc7 (4096) unrestricted (BVLC)"
    )
    assert table["resnet50"].split()[1:3] == ["no", "74.97/92.33"]
    assert "15.47 G" in table["vgg16"]
    assert "random" in table["alexnet-untrained"]
    assert table["broken"].split()[1] == "damaged"
    assert "fc7 (4096)" in table["mine"]
    assert max(map(len, lines)) <= 115


def test_the_table_as_json() -> None:
    put("mine")
    rows = {row["name"]: row for row in json.loads(run("list", "--json"))}
    assert rows["caffenet"] == {
        "name": "caffenet",
        "in_store": "no",
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
    }
    assert rows["mine"]["in_store"] == "yes"
    assert rows["mine"]["top1"] is None


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
    assert "top-1 57.1 %, top-5 80.2 % (BVLC/caffe" in text
    assert "never published" in run("show", "inception-v2")
    assert "fc6 (4096)" in run("show", "alexnet", "--layers")
    with pytest.raises(UnknownNetworkError, match="models list"):
        run("show", "alexnett")


def test_import_is_one_call_with_what_was_given(imports: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    text = run(
        "import", str(file), "--as", "mine", "--preprocess", "torch", "--layer", "pool5", "--pool", "max"
    )
    run("import", str(file), "--as", "mine", "--arch", "alexnet-owt", "--replace")
    common = {"file": file, "name": "mine", "prototxt": None, "mean": None}
    assert imports == [
        {
            **common,
            "arch": None,
            "preprocess": PreprocessOptions(torch_preprocess()),
            "layer": "pool5",
            "pool": "max",
            "replace": False,
        },
        {
            **common,
            "arch": "alexnet-owt",
            "preprocess": PreprocessOptions(),
            "layer": None,
            "pool": None,
            "replace": True,
        },
    ]
    assert f"mine: imported from {file}; features fc7 (4096)" in text
    assert str(store.load("mine").folder) in text


def test_a_caffemodel_brings_its_prototxt_and_mean_and_notes_go_to_stderr(
    imports: list[dict[str, Any]], tmp_path: Path
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
    result = CliRunner().invoke(app, arguments)
    assert (imports[0]["prototxt"], imports[0]["mean"]) == (Path("d.prototxt"), Path("m.binaryproto"))
    assert result.stderr == "a note of the import\n"
    assert "a note" not in result.stdout
    assert CliRunner().invoke(app, [*arguments, "--replace", "--quiet"]).output == ""


def test_a_taken_or_impossible_name_is_refused_before_the_work(
    imports: list[dict[str, Any]], tmp_path: Path
) -> None:
    put("mine")
    with pytest.raises(UsageError, match="already"):
        run("import", str(tmp_path / "net.onnx"), "--as", "mine")
    with pytest.raises(UsageError, match="cannot be a network's name"):
        run("import", str(tmp_path / "net.onnx"), "--as", "a/b")
    assert imports == []


def test_pull_from_an_address_of_ones_own(server: Server, imports: list[dict[str, Any]]) -> None:
    url = server.add("/net.onnx", b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    text = run("pull", "mine", "--from", url, "--sha256", digest, "--preprocess", "zoo-224", "--layer", "fc7")
    assert "mine: pulled; features fc7 (4096)" in text
    assert imports[0]["preprocess"] == PreprocessOptions(torch_preprocess())
    own = "--mean 127 --std 128 --scale 1 --order BGR --resize pad:40x48 --crop 32x36 --interpolation nearest"
    run("pull", "own", "--from", url, "--unverified", *own.split(), "--no-antialias", "--layer", "fc7")
    assert imports.pop()["preprocess"] == PreprocessOptions(
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
    assert "was in the store already" in run("pull", "mine", "--from", url, "--sha256", digest)
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
    text = CliRunner().invoke(app, ["--help"]).stdout
    for command in ("list", "show", "pull", "import", "path", "verify", "remove"):
        assert f"  {command} " in text
        assert f"Example:  fc7 models {command}" in CliRunner().invoke(app, [command, "--help"]).stdout


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
    assert done.stderr.startswith("error: network 'caffenet' is not in the store")
    assert "Ways out:" in done.stderr
    assert "Traceback" not in done.stderr
    assert fc7("show", "nothing").returncode == 2
    assert fc7("list").stdout.startswith("NETWORK")
