"""The processor: what it is called, and how many cores of it this process may use."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux says what the processor is."""


def default_jobs() -> int:
    """Images decoded at once: one for every core this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """The processor as its maker calls it, where the system says so; else its kind (``arm64``)."""
    found = next(_said_of(CPUINFO, "model name"), "")
    return found or os.environ.get("PROCESSOR_IDENTIFIER") or platform.machine()


def cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    r"""What the processor can, in Linux's words, on x86 and on Arm; empty on a system that does not say.

    Examples
    --------
    >>> _ = Path("cpuinfo").write_text("processor: 0\nflags: fpu avx2\nprocessor: 1\nflags: fpu avx2\n")
    >>> sorted(cpu_flags(Path("cpuinfo")))
    ['avx2', 'fpu']
    """
    # The names are Linux's: arch/x86/include/asm/cpufeatures.h, arch/arm64/kernel/cpuinfo.c.
    return frozenset(flag for line in _said_of(cpuinfo, "flags", "Features") for flag in line.split())


def _said_of(cpuinfo: Path, *names: str) -> Iterator[str]:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return  # not Linux
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in names:
            yield value.strip()
