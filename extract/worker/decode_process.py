"""A process that decodes for another one; `extract.worker.decoders` starts it.

It reads from its standard input and writes to its standard output: a sign that it is ready; then for an image
the number of bytes and these, for an answer its kind, four numbers and bytes. In between it may ask for
memory, with the first of the four numbers; the reply is a reason against it or none: its length, its bytes.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fc7.extract.images import budget
from fc7.extract.images.budget import NoRoomError, Room
from fc7.extract.records import Pixels
from fc7.extract.worker.read_ahead import Decode
from fc7.models.common import memory
from fc7.models.common.errors import ImageError
from fc7.models.network.spec import PreprocessSpec

REQUEST = struct.Struct("<q")
ANSWER = struct.Struct("<c4q")
PIXELS, REASON, MEMORY, FAULT, READY, NEEDS = b"p", b"r", b"m", b"f", b"!", b"n"
# Of Linux: 0 is a process like others, 1000 the first that is ended when memory runs out (proc(5)).
_FIRST_TO_END = "1000"


def decode_here(spec: PreprocessSpec, exact: bool, room: Room = budget.shared.room) -> Decode:
    """What turns an image into pixels, as `extract.worker.decoders.decoder`, in this process."""
    from fc7.extract.images.decode import prepare

    return lambda data: prepare(data, spec, exact=exact, room=room)


def room_elsewhere(replies: BinaryIO, answers: BinaryIO) -> Room:
    """Memory that the process is asked for which shares it out."""

    @contextlib.contextmanager
    def room(n_bytes: int) -> Iterator[None]:
        if n_bytes < budget.SMALL:
            yield
            return
        answers.write(ANSWER.pack(NEEDS, n_bytes, 1, 1, 1))
        answers.flush()
        (length,) = REQUEST.unpack(replies.read(REQUEST.size))
        if length:
            raise NoRoomError(replies.read(length).decode())
        try:
            yield
        finally:
            memory.release(n_bytes)

    return room


def serve(images: BinaryIO, answers: BinaryIO, decode: Decode) -> None:
    """Answer until nobody asks any more."""
    while len(request := images.read(REQUEST.size)) == REQUEST.size:
        data = images.read(*REQUEST.unpack(request))
        try:
            kind, answer = PIXELS, decode(data)
        except ImageError as exc:
            kind = MEMORY if isinstance(exc.__cause__, MemoryError) else REASON
            answer = _text(str(exc))
        except MemoryError:
            kind, answer = MEMORY, _text("decoding it needs more memory than there is")
        except Exception as exc:
            kind, answer = FAULT, _text(f"{type(exc).__name__}: {exc}")
        # A file may be large, and the next one may be long in coming.
        del data
        shape = (*answer.shape, 1, 1, 1)[:4]
        answers.write(ANSWER.pack(kind, *shape))
        answers.write(np.ascontiguousarray(answer).data)
        answers.flush()


def _text(words: str) -> Pixels:
    return np.frombuffer(words.encode("utf-8", "backslashreplace"), np.uint8)


def _main() -> None:
    spec, how = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "wb")
    # A library that prints would be taken for an answer.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # It costs an image; the process that asks has the rows.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_END)
    room = room_elsewhere(sys.stdin.buffer, answers)
    decode = decode_here(PreprocessSpec.from_json(spec), how == "exact", room)
    answers.write(READY)
    answers.flush()
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers, decode)


if __name__ == "__main__":
    _main()
