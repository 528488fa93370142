"""What an engine is worth, interleaved: ``-m tests.benchmarks.engines rates|whole|one``; medians.

``rates NETWORK`` gives images a second of the network alone on every engine for the processor, and the least
cosine of its rows to ONNX Runtime's in single precision. ``whole NETWORK`` runs `extract` on 1000 photographs
in processes of their own, beside the same by an earlier checkout (``--earlier FOLDER``) and a PyTorch loop.
``one CLASSIFIER PHOTO`` classifies one photograph so.

On a machine that does other work count the processor's seconds: those a program takes, by the system.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import numpy as np

from fc7.extract.engine import session as opening
from fc7.extract.engine.engine import this_machine
from fc7.extract.engine.fastest import rates_of
from fc7.extract.engine.providers import Device, Precision
from fc7.extract.engine.session import open_session
from fc7.extract.options import RunOptions
from fc7.models.store import store
from tests.benchmarks.pictures import PHOTOGRAPHS, make_set, picture

_ROOT = Path(__file__).resolve().parents[2]
# Else every run of a changed checkout compiles its modules anew.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
# What `tests.benchmarks.reference_loop` builds of PyTorch's layers.
_REFERENCE = ("alexnet", "caffenet", "alexnet-owt")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run of a program took: seconds on the wall, seconds of the processor, peak bytes."""

    wall: float
    cpu: float
    peak: float


def run_whole(arguments: Sequence[str], folder: Path) -> Taken:
    """Run a program to its end and look at what it took.

    Raises
    ------
    RuntimeError
        If it fails; with what it said last.
    """
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            arguments, cwd=folder, env=_ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(said.read().decode(errors="replace")[-500:])
    return Taken(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def compare(ways: dict[str, Callable[[], Taken]], rounds: int, images: int) -> None:
    """Each way once a round; print every run, then medians and ratios to the first."""
    taken: dict[str, list[Taken]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            taken[name].append(run())
            print(f"{name}: {taken[name][-1]}", flush=True)
    cpu = {name: statistics.median(one.cpu for one in runs) for name, runs in taken.items()}
    wall = {name: statistics.median(one.wall for one in runs) for name, runs in taken.items()}
    first = next(iter(ways))
    for name, runs in taken.items():
        print(
            f"{name:24} {wall[name]:7.2f} s  {images / wall[name]:6.1f} images/s  {cpu[name]:7.2f} s of CPU  "
            f"{max(one.peak for one in runs) / 1e6:5.0f} MB  "
            f"{first} is {wall[name] / wall[first]:.2f} times as fast, {cpu[name] / cpu[first]:.2f} by CPU",
            flush=True,
        )


def whole(network: str, earlier: Path | None, rounds: int, folder: Path) -> None:
    """1000 photographs to features.h5, from the program's start to its end."""
    images = make_set(folder, PHOTOGRAPHS)
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "features.h5"

        def extract(program: Path, *how: str) -> Callable[[], Taken]:
            def run() -> Taken:
                out.unlink(missing_ok=True)
                line = [sys.executable, str(program), "extract", str(images), "--network", network]
                return run_whole([*line, "-o", str(out), *how], Path(temporary))

            return run

        ways = {
            "auto": extract(_ROOT / "cli.py"),
            "fp32": extract(_ROOT / "cli.py", "--precision", "fp32"),
        }
        if earlier is not None:
            ways["earlier auto"] = extract(earlier / "cli.py")
            ways["earlier cpu"] = extract(earlier / "cli.py", "--device", "cpu")
        if find_spec("torch") is not None and store.load(network).spec.arch in _REFERENCE:
            loop = [sys.executable, "-m", "tests.benchmarks.reference_loop", str(images), network]
            ways["PyTorch loop"] = lambda: run_whole(loop, _ROOT)
        compare(ways, rounds, 1000)


def one(classifier: Path, photo: Path, earlier: Path | None, rounds: int) -> None:
    """One photograph, from the program's start to its answer; once more beforehand, to warm up."""
    line = ["classify", str(photo.resolve()), "-m", str(classifier.resolve()), "-o", "-", "--top-k", "1"]

    def classify(program: Path, *how: str) -> Callable[[], Taken]:
        command = [sys.executable, str(program), *line, *how]
        run_whole(command, Path.cwd())
        return lambda: run_whole(command, Path.cwd())

    ways = {
        "auto": classify(_ROOT / "cli.py"),
        "cpu": classify(_ROOT / "cli.py", "--device", "cpu"),
    }
    if earlier is not None:
        ways["earlier auto"] = classify(earlier / "cli.py")
        ways["earlier cpu"] = classify(earlier / "cli.py", "--device", "cpu")
    compare(ways, rounds, 1)


def rates(name: str, rounds: int, batch: int) -> None:
    """The network alone, with pixels at hand."""
    network = store.load(name)
    spec, layer = network.spec, network.spec.default_layer
    machine = this_machine()
    asked: dict[str, tuple[Device, Precision]] = {"ONNX Runtime fp32": ("cpu", "fp32")}
    if machine.openvino:
        asked["OpenVINO fp32"] = ("auto", "fp32")
        if machine.bf16:
            asked["OpenVINO bf16"] = ("auto", "bf16")
    # By name, and not the one that was found to be faster.
    with patch.object(opening, "fastest_first", lambda possible, *_: list(possible)):
        sessions = {
            label: open_session(
                network.graph_path,
                spec,
                [layer],
                RunOptions(device=device, precision=precision, batch_size=batch),
            )
            for label, (device, precision) in asked.items()
        }
    height, width = spec.preprocess.crop_height, spec.preprocess.crop_width
    shown = np.stack([picture(height, width, seed) for seed in range(16)])
    rows = {label: session.run(shown)[layer].astype(np.float64) for label, session in sessions.items()}
    measured: dict[str, list[float]] = {label: [] for label in sessions}
    for _ in range(rounds):
        for label, session in sessions.items():
            measured[label] += rates_of(session, spec, seconds=0.0, fewest=2)
    single = rows["ONNX Runtime fp32"]
    base = statistics.median(measured["ONNX Runtime fp32"])
    for label, found in measured.items():
        a = rows[label]
        cosine = (a * single).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(single, axis=1))
        rate = statistics.median(found)
        print(f"{label:18} {rate:7.1f} images/s  {rate / base:5.2f} times  cosine {cosine.min():.7f}")


def main() -> None:
    """Choose by the first argument."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engines")
    parser.add_argument("what", choices=("rates", "whole", "one"))
    parser.add_argument("names", nargs="+", help="a network of the store, or a classifier and a photograph")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--earlier", type=Path, help="a checkout of an earlier build")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "fc7-bench")
    chosen = parser.parse_args()
    if len(chosen.names) != (2 if chosen.what == "one" else 1):
        parser.error(
            f"{chosen.what} takes "
            + ("a classifier and a photograph" if chosen.what == "one" else "one network")
        )
    if chosen.what == "rates":
        rates(chosen.names[0], chosen.rounds, chosen.batch)
    elif chosen.what == "whole":
        whole(chosen.names[0], chosen.earlier, chosen.rounds, chosen.folder)
    else:
        classifier, photo = map(Path, chosen.names)
        one(classifier, photo, chosen.earlier, chosen.rounds)


if __name__ == "__main__":
    main()
