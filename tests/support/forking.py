"""Processes of the command line that start in 20 ms: forked from one that has loaded every library.

To start Python and to load NumPy, ONNX Runtime and scikit-learn takes 0.4 to 2.5 s of CPU, and the
tests run a thousand commands. Each still runs `cli.main` in a process of its own, with its own folder,
environment, output and exit code. ``FC7_REAL_PROCESSES=1`` starts all of them as a user does; so does a test
that gives an environment of its own, and every test of kills, Ctrl-C, start-up and terminals.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
USABLE = hasattr(os, "fork") and sys.platform == "linux" and "FC7_REAL_PROCESSES" not in os.environ
_LIBRARIES = (
    *("numpy", "onnx", "onnxruntime", "h5py", "PIL.Image", "PIL.ImageFont", "typer"),
    *("scipy.sparse", "scipy.optimize", "sklearn.svm", "sklearn.linear_model", "sklearn.utils.extmath"),
)
_LONGEST = 1 << 20


class ForkServer:
    """A process that forks one for each command.

    Attributes
    ----------
    user : int
        Whom its processes belong to; a test may be another for a while.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.user = os.geteuid()
        self._lock = threading.Lock()
        self._socket = ours
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", __file__, str(theirs.fileno())],
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
    ) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of ``cli.py`` with these arguments."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, self._lock:
            asked = json.dumps({"arguments": arguments, "folder": str(folder), "environment": environment})
            socket.send_fds(self._socket, [asked.encode()], [out.fileno(), err.fileno()])
            if not select.select([self._socket], [], [], timeout)[0]:
                self._process.kill()
                raise TimeoutError(f"{arguments} took more than {timeout:g} s")
            code = int(self._socket.recv(64))
            texts = []
            for stream in (out, err):
                stream.seek(0)
                # As text=True of subprocess reads: every newline is one character.
                texts.append(stream.read().decode("utf-8").replace("\r\n", "\n").replace("\r", "\n"))
            return code, texts[0], texts[1]


def _serve(number: int) -> int:
    """Fork for each request; what a child returns is its exit code."""
    sys.path[0] = str(ROOT / ".package")
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    for name in _LIBRARIES:
        importlib.import_module(name)
    cli = importlib.import_module("fc7.cli")
    for table in (cli.COMMANDS, cli.MODELS, cli.CACHE):
        for module, *_ in table.values():
            importlib.import_module(module)
    # What is loaded is looked at no more: a child that did would copy every page of it.
    gc.freeze()
    with socket.socket(fileno=number) as server:
        while True:
            data, fds, _, _ = socket.recv_fds(server, _LONGEST, 2)
            if not data:
                return 0
            child = os.fork()
            if child == 0:
                _become(json.loads(data), fds)
            for fd in fds:
                os.close(fd)
            _, status = os.waitpid(child, 0)
            server.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(asked: dict[str, Any], fds: Sequence[int]) -> NoReturn:
    """Be the process that was asked for, up to its end."""
    for number, fd in enumerate(fds, 1):
        os.dup2(fd, number)
        os.close(fd)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = [str(ROOT / "cli.py"), *asked["arguments"]]
    code = 1
    try:
        from fc7.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # To take all modules apart, one after the other, would take as long as most commands.
    os._exit(code)


if __name__ == "__main__":
    sys.exit(_serve(int(sys.argv[1])))
