"""Files that are given to be read."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path, PurePath

from fc7.models.common.errors import UsageError

Inputs = str | Path | Sequence[str | Path]
"""A path or several, as Python's callers give them."""


def each_of(inputs: Inputs) -> Sequence[str | Path]:
    """Several paths: a lone one is a sequence of letters to Python, or none.

    Examples
    --------
    >>> each_of("imgs/"), each_of(["a", "b"])
    (['imgs/'], ['a', 'b'])
    """
    return [inputs] if isinstance(inputs, str | PurePath) else inputs


def refuse_pipe(path: Path) -> None:
    """Refuse what a reader would wait for without end, or read without end: pipes, sockets and devices.

    Whatever else may be wrong with it, that it is missing or a folder, is for its reader to say.

    Raises
    ------
    UsageError
    """
    if is_pipe(path):
        raise UsageError(f"{path}: a pipe, socket or device; a file is needed, so write it into one first")


def is_pipe(path: str | Path) -> bool:
    """Whether there is something under a path that is neither file nor folder."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
