"""Is the process that left a lock still alive, or has its number gone to another?

`psutil` (7.2.2) would take the place of `start_of` alone, at 0.96 MB to install and 0.05 s of processor time.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

_PROC = Path("/proc")


def host() -> str:
    """The machine's name on the network."""
    return platform.node() or "unknown"


def machine() -> str:
    """A text that two machines share only if both have the same name and the same machine-id."""
    identifier = _read(Path("/etc/machine-id"))
    return hashlib.sha256(f"{host()}\n{identifier}".encode()).hexdigest()[:16]


def boot() -> str:
    """A text that changes when the machine restarts (Linux); empty elsewhere."""
    return _read(_PROC / "sys/kernel/random/boot_id")


def namespace() -> str:
    """Which numbering of processes we are in: containers have their own (Linux); empty elsewhere."""
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return ""


def start_of(pid: int) -> str | None:
    """When a process began, as a text that no later process of the same number will have.

    Returns
    -------
    str or None
        Empty if there is such a process but its start cannot be seen; None if there is none.

    Notes
    -----
    Linux: field 22 of ``/proc/<pid>/stat`` (proc(5)), in clock ticks since the boot. Windows:
    GetProcessTimes. Elsewhere ``ps -o lstart=`` (POSIX ps), which is exact to the second.
    """
    if sys.platform == "win32":
        return _windows_start(pid)
    if (_PROC / "self/stat").exists():
        # The second field is the program's name in brackets and may hold anything.
        fields = _read(_PROC / f"{pid}/stat").rpartition(")")[2].split()
        if len(fields) > 19:
            return None if fields[0] in "ZX" else fields[19]
        # Nothing there: no such process, or a /proc that hides other users' (hidepid).
        return "" if _exists(pid) else None
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    return shown.stdout.strip() or ("" if _exists(pid) else None)


def is_alive(pid: int, start: str) -> bool:
    """Whether the process `pid` that began at `start` still runs; True where that is not known."""
    found = start_of(pid)
    return found is not None and (found == start or not found or not start)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    # winnt.h, winerror.h, minwinbase.h
    _QUERY_LIMITED_INFORMATION = 0x1000
    _ACCESS_DENIED = 5
    _STILL_ACTIVE = 259

    def _windows_start(pid: int) -> str | None:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        kernel.OpenProcess.argtypes = [wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]
        kernel.CloseHandle.argtypes = [wintypes.HANDLE]
        kernel.GetExitCodeProcess.argtypes = [wintypes.HANDLE, wintypes.LPDWORD]
        kernel.GetProcessTimes.argtypes = [wintypes.HANDLE] + 4 * [ctypes.POINTER(wintypes.FILETIME)]
        handle = kernel.OpenProcess(_QUERY_LIMITED_INFORMATION, False, pid)
        if not handle:
            return "" if ctypes.get_last_error() == _ACCESS_DENIED else None
        try:
            code = wintypes.DWORD()
            if kernel.GetExitCodeProcess(handle, ctypes.byref(code)) and code.value != _STILL_ACTIVE:
                return None
            times = [wintypes.FILETIME() for _ in range(4)]
            if not kernel.GetProcessTimes(handle, *map(ctypes.byref, times)):
                return ""
            return str(times[0].dwHighDateTime << 32 | times[0].dwLowDateTime)
        finally:
            kernel.CloseHandle(handle)
