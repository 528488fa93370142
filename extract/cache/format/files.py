"""Files that appear whole or not at all, and what a failing file system means for the user."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from fc7.models.common.durable import flush_folder, unwritable
from fc7.models.common.errors import CacheError


def tmp_path(path: Path) -> Path:
    """Where the next `path` is written before it takes the name."""
    return path.with_name(path.name + ".tmp")


def work_path(path: Path) -> Path:
    """The folder of the segments of the cache `path`."""
    return path.with_name(path.name + ".work")


def list_segments(folder: Path) -> list[Path]:
    """The finished segments, in the order of their names.

    Raises
    ------
    CacheError
        If the folder is there and cannot be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".h5")
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise CacheError(f"{folder} cannot be listed: {exc.strerror}") from exc


def lock_path(path: Path) -> Path:
    """The lock of the cache `path`."""
    return path.with_name(path.name + ".lock")


def put_in_place(finished: Path, path: Path) -> None:
    """Give `finished`, which is on the disk already, the name `path`; survives a power cut.

    ``os.replace`` is atomic on POSIX and Windows: there is always an old or a new `path`.
    Who may read the old one may read the new one.
    """
    with contextlib.suppress(OSError):
        shutil.copymode(path, finished)
    finished.replace(path)
    flush_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file that may not be there; on Windows also one that someone has open for a moment."""
    for patience in (0.01, 0.05, 0.2, 0.0):
        try:
            path.unlink()
        except FileNotFoundError:
            return
        except PermissionError:
            if os.name != "nt":
                return
            time.sleep(patience)
        else:
            return


def write_error(path: Path, exc: OSError, kept: str = "nothing that was there is lost") -> CacheError:
    """The error for a write that failed; `kept` is what the user still has."""
    return CacheError(f"{unwritable(path, exc)}, then run the same command again; {kept}")
