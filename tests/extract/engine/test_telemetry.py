"""fc7 works offline and tells nobody: ONNX Runtime, which would, is told not to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fc7.classify.export.example import example_script
from fc7.models.network.spec import caffe_preprocess
from tests.support import CommandLine, write_pictures


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the user's, and an environment in which ONNX Runtime 1.29 and later would report."""
    for name in ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


def test_a_run_leaves_nothing_in_the_users_folder(home: Path, tmp_path: Path) -> None:
    cli = CommandLine(tmp_path).with_tiny_network()
    write_pictures(tmp_path / "imgs", 2)
    cli.good("extract", "imgs", "--network", "tiny")
    assert not list(home.iterdir())


def test_an_exported_script_leaves_nothing_either(home: Path, tmp_path: Path) -> None:
    """That is settled when it imports ONNX Runtime, so no network has to be there."""
    ran = subprocess.run(
        [sys.executable, "-c", example_script(caffe_preprocess(224), "none.onnx")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "none.onnx" in ran.stderr
    assert not list(home.iterdir())
