"""A file of results that is there when it is complete; of a run that ended early, what it had so far."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from models.durable import unwritable
from models.errors import Fc7Error, StoppedError


@contextmanager
def appearing(path: Path, header_lines: int = 0) -> Iterator[TextIO]:
    """A text stream to `path`, which appears under its name when the block ends well.

    When it does not, the finished lines stay in ``PATH.part`` and the error's message says so; a part
    without any is removed, and so is one that the disk had no room for.

    Parameters
    ----------
    path : Path
    header_lines : int
        Lines at its start that are no results.

    Raises
    ------
    StoppedError
        After Ctrl-C.
    Fc7Error
        If the file cannot be written; or the block's own error.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as exc:
        with suppress(OSError):
            part.unlink()
        raise Fc7Error(unwritable(path, exc)) from exc
    except KeyboardInterrupt as exc:
        raise StoppedError(f"stopped; {_kept(part, header_lines)}") from exc
    except Fc7Error as exc:
        exc.args = (f"{exc}; {_kept(part, header_lines)}", *exc.args[1:])
        raise
    except BaseException:
        _kept(part, header_lines)
        raise


def _kept(part: Path, header_lines: int) -> str:
    """Keep the part if it holds results; what to say about it."""
    with part.open("rb") as stream:
        results = sum(1 for _ in stream) > header_lines
    if results:
        return f"what was finished is in {part}; the same command starts anew"
    part.unlink()
    return f"nothing was finished, and {part.with_suffix('')} is as it was"
