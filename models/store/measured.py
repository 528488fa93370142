"""What was measured on this machine, kept beside the networks (`models.store.host_file`).

``<root>/measured.json`` is what `models bench` measured, ``<root>/engines.json`` which engine `auto` found
faster. A network that was replaced has no measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from fc7.models.common.errors import Fc7Error
from fc7.models.common.program import command_line
from fc7.models.common.progress import Notify
from fc7.models.store import store
from fc7.models.store.host_file import HostFile

FILE, ENGINES = "measured.json", "engines.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """How fast one network ran on one machine.

    Attributes
    ----------
    images_per_second : float
        Pixels to features, decoding left out; the median of `runs` runs of as many batches as the
        network takes at once (`extract.records.FeatureNetwork.calls_at_once`).
    peak_bytes : int or None
        The most memory that a process with this network alone held; None where the system does not say.
    engine : str
        Execution provider and precision: ``CPUExecutionProvider fp32``.
    date : str
        ISO 8601, UTC.
    layer, fingerprint : str
        What was measured: `NetworkSpec.fingerprint` of `layer`, the network's default one.
    """

    images_per_second: float
    peak_bytes: int | None
    engine: str
    batch_size: int
    threads: int
    runs: int
    cpu: str
    date: str
    layer: str
    fingerprint: str

    def __post_init__(self) -> None:
        numbers = (
            self.batch_size,
            self.threads,
            self.runs,
            1 if self.peak_bytes is None else self.peak_bytes,
        )
        texts = (self.engine, self.cpu, self.date, self.layer, self.fingerprint)
        speed = self.images_per_second
        if not (
            isinstance(speed, int | float)
            and math.isfinite(speed)
            and speed > 0
            and all(isinstance(number, int) and number > 0 for number in numbers)
            and all(isinstance(text, str) for text in texts)
        ):
            raise ValueError(f"{self} is not a measurement")

    @property
    def ms_per_image(self) -> float:
        """Milliseconds."""
        return 1000 / self.images_per_second

    @property
    def peak_text(self) -> str:
        """The peak in MB (10^6 bytes), for a table."""
        return "not known" if self.peak_bytes is None else f"{self.peak_bytes / 1e6:.0f}"


@dataclass(frozen=True, slots=True)
class EngineRates:
    """Two engines that compute in single precision on this machine's processor, one after the other.

    Attributes
    ----------
    openvino, onnxruntime : float
        Images a second; 0 for one that refused the network.
    versions : str
        Of both: another one may be faster.
    cpu : str
        As its maker calls it.
    threads : int
        Of the network.
    fingerprint : str
        `NetworkSpec.fingerprint` of the network's default layer.
    date : str
        ISO 8601, UTC.
    """

    openvino: float
    onnxruntime: float
    versions: str
    cpu: str
    threads: int
    fingerprint: str
    date: str

    def __post_init__(self) -> None:
        rates = (self.openvino, self.onnxruntime)
        if not (
            all(isinstance(rate, int | float) and math.isfinite(rate) and rate >= 0 for rate in rates)
            and isinstance(self.threads, int)
            and all(isinstance(text, str) for text in (self.versions, self.cpu, self.fingerprint, self.date))
        ):
            raise ValueError(f"{self} is not a measurement")

    def is_of(self, versions: str, cpu: str, threads: int, fingerprint: str) -> bool:
        """Whether it was measured of this."""
        found = (self.versions, self.cpu, self.threads, self.fingerprint)
        return found == (versions, cpu, threads, fingerprint)


def engine_rates() -> HostFile[EngineRates]:
    """Which engine is faster, by network."""
    return HostFile(ENGINES, EngineRates, "the next long run")


def measured_here(notify: Notify | None = None) -> dict[str, Measured]:
    """Network name -> what was measured on this machine, of networks that are still what they were then.

    Parameters
    ----------
    notify : callable or None
        Is told in one line of a damaged file, which counts as none.
    """
    found = _file().here(notify or (lambda note: None))
    return {name: measured for name, measured in found.items() if _is_still(name, measured)}


def keep(name: str, measured: Measured, notify: Notify | None = None) -> Path:
    """Write one network's measurements over those it had on this machine; returns the file.

    A kill leaves the old file or the new one. A damaged file is replaced.

    Raises
    ------
    Fc7Error
        If the store cannot be written.
    """
    return _file().keep(name, measured, notify or (lambda note: None))


def _file() -> HostFile[Measured]:
    return HostFile(FILE, Measured, f"`{command_line('models', 'bench')}`")


def _is_still(name: str, measured: Measured) -> bool:
    try:
        spec = store.load(name).spec
    except Fc7Error:
        return False
    return spec.default_layer == measured.layer and spec.fingerprint(measured.layer) == measured.fingerprint
