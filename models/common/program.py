"""How the user calls this program, so that a command it prints works when it is pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import list2cmdline

_SCRIPT, _COMMAND = "cli.py", "fc7"


def python_name() -> str:
    """The Python that runs this, as the user's shell finds it: ``python``, ``.venv/bin/python``."""
    return pasted([_found_again(Path(sys.executable))]) if sys.executable else "python"


def pip_install(*packages: str) -> str:
    """The command that installs packages for the Python that runs this, whatever Python the shell has.

    Parameters
    ----------
    *packages : str
        As pip takes them, unquoted; options may stand before them.

    Examples
    --------
    >>> pip_install("fc7[heif]").endswith(" -m pip install 'fc7[heif]'")
    True
    """
    return f"{python_name()} -m pip install {pasted(packages)}"


def command_line(*arguments: str | os.PathLike[str]) -> str:
    """A command of this program, for the user to paste.

    Parameters
    ----------
    *arguments : str or path
        The command and what it is given, unquoted.

    Examples
    --------
    >>> command_line("extract", "my images", "--network", "alexnet")
    "fc7 extract 'my images' --network alexnet"
    """
    return pasted([*_program(), *(os.fspath(argument) for argument in arguments)])


def own_call_with(option: str, value: str) -> str | None:
    """The command that the user gave, with another value of an option; None from Python.

    Parameters
    ----------
    option : str
        ``--network``, with or without its value in what the user gave.
    """
    if _called() is None:
        return None
    kept = list(_without(option, sys.argv[1:]))
    end = kept.index("--") if "--" in kept else len(kept)
    return command_line(*kept[:end], option, value, *kept[end:])


def pasted(words: Sequence[str]) -> str:
    """Words as one line that a shell of this system takes apart into them again."""
    if os.name != "nt":
        return shlex.join(words)
    return list2cmdline(words)


def _without(option: str, arguments: Sequence[str]) -> Iterator[str]:
    words = iter(arguments)
    for word in words:
        if word == "--":
            yield from (word, *words)
        elif word == option:
            next(words, None)
        elif not word.startswith(f"{option}="):
            yield word


def _called() -> Path | None:
    """The file that was started, if it is this program."""
    started = Path(sys.argv[0]) if sys.argv else Path()
    # pip's launcher on Windows is fc7.exe and calls itself so, with or without the suffix.
    return started if started.name in (_SCRIPT, _COMMAND, f"{_COMMAND}.exe") else None


def _program() -> list[str]:
    started = _called()
    if started is None:
        return [_COMMAND]
    if started.name == _SCRIPT:
        python = _found_again(Path(sys.executable)) if sys.executable else "python"
        return [python, str(started)]
    return [_found_again(started)]


def _found_again(file: Path) -> str:
    """A program as short as the shell can find it: its name if it is on the PATH, else its path."""
    # Not resolved: the Python of a virtual environment is a link to another.
    full = Path(os.path.abspath(file))  # noqa: PTH100
    on_path = shutil.which(file.name)
    if on_path is not None and Path(os.path.abspath(on_path)) == full:  # noqa: PTH100
        return file.stem if file.suffix == ".exe" else file.name
    here = Path.cwd()
    if not full.is_relative_to(here):
        return str(full)
    short = full.relative_to(here)
    # A shell looks for a name without a separator on the PATH only.
    return str(short) if len(short.parts) > 1 else os.path.join(".", short)  # noqa: PTH118
