"""A picture that ends the process ends a few runs of a command that runs pictures, not all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from fc7.classify.classifier.classifier import Classifier
from fc7.classify.kinds import PREDICTIONS
from fc7.classify.predict.options import ClassifyOptions
from fc7.classify.predict.predict import classify_images
from fc7.classify.predict.recovery import recover_from_crash
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.worker.read_ahead import NO_CARE
from fc7.models.common.errors import StoppedError
from fc7.models.outputs.outputs import claimed
from tests.classify.predict.test_imagenet import bring
from tests.extract.cluster.origins import SlowOrigin, seen_through
from tests.extract.images.test_budget import flat_png
from tests.support import ROOT, CommandLine, lines_of, read_json, write_pictures
from tests.support.extract.memory_group import memory_group

needs_pwrite = pytest.mark.skipif(not hasattr(os, "pwrite"), reason="the file of what is read needs pwrite")
LETHAL = "green/003.png"


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """With ``classifier.onnx`` and with ``net``, which has ImageNet's classes."""
    here = CommandLine(tmp_path_factory.mktemp("recovering")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=8)
    here.good("extract", "imgs", "--network", "tiny")
    here.good("fit", "--force", "--svm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FC7_HOME", str(here.store))
        bring(here.folder)
    return here


def deadly(cli: CommandLine, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [*prefix, sys.executable, "-m", "tests.support.classify.deadly", *arguments],
        cwd=cli.folder,
        env=cli.environment({"PYTHONPATH": str(ROOT)}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran


def the_fourth_run(cli: CommandLine, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Of a command that whoever reads `LETHAL` does not survive."""
    for n in range(3):
        died = deadly(cli, LETHAL, *arguments)
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert ("each is tried alone now" in died.stderr) == (n > 0)
    return deadly(cli, LETHAL, *arguments)


def left(cli: CommandLine) -> list[str]:
    """What runs keep for those that follow them."""
    return [path.name for folder in (cli.folder, cli.store) for path in folder.glob("*.work")]


@needs_pwrite
@pytest.mark.parametrize("command", [("classify",), ("imagenet", "--network", "net", "--device", "cpu")])
def test_an_image_that_ends_whoever_reads_it_is_a_line_of_the_fourth_run(
    cli: CommandLine, command: Sequence[str]
) -> None:
    wanted_of, out = cli.folder / "wanted.csv", cli.folder / "p.csv"
    cli.good(*command, "imgs", "-o", wanted_of, "--force")
    last = the_fourth_run(cli, *command, "imgs", "-o", str(out), "--force")
    assert last.returncode == 1, last.stderr
    wanted, lines = lines_of(wanted_of), lines_of(out)
    assert [line["path"] for line in lines] == [line["path"] for line in wanted]
    [unread] = [i for i, line in enumerate(lines) if line["error"]]
    assert lines[unread]["path"].endswith(LETHAL)
    assert lines[unread]["error"].startswith("it ended 2 runs that read nothing else")
    assert lines[unread]["error"].endswith("; the next run tries it again")
    del lines[unread], wanted[unread]
    assert lines == wanted
    assert left(cli) == []
    assert not list(cli.folder.glob("p.csv.*"))
    # Where it harms nobody it is an image like others.
    cli.good(*command, "imgs", "-o", out, "--force")


@needs_pwrite
@pytest.mark.parametrize(
    "command",
    [
        ("classify", "-o", "-"),
        ("imagenet", "--network", "net", "--device", "cpu", "--format", "csv"),
        ("evaluate",),
        # Both classifiers want it.
        ("compare", "classifier.onnx", "classifier.onnx"),
    ],
)
def test_so_it_is_where_no_file_is_written(cli: CommandLine, command: Sequence[str]) -> None:
    last = the_fourth_run(cli, *command, "imgs")
    assert last.returncode == 1, last.stderr
    assert "it ended 2 runs that read nothing else" in last.stdout + last.stderr
    assert left(cli) == []


@needs_pwrite
def test_an_export_is_tried_on_the_others(cli: CommandLine) -> None:
    last = the_fourth_run(cli, "export", "--force", "--images", "imgs", "--json")
    assert last.returncode == 0, last.stderr
    assert f"not tried on {LETHAL}: it ended 2 runs that read nothing else" in last.stderr
    assert read_json(last.stdout)["images"] == 23
    assert left(cli) == []
    assert read_json(cli.good("export", "--force", "--images", "imgs", "--json").out)["images"] == 24


@needs_pwrite
def test_a_picture_that_takes_more_than_its_header_says_costs_one_run(cli: CommandLine) -> None:
    """The kernel ends the run for want of memory; of the next one it ends the process that decodes."""
    imgs = write_pictures(cli.folder / "greedy", per_class=2)
    (imgs / "greedy.png").write_bytes(flat_png(9000, (1, 2, 3)))
    arguments = ("lying", "classify", "greedy", "-o", "g.csv", "--json")
    with memory_group(300 << 20) as in_group:
        first = deadly(cli, *arguments, prefix=in_group)
        assert first.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        assert left(cli) == ["g.csv.work"]
        second = deadly(cli, *arguments, prefix=in_group)
    assert second.returncode == 1, second.stderr
    assert read_json(second.stdout)["classified"] == 6
    [failed] = [line for line in lines_of(cli.folder / "g.csv") if line["error"]]
    assert failed["path"].endswith("greedy.png")
    assert failed["error"].startswith("the process that decoded it was ended by signal 9 (2 tries")
    assert left(cli) == []


@needs_pwrite
def test_a_run_that_is_stopped_leaves_no_suspect(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between two batches, while others are read."""
    monkeypatch.setenv("FC7_HOME", str(cli.store))
    listing = seen_through(list_inputs([cli.folder / "imgs"]), lambda origin: SlowOrigin(origin, 0.1))
    in_train: list[list[str]] = []

    def predict(*_: object) -> None:
        in_train.append(left(cli))
        raise KeyboardInterrupt

    monkeypatch.setattr(Classifier, "proba_and_novelty", predict)
    options = ClassifyOptions(device="cpu", batch_size=2, jobs=2)
    with pytest.raises(StoppedError):
        classify_images(listing, cli.folder / "classifier.onnx", cli.folder / "s.csv", options=options)
    assert in_train == [["s.csv.work"]]
    assert left(cli) == []


def test_of_two_runs_at_once_the_second_takes_the_first_for_no_dead_one(tmp_path: Path) -> None:
    listing = list_inputs([write_pictures(tmp_path / "imgs", per_class=1)])
    out, notes = claimed(tmp_path / "p.csv", PREDICTIONS), list[str]()
    with (
        recover_from_crash(listing, out, notes.append) as (_, first),
        first.watch(listing.images[0]),
    ):
        with recover_from_crash(listing, out, notes.append) as second:
            assert second == (listing, NO_CARE)
        assert (tmp_path / "p.csv.work").is_dir()
    assert not (tmp_path / "p.csv.work").exists()
    assert notes == []


def test_a_folder_that_cannot_be_made_stops_nobody(tmp_path: Path) -> None:
    listing = list_inputs([write_pictures(tmp_path / "imgs", per_class=1)])
    (tmp_path / "p.csv.work").write_text("the user's")
    out = claimed(tmp_path / "p.csv", PREDICTIONS)
    with recover_from_crash(listing, out, lambda note: None) as found:
        assert found == (listing, NO_CARE)
    assert (tmp_path / "p.csv.work").read_text() == "the user's"
