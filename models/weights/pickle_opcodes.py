"""The opcodes of a pickle and their arguments, as they stand in the file."""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable
from typing import IO, Any, BinaryIO, cast


class BoundedStream:
    """A stream that never asks the system for more bytes than are left."""

    def __init__(self, stream: BinaryIO) -> None:
        here = stream.tell()
        self.left = stream.seek(0, io.SEEK_END) - here
        stream.seek(here)
        self._stream = stream

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        data = self._stream.read(max(0, min(size, self.left)))
        self.left -= len(data)
        return data

    def readline(self) -> bytes:
        """Up to and with the next newline."""
        data = self._stream.readline(self.left)
        self.left -= len(data)
        return data


def _read_string1(stream: IO[bytes]) -> bytes:
    return _exactly(stream, stream.read(1)[0])


def _read_string4(stream: IO[bytes]) -> bytes:
    return _exactly(stream, int.from_bytes(stream.read(4), "little", signed=True))


# What Python 2's repr of a string escapes.
_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\", b"'": b"'", b'"': b'"'}


def _read_stringnl(stream: IO[bytes]) -> bytes:
    quoted = _line(stream).strip()
    if len(quoted) < 2 or quoted[:1] != quoted[-1:] or quoted[:1] not in (b"'", b'"'):
        raise ValueError("a text without its quotes")
    return _ESCAPE.sub(
        lambda found: bytes.fromhex(found[1].decode()) if found[1] else _ESCAPED[found[2]], quoted[1:-1]
    )


def _read_name(stream: IO[bytes]) -> str:
    return _line(stream).decode("utf-8")


def _read_names(stream: IO[bytes]) -> str:
    return f"{_read_name(stream)} {_read_name(stream)}"


def _line(stream: IO[bytes]) -> bytes:
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise ValueError("a line without its end")
    return line[:-1]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if size < 0 or len(data) != size:
        raise ValueError(f"{size} bytes announced, {len(data)} there")
    return data


# The standard library's own table of opcodes and of how their arguments are written, except for
# strings, which it decodes too early, and names, in which it looks for escapes.
_OPCODES = {op.code.encode("latin-1"): op for op in pickletools.opcodes}
_OWN_READERS: dict[str, Callable[[IO[bytes]], bytes | str]] = {
    "string1": _read_string1,
    "string4": _read_string4,
    "stringnl": _read_stringnl,
    "stringnl_noescape": _read_name,
    "stringnl_noescape_pair": _read_names,
}


def next_opcode(stream: BoundedStream) -> tuple[str, Any]:
    """Name and argument of the next opcode; Python 2's strings as bytes.

    Raises
    ------
    ValueError
        If there is none, or the data ends within it.
    """
    code = stream.read(1)
    if code not in _OPCODES:
        raise ValueError(f"no opcode {code!r}" if code else "the data ends early")
    op = _OPCODES[code]
    if op.arg is None:
        return op.name, None
    read = _OWN_READERS.get(op.arg.name, op.arg.reader)
    return op.name, read(cast("IO[bytes]", stream))
