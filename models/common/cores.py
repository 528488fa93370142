"""How many cores this process may use."""

from __future__ import annotations

import os


def default_jobs() -> int:
    """Images decoded at once: one for every core this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
