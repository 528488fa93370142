"""Random access to a compressed stream, which can only be read forwards, at linear cost."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
import threading
import zlib
from array import array
from bisect import bisect_left
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from models.errors import ImageError

LOOK_AHEAD_BYTES = 64 << 20
"""Members that were passed over, kept for the reads that arrive a little late."""

_PIECE = 1 << 18
_MAGIC = {b"\x1f\x8b\x08": "gzip", b"BZh": "bzip2", b"\xfd7z": "xz"}
# POSIX.1-2017 pax, "ustar Interchange Format": the magic of an uncompressed tar file.
_USTAR_AT, _USTAR = 257, b"ustar"
# What the three decompressors raise for damaged or cut data; gzip.BadGzipFile is an OSError.
DECOMPRESSION_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


def compression(file: BinaryIO) -> str | None:
    """``gzip``, ``bzip2`` or ``xz`` by the first bytes, None for anything else."""
    file.seek(0)
    start = file.read(_USTAR_AT + len(_USTAR))
    file.seek(0)
    # The first bytes of a plain tar file are a name, which may look like anything.
    return None if start[_USTAR_AT:] == _USTAR else _MAGIC.get(start[:3])


def decompressed(file: BinaryIO, kind: str) -> BinaryIO:
    """The contents of a compressed file as a stream."""
    if kind == "gzip":
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    return cast("BinaryIO", bz2.BZ2File(file) if kind == "bzip2" else lzma.LZMAFile(file))


class ForwardReader:
    """Pieces of a compressed file, for several threads, nearly in order or in any order.

    While reads go forwards, the stream is decompressed once, and pieces that are passed over
    wait in a look-ahead of `LOOK_AHEAD_BYTES`. The first read that goes back beyond it changes
    the way: all pieces are then decompressed once into an unnamed temporary file and read
    from there. So the whole costs one pass, or two, whatever the order.

    Parameters
    ----------
    path : Path
    kind : {"gzip", "bzip2", "xz"}
    offsets, sizes : array of int
        Where the pieces lie in the decompressed stream, ascending.
    in_order : bool
        Whether reads will go forwards; False takes the temporary file from the start.
    """

    def __init__(
        self, path: Path, kind: str, offsets: array[int], sizes: array[int], *, in_order: bool
    ) -> None:
        self._path = path
        self._kind = kind
        self._offsets = offsets
        self._sizes = sizes
        self._in_order = in_order
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._stream: BinaryIO | None = None
        self._next = 0
        self._passed: OrderedDict[int, bytes] = OrderedDict()
        self._passed_bytes = 0
        self._unfolded: IO[bytes] | None = None
        self._starts: array[int] = array("q")
        self._served = 0

    def __reduce__(self) -> tuple[Any, ...]:
        # In another process it starts anew.
        again = partial(ForwardReader, in_order=self._in_order)
        return again, (self._path, self._kind, self._offsets, self._sizes)

    def piece(self, offset: int) -> bytes:
        """The piece that starts at `offset`.

        Raises
        ------
        ImageError
            If the file has vanished or is damaged, or the temporary folder is full.
        """
        number = bisect_left(self._offsets, offset)
        with self._lock:
            try:
                if self._unfolded is None and number >= self._next and self._in_order:
                    return self._forward(number)
                if number in self._passed:
                    return self._take(number)
                return self._from_unfolded(number)
            except FileNotFoundError as exc:
                raise ImageError("the archive vanished after it was listed") from exc
            except DECOMPRESSION_ERRORS as exc:
                raise ImageError(f"cannot be read from the archive: {exc}") from exc

    def _forward(self, number: int) -> bytes:
        if self._stream is None or self._file is None:
            self._file = self._path.open("rb")
            self._stream = decompressed(self._file, self._kind)
        while True:
            data = self._pull(self._stream, self._next)
            self._next += 1
            if self._next == len(self._offsets):
                # A thousand shards, read one after the other, are not to keep a thousand files open.
                self._file.close()
            if self._next > number:
                return data
            self._passed[self._next - 1] = data
            self._passed_bytes += len(data)
            while self._passed_bytes > LOOK_AHEAD_BYTES:
                self._take(next(iter(self._passed)))

    def _take(self, number: int) -> bytes:
        data = self._passed.pop(number)
        self._passed_bytes -= len(data)
        return data

    def _from_unfolded(self, number: int) -> bytes:
        if self._unfolded is None:
            self._unfolded = self._unfold()
            self._served = 0
        self._unfolded.seek(self._starts[number])
        data = self._unfolded.read(self._sizes[number])
        self._served += 1
        if self._served == len(self._offsets):
            # Each was read once, most likely: the space is needed for the next archive.
            self._unfolded.close()
            self._unfolded = None
        return data

    def _unfold(self) -> IO[bytes]:
        """Everything into a temporary file; the stream is of no further use."""
        if self._file is not None:
            self._file.close()
        self._in_order = False
        self._passed.clear()
        self._passed_bytes = 0
        starts: array[int] = array("q")
        unfolded = tempfile.TemporaryFile(prefix="fc7-")  # noqa: SIM115 - lives as long as the reader
        try:
            with self._path.open("rb") as file, decompressed(file, self._kind) as stream:
                for number in range(len(self._offsets)):
                    starts.append(unfolded.tell())
                    unfolded.write(self._pull(stream, number))
        except BaseException:
            unfolded.close()
            raise
        self._starts = starts
        return unfolded

    def _pull(self, stream: BinaryIO, number: int) -> bytes:
        skip = self._offsets[number] - stream.tell()
        while skip > 0:
            passed = len(stream.read(min(skip, _PIECE)))
            if not passed:
                raise EOFError("it has become shorter since it was listed")
            skip -= passed
        data = stream.read(self._sizes[number])
        if len(data) != self._sizes[number]:
            raise EOFError("it has become shorter since it was listed")
        return data
