"""`cache verify` ends with a command for whatever it found; run as it is printed, it mends that."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.extract.cache.test_cache_damage import chunks, flip
from tests.extract.cache.test_cache_verify import Columns, forge
from tests.support import CommandLine, write_pictures

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell takes the line apart")

RUN = (
    "extract",
    "my imgs",
    "--network",
    "tiny",
    "--resize",
    "warp:40",
    "--layer",
    "c,embedding",
    "--pool",
    "max",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("next")).with_tiny_network()
    write_pictures(here.folder / "my imgs", per_class=3)
    (here.folder / "my imgs/red/broken.png").write_bytes(b"no picture")
    here.incomplete(*RUN, "-o", "whole.h5")
    return here


@pytest.fixture
def cli(made: CommandLine, tmp_path: Path) -> CommandLine:
    shutil.copytree(made.folder, tmp_path / "here")
    here = CommandLine(tmp_path / "here")
    shutil.copy(here.folder / "whole.h5", here.folder / "f.h5")
    return here


def rows(path: Path) -> dict[bytes, bytes]:
    with h5py.File(path) as file:
        names = ("label", "features/c", "features/embedding", "thumbnail", "colour")
        return {
            found: b"".join(file[name][i].tobytes() if name != "label" else file[name][i] for name in names)
            for i, found in enumerate(file["path"][()].tolist())
        }


def pasted(cli: CommandLine, *verify: str) -> list[str]:
    """Run the command that `cache verify` names; its words."""
    ran = cli("cache", "verify", "f.h5", *verify)
    assert ran.code == 1, ran.text
    last = ran.out.splitlines()[-1]
    [line] = re.findall("^next: `(.*?)`", last)
    done = subprocess.run(
        line, shell=True, cwd=cli.folder, env=cli.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "1 of 10 images could not be read (the first: red/broken.png" in done.stderr
    return shlex.split(line)


def assert_mended(cli: CommandLine, name: str = "whole.h5") -> None:
    assert cli("cache", "verify", "f.h5").code == 0
    assert rows(cli.folder / "f.h5") == rows(cli.folder / name)


DATASETS = {
    **dict.fromkeys(("features/c", "features/embedding", "label", "group", "split"), "--repair"),
    **dict.fromkeys(("checksums_of_rows/c", "checksums_of_rows/embedding"), "--repair"),
    **dict.fromkeys(("thumbnail", "colour"), "--repair"),
    **dict.fromkeys(("path", "size", "mtime_ns", "sha256"), "--force"),
    **dict.fromkeys((f"failures/{name}" for name in ("path", "reason", "size", "mtime_ns")), "--force"),
}


def test_every_dataset_of_a_cache_is_in_the_table(cli: CommandLine) -> None:
    assert DATASETS.keys() == chunks(cli.folder / "f.h5").keys() - {"checksums"}


@pytest.mark.parametrize(
    "name", ["features/embedding", "checksums_of_rows/c", "label", "thumbnail", "colour", "sha256"]
)
def test_a_flipped_bit_is_mended_by_the_command_that_is_named(cli: CommandLine, name: str) -> None:
    flip(cli.folder / "f.h5", chunks(cli.folder / "f.h5")[name][0].start, 3)
    assert pasted(cli)[-1] == DATASETS[name]
    assert_mended(cli)


def with_nan(columns: Columns) -> None:
    columns["features/embedding"] = columns["features/embedding"].copy()
    columns["features/embedding"][2] = np.nan


def unsorted(columns: Columns) -> None:
    columns["path"] = columns["path"][::-1]


def no_digest(columns: Columns) -> None:
    columns["sha256"][0] = b"no digest at all"


@pytest.mark.parametrize(
    ("change", "option"), [(with_nan, "--repair"), (unsorted, "--force"), (no_digest, "--force")]
)
def test_rows_that_cannot_be_are_mended(cli: CommandLine, change: object, option: str) -> None:
    forge(cli.folder / "f.h5", change)  # type: ignore[arg-type]
    assert option in pasted(cli)
    assert_mended(cli)


def test_a_wrong_count_is_mended(cli: CommandLine) -> None:
    forge(cli.folder / "f.h5", rows=5)
    assert pasted(cli)[-1] == "--force"
    assert_mended(cli)


def test_what_changed_since_is_taken_over(cli: CommandLine) -> None:
    imgs = cli.folder / "my imgs"
    (imgs / "red/000.png").unlink()
    shutil.copy(imgs / "red/001.png", imgs / "red/new.png")
    times = (imgs / "blue/000.png").stat()
    data = (imgs / "blue/000.png").read_bytes()
    shutil.copy(imgs / "green/000.png", imgs / "blue/000.png")
    os.utime(imgs / "blue/000.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    words = pasted(cli, "--images", "my imgs")
    assert words[-2:] == ["--verify", "--remove-missing"]
    assert data != (imgs / "blue/000.png").read_bytes()
    cli.incomplete(*RUN, "-o", "fresh.h5")
    assert_mended(cli, "fresh.h5")


def test_what_says_nothing_of_its_making_is_told_so(cli: CommandLine) -> None:
    """A broken seal: not even the attributes can be believed."""
    with h5py.File(cli.folder / "f.h5", "r+") as file:
        file.attrs["network"] = "another"
    ran = cli("cache", "verify", "f.h5")
    assert ran.code == 1
    next_step = ran.out.splitlines()[-1]
    assert re.search("^next: `.* extract IMAGES -o f.h5 --force` makes all of it anew", next_step)
    assert "IMAGES are those it was made of" in next_step


def test_images_that_are_elsewhere_are_said_to_be(cli: CommandLine) -> None:
    flip(cli.folder / "f.h5", chunks(cli.folder / "f.h5")["features/c"][0].start, 3)
    (cli.folder / "my imgs").rename(cli.folder / "away")
    assert "; my imgs is not here: run it where that lies" in cli("cache", "verify", "f.h5").out
