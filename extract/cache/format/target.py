"""The file object that HDF5 writes a new file through; chunks of another file go past the library."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fc7.extract.cache.format.early_sync import EarlySync
from fc7.extract.cache.format.raw import RawFile

# Where a file system clones, it clones whole blocks of its own, of 4 KiB mostly.
_CLONED = 4096
_COPIED_AT_ONCE = 1 << 20
# A smaller chunk goes through the library.
_LEAST_PLACED = 1 << 16


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of another file."""

    raw: RawFile
    offset: int
    size: int

    def read(self) -> bytearray:
        """Those bytes.

        Raises
        ------
        CacheError, CacheCorruptError, OSError
            As `RawFile.read_into`.
        """
        data = bytearray(self.size)
        self.raw.read_into(self.offset, memoryview(data))
        return data

    def followed_by(self, other: Span) -> bool:
        """Whether `other` goes on where this ends."""
        return self.raw is other.raw and self.offset + self.size == other.offset


Part = memoryview | Span


class Target:
    """The file object HDF5 writes to; it keeps the first error and never lets the library see one.

    Bytes that lie in another file reach this one without the library: it is given a chunk that stands for
    them (`stand_in`), and says by writing that where they belong. The kernel copies, or clones, them there.
    """

    def __init__(self, path: Path) -> None:
        self._raw = path.open("w+b", buffering=0)
        self._token = secrets.token_bytes(32)
        self._stand_in = bytearray()
        self._parts: Sequence[Part] = ()
        self._span: Span | None = None
        self._span_to = 0
        self._disk = EarlySync(self._raw.fileno())
        self.error: BaseException | None = None

    def check(self) -> None:
        if self.error is not None:
            raise self.error

    def stand_in(self, size: int) -> bytearray:
        """A chunk for the library, in whose place `place` puts another; empty where that is not worth it."""
        if size < _LEAST_PLACED:
            return bytearray()
        if len(self._stand_in) != size:
            self._stand_in = bytearray(self._token.ljust(size, b"\0"))
        return self._stand_in

    def place(self, parts: Sequence[Part]) -> None:
        """What is to be written where the library puts the next stand-in.

        Spans are copied at the latest by `settle`, until when their files must stay.
        """
        self._parts = parts

    def check_written(self) -> None:
        """Raise, unless the library has put the stand-in somewhere, and nothing was said before."""
        self.check()
        if self._parts:
            raise RuntimeError("HDF5 has kept back a chunk; nothing that it writes can be relied on")

    def settle(self) -> None:
        """Copy what spans are waiting."""
        if self.error is None:
            try:
                self._copy()
            except BaseException as exc:
                self.error = exc
        self.check()

    def close(self) -> None:
        try:
            self.settle()
            self._disk.finish()
        finally:
            self.abandon()

    def abandon(self) -> None:
        self._disk.close()
        self._raw.close()

    # What h5py's file-object driver calls.

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def read(self, size: int = -1) -> bytes:
        return self._raw.read(size) or b""

    def readinto(self, buffer: memoryview) -> int:
        return self._raw.readinto(buffer) or 0

    def write(self, data: memoryview) -> int:
        if self.error is None:
            try:
                if self._parts and memoryview(data)[: len(self._token)] == self._token:
                    parts, self._parts = self._parts, ()
                    self._put(parts)
                else:
                    self._write(data)
            # Ctrl-C may land here too; it must not unwind through the library either.
            except BaseException as exc:
                self.error = exc
        return len(data)

    def truncate(self, size: int) -> int:
        if self.error is None:
            try:
                self._raw.truncate(size)
            except OSError as exc:
                self.error = exc
        return size

    def flush(self) -> None:
        pass  # unbuffered

    def _write(self, data: memoryview) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._raw.write(rest) :]
        self._disk.written(len(data))

    def _put(self, parts: Sequence[Part]) -> None:
        at = self._raw.tell()
        for part in parts:
            if isinstance(part, memoryview):
                self._raw.seek(at)
                self._write(part)
                at += len(part)
                continue
            before = self._span
            if before and before.followed_by(part) and self._span_to + before.size == at:
                self._span = Span(before.raw, before.offset, before.size + part.size)
            else:
                self._copy()
                self._span, self._span_to = part, at
            at += part.size
        self._raw.seek(at)

    def _copy(self) -> None:
        """Copy the span that waits."""
        span, to, self._span = self._span, self._span_to, None
        if span is None:
            return
        rest = span
        if (span.offset - to) % _CLONED == 0:
            # Up to where blocks of both files begin.
            size = min(span.size, -span.offset % _CLONED)
            self._copy_plainly(span.raw, span.offset, to, size=size)
            rest = Span(span.raw, span.offset + size, span.size - size)
            to += size
        done = self._copy_by_kernel(rest, to)
        self._copy_plainly(rest.raw, rest.offset + done, to + done, size=rest.size - done)

    def _copy_by_kernel(self, span: Span, to: int) -> int:
        """Copy as much as the kernel does of itself; how much it was."""
        done = 0
        try:
            while done < span.size:
                count = os.copy_file_range(
                    span.raw.fileno(), self._raw.fileno(), span.size - done, span.offset + done, to + done
                )
                if not count:
                    break
                done += count
                self._disk.written(count)
        # Not every system has it, and not for every pair of files; what else is wrong, plain writing tells.
        except (AttributeError, OSError):
            pass
        return done

    def _copy_plainly(self, raw: RawFile, offset: int, to: int, size: int) -> None:
        for start in range(0, size, _COPIED_AT_ONCE):
            part = Span(raw, offset + start, min(_COPIED_AT_ONCE, size - start)).read()
            self._raw.seek(to + start)
            self._write(memoryview(part))
