"""Commands that run a network without --network: which one they take, and what they say if it cannot be."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from fc7.classify.classifier.artifact import save_classifier
from fc7.extract import ExtractOptions, extract_features
from fc7.models.common.errors import MismatchError
from tests.support import CommandLine, Ran, read_json, tiny_network, write_pictures
from tests.support.classify.blobs import fitted

PROXY = "http://127.0.0.1:9"
OFFLINE = {"http_proxy": PROXY, "https_proxy": PROXY, "no_proxy": "", "NO_PROXY": ""}


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A store with two networks, ``tiny`` and ``other``, and ``same``, which is ``tiny`` once more."""
    here = CommandLine(tmp_path_factory.mktemp("cli")).with_tiny_network()
    tiny_network(here.folder / "other.onnx", seed=1)
    for file, name in (("other.onnx", "other"), ("tiny.onnx", "same")):
        here.good("models", "import", file, "--as", name, "--preprocess", "caffe", "--layer", "embedding")
    write_pictures(here.folder / "imgs", per_class=2)
    here.good("extract", "imgs", "--network", "tiny", "-o", "tiny.h5")
    return here


def made_by(ran: Ran) -> str:
    assert ran.code == 0, ran.text
    network: str = read_json(ran.out)["network"]
    return network


def test_the_variable_goes_before_the_store_and_the_option_before_both(cli: CommandLine) -> None:
    extract = ("extract", "imgs", "--json", "-o")
    cli.good("models", "default", "tiny")
    try:
        assert made_by(cli(*extract, "a.h5")) == "tiny"
        assert made_by(cli(*extract, "b.h5", env={"FC7_NETWORK": "other"})) == "other"
        assert made_by(cli(*extract, "c.h5", "--network", "same", env={"FC7_NETWORK": "other"})) == "same"
        assert "Default: tiny (by" in " ".join(cli.good("extract", "--help").out.split())
    finally:
        cli.good("models", "default", "--unset")
    for command in ("extract", "imagenet"):
        assert "Default: alexnet." in " ".join(cli.good(command, "--help").out.split())
        shown = cli(command, "--help", env={"FC7_NETWORK": "other"}).out
        assert "Default: other (by FC7_NETWORK)." in " ".join(shown.split())


def test_imagenet_takes_the_default_too(cli: CommandLine) -> None:
    ran = cli("imagenet", "imgs", env={"FC7_NETWORK": "tiny"})
    assert ran.code == 2
    assert "network 'tiny' has no classifier of ImageNet's 1000 classes" in ran.err


@pytest.mark.parametrize("command", ["extract", "imagenet"])
def test_a_name_that_is_no_network_is_said_to_come_from_the_variable(cli: CommandLine, command: str) -> None:
    ran = cli(command, "imgs", env={"FC7_NETWORK": "tinny"})
    assert ran.code == 2
    assert ran.err.startswith("error: 'tinny' is the default by FC7_NETWORK, but no network 'tinny'")
    assert "Did you mean 'tiny'?" in ran.err


def test_python_takes_the_same_default(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(cli.store))
    monkeypatch.setenv("FC7_NETWORK", "tiny")
    imgs = cli.folder / "imgs"
    assert extract_features([imgs], cli.folder / "python.h5").network == "tiny"
    monkeypatch.setenv("FC7_NETWORK", "other")
    with pytest.raises(
        MismatchError, match=r"`ExtractOptions\(network='tiny'\)` goes on with this feature cache"
    ):
        extract_features([imgs], cli.folder / "python.h5", ExtractOptions())


def run_again(cli: CommandLine, line: str) -> Ran:
    """Paste a printed command."""
    done = subprocess.run(
        shlex.split(line),
        cwd=cli.folder,
        env=cli.environment(OFFLINE),
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (
            {"FC7_NETWORK": "other"},
            "not 'other'; choose another -o, .* 'other' is the default by FC7_NETWORK;",
        ),
        # AlexNet is not in the network store, and is not fetched for a cache that cannot take it.
        ({}, "not 'alexnet'; choose another -o, .* 'alexnet' is the default;"),
    ],
)
def test_a_cache_of_another_network_is_told_with_the_command_that_goes_on_with_it(
    cli: CommandLine, env: dict[str, str], said: str
) -> None:
    before = (cli.folder / "tiny.h5").read_bytes()
    ran = cli("extract", "imgs", "-o", "tiny.h5", env={**OFFLINE, **env})
    assert ran.code == 2
    (error,) = ran.err.splitlines()  # nothing was fetched before
    assert error.startswith("error: tiny.h5 was made with network 'tiny', ")
    assert re.search(said, error)
    _, line, _ = error.split("`")
    again = run_again(cli, line)
    assert again.code == 0, again.text
    assert "nothing changed" in again.out
    assert (cli.folder / "tiny.h5").read_bytes() == before


def test_the_same_features_under_another_name_go_on(cli: CommandLine) -> None:
    ran = cli("extract", "imgs", "-o", "tiny.h5", env={"FC7_NETWORK": "same"})
    assert ran.code == 0, ran.text


def test_without_the_default_and_a_connection_the_first_command_printed_works(cli: CommandLine) -> None:
    ran = cli("extract", "imgs", "-o", "first.h5", "-q", env=OFFLINE)
    assert ran.code == 1
    assert ran.out == ""
    first, second, line, *_ = ran.err.splitlines()
    assert first == "error: network 'alexnet', the default, is not in the network store; fetching it failed."
    assert second == "These trained networks run here and now, the most accurate first:"
    assert len(ran.err.splitlines()) <= 18
    again = run_again(cli, line)
    assert again.code == 0, again.text
    assert (cli.folder / "first.h5").exists()


def test_a_classifier_whose_network_is_gone_is_offered_no_other(cli: CommandLine, tmp_path: Path) -> None:
    save_classifier(fitted(), tmp_path / "classifier.onnx")
    ran = cli("classify", "imgs", "-m", tmp_path / "classifier.onnx", env=OFFLINE)
    assert ran.code == 1
    assert "network 'alexnet' is not in the network store; fetching it failed." in ran.err
    assert "models import FILE --as alexnet" in ran.err
    assert "--network" not in ran.err
