"""`extract` killed with SIGKILL at random instants: what is committed stays whole, the next run goes on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.support import COLOURS, CommandLine, coloured_picture, command, read_json

KILLS = int(os.environ.get("FC7_TORTURE", "20"))
ARGUMENTS = ["extract", "imgs", "--network", "tiny", "-o", "features.h5", "--json", "-b", "16"]


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A folder of 1,200 pictures, three of them broken, and what an uninterrupted run makes of it."""
    here = CommandLine(tmp_path_factory.mktemp("kills")).with_tiny_network()
    for colour in COLOURS:
        (here.folder / "imgs" / colour).mkdir(parents=True)
        for i in range(400):
            # Larger than the network needs, so that decoding takes a moment.
            Image.fromarray(coloured_picture(colour, i, side=160)).save(
                here.folder / "imgs" / colour / f"{i:04}.png", compress_level=1
            )
        (here.folder / "imgs" / colour / "0100.png").write_bytes(b"broken")
    here.incomplete(*ARGUMENTS)
    shutil.move(here.folder / "features.h5", here.folder / "whole.h5")
    return here


def content(path: Path) -> dict[str, Any]:
    """Everything a reader sees, without us."""
    with h5py.File(path) as file:
        found: dict[str, Any] = {}

        def take(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = item[()]

        file.visititems(take)
        return found


def assert_equal(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if name.startswith("features/"):
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(found[name], value)


def kill_after(cli: CommandLine, seconds: float) -> bool:
    """Start extract and kill it; whether it was still running."""
    process = subprocess.Popen(
        command(ARGUMENTS),
        cwd=cli.folder,
        env=cli.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    running = process.poll() is None
    process.send_signal(signal.SIGKILL) if running else None
    process.wait()
    return running


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_sigkill_at_random_instants_loses_nothing_that_was_committed(cli: CommandLine) -> None:
    wanted = content(cli.folder / "whole.h5")
    out = cli.folder / "features.h5"
    started = time.monotonic()
    cli.incomplete(*ARGUMENTS)
    usual = time.monotonic() - started
    out.unlink()
    chance = random.Random(0)
    killed = 0
    for _ in range(4 * KILLS):
        if killed == KILLS:
            break
        if kill_after(cli, chance.uniform(0.1, 1.0) * usual):
            killed += 1
        else:
            # It was done already: the machine is quicker than when it was timed.
            usual *= 0.8
        if out.exists():
            assert_equal(content(out), wanted)
            out.unlink()
        if chance.random() < 0.5:
            shutil.rmtree(cli.folder / "features.h5.work", ignore_errors=True)
    assert killed == KILLS
    last = read_json(cli.incomplete(*ARGUMENTS).out)
    assert (last["rows"], len(last["failures"])) == (1197, 3)
    assert_equal(content(out), wanted)
    assert not list(cli.folder.glob("features.h5.*"))


@pytest.mark.skipif(os.name != "posix", reason="SIGINT to a process is POSIX")
def test_ctrl_c_keeps_what_was_done_and_says_how_to_go_on(cli: CommandLine) -> None:
    out = cli.folder / "features.h5"
    # However fast this machine is and however busy, one of these is neither too early nor too late.
    for seconds in (0.3, 1.0, 0.1, 3.0, 0.03):
        shutil.rmtree(cli.folder / "features.h5.work", ignore_errors=True)
        out.unlink(missing_ok=True)
        code, err = interrupt_after(cli, seconds)
        if code != 0 and out.exists() and 0 < len(content(out)["path"]) < 1197:
            break
    assert code == 130, err
    assert "run the same command again" in err
    assert "Traceback" not in err
    kept = len(content(out)["path"])
    assert 0 < kept < 1197
    again = read_json(cli.incomplete(*ARGUMENTS).out)
    assert again["reused"] == kept
    assert_equal(content(out), content(cli.folder / "whole.h5"))


def interrupt_after(cli: CommandLine, seconds: float) -> tuple[int, str]:
    """Start extract with one decode thread and press Ctrl-C so long after it has begun."""
    process = subprocess.Popen(
        command((*ARGUMENTS, "-j", "1", "-v")),
        cwd=cli.folder,
        env=cli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    # The note about the engine says that extraction has begun.
    first = process.stderr.readline()
    assert first.startswith(("cpu:", "cuda:", "openvino"))
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    return process.returncode, err
