"""Ctrl-C ends with 130 and no traceback: in real processes, at instants that are chosen, not hoped for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import ROOT, CommandLine, write_pictures

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGINT of POSIX")

# What the console script does, but that it is interrupted at the n-th import that it makes.
AT_AN_IMPORT = """
import os, signal, sys
left = int(sys.argv.pop(1))
def count(event, arguments):
    global left
    if event == "import":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(count)
from fc7.cli import main
main()
"""


def ended(cli: CommandLine, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cli.folder,
        env=cli.environment({"PYTHONPATH": str(ROOT)}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    assert "ignored" not in ran.stderr, ran.stderr
    return ran


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("interrupted")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=2)
    return here


# 1 and 2 are fc7 and fc7.cli, 3 and 4 the first that these import; there are about 500.
@pytest.mark.parametrize("number", [3, 4, 10, 60, 150, 300])
def test_ctrl_c_while_modules_are_imported(cli: CommandLine, number: int) -> None:
    ran = ended(cli, AT_AN_IMPORT, str(number), "extract", "imgs", "--network", "tiny", "-o", "x.h5")
    assert ran.returncode == 130, ran.stderr
    assert "error" not in ran.stderr.replace("error: stopped", "")


IN_A_CALLBACK = """
import os, signal
from fc7.models.common.interrupts import hold_interrupts
hold_interrupts()
class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
try:
    Dying()
    while True:
        signal.pause()
except KeyboardInterrupt:
    print("heard")
"""


def test_ctrl_c_in_a_callback_is_not_lost(cli: CommandLine) -> None:
    assert ended(cli, IN_A_CALLBACK).stdout == "heard\n"


AT_THE_END = """
import atexit, os, signal, sys, time
def press():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
atexit.register(press)
from fc7.cli import main
sys.argv = ["fc7", "--version"]
main()
"""


def test_ctrl_c_while_the_program_ends(cli: CommandLine) -> None:
    began = time.monotonic()
    ran = ended(cli, AT_THE_END)
    assert ran.returncode == 130
    assert ran.stdout.startswith("fc7")
    assert time.monotonic() - began < 50


SLOW_TO_IMPORT = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from fc7.models.common.interrupts import hold_interrupts
hold_interrupts()
import slow_to_import
"""


def test_ctrl_c_pressed_twice_does_not_wait_for_the_import(cli: CommandLine, tmp_path: Path) -> None:
    press = "os.kill(os.getpid(), signal.SIGINT)"
    (tmp_path / "slow_to_import.py").write_text(
        f"import os, signal, time\n{press}\nprint('still', flush=True)\n{press}\ntime.sleep(60)"
    )
    ran = ended(cli, SLOW_TO_IMPORT, str(tmp_path))
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "still\n", "error: stopped\n")


IGNORED = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from fc7.models.common.interrupts import let_ctrl_c_end, hold_interrupts
hold_interrupts()
let_ctrl_c_end()
print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
"""


def test_an_import_that_takes_its_time_is_not_waited_for(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "slow_to_import.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: time.sleep(0.01)"
    )
    ran = ended(cli, SLOW_TO_IMPORT, str(tmp_path))
    assert (ran.returncode, ran.stderr) == (130, "error: stopped\n")


def test_a_job_in_the_background_stays_deaf(cli: CommandLine) -> None:
    assert ended(cli, IGNORED).stdout == "True\n"


def test_importing_the_command_line_changes_no_handler() -> None:
    code = "import signal, cli; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "True\n"


# Ctrl-C before, while and after the classifier is written, the split beside it being written last.
WHILE_WRITING = """
import os, signal, sys
where = sys.argv.pop(1)
import fc7.classify.fit.from_cache as module
name, after = where.split("-")
usual = getattr(module, name)
def call(*arguments, **options):
    if after == "before":
        os.kill(os.getpid(), signal.SIGINT)
    found = usual(*arguments, **options)
    os.kill(os.getpid(), signal.SIGINT)
    return found
setattr(module, name, call)
from fc7.cli import main
main()
"""


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("save_classifier-before", "error: stopped; c.onnx, s.csv not written\n"),
        ("save_classifier-after", "error: stopped; c.onnx written whole; s.csv not written\n"),
        ("write_split-after", "error: stopped; c.onnx, s.csv written whole\n"),
    ],
)
def test_ctrl_c_while_fit_writes_says_what_is_there(
    cli: CommandLine, tmp_path: Path, where: str, told: str
) -> None:
    here = CommandLine(tmp_path)
    here.store.symlink_to(cli.store)
    write_pictures(tmp_path / "imgs", per_class=6)
    here.good("extract", "imgs", "--network", "tiny", "-o", "f.h5")
    arguments = ("fit", "f.h5", "--svm", "-C", "1", "-o", "c.onnx", "--split-csv", "s.csv")
    ran = ended(here, WHILE_WRITING, where, *arguments)
    assert (ran.returncode, ran.stderr) == (130, told)
    assert (tmp_path / "c.onnx").exists() == ("c.onnx written" in told or "s.csv written" in told)
