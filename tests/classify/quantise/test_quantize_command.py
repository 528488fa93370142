"""`models quantize` as a user calls it: what is made, what is said, and what is never mixed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fc7.classify.quantise import quantise_network as made_by
from fc7.classify.quantise.accuracy import AccuracyChange, accuracy_change
from fc7.classify.quantise.result import QuantiseReport
from fc7.cli import application
from fc7.extract.cache.reader import load_features
from fc7.extract.engine.side_by_side import Speeds
from fc7.extract.options import RunOptions
from fc7.extract.quantise.network import QuantiseOptions
from fc7.models.common.errors import StoppedError
from fc7.models.common.progress import Silent
from fc7.models.store import store
from tests.support import CommandLine, read_json, write_pictures


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("quantize")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=6)
    return here


@pytest.fixture(scope="module")
def said(cli: CommandLine) -> str:
    ran = cli.good("models", "quantize", "tiny", "--images", "imgs", "--device", "cpu", "--json")
    return ran.out


def test_json_has_what_it_costs_and_brings(said: str) -> None:
    found = read_json(said)
    assert (found["name"], found["of"], found["layer"]) == ("tiny-int8", "tiny", "embedding")
    assert len(found["layers_in_integers"]) + len(found["layers_in_single_precision"]) == 2
    assert found["layers_in_integers"]
    assert found["images"] == found["calibration_images"] == 18
    assert 0.9995 <= found["cosine"]["mean"] <= 1
    assert found["accuracy"]["splits"] == 30
    assert found["accuracy"]["after"] - found["accuracy"]["before"] == pytest.approx(
        found["accuracy"]["change"]
    )
    assert found["images_per_second"] > 0
    assert found["engine"] == "CPUExecutionProvider fp32"
    assert Path(found["folder"]).is_dir()


def test_its_rows_never_mix_with_the_originals(cli: CommandLine, said: str) -> None:
    cli.good("extract", "imgs", "--network", "tiny", "-o", "single.h5")
    cli.good("fit", "single.h5", "--svm", "-C", "1", "-o", "single.onnx")
    mixed = cli("extract", "imgs", "--network", "tiny-int8", "-o", "single.h5")
    assert mixed.code == 2
    assert "tiny-int8" in mixed.err
    cli.good("extract", "imgs", "--network", "tiny-int8", "-o", "integers.h5")
    other = cli("evaluate", "integers.h5", "-m", "single.onnx")
    assert other.code == 2
    assert "tiny-int8" in other.err
    assert cli("cache", "merge", "single.h5", "integers.h5", "-o", "both.h5").code == 2
    prints = [
        load_features(cli.folder / f"{name}.h5").identity.fingerprints for name in ("single", "integers")
    ]
    assert prints[0].keys() == prints[1].keys()
    assert prints[0] != prints[1]


def test_text_names_the_measurements_and_the_layers(cli: CommandLine) -> None:
    ran = cli.good("models", "quantize", "tiny", "--images", "imgs", "--as", "small", "--device", "cpu")
    for words in (
        "small: ",
        "cosine to tiny on 18 images",
        "accuracy of a linear SVM",
        "30 splits",
        "images/s",
    ):
        assert words in ran.out
    shown = cli.good("models", "show", "small").out
    assert "made of tiny" in shown


def test_images_without_classes_give_no_accuracy_and_the_reason(cli: CommandLine) -> None:
    flat = cli.folder / "flat"
    flat.mkdir()
    for path in (cli.folder / "imgs" / "red").iterdir():
        (flat / path.name).write_bytes(path.read_bytes())
    arguments = ("models", "quantize", "tiny", "--images", "flat", "--as", "unlabelled", "--device", "cpu")
    assert "accuracy: not measured, " in " ".join(cli.good(*arguments).out.split())


def test_a_name_that_is_taken_and_an_unknown_network_are_refused(cli: CommandLine, said: str) -> None:
    taken = cli("models", "quantize", "tiny", "--images", "imgs")
    assert (taken.code, "'tiny-int8' already" in taken.err, "--replace" in taken.err) == (2, True, True)
    assert cli("models", "quantize", "nothing", "--images", "imgs").code == 2
    missing = cli("models", "quantize", "tiny", "--images", "no-such-folder", "--as", "other")
    assert (missing.code, "no-such-folder" in missing.err) == (2, True)
    again = cli("models", "quantize", "tiny-int8", "--images", "imgs")
    assert (again.code, "integers already" in again.err) == (1, True)


REPORT = QuantiseReport(
    name="mine-int8",
    of="mine",
    layer="fc7",
    quantised=("conv2", "fc6"),
    single=("conv1",),
    n_calibration=3,
    cosines=np.array([0.99, 1.0]),
    accuracy=AccuracyChange(80.0, 79.0, -1.0, 0.2, 30),
    no_accuracy="",
    speeds=Speeds((10.0, 30.0), 3.0, ("OpenVINOExecutionProvider bf16",) * 2),
    integer_products=True,
    sizes=(4_000_000, 1_000_000),
    folder=Path("store"),
)


@pytest.mark.parametrize("quiet", [[], ["-q"], ["--json"]])
def test_a_loss_is_never_passed_over(monkeypatch: pytest.MonkeyPatch, quiet: list[str]) -> None:
    monkeypatch.setattr(made_by, "quantise_network", lambda *args, **options: REPORT)
    ran = CliRunner().invoke(application(), ["models", "quantize", "mine", "--images", "imgs", *quiet])
    assert ran.exit_code == 0
    assert "WARNING: mine-int8 loses 1.00 points of accuracy" in ran.stderr
    if quiet == ["-q"]:
        assert ran.stdout == ""
    if quiet == ["--json"]:
        assert read_json(ran.stdout)["warnings"] == REPORT.warnings


def test_what_is_warned_of_and_what_is_not() -> None:
    def warned(**changes: Any) -> list[str]:
        return dataclasses.replace(REPORT, **changes).warnings

    small = AccuracyChange(80.0, 79.75, -0.25, 0.2, 30)
    assert warned(accuracy=small) == []
    assert warned(accuracy=None) == []
    assert warned(accuracy=AccuracyChange(79.0, 80.0, 1.0, 0.2, 30)) == []
    noisy = AccuracyChange(80.0, 79.0, -1.0, 0.6, 30)
    [line] = warned(accuracy=noisy)
    assert "within noise" in line
    [line] = warned(
        accuracy=small, speeds=dataclasses.replace(REPORT.speeds, ratio=0.5), integer_products=False
    )
    assert "slower here than mine, 0.50 times its rate" in line
    assert "no instructions for 8-bit products" in line


def test_the_change_of_accuracy_is_that_of_the_same_splits(cli: CommandLine) -> None:
    """Features that say nothing lose all that the true ones had: both are known beforehand."""
    cli.good("extract", "imgs", "--network", "tiny", "-o", "known.h5")
    found = load_features(cli.folder / "known.h5")
    same = accuracy_change(found, found, "svm", Silent(), splits=3)
    assert (same.change, same.standard_error, same.in_noise) == (0.0, 0.0, True)
    one_hot = np.eye(3, dtype=np.float32)[np.unique(found.y, return_inverse=True)[1]]
    perfect = dataclasses.replace(found, X=one_hot)
    lost = accuracy_change(perfect, dataclasses.replace(found, X=np.ones_like(one_hot)), "svm", Silent(), 3)
    # Three classes of equal size, and every image gets one label.
    assert lost.before == 100
    assert lost.after == pytest.approx(100 / 3)
    assert lost.change == pytest.approx(-200 / 3)


def test_a_stop_says_whether_the_network_is_there(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(cli.store))
    monkeypatch.chdir(cli.folder)
    how = RunOptions(device="cpu")

    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(made_by, "quantise", stop)
        with pytest.raises(StoppedError, match="nothing was added"):
            made_by.quantise_network("tiny", ["imgs"], QuantiseOptions("stopped"), how)
    assert "stopped" not in store.names()
    with monkeypatch.context() as patch:
        patch.setattr(made_by, "side_by_side", stop)
        with pytest.raises(StoppedError, match="stopped is in the network store, and was not compared"):
            made_by.quantise_network("tiny", ["imgs"], QuantiseOptions("stopped"), how)
    assert "stopped" in store.names()
    store.verify("stopped")
