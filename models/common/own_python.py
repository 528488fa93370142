"""How another Python process runs a module of ours: it finds every module where this one does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import fc7

# Where `fc7` is imported from.
_ROOT = Path(str(fc7.__file__)).absolute().parents[1]
_PROGRAM = (
    "import json, runpy, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "runpy.run_module({module!r}, run_name='__main__')"
)


def command(module: str, *arguments: str) -> list[str]:
    """What to run, so that `module` finds `arguments` in ``sys.argv[1:]``.

    Raises
    ------
    OSError
        If Python runs inside another program, and nothing is known to run.
    """
    if not sys.executable:
        raise OSError("the path of Python is not known")
    # -P: a folder `models` or `extract` in the user's current folder is not ours. Not by PYTHONPATH, which
    # cannot hold a path with a colon, and which this process may have been told to ignore.
    flags = ["-P", "-E"] if sys.flags.ignore_environment else ["-P"]
    paths = json.dumps([*sys.path, str(_ROOT)])
    return [sys.executable, *flags, "-c", _PROGRAM.format(module=module), paths, *arguments]
