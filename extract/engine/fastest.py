"""Which engine is faster in single precision on this machine's processor: measured once, and kept."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from fc7.extract.engine.engine import versions
from fc7.extract.engine.providers import CPU, OPENVINO, Candidate
from fc7.extract.records import Pixels
from fc7.models.common.cores import cpu_name
from fc7.models.common.errors import Fc7Error
from fc7.models.common.progress import Detail
from fc7.models.network.spec import NetworkSpec
from fc7.models.store.measured import EngineRates, engine_rates

if TYPE_CHECKING:
    from fc7.extract.engine.session import Session

# Measuring takes about as long as 150 images: four runs of two batches, by either engine.
WORTH_IMAGES = 500
_RUNS = 3
_NAMES = {OPENVINO: "OpenVINO", CPU: "ONNX Runtime's CPU provider"}


def fastest_first(
    possible: Sequence[Candidate],
    spec: NetworkSpec,
    threads: int,
    n_images: int | None,
    open_one: Callable[[Candidate], Session] | None,
) -> list[Candidate]:
    """What to try, the faster of two engines for single precision first.

    What was measured once decides. A short run measures nothing and takes ONNX Runtime, which has no other
    library to load and pads no batch.

    Parameters
    ----------
    possible : sequence of Candidate
        As `extract.engine.providers.candidates`.
    threads : int
        Of the network.
    n_images : int or None
        How many there are to run, where that is known.
    open_one : callable or None
        Opens a session on one candidate; None where nothing can be measured, as others use the machine.
    """
    pair = [one for one in possible if one.precision == "fp32" and one.provider in _NAMES]
    if len(pair) < 2:
        return list(possible)
    about = (versions(), cpu_name(), threads, spec.fingerprint(spec.default_layer))
    rates = engine_rates().here(lambda note: None).get(spec.name)
    told: type[str] = Detail
    if rates is None or not rates.is_of(*about):
        if n_images is None or n_images < WORTH_IMAGES or open_one is None:
            short = n_images is not None and n_images < WORTH_IMAGES
            return _first(possible, CPU) if short else list(possible)
        found = {one.provider: _rate(one, open_one, spec) for one in pair}
        date = datetime.now(UTC).isoformat(timespec="seconds")
        rates, told = EngineRates(found[OPENVINO], found[CPU], *about, date), str
        _keep(spec.name, rates)
    best, other = (OPENVINO, CPU) if rates.openvino > rates.onnxruntime else (CPU, OPENVINO)
    fast, slow = sorted((rates.openvino, rates.onnxruntime), reverse=True)
    why = (
        f"{_NAMES[best]} in fp32: {fast:.1f} images/s of {spec.name} against {slow:.1f} with "
        f"{_NAMES[other]}, measured once on this machine"
    )
    first, *rest = _first(possible, best)
    if first.provider == best:
        first = dataclasses.replace(first, why=told(why))
    return [first, *rest]


def _first(possible: Sequence[Candidate], provider: str) -> list[Candidate]:
    """With one engine of the processor before the other; a GPU stays ahead of both."""
    return sorted(possible, key=lambda one: (one.provider in _NAMES, one.provider != provider))


def _rate(candidate: Candidate, open_one: Callable[[Candidate], Session], spec: NetworkSpec) -> float:
    """Images a second; 0 if the engine refuses the network."""
    try:
        session = open_one(candidate)
        try:
            # The best: whatever else runs here, such as the decoding of the first images, only slows it down.
            return max(rates_of(session, spec, seconds=0.0, fewest=_RUNS))
        finally:
            # Its memory is given back before the other engine asks for some.
            session.engine.close()
    except Fc7Error:
        return 0.0


def _keep(name: str, rates: EngineRates) -> None:
    try:
        engine_rates().keep(name, rates, lambda note: None)
    except Fc7Error:
        # A network store that cannot be written: measured again in the next long run.
        return


def rates_of(session: Session, spec: NetworkSpec, *, seconds: float, fewest: int) -> list[float]:
    """Images a second of a network on random pixels, in as many calls at a time as it takes, after one run
    to warm up.

    Parameters
    ----------
    seconds : float
        How long.
    fewest : int
        Runs that are made even so.
    """
    shape = (session.batch_size, spec.preprocess.crop_height, spec.preprocess.crop_width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    together = session.calls_at_once * session.batch_size
    rates: list[float] = []
    with ThreadPoolExecutor(session.calls_at_once) as pool:
        round_seconds(session, pixels, pool)
        began = time.perf_counter()
        while len(rates) < fewest or time.perf_counter() - began < seconds:
            rates.append(together / round_seconds(session, pixels, pool))
    return rates


def round_seconds(session: Session, pixels: Pixels, pool: ThreadPoolExecutor) -> float:
    """How long as many batches take as run at the same time."""
    started = time.perf_counter()
    list(pool.map(session.run, [pixels] * session.calls_at_once))
    return time.perf_counter() - started
