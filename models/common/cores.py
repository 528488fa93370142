"""The processor: what it is called, and how many cores of it this process may use."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def default_jobs() -> int:
    """Images decoded at once: one for every core this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """The processor as its maker calls it, where the system says so; else its kind (``arm64``)."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass  # not Linux
    return os.environ.get("PROCESSOR_IDENTIFIER") or platform.machine()
