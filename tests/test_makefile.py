"""What `make` would run: the demo's set-up leaves the test tools out, the tests' brings all they need."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT


def planned(target: str, environment: Path) -> list[str]:
    """The commands of ``make TARGET`` with an environment that is not there yet; none is run."""
    if shutil.which("make") is None:
        pytest.skip("make is not here")
    # A `make` that runs the tests hands its own options down.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ran = subprocess.run(
        ["make", "-n", target, f"VENV={environment}"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.splitlines()


def test_the_demo_is_set_up_without_the_test_tools_and_in_sight(tmp_path: Path) -> None:
    lines = planned("demo", tmp_path / "env")
    installs = [line for line in lines if " pip install " in line]
    assert [line.split()[-1] for line in installs] == ["'.[starter]'"]
    assert not any("--quiet" in line or " -q" in line for line in installs)
    # The stamp comes after what it stands for, so that an interrupted set-up is done again.
    assert lines.index(installs[0]) < lines.index(f"touch {tmp_path}/env/ready") < len(lines) - 1
    assert lines[-1] == f"{tmp_path}/env/bin/fc7 demo"


def test_the_tests_set_up_both_stages_and_a_finished_one_costs_nothing(tmp_path: Path) -> None:
    lines = planned("test", tmp_path / "env")
    installs = [line.split()[-1] for line in lines if " pip install " in line]
    assert installs == ["'.[starter]'", "'.[test]'"]
    (tmp_path / "env").mkdir()
    for stamp in ("ready", "ready-test"):
        (tmp_path / "env" / stamp).touch()
    assert not any("pip" in line or "venv" in line for line in planned("test", tmp_path / "env"))
