"""A printed command begins as the user's own began, and their shell can run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fc7.models.common.program import command_line, own_call_with, pip_install, python_name
from tests.support import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="runs its commands through a POSIX shell")

SAYS_ITS_NAME = (
    "import sys; sys.path.insert(0, {root!r}); from fc7.models.common.program import *; "
    "print(command_line('again'))"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a cli.py, and with a .venv whose fc7 and python say how they were called."""
    program = SAYS_ITS_NAME.format(root=str(ROOT))
    scripts = tmp_path / "my project" / ".venv/bin"
    scripts.mkdir(parents=True)
    (scripts / "python").symlink_to(sys.executable)
    (tmp_path / "my project/cli.py").write_text(program)
    for script in (scripts / "fc7", tmp_path / "my project/fc7"):
        script.write_text(f"#!{sys.executable}\n{program}\n")
        script.chmod(0o755)
    return tmp_path / "my project"


def said(line: str, folder: Path, path: Path | None = None) -> str:
    """What a command line, run by a shell in `folder`, prints; `path` is first on its PATH."""
    env = {**os.environ, "PATH": os.pathsep.join(map(str, [*([path] if path else []), "/usr/bin", "/bin"]))}
    done = subprocess.run(line, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("folder", "called", "activated", "printed"),
    [
        ("my project", ".venv/bin/fc7", False, ".venv/bin/fc7 again"),
        ("my project", "fc7", True, "fc7 again"),
        ("my project", ".venv/bin/fc7", True, "fc7 again"),
        ("my project", "./fc7", False, "./fc7 again"),
        (".", "my\\ project/.venv/bin/fc7", False, "'my project/.venv/bin/fc7' again"),
        ("my project/.venv", "../fc7", False, "'{project}/fc7' again"),
    ],
)
def test_a_printed_command_begins_as_it_was_called_and_can_be_pasted(
    project: Path, folder: str, called: str, activated: bool, printed: str
) -> None:
    path = project / ".venv/bin" if activated else None
    found = said(called, project.parent / folder, path)
    assert found == printed.format(project=project)
    assert said(found, project.parent / folder, path) == found


def test_run_by_a_python_it_names_that_python(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", ["cli.py", "extract", "imgs/"])
    monkeypatch.setattr(sys, "executable", str(project / ".venv/bin/python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    assert command_line() == ".venv/bin/python cli.py"
    assert python_name() == ".venv/bin/python"
    monkeypatch.setenv("PATH", str(project / ".venv/bin"))
    assert command_line() == "python cli.py"
    assert python_name() == "python"
    assert pip_install("-U", "fc7[heif]") == "python -m pip install -U 'fc7[heif]'"


def test_from_python_it_is_called_fc7_and_has_no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/ipython", "notebook.py"])
    assert command_line() == "fc7"
    assert own_call_with("--network", "mine") is None
    assert command_line("extract", Path("my imgs"), "a'b") == """fc7 extract 'my imgs' 'a'"'"'b'"""


@pytest.mark.parametrize(
    ("given", "again"),
    [
        ("extract imgs/", "extract imgs/ --network mine"),
        ("extract imgs/ --network alexnet -o a.h5", "extract imgs/ -o a.h5 --network mine"),
        ("extract --network=alexnet imgs/", "extract imgs/ --network mine"),
        ("extract -q -- --network alexnet", "extract -q --network mine -- --network alexnet"),
    ],
)
def test_the_users_own_command_with_another_network(
    monkeypatch: pytest.MonkeyPatch, given: str, again: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/fc7", *given.split()])
    monkeypatch.setenv("PATH", "")
    assert own_call_with("--network", "mine") == f"/usr/bin/fc7 {again}"
