"""An export that is killed leaves the older file, and nothing once the next one is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fc7.models.common.locks import exclusive
from tests.support import ROOT, CommandLine, onnx_that_says, write_pictures

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and flock of POSIX")

# The command line, killed when everything is written and nothing has its name yet.
DIES = """
import os, signal, sys
from fc7.classify.export import export
export.flush = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
from fc7 import cli
sys.argv = ["fc7", "export", "--force", "-o", "full.onnx"]
cli.main()
"""


@pytest.fixture
def fitted(tmp_path: Path) -> CommandLine:
    cli = CommandLine(tmp_path).with_tiny_network()
    write_pictures(tmp_path / "imgs", per_class=4)
    cli.good("extract", "imgs", "--network", "tiny")
    cli.good("fit", "--force", "--softmax", "-C", "1")
    onnx_that_says(tmp_path / "full.onnx", format="fc7-full")
    return cli


def test_what_a_killed_export_leaves_goes_with_the_next(fitted: CommandLine) -> None:
    before = {path.name for path in fitted.folder.iterdir()}
    older = (fitted.folder / "full.onnx").read_bytes()
    killed = subprocess.run(
        [sys.executable, "-c", DIES],
        cwd=fitted.folder,
        env=fitted.environment({"PYTHONPATH": str(ROOT)}),
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (fitted.folder / "full.onnx").read_bytes() == older
    assert any(path.name.endswith(".part") for path in fitted.folder.iterdir())
    fitted.good("export", "--force", "-o", "full.onnx")
    assert {path.name for path in fitted.folder.iterdir()} == before
    assert (fitted.folder / "full.onnx").stat().st_size > 1000


def test_two_exports_of_one_file_do_not_mix(fitted: CommandLine) -> None:
    older = (fitted.folder / "full.onnx").read_bytes()
    with exclusive(fitted.folder / ".full.onnx.lock"):
        ran = fitted("export", "--force", "-o", "full.onnx")
    assert ran.code == 1
    assert "full.onnx: another process is writing it; wait for it, or choose another -o" in ran.err
    assert (fitted.folder / "full.onnx").read_bytes() == older
