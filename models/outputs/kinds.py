"""Kinds of files, told by their content: what fc7 writes, and what may stand where it is to write.

Each room states its own kinds (`extract.kinds`, `classify.kinds`); here is what they are made of. To
recognise one takes a few kilobytes of the file and no library.
"""

from __future__ import annotations

import mmap
import os
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HDF5_START = b"\x89HDF\r\n\x1a\n"
"""HDF5 File Format Specification, "Superblock"."""

_ZIP_START = b"PK\x03\x04"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# Longer than the header of a table with 1000 label-score pairs.
_HEAD = 1 << 16
# The tag of ir_version, which protobuf's writers put first.
_IR_VERSION = b"\x08"
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
_SHOWN = 40
# A caffemodel's start is too little to go by where anything may be met.
_WEIGHTS = {"torch": "a PyTorch file", "npy": "a NumPy array", "safetensors": "a safetensors file"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that fc7 writes.

    Attributes
    ----------
    name : str
        For people, with its article: "a classifier".
    recognises : callable
        Whether a file, which is there and not empty, is of this kind. May raise OSError.
    streams : bool
        It is written from beginning to end, and so may go to a pipe, a terminal or ``/dev/null``.
    replaceable : bool
        One that stands there is no result that would be lost: a run brings it up to date.
    """

    name: str
    recognises: Callable[[Path], bool]
    streams: bool = True
    replaceable: bool = False


_names: list[Callable[[Path], str | None]] = []


def named(kind: Kind) -> Kind:
    """Have `describe` know a kind; gives it back."""
    name_by(lambda path: kind.name if kind.recognises(path) else None)
    return kind


def name_by(name: Callable[[Path], str | None]) -> None:
    """Have `describe` ask `name`, which says what a file is, or None, and may raise OSError."""
    _names.append(name)


def describe(path: Path) -> str:
    """What a file is, how large and of when: ``a classifier (41 kB, 2025-01-31 12:00)``."""
    found = path.stat()
    moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.st_mtime))
    return f"{_name(path)} ({size_text(found.st_size)}, {moment})"


def size_text(n_bytes: int) -> str:
    """Bytes for people, in decimal units as disks count: ``41 kB``."""
    if n_bytes < 1000:
        return f"{n_bytes} bytes"
    size, unit = n_bytes / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}" if size < 999.5 else f"{size:.0f} {unit}"


def _name(path: Path) -> str:
    try:
        # What came last is of the uppermost room, and knows best.
        for name in reversed(_names):
            found = name(path)
            if found is not None:
                return found
        return _likeness(path, head(path))
    except OSError as exc:
        return f"a file that cannot be read ({exc.strerror or exc})"


def _likeness(path: Path, start: bytes) -> str:
    if not start:
        return "an empty file"
    for signature, name in ((HDF5_START, "an HDF5 file"), (_ZIP_START, "a zip archive")):
        if start.startswith(signature):
            return name
    line = start.partition(b"\n")[0].removesuffix(b"\r")
    text = line.decode("utf-8", "replace")
    if not text.replace("\t", " ").isprintable() or "\N{REPLACEMENT CHARACTER}" in text:
        return _binary(path)
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
    return f"a text file that begins with {shown!r}"


def _binary(path: Path) -> str:
    from fc7.models.common.errors import WeightsError
    from fc7.models.weights.sniffing import sniff

    try:
        form = sniff(path)
    except WeightsError:
        form = "caffe"
    if form == "onnx":
        says = onnx_metadata(path).get("format")
        return f"an ONNX file ({says})" if says else "an ONNX file"
    return _WEIGHTS.get(form, "a file of another program")


def head(path: Path, n_bytes: int = _HEAD) -> bytes:
    """The first bytes of a file.

    Raises
    ------
    OSError
    """
    with path.open("rb") as stream:
        return stream.read(n_bytes)


def tail(path: Path, n_bytes: int) -> bytes:
    """The last bytes of a file.

    Raises
    ------
    OSError
    """
    with path.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - n_bytes))
        return stream.read()


def first_line(path: Path) -> str:
    """The first line without its end; "" where it is not UTF-8, or longer than 64 KiB.

    Raises
    ------
    OSError
    """
    line, end, _ = head(path).partition(b"\n")
    try:
        return line.removesuffix(b"\r").decode() if end else ""
    except UnicodeDecodeError:
        return ""


def table(name: str, *headers: tuple[str, ...], replaceable: bool = False) -> Kind:
    """The kind of a CSV table that is known by its header, this version's or an older one's."""
    known = {",".join(header) for header in headers}
    return named(Kind(name, lambda path: first_line(path) in known, replaceable=replaceable))


def png_says(path: Path, software: str) -> bool:
    """Whether a PNG file says near its beginning that `software` made it (PNG, 11.3.3: tEXt).

    Raises
    ------
    OSError
    """
    start, text = head(path, 1024), b"Software\0" + software.encode("latin-1")
    return start.startswith(_PNG_START) and len(text).to_bytes(4, "big") + b"tEXt" + text in start


def zip_names(path: Path) -> set[str]:
    """What a zip archive holds; nothing where it is none, or damaged.

    Raises
    ------
    OSError
    """
    if not head(path, 4).startswith(_ZIP_START):
        return set()
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return set()


def zip_member(path: Path, name: str, n_bytes: int) -> bytes:
    """The first bytes of a member of a zip archive; none where it is not there.

    Raises
    ------
    OSError
    """
    if not head(path, 4).startswith(_ZIP_START):
        return b""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
            return stream.read(n_bytes)
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, RuntimeError, EOFError):
        return b""


def onnx_metadata(path: Path) -> dict[str, str]:
    """The ``metadata_props`` of an ONNX file (onnx.proto, ModelProto); none where it is no such file.

    The graph is passed over by its length, however large it is.

    Raises
    ------
    OSError
    """
    if head(path, 1) != _IR_VERSION:
        return {}
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as held:
        view = memoryview(held)
        try:
            return _metadata(view, path.name)
        finally:
            view.release()


def _metadata(model: memoryview, name: str) -> dict[str, str]:
    from fc7.models.common.errors import WeightsError
    from fc7.models.weights.caffe_wire import BYTES, Wire

    wire, found = Wire(name), dict[str, str]()
    try:
        for field in wire.fields(model):
            if field.number == _METADATA_PROPS and field.wire_type == BYTES:
                entry = {part.number: wire.text(part.data) for part in wire.fields(field.data)}
                found[entry.get(_KEY, "")] = entry.get(_VALUE, "")
    except WeightsError:
        return {}
    return found
