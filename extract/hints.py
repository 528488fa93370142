"""What would make the next run faster: one line, and only where it would."""

from __future__ import annotations

import os
from pathlib import Path

from fc7.extract.clock import Clock
from fc7.extract.engine.providers import CPU, CUDA, OPENVINO, AvailableProviders
from fc7.models.common.cores import default_jobs
from fc7.models.common.program import pip_install

# Below this a run is over before anybody wishes it were faster.
_WORTH_SECONDS = 10.0
# A stage that takes less leaves less than a third to be gained by doing away with it.
_WORTH_SHARE = 0.6


def hint(clock: Clock, engine: str, jobs: int, machine: AvailableProviders, *, intel: bool) -> str | None:
    """What to try next time, if anything.

    Parameters
    ----------
    clock : Clock
        Of the run.
    engine : str
        Provider and precision, with a blank between.
    jobs : int
        Images decoded at once.
    intel : bool
        As `intel_cpu`.
    """
    slowest = clock.bottleneck
    if clock.busy < _WORTH_SECONDS or getattr(clock, slowest) < _WORTH_SHARE * clock.busy:
        return None
    provider, precision = engine.split()
    cores = default_jobs()
    if slowest == "decode" and jobs < cores:
        return f"-j {cores} would decode on all {cores} cores"
    if slowest != "inference":
        return None
    if provider == CPU and (intel or machine.bf16) and not machine.openvino:
        return f"{pip_install('fc7[openvino]')} adds a faster engine for this CPU"
    if provider in (CPU, OPENVINO) and precision == "fp32" and machine.openvino and machine.bf16:
        return "--device auto --precision bf16 is faster on this CPU"
    if provider == CUDA and precision == "fp32":
        return "--precision fp16 is faster on most GPUs"
    return None


def intel_cpu() -> bool:
    """Whether Intel made this processor; False where the system does not say."""
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "GenuineIntel" in os.environ.get("PROCESSOR_IDENTIFIER", "")
