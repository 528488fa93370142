"""``make bench``: decode, inference, end to end, and a PyTorch loop, interleaved; medians and ratios.

Every round runs each measurement once, so that a slow minute of the machine falls on all of them.
Without a trained network in the store, random weights serve: they run as fast.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from extract.engines import this_machine
from extract.images import prepare
from extract.options import ExtractOptions
from extract.pipeline import extract_features
from extract.providers import OPENVINO, Device, Precision
from extract.session import Session, open_session
from extract.sources import list_images
from extract.stream import default_jobs
from models import store
from models.architectures import architecture
from models.importing import ensure_network
from models.progress import Silent
from models.store import StoredNetwork
from tests.benchmarks.peak import peak_megabytes
from tests.benchmarks.pictures import SETS, make_set


def networks() -> list[StoredNetwork]:
    """The AlexNets of the store and an untrained one of each architecture that is missing."""
    found = [store.load(name) for name in store.names()]
    have = {network.spec.arch for network in found}
    if "alexnet" not in have:
        found.append(ensure_network("alexnet-untrained", Silent()))
    if "alexnet-owt" not in have:
        found.append(_untrained_owt())
    return [network for network in found if network.spec.arch in ("alexnet", "alexnet-owt")]


def _untrained_owt() -> StoredNetwork:
    from models.graph_files import save_graph
    from models.importing import built_network
    from models.untrained import untrained_weights

    plan = architecture("alexnet-owt")
    model, spec = built_network(plan, untrained_weights(plan), "bench-owt", plan.preprocess, None)
    return store.save(spec, lambda folder: save_graph(model, folder), replace=True)


def engines() -> list[tuple[str, Device, Precision]]:
    """What there is to run on: label, --device, --precision."""
    machine = this_machine()
    found: list[tuple[str, Device, Precision]] = [("cpu fp32", "cpu", "fp32")]
    if machine.openvino:
        found.append((f"{OPENVINO.removesuffix('ExecutionProvider').lower()} fp32", "auto", "fp32"))
        if machine.bf16:
            found.append(("openvino bf16", "auto", "bf16"))
    if machine.nvidia_driver and machine.cuda_built:
        found.append(("cuda fp32", "cuda", "fp32"))
    return found


def decode_rate(folder: Path, network: StoredNetwork) -> float:
    """Images a second with every core decoding and nothing else running."""
    images = list_images([folder]).images
    spec = network.spec.preprocess

    def one(index: int) -> None:
        prepare(images[index].origin.read(images[index]), spec, exact=False)

    started = time.perf_counter()
    with ThreadPoolExecutor(default_jobs()) as pool:
        list(pool.map(one, range(len(images))))
    return len(images) / (time.perf_counter() - started)


def inference_rate(session: Session, network: StoredNetwork, batches: int = 10) -> float:
    """Images a second with pixels at hand, after one batch for each call at once to warm up."""
    spec = network.spec.preprocess
    pixels = np.random.default_rng(0).integers(
        0, 256, (session.batch_size, spec.crop_height, spec.crop_width, 3), dtype=np.uint8
    )
    with ThreadPoolExecutor(session.calls_at_once) as pool:
        list(pool.map(session.run, [pixels] * session.calls_at_once))
        started = time.perf_counter()
        list(pool.map(session.run, [pixels] * batches))
    return batches * session.batch_size / (time.perf_counter() - started)


def end_to_end_rate(folder: Path, network: StoredNetwork, device: Device, precision: Precision) -> float:
    """Images a second from files to a committed features.h5, less what loading the network takes alone.

    Images are decoded while it loads, so that leaving out all of that time would leave out work.
    """
    started = time.perf_counter()
    open_session(network.graph_path, network.spec, ["fc7"], device=device, precision=precision)
    alone = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as temporary:
        options = ExtractOptions(network=network.spec.name, device=device, precision=precision)
        summary = extract_features([folder], Path(temporary) / "features.h5", options)
    clock = summary.clock
    return summary.extracted / (clock.loop + max(0.0, clock.loading - alone))


def interleaved(measurements: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median of each, a round at a time."""
    results: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            results[name].append(measure())
    return {name: statistics.median(values) for name, values in results.items()}


def bench(folder: Path, sets: Iterable[str], rounds: int) -> list[dict[str, object]]:
    """One row for each image set, network and engine."""
    rows: list[dict[str, object]] = []
    for network in networks():
        sessions = {
            label: open_session(network.graph_path, network.spec, ["fc7"], device=device, precision=precision)
            for label, device, precision in engines()
        }
        for name in sets:
            images = make_set(folder, name)
            measurements: dict[str, Callable[[], float]] = {"decode": partial(decode_rate, images, network)}
            for label, device, precision in engines():
                measurements[f"inference {label}"] = partial(inference_rate, sessions[label], network)
                measurements[f"end to end {label}"] = partial(
                    end_to_end_rate, images, network, device, precision
                )
            measurements |= _reference(images, network)
            median = interleaved(measurements, rounds)
            for label, device, precision in engines():
                peak = peak_megabytes(images, network.spec.name, device, precision)
                rows.append(_row(name, network, label, median, peak))
            for row in rows[-len(engines()) :]:
                print(_line(row), flush=True)
    return rows


def _reference(images: Path, network: StoredNetwork) -> dict[str, Callable[[], float]]:
    if find_spec("torch") is None:
        return {}
    from tests.benchmarks.reference_loop import build, images_per_second

    paths = sorted(path for path in images.rglob("*") if path.is_file())
    built = build(network.graph_path, network.spec.arch)
    rates: dict[str, Callable[[], float]] = {
        "pytorch fp32": partial(images_per_second, paths, network.spec, built, bf16=False)
    }
    # PyTorch has no bfloat16 LRN on the CPU.
    if network.spec.arch == "alexnet-owt":
        rates["pytorch bf16"] = partial(images_per_second, paths, network.spec, built, bf16=True)
    return rates


def _row(
    name: str, network: StoredNetwork, label: str, median: dict[str, float], peak: float
) -> dict[str, object]:
    decode, inference = median["decode"], median[f"inference {label}"]
    end = median[f"end to end {label}"]
    # Both stages use every core, so a core-second spent on one is not there for the other.
    bound = 1 / (1 / decode + 1 / inference) if not label.startswith("cuda") else min(decode, inference)
    return {
        "images": name,
        "network": network.spec.name,
        "engine": label,
        "decode": decode,
        "inference": inference,
        "end_to_end": end,
        "bound": bound,
        "share_of_bound": end / bound,
        **{
            f"times_{key.replace(' ', '_')}": end / value for key, value in median.items() if "pytorch" in key
        },
        "peak_mb": peak,
    }


def _line(row: dict[str, object]) -> str:
    parts = [f"{row['images']:15} {row['network']:18} {row['engine']:14}"]
    for key, value in row.items():
        if isinstance(value, float):
            parts.append(f"{key} {value:.2f}" if key.startswith(("times", "share")) else f"{key} {value:.0f}")
    return "  ".join(parts)


def main() -> None:
    """Run, print, write bench.json."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "fc7-bench")
    parser.add_argument("--json", type=Path, default=Path("bench.json"))
    chosen = parser.parse_args()
    rows = bench(chosen.folder, chosen.sets, chosen.rounds)
    chosen.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
