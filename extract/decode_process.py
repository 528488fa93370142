"""A process that decodes for another one; `extract.decoders` starts it.

It reads from its standard input and writes to its standard output: a sign that it is ready; then for an image
the number of bytes and these, for an answer its kind, four numbers and bytes.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from typing import BinaryIO

import numpy as np

from extract.reading import Decode
from extract.stages import Pixels
from models.errors import ImageError
from models.spec import PreprocessSpec

REQUEST = struct.Struct("<q")
ANSWER = struct.Struct("<c4q")
PIXELS, REASON, MEMORY, FAULT, READY = b"p", b"r", b"m", b"f", b"!"


def decode_here(spec: PreprocessSpec, exact: bool) -> Decode:
    """What turns an image into the network's pixels, as `extract.decoders.decoder`, in this process."""
    from extract.images import prepare

    return lambda data: prepare(data, spec, exact=exact)


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
    decode = decode_here(PreprocessSpec.from_json(spec), how == "exact")
    answers.write(READY)
    answers.flush()
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers, decode)


if __name__ == "__main__":
    _main()
