"""What must be on the disk before a rename makes it visible, and how to know it later."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import Fc7Error


def flush(folder: Path) -> None:
    """Make every file in `folder`, and the folder itself, survive a power cut."""
    for path in folder.iterdir():
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
    flush_folder(folder)


def flush_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut; Windows has no such call and needs none."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_whole(path: Path, data: bytes) -> Path:
    """Write a file that appears under its name when it is complete, and survives a power cut then.

    Raises
    ------
    OSError
        What was there before is as it was.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return path


@contextmanager
def explained(path: Path, option: str = "-o", kind: type[Fc7Error] = Fc7Error) -> Iterator[None]:
    """Turn what the system says while `path` is written into one sentence of ours.

    Parameters
    ----------
    path : Path
    option : str
        Of the command line: what the user chose `path` with.
    kind : type
        The error to raise.

    Raises
    ------
    Fc7Error
        Of `kind`, in place of OSError.
    """
    try:
        yield
    except OSError as exc:
        raise kind(
            f"{path}: cannot be written ({exc.strerror or exc}); choose another {option} or free the disk"
        ) from exc


def sha256_sums(folder: Path) -> dict[str, str]:
    """File name -> hex digest, of every file in `folder`, sorted."""
    digests = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as stream:
            digests[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests
