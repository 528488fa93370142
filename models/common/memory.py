"""How much memory this process may still take, as the system tells it, and how it gives some back.

===================  ==========================================================================
the machine          MemAvailable of ``/proc/meminfo``: what can be had without swapping (proc(5))
control groups       of version 2 ``memory.max`` less ``memory.current``, of version 1
                     ``memory.limit_in_bytes`` less ``memory.usage_in_bytes``, of the own group and
                     all above it; pages of files count as used there and can be taken back, so they
                     are added (the kernel's Documentation/admin-guide/cgroup-v2.rst, memory.stat)
``ulimit -v``, -d    RLIMIT_AS and RLIMIT_DATA less what ``/proc/self/statm`` says (getrlimit(2))
elsewhere            all memory of the machine (POSIX sysconf), or 4 GiB where that is not told
===================  ==========================================================================

The least of these counts.

`psutil` (7.2.2) tells what the machine has: under ``ulimit -v`` of 2 GiB 22.5 GiB, where this tells 1.9.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

_PROC = Path("/proc")
_NOT_TOLD = 4 << 30
# Version 1 writes the largest whole number of pages for none.
_NO_LIMIT = 1 << 60


def available() -> int:
    """Bytes that can be taken now; an estimate, since others take memory too.

    Examples
    --------
    >>> available() >= 0
    True
    """
    bounds = [*_of_machine("MemAvailable"), *_of_groups(), *_of_limits()]
    return max(0, min(bounds, default=_total()))


def swap() -> int:
    """Bytes that can be moved to the disk; 0 where that is not told."""
    return next(_of_machine("SwapFree"), 0)


def release(n_bytes: int) -> None:
    """Return what was freed to the system, if so much is an eighth of what is free or more.

    glibc keeps pieces of up to 32 MiB, and Pillow's are 16, for the thread that has freed them (mallopt(3),
    M_MMAP_THRESHOLD): after a picture of 676 MB in one thread another one would find nothing free. Where
    there is plenty, returning it and asking for it again takes 4 % of the time of decoding.
    """
    trim = _trim()
    if trim is not None and 8 * n_bytes >= available():
        trim(0)


@lru_cache
def _trim() -> Callable[[int], int] | None:
    trim: Callable[[int], int] | None = None
    if sys.platform == "linux":
        # musl has no such function, and keeps less.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


def _of_machine(name: str) -> Iterator[int]:
    _, found, rest = _read(_PROC / "meminfo").partition(f"{name}:")
    if found:
        yield int(rest.split(maxsplit=1)[0]) << 10


def _of_groups() -> Iterator[int]:
    for folder, most, used, kept in _groups():
        limit = _read(folder / most)
        # "max" is version 2's word for none; the root of a hierarchy has no such file.
        if limit.isdecimal() and int(limit) < _NO_LIMIT:
            taken_back = 0
            for line in _read(folder / "memory.stat").splitlines():
                key, _, value = line.partition(" ")
                taken_back += int(value) if key in kept else 0
            yield int(limit) - int(_read(folder / used) or 0) + taken_back


@lru_cache
def _groups() -> tuple[tuple[Path, str, str, tuple[str, str]], ...]:
    """Folders of the control groups this process is in, and what their files are called."""
    found = []
    mounts = list(_mounts())
    for line in _read(_PROC / "self/cgroup").splitlines():
        _, controllers, own = line.split(":", 2)
        for kind, top, root in mounts:
            if kind == "cgroup2" and not controllers:
                names = "memory.max", "memory.current", ("active_file", "inactive_file")
            elif kind == "memory" and "memory" in controllers.split(","):
                names = (
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    ("total_active_file", "total_inactive_file"),
                )
            else:
                continue
            # Where only a part of the hierarchy is mounted, as in containers, names begin above it.
            inside = own.removeprefix(root) if root != "/" else own
            folder = top / inside.lstrip("/")
            found += [(group, *names) for group in (folder, *folder.parents) if group.is_relative_to(top)]
    return tuple(found)


def _mounts() -> Iterator[tuple[str, Path, str]]:
    """(``cgroup2`` or ``memory``, where it is mounted, which part of it), by proc(5), mountinfo."""
    for line in _read(_PROC / "self/mountinfo").splitlines():
        about, _, kind = line.partition(" - ")
        _, _, _, root, top, *_ = about.split()
        name, _, options = kind.split(maxsplit=2)
        if name == "cgroup2":
            yield name, Path(top), str(PurePosixPath(root))
        elif name == "cgroup" and "memory" in options.split(","):
            yield "memory", Path(top), str(PurePosixPath(root))


def _of_limits() -> Iterator[int]:
    if sys.platform == "win32":
        return
    import resource

    pages = [int(number) for number in _read(_PROC / "self/statm").split()]
    if len(pages) > 5:
        size = resource.getpagesize()
        for limit, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
            allowed, _ = resource.getrlimit(limit)
            if allowed != resource.RLIM_INFINITY:
                yield allowed - used * size


def _total() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return _NOT_TOLD


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
