"""Two networks in turn on one machine, so that a slow minute falls on both."""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fc7.extract.engine.fastest import round_seconds
from fc7.extract.engine.session import Session, open_session
from fc7.extract.options import RunOptions
from fc7.extract.patience import loaded
from fc7.models.common.cores import cpu_flags
from fc7.models.common.progress import Progress
from fc7.models.store.store import StoredNetwork

_ROUNDS = 7
# Flags of a processor: products of 8-bit integers that add up in 32 bits, on x86 and on Arm.
_INTEGER_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


@dataclass(frozen=True, slots=True)
class Speeds:
    """How two networks ran.

    Attributes
    ----------
    images_per_second : tuple of (float, float)
        Of each, from its median round; pixels to features.
    ratio : float
        The second's rate over the first's: the median of the rounds' ratios.
    engines : tuple of (str, str)
        Execution provider and precision of each.
    """

    images_per_second: tuple[float, float]
    ratio: float
    engines: tuple[str, str]


def side_by_side(
    first: StoredNetwork, second: StoredNetwork, layer: str, how: RunOptions, progress: Progress
) -> Speeds:
    """Run random pixels through both to `layer`, a round of each after the other, `_ROUNDS` times.

    Raises
    ------
    ProviderError
        If the device or precision is not to be had.
    """
    progress.start(_ROUNDS, "measuring speed")
    opened = [_opened(network, layer, how) for network in (first, second)]
    times: list[list[float]] = [[], []]
    with ThreadPoolExecutor(max(session.calls_at_once for session, _ in opened)) as pool:
        for measured in range(_ROUNDS + 1):
            for (session, pixels), found in zip(opened, times, strict=True):
                seconds = round_seconds(session, pixels, pool) / (session.calls_at_once * len(pixels))
                if measured:  # the first one warms up
                    found.append(seconds)
            progress.advance()
    progress.finish()
    rates = (1 / statistics.median(times[0]), 1 / statistics.median(times[1]))
    ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
    (a, _), (b, _) = opened
    return Speeds(rates, ratio, (_engine(a), _engine(b)))


def _opened(network: StoredNetwork, layer: str, how: RunOptions) -> tuple[Session, np.ndarray]:
    spec = network.spec
    session = loaded(lambda: open_session(network.graph_path, spec, [layer], how=how))
    shape = (session.batch_size, spec.preprocess.crop_height, spec.preprocess.crop_width, 3)
    return session, np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _engine(session: Session) -> str:
    return f"{session.engine.provider} {session.engine.precision}"


def integer_products() -> bool | None:
    """Whether this CPU multiplies 8-bit integers at once (VNNI, AMX); None where the system does not say."""
    flags = cpu_flags()
    return bool(flags & _INTEGER_PRODUCTS) if flags else None
