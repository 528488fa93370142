"""A file of results that is there when it is complete; of a run that ended early, what it had so far."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from fc7.classify.kinds import PREDICTIONS
from fc7.models.common.durable import explained
from fc7.models.common.errors import Fc7Error, StoppedError
from fc7.models.common.locks import exclusive
from fc7.models.outputs.outputs import Destination, claimed


@contextmanager
def prediction_file(out: Destination, header_lines: int = 0) -> Iterator[TextIO]:
    """A text stream to a file of predictions, which appears under its name when the block ends well.

    When it does not, the finished lines stay in ``PATH.part`` and the error's message says so; a part
    without any is removed, and so is one that the disk had no room for.

    Parameters
    ----------
    header_lines : int
        Lines at its start that are no results.

    Raises
    ------
    UsageError
        If something else stands there, or in the place of the part.
    StoppedError
        After Ctrl-C.
    Fc7Error
        If the file cannot be written, or another process writes it now; or the block's own error.
    """
    out = claimed(out, PREDICTIONS)
    if out.place.stream:
        with explained(out.path, out.option), io.TextIOWrapper(out.open(), "utf-8", newline="") as stream:
            yield stream
        return
    part = out.beside(".part").place.target
    lock = part.with_name(f".{part.name}.lock")
    with explained(out.path, out.option), exclusive(lock), _kept_if_stopped(part, header_lines):
        with part.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        out.put(part)


@contextmanager
def _kept_if_stopped(part: Path, header_lines: int) -> Iterator[None]:
    """What becomes of the part of a run that ends early, and what its error says of it."""
    try:
        yield
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise
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
