"""Where the store is, and what a network in it may be called."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from fc7.models.common.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Windows opens a device under these names, whatever follows the first dot:
# learn.microsoft.com, "Naming Files, Paths, and Namespaces".
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def store_root() -> Path:
    r"""Where everything lies: $FC7_HOME, else the platform's folder for caches.

    ``$XDG_CACHE_HOME/fc7`` or ``~/.cache/fc7``, on macOS ``~/Library/Caches/fc7``, on Windows
    ``%LOCALAPPDATA%\fc7``.
    """
    chosen = os.environ.get("FC7_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return _platform_caches(sys.platform) / "fc7"


def _platform_caches(platform: str) -> Path:
    if platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if platform == "darwin":
        return Path.home() / "Library" / "Caches"
    # XDG Base Directory Specification: a relative path is to be ignored.
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return xdg if xdg.is_absolute() else Path.home() / ".cache"


def is_name(name: str) -> bool:
    """Whether a folder can be called `name` on every system, and is not one of the store's own."""
    plain = _NAME.fullmatch(name) is not None and not name.endswith(".")
    return plain and name.split(".")[0].lower() not in _DEVICES


def check_name(name: str) -> str:
    """`name`, if a folder can be called so on every system.

    Raises
    ------
    UsageError
        With what a name may be.
    """
    if not is_name(name):
        raise UsageError(
            f"{name!r} cannot be a network's name; give letters, digits, dots, dashes and underscores, "
            "a letter or digit first, no dot last, and none of Windows' device names (con, nul, com1, ...)"
        )
    return name
