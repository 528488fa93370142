"""The local cluster of a run dies: one line says so, the lock is free, and the next run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'fc7[ray]'")

from tests.extract.cluster.nodes import assert_same, needs_ray, parents
from tests.support import ROOT, CommandLine, read_json

pytestmark = needs_ray


def parts_of_ray(driver: int) -> list[int]:
    """What a local cluster cannot do without: its two processes, among what the driver has started."""
    found = []
    for process, parent in parents().items():
        if parent == driver:
            name = Path(f"/proc/{process}/cmdline").read_bytes().partition(b"\0")[0].rpartition(b"/")[2]
            found += [process] if name in (b"raylet", b"gcs_server") else []
    return found


@pytest.mark.parametrize("when", ["at once", "in the midst"])
def test_a_local_cluster_that_dies_is_named_and_the_next_run_starts_at_once(
    cli: CommandLine, tmp_path: Path, when: str
) -> None:
    """At once Ray ends the process from within a call of its own, and there is nothing that could speak."""
    out = tmp_path / "f.h5"
    imgs = cli.folder / "imgs"
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.extract.cluster.drive", str(imgs), str(out), "local", "slow"],
        cwd=ROOT,
        env=cli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert driver.stderr is not None
    assert driver.stderr.readline() == "running on a local Ray cluster, started for this run\n"
    deadline = time.monotonic() + 120
    while when != "at once" and not any(tmp_path.glob("f.h5.work/*-*.h5")) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed = parts_of_ray(driver.pid)
    assert len(killed) == 2
    for process in killed:
        os.kill(process, signal.SIGKILL)
    printed, said = driver.communicate(timeout=120)
    assert (driver.returncode, printed) == (1, ""), said
    error = said.splitlines()[-1]
    assert error.startswith("error: the local Ray cluster of this run at "), said
    assert error.endswith("finished features are kept: run the same command again to go on")
    assert not (tmp_path / "f.h5.lock").exists()
    ran = cli.incomplete("extract", imgs, "--network", "tiny", "-b", "8", "-o", out, "--json")
    assert "took over the lock" not in ran.err
    assert when == "at once" or read_json(ran.out)["reused"] > 0
    assert_same(out, cli)
