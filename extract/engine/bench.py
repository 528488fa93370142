"""Measure networks of the network store, each in a process of its own, and keep the results there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fc7.models.common.cores import cpu_name
from fc7.models.common.errors import Fc7Error, StoppedError, UsageError
from fc7.models.common.own_python import command
from fc7.models.common.program import command_line
from fc7.models.common.progress import Notify, Progress
from fc7.models.common.text_table import text_table
from fc7.models.store import store
from fc7.models.store.measured import Measured, keep

if TYPE_CHECKING:
    from fc7.extract.engine.providers import Device, Precision

_COLUMNS = {"NETWORK": False, "IMG/S": True, "MS/IMG": True, "PEAK MB": True, "ENGINE": False}


@dataclass(frozen=True, slots=True)
class Failed:
    """A network that was not measured, and why."""

    name: str
    reason: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Benched:
    """What came of `bench_networks`.

    Attributes
    ----------
    measured : dict of str to Measured
        In the order asked for.
    kept_in : Path or None
        The network store's file with the measurements; None where it could not be written.
    """

    measured: dict[str, Measured]
    failed: list[Failed]
    kept_in: Path | None


def bench_networks(
    names: Sequence[str],
    progress: Progress,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    seconds: float = 3.0,
    notify: Notify | None = None,
) -> Benched:
    """Images a second and peak memory of networks on this machine.

    Parameters
    ----------
    names : sequence of str
        Empty for every network of the store.
    device : {"auto", "cuda", "tensorrt", "cpu"}
    precision : {"auto", "fp32", "fp16", "bf16"}
    seconds : float
        For each network; see `extract.engine.bench_process.measure`.
    notify : callable or None
        Is told in one line if the measurements could not be kept.

    Raises
    ------
    UnknownNetworkError
        If one of `names` is not in the store; nothing has been measured then.
    UsageError
        If the store is empty.
    StoppedError
        On Ctrl-C; the measurements so far are kept.
    """
    say = notify or (lambda note: None)
    chosen = _chosen(names)
    measured: dict[str, Measured] = {}
    failed: list[Failed] = []
    kept_in: Path | None = None
    unkept: Fc7Error | None = None
    try:
        for done, name in enumerate(chosen):
            progress.start(len(chosen), f"measuring {name}")
            progress.advance(done)
            found = _measured(name, device, precision, seconds=seconds)
            if isinstance(found, Failed):
                failed.append(found)
                continue
            measured[name] = found
            if unkept is None:
                try:
                    kept_in = keep(name, found, say)
                except Fc7Error as exc:
                    unkept, kept_in = exc, None
    except KeyboardInterrupt as exc:
        kept = f", and the measurements of {', '.join(measured)} are in {kept_in}" if kept_in else ""
        raise StoppedError(
            f"stopped after {len(measured)} of {len(chosen)} networks{kept}; name the others to go on"
        ) from exc
    finally:
        progress.finish()
    if unkept is not None:
        say(f"the measurements are shown here but could not be kept: {unkept}")
    return Benched(measured, failed, kept_in)


def _chosen(names: Iterable[str]) -> list[str]:
    chosen = list(dict.fromkeys(names))
    here = store.names()
    for name in chosen:
        if name not in here:
            store.load(name)  # says that it is not here, and what is
    if not (chosen or here):
        raise UsageError(
            f"the network store {store.store_root()} holds no network to measure; "
            f"`{command_line('models', 'list')}` shows which can be brought"
        )
    return chosen or here


def _measured(name: str, device: Device, precision: Precision, seconds: float) -> Measured | Failed:
    """Measure in a fresh process, so that its peak of memory is this network's own."""
    ran = subprocess.run(
        command("fc7.extract.engine.bench_process", name, device, precision, str(seconds)),
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    lines = ran.stdout.splitlines()
    if ran.returncode != 0 or not lines:
        last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        how = (
            f"was killed by signal {-ran.returncode}"
            if ran.returncode < 0
            else f"ended with {ran.returncode}"
        )
        reason = f"the process that ran it {how} ({last}); if memory is short, close other programs"
        return Failed(name, reason, 1)
    said: dict[str, Any] = json.loads(lines[-1])
    if "error" in said:
        return Failed(name, said["error"], said["exit_code"])
    return Measured(**said, cpu=cpu_name(), date=datetime.now(UTC).isoformat(timespec="seconds"))


def bench_rows(benched: Benched) -> list[dict[str, Any]]:
    """A row for each measured network, ready for JSON."""
    return [
        {
            "name": name,
            "images_per_second": found.images_per_second,
            "ms_per_image": found.ms_per_image,
            "peak_bytes": found.peak_bytes,
            "engine": found.engine,
            "batch_size": found.batch_size,
            "threads": found.threads,
            "runs": found.runs,
            "layer": found.layer,
            "cpu": found.cpu,
            "date": found.date,
        }
        for name, found in benched.measured.items()
    ]


def bench_table(benched: Benched) -> str:
    """`bench_rows` for people."""
    return text_table(
        _COLUMNS,
        [
            (
                name,
                f"{found.images_per_second:.1f}",
                f"{found.ms_per_image:.2f}",
                found.peak_text,
                found.engine,
            )
            for name, found in benched.measured.items()
        ],
    )
