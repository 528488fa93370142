"""What must be on the disk before a rename makes it visible, and how to know it later."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fc7.models.common.errors import Fc7Error
from fc7.models.common.locks import Busy, exclusive

# Answers of file systems that have no fsync for folders; names there are as durable as they get.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}


def flush(folder: Path) -> None:
    """Make every file in `folder`, and the folder itself, survive a power cut."""
    for path in folder.iterdir():
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
    flush_folder(folder)


def flush_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes) -> Path:
    """Write a file of ours that appears when it is complete, and survives a power cut then.

    What a user named is written by way of `models.outputs.outputs`, which looks at what stands there.

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
def room_beside(path: Path) -> Iterator[Path]:
    """A folder beside `path` to make it in, gone at the end; what killed writers of `path` left goes first.

    Raises
    ------
    Busy
        If another process is making `path`.
    OSError
    """
    # With the process in it: a file called `path.name` and more, which is made now too, has other rooms.
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9]+\.part")
    with exclusive(path.with_name(f".{path.name}.lock")) as alone:
        if alone:
            for left in path.parent.iterdir():
                if ours.fullmatch(left.name):
                    shutil.rmtree(left, ignore_errors=True)
        room = path.with_name(f".{path.name}.{os.getpid()}.part")
        room.mkdir()
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)


@contextmanager
def explained(path: Path, option: str = "-o", kind: type[Fc7Error] = Fc7Error) -> Iterator[None]:
    """Turn what the system says while `path` is written into one sentence of ours.

    Parameters
    ----------
    option : str
        Of the command line: what the user chose `path` with.
    kind : type
        The error to raise.

    Raises
    ------
    Fc7Error
        Of `kind`, in place of OSError and Busy.
    """
    try:
        yield
    except Busy as exc:
        raise kind(f"{path}: another process is writing it; wait for it, or choose another {option}") from exc
    except OSError as exc:
        raise kind(unwritable(path, exc, option)) from exc


def unwritable(path: Path, exc: OSError, option: str = "-o") -> str:
    """What to say of a file that could not be written, with what helps against this very error.

    Parameters
    ----------
    option : str
        Of the command line: what the user chose `path` with.
    """
    other = f"choose another {option}"
    match exc.errno:
        case errno.ENOENT if not path.parent.exists():
            remedy = f"make the folder {path.parent} or {other}"
        case errno.ENOTDIR | errno.EEXIST if files := [p for p in (path, *path.parents) if p.is_file()]:
            remedy = f"{files[0]} is a file where a folder is needed; {other}"
        case errno.EISDIR:
            remedy = f"it is a folder; {other}"
        case errno.ENOSPC | errno.EDQUOT:
            remedy = f"free the disk or {other}"
        case errno.EFBIG:
            remedy = f"raise the largest size of a file (ulimit -f) or {other}"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            remedy = f"make {path.parent} writable or {other}"
        case _:
            remedy = other
    return f"{path}: cannot be written ({exc.strerror or exc}); {remedy}"


def sha256_sums(folder: Path) -> dict[str, str]:
    """File name -> hex digest, of every file in `folder`, sorted."""
    digests = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as stream:
            digests[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests
