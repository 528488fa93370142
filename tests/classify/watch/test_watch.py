"""`watch` as a user runs it: what arrives has one line each, whatever ends the program."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import COLOURS, CommandLine, command, lines_of, write_pictures

pytest.importorskip("watchfiles")
QUICK = ("--settle", "0.2")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("watch")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=6)
    here.good("extract", "imgs", "--network", "tiny")
    here.good("fit", "--svm", "-C", "1", "-q")
    write_pictures(here.folder / "new", per_class=6, start=50)
    return here


@pytest.fixture
def folder(cli: CommandLine, request: pytest.FixtureRequest) -> Path:
    made: Path = cli.folder / request.node.name
    made.mkdir()
    return made


def until(wanted: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def watching(cli: CommandLine, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own, which is ended when the block ends."""
    process = subprocess.Popen(
        command(["watch", *arguments]),
        cwd=cli.folder,
        env=cli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def paths_in(file: Path) -> list[str]:
    return sorted(line["path"] for line in lines_of(file)) if file.exists() else []


def test_what_is_there_and_what_arrives_is_classified_until_ctrl_c(cli: CommandLine, folder: Path) -> None:
    out = cli.folder / "arrived.csv"
    shutil.copy(cli.folder / "new/red/050.png", folder / "first.png")
    with watching(cli, folder.name, "-o", out.name, *QUICK) as process:
        until(lambda: paths_in(out) == [f"{folder.name}/first.png"])
        shutil.copytree(cli.folder / "new/green", folder / "moved/in")
        # A camera writes slowly: half of it is no image yet.
        whole = (cli.folder / "new/blue/051.png").read_bytes()
        with (folder / "slow.png").open("wb") as stream:
            for part in (whole[:100], whole[100:300], whole[300:]):
                stream.write(part)
                stream.flush()
                time.sleep(0.1)
        until(lambda: len(paths_in(out)) == 1 + 6 + 1)
        process.send_signal(signal.SIGINT)
        said, noted = process.communicate(timeout=30)
    assert process.returncode == 0, noted
    assert f"{folder.name}/slow.png  blue" in said
    assert f"watching {folder.name}; lines go to arrived.csv; Ctrl-C ends it" in noted
    assert "8 images classified in " in noted
    truth = {"first": "red", "slow": "blue"}
    for line in lines_of(out):
        assert line["label"] == truth.get(Path(line["path"]).stem, "green")
        assert line["error"] == ""


def test_the_lines_are_those_of_classify(cli: CommandLine, folder: Path) -> None:
    shutil.copytree(cli.folder / "new", folder / "all")
    cli.good("watch", folder.name, "--once", "-o", "once.csv", "-q", *QUICK)
    cli.good("classify", folder.name, "-o", "whole.csv", "-q")
    once, whole = lines_of(cli.folder / "once.csv"), lines_of(cli.folder / "whole.csv")
    assert sorted(once, key=lambda line: line["path"]) == whole
    assert len(whole) == 6 * len(COLOURS)
    # Nothing is left to do, and the file stays as it is.
    before = (cli.folder / "once.csv").read_bytes()
    again = cli.good("watch", folder.name, "--once", "-o", "once.csv", *QUICK)
    assert "0 images classified" in again.err
    assert (cli.folder / "once.csv").read_bytes() == before
    # An image that is replaced has a line more.
    target = folder / "all/red/050.png"
    time.sleep(0.01)
    shutil.copy(cli.folder / "imgs/blue/001.png", target)
    cli.good("watch", folder.name, "--once", "-o", "once.csv", "-q", *QUICK)
    lines = lines_of(cli.folder / "once.csv")
    assert [line["label"] for line in lines if line["path"].endswith("red/050.png")] == ["red", "blue"]


def test_what_cannot_be_read_has_a_line_with_its_reason(cli: CommandLine, folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (folder / "gone.png").symlink_to("nowhere.png")
    shutil.copy(cli.folder / "new/red/050.png", folder / "fine.png")
    ran = cli("watch", folder.name, "--once", "-o", "lines.jsonl", "--json", "-q", *QUICK)
    assert ran.code == 1
    written = [json.loads(line) for line in (cli.folder / "lines.jsonl").read_text().splitlines()]
    assert [json.loads(line) for line in ran.out.splitlines()] == written
    found = {Path(line["path"]).name: line for line in written}
    assert found["fine.png"]["label"] == "red"
    assert "broken link" in found["gone.png"]["error"]
    assert found["broken.png"]["error"]


@pytest.mark.parametrize("after", [1, 5, 9])
def test_a_kill_at_any_time_loses_no_line_and_makes_none_twice(
    cli: CommandLine, folder: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = cli.folder / f"killed-{after}.csv"
    for i in range(12):
        shutil.copy(cli.folder / f"new/red/05{i % 6}.png", folder / f"{i:02}.png")
    with watching(cli, folder.name, "-o", out.name, *QUICK) as process:
        until(lambda: out.exists() and out.read_bytes().count(b"\n") > 1)
        for i in range(12, 12 + after):
            shutil.copy(cli.folder / f"new/green/05{i % 6}.png", folder / f"{i:02}.png")
            time.sleep(0.03)
        os.kill(process.pid, signal.SIGKILL)
    # As if the kill had come in the midst of a line.
    with out.open("ab") as stream:
        stream.write(f"{folder.name}/torn.png,re".encode())
    cli.good("watch", folder.name, "--once", "-o", out.name, "-q", *QUICK)
    assert paths_in(out) == [f"{folder.name}/{i:02}.png" for i in range(12 + after)]


def test_a_file_of_something_else_is_not_added_to(cli: CommandLine, folder: Path) -> None:
    shutil.copy(cli.folder / "new/red/050.png", folder / "a.png")
    notes = cli.folder / "notes.csv"
    notes.write_text("my notes\n")
    ran = cli("watch", folder.name, "--once", "-o", "notes.csv", *QUICK)
    assert ran.code == 2
    assert notes.read_text() == "my notes\n"
    cli.good("watch", folder.name, "--once", "-o", "five.csv", "-q", *QUICK)
    ran = cli("watch", folder.name, "--once", "-o", "five.csv", "--top-k", "1", *QUICK)
    assert ran.code == 2
    assert "its first line is not that of this classifier and --top-k" in " ".join(ran.err.split())
    cli.good("watch", folder.name, "--once", "-o", "five.csv", "--top-k", "1", "--force", "-q", *QUICK)
    assert list(lines_of(cli.folder / "five.csv")[0])[3:5] == ["label_1", "score_1"]


def test_two_do_not_write_one_file(cli: CommandLine, folder: Path) -> None:
    shutil.copy(cli.folder / "new/red/050.png", folder / "a.png")
    out = cli.folder / "shared.csv"
    with watching(cli, folder.name, "-o", out.name, *QUICK):
        until(lambda: len(paths_in(out)) == 1)
        ran = cli("watch", folder.name, "--once", "-o", out.name, *QUICK)
    assert ran.code == 1
    assert "shared.csv" in ran.err


def test_a_folder_must_be_there(cli: CommandLine) -> None:
    ran = cli("watch", "nowhere")
    assert ran.code == 2
    assert "nowhere: not a folder" in ran.err
