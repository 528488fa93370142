"""The text of a table that an option names."""

from __future__ import annotations

from pathlib import Path

from fc7.models.common.errors import SourceError, UsageError
from fc7.models.common.files import refuse_pipe

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def text_of(path: Path, name: str, option: str = "--labels") -> str:
    """The text of the file of an option.

    Raises
    ------
    SourceError, UsageError
        As `bytes_of` and `text_in`.
    """
    return text_in(bytes_of(path, name, option), name)


def bytes_of(path: Path, name: str, option: str) -> bytes:
    """What the file of an option holds.

    Raises
    ------
    SourceError
        If it cannot be read.
    UsageError
        If it is not there, or a pipe.
    """
    refuse_pipe(path)
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise UsageError(f"{option} {name}: no such file") from exc
    except OSError as exc:
        raise SourceError(f"{option} {name}: cannot be read: {exc.strerror or exc}") from exc


def text_in(data: bytes, name: str) -> str:
    """The text that a file holds.

    Raises
    ------
    SourceError
        If it is not UTF-8.
    """
    if data.startswith(_UTF_16):
        raise SourceError(f"{name}: is in UTF-16; save it as CSV in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise SourceError(
            f"{name}: line {line} is not UTF-8 (byte {data[exc.start : exc.start + 1]!r}); "
            "save it as CSV in UTF-8"
        ) from exc
