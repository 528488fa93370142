"""``python -m tests.benchmarks.cluster``: what ``--ray`` costs on one machine beyond its start-up.

A local cluster is started once and joined by every run. The rate of a run in one process leaves the
network's loading out; that of a run on as many workers as there are cores is its nodes' rate, from the
first chunk handed out to the last one back, and leaves their start out likewise.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from pathlib import Path

from fc7.extract.options import ClusterOptions, ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.models.common.cores import default_jobs
from tests.benchmarks.pictures import SETS, make_set


def copies(folder: Path, count: int) -> Path:
    """The set several times, by hard links: a run should take many chunks."""
    target = folder.with_name(f"{folder.name}-x{count}")
    for path in [] if target.exists() else sorted(folder.rglob("*.*")):
        for i in range(count):
            place = target / f"copy-{i}" / path.parent.name
            place.mkdir(parents=True, exist_ok=True)
            os.link(path, place / path.name)
    return target


def run(images: Path, network: str, cluster: ClusterOptions | None) -> tuple[float, float]:
    """(Images a second, seconds in all) of one run into a new cache."""
    with tempfile.TemporaryDirectory() as temporary:
        options = ExtractOptions(network=network, cluster=cluster, device="cpu")
        started = time.perf_counter()
        summary = extract_features([images], Path(temporary) / "features.h5", options)
        seconds = time.perf_counter() - started
    if cluster is not None:
        [(done, worked)] = summary.nodes.values()
        return done / worked, seconds
    return summary.extracted / summary.clock.loop, seconds


def main() -> None:
    """Interleaved rounds; medians and their ratio."""
    import ray

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cluster")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=5, help="how often the set is there under other names")
    parser.add_argument("--set", default=next(iter(SETS)), choices=list(SETS))
    parser.add_argument("--network", default="alexnet-untrained")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "fc7-bench")
    chosen = parser.parse_args()
    images = copies(make_set(chosen.folder, chosen.set), chosen.copies)
    workers = default_jobs()
    started = time.perf_counter()
    ray.init(
        address="local",
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
    )
    start_up = time.perf_counter() - started
    alone: list[float] = []
    together: list[float] = []
    waits: list[float] = []
    for _ in range(chosen.rounds):
        alone.append(run(images, chosen.network, None)[0])
        rate, seconds = run(images, chosen.network, ClusterOptions(workers=workers))
        together.append(rate)
        waits.append(seconds)
    ray.shutdown()
    print(
        json.dumps(
            {
                "images": chosen.set,
                "workers": workers,
                "one_process": round(statistics.median(alone), 1),
                "ray": round(statistics.median(together), 1),
                "ratio": round(statistics.median(r / a for r, a in zip(together, alone, strict=True)), 3),
                "ratios": [round(r / a, 3) for r, a in zip(together, alone, strict=True)],
                "ray_start_seconds": round(start_up, 1),
                "ray_run_seconds": round(statistics.median(waits), 1),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
