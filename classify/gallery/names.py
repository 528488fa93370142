"""Names of folders and files that every file system takes, made of names that may hold anything."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

# What Windows forbids in names ("Naming Files, Paths, and Namespaces"), which holds what POSIX does.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}
# File systems take 255 bytes; a suffix and a number come on top.
_MOST_BYTES = 180


class FreeNames:
    """Gives out names within one folder, no two of which are one on any file system.

    Examples
    --------
    >>> names = FreeNames()
    >>> [names.take(name) for name in ("a/b", "a:b", "A_B", "..", "", "nul.png", "photo.jpg", "photo.jpg")]
    ['a_b', 'a_b-2', 'A_B-3', '_', '_-2', '_nul.png', 'photo.jpg', 'photo-2.jpg']
    """

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        """A safe name like `wanted` that was not given out yet; a number is added where it was."""
        name = _safe(wanted)
        suffix = PurePosixPath(name).suffix
        stem, free, number = name.removesuffix(suffix), name, self._taken.get(_key(name), 0)
        while _key(free) in self._taken:
            number += 1
            free = f"{stem}-{number + 1}{suffix}"
        self._taken[_key(name)] = number
        self._taken.setdefault(_key(free), 0)
        return free


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """A folder's name for each of some names; names that differ get names that differ."""
    free = FreeNames()
    return {name: free.take(name) for name in dict.fromkeys(names)}


def _safe(name: str) -> str:
    # A name that is not text first: what stands for its bytes is a question mark, which Windows forbids.
    text = _FORBIDDEN.sub("_", name.encode("utf-8", "replace").decode()).encode()
    suffix = PurePosixPath(text.decode()).suffix.encode()
    if len(text) > _MOST_BYTES:
        text = text[: _MOST_BYTES - len(suffix)] + suffix if len(suffix) < 20 else text[:_MOST_BYTES]
    plain = text.decode("utf-8", "ignore").rstrip(". ")
    hidden = not plain or plain.startswith(".")
    return f"_{plain}" if hidden or plain.partition(".")[0].strip().casefold() in _RESERVED else plain


def _key(name: str) -> str:
    """Names that differ in case, or in how an accent is written, are one on some disks."""
    return unicodedata.normalize("NFC", name).casefold()
