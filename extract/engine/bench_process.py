"""How fast one network runs, measured in a process that holds nothing else: ``-m
fc7.extract.engine.bench_process``.

The process prints one line of JSON: the measurements, or ``error`` and ``exit_code``.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any, cast

from fc7.extract.engine.fastest import rates_of
from fc7.extract.engine.providers import Device, Precision
from fc7.extract.engine.session import open_session
from fc7.extract.options import RunOptions
from fc7.extract.patience import loaded
from fc7.models.common.cores import default_jobs
from fc7.models.common.errors import Fc7Error
from fc7.models.common.stopping import ends_always
from fc7.models.store import store

FEWEST_RUNS = 3


def measure(name: str, device: Device, precision: Precision, seconds: float) -> dict[str, Any]:
    """Run a network of the store on random pixels at its default layer, as `extract` would.

    Parameters
    ----------
    device : {"auto", "cuda", "tensorrt", "cpu"}
    precision : {"auto", "fp32", "fp16", "bf16"}
    seconds : float
        How long, after one batch to warm up; never fewer than `FEWEST_RUNS` batches.

    Returns
    -------
    dict
        images_per_second (of the median run), peak_bytes (of this process; None if not known),
        engine, batch_size, threads, runs, layer, fingerprint: `models.store.measured.Measured`.

    Raises
    ------
    UnknownNetworkError, WeightsError
        If the store does not have the network whole.
    ProviderError
        If the device or precision is not to be had.
    HungError
        If loading it does not come to an end.
    """
    network = store.load(name)
    spec = network.spec
    layer = spec.default_layer
    threads = default_jobs()
    session = loaded(
        lambda: open_session(
            network.graph_path,
            spec,
            [layer],
            how=RunOptions(device=device, precision=precision, threads=threads),
        )
    )
    rates = rates_of(session, spec, seconds=seconds, fewest=FEWEST_RUNS)
    return {
        "images_per_second": statistics.median(rates),
        "peak_bytes": peak_bytes(),
        "engine": f"{session.engine.provider} {session.engine.precision}",
        "batch_size": session.batch_size,
        "threads": threads,
        "runs": len(rates),
        "layer": layer,
        "fingerprint": spec.fingerprint(layer),
    }


def peak_bytes() -> int | None:
    """The most memory this process ever held (resident), or None on a system that does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage on Linux: its peak survives an exec, and would be that of whoever started us.
        found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if found is not None:
            return int(found[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # getrusage(2): bytes on macOS, KiB elsewhere.
    return peak if sys.platform == "darwin" else peak * 1024


def _main() -> int:
    name, device, precision, seconds = sys.argv[1:]
    try:
        print(
            json.dumps(
                measure(name, cast(Device, device), cast(Precision, precision), seconds=float(seconds))
            )
        )
    except Fc7Error as exc:
        print(json.dumps({"error": str(exc), "exit_code": exc.exit_code}))
    return 0


if __name__ == "__main__":
    with ends_always():
        sys.exit(_main())
