"""``make bench``: decode, inference, end to end, and a PyTorch loop, interleaved; medians and ratios.

Every round runs each measurement once, so that a slow minute of the machine falls on all of them.
Every network of the store is measured; where an AlexNet is missing, random weights serve: they run as fast.
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

from fc7.extract.engine.engine import this_machine
from fc7.extract.engine.providers import Device, Precision
from fc7.extract.engine.session import Session, open_session
from fc7.extract.images.decode import prepare
from fc7.extract.inputs.sources import list_images
from fc7.extract.options import ExtractOptions, RunOptions
from fc7.extract.pipeline import extract_features
from fc7.models.common.cores import default_jobs
from fc7.models.common.errors import Fc7Error
from fc7.models.common.progress import Silent
from fc7.models.network.architectures import architecture
from fc7.models.store import store
from fc7.models.store.ensure import ensure_network
from fc7.models.store.store import StoredNetwork
from tests.benchmarks.peak import peak_megabytes
from tests.benchmarks.pictures import SETS, make_set

# What `tests.benchmarks.reference_loop` builds of PyTorch's layers.
_REFERENCE = ("alexnet", "caffenet", "alexnet-owt")


def networks() -> list[StoredNetwork]:
    """Those of the store, and an untrained AlexNet of each kind that is missing."""
    found = [store.load(name) for name in store.names()]
    have = {network.spec.arch for network in found}
    if "alexnet" not in have:
        found.append(ensure_network("alexnet-untrained", Silent()))
    if "alexnet-owt" not in have:
        found.append(_untrained_owt())
    return found


def _untrained_owt() -> StoredNetwork:
    from fc7.models.graph.files import save_graph
    from fc7.models.store.importing import built_network
    from fc7.models.weights.untrained import untrained_weights

    plan = architecture("alexnet-owt")
    model, spec = built_network(plan, untrained_weights(plan), "bench-owt", plan.preprocess, None)
    return store.save(spec, lambda folder: save_graph(model, folder), replace=True)


def engines() -> list[tuple[str, Device, Precision]]:
    """What there is to run on: label, --device, --precision."""
    machine = this_machine()
    found: list[tuple[str, Device, Precision]] = [("cpu fp32", "cpu", "fp32")]
    if machine.openvino:
        found.append(("auto fp32", "auto", "fp32"))
        if machine.bf16:
            found.append(("auto bf16", "auto", "bf16"))
    if machine.nvidia_driver and machine.cuda_built:
        found += [("cuda fp32", "cuda", "fp32"), ("cuda fp16", "cuda", "fp16")]
    if machine.nvidia_driver and machine.tensorrt_built:
        found += [("tensorrt fp32", "tensorrt", "fp32"), ("tensorrt fp16", "tensorrt", "fp16")]
    return found


def sessions(network: StoredNetwork) -> dict[str, tuple[Device, Precision, Session]]:
    """Those of `engines` that start; of the others the reason is printed."""
    found: dict[str, tuple[Device, Precision, Session]] = {}
    layers = [network.spec.default_layer]
    for label, device, precision in engines():
        try:
            session = open_session(
                network.graph_path, network.spec, layers, RunOptions(device=device, precision=precision)
            )
        except Fc7Error as exc:
            print(f"{network.spec.name} {label}: {exc}", flush=True)
        else:
            found[label] = device, precision, session
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
    layers = [network.spec.default_layer]
    open_session(network.graph_path, network.spec, layers, RunOptions(device=device, precision=precision))
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


def bench(
    folder: Path, sets: Iterable[str], rounds: int, chosen: Iterable[StoredNetwork]
) -> list[dict[str, object]]:
    """One row for each image set, network and engine."""
    rows: list[dict[str, object]] = []
    for network in chosen:
        ready = sessions(network)
        for name in sets:
            images = make_set(folder, name)
            measurements: dict[str, Callable[[], float]] = {"decode": partial(decode_rate, images, network)}
            for label, (device, precision, session) in ready.items():
                measurements[f"inference {label}"] = partial(inference_rate, session, network)
                measurements[f"end to end {label}"] = partial(
                    end_to_end_rate, images, network, device, precision
                )
            measurements |= _reference(images, network)
            median = interleaved(measurements, rounds)
            for label, (device, precision, _) in ready.items():
                peak = peak_megabytes(images, network.spec.name, device, precision)
                rows.append(_row(name, network, label, median, peak))
                print(_line(rows[-1]), flush=True)
    return rows


def _reference(images: Path, network: StoredNetwork) -> dict[str, Callable[[], float]]:
    if find_spec("torch") is None or network.spec.arch not in _REFERENCE:
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
    bound = (
        1 / (1 / decode + 1 / inference)
        if not label.startswith(("cuda", "tensorrt"))
        else min(decode, inference)
    )
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
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="of the store; else all of them")
    chosen = parser.parse_args()
    measured = networks() if chosen.networks is None else [store.load(name) for name in chosen.networks]
    rows = bench(chosen.folder, chosen.sets, chosen.rounds, measured)
    chosen.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
