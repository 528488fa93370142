"""What `models bench` measured, kept beside the networks: ``<root>/measured.json``.

::

    {"hosts": {<host name>: {<network>: Measured, ...}, ...}}

Measurements belong to a machine and to a network as it was: a store that was copied or is shared shows each
machine its own, and a network that was replaced has none.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fc7.models.common.durable import write_whole
from fc7.models.common.errors import Fc7Error
from fc7.models.common.locks import exclusive
from fc7.models.common.program import command_line
from fc7.models.common.progress import Notify
from fc7.models.store import store

FILE = "measured.json"


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


def host_name() -> str:
    """The machine's name on its network, which tells one machine's measurements from another's."""
    return platform.node() or "unknown"


def measured_here(notify: Notify | None = None) -> dict[str, Measured]:
    """Network name -> what was measured on this machine, of networks that are still what they were then.

    Parameters
    ----------
    notify : callable or None
        Is told in one line of a damaged file, which counts as none.
    """
    found = _read(notify or (lambda note: None)).get(host_name(), {})
    return {name: measured for name, measured in found.items() if _is_still(name, measured)}


def keep(name: str, measured: Measured, notify: Notify | None = None) -> Path:
    """Write one network's measurements over those it had on this machine; returns the file.

    A kill leaves the old file or the new one. A damaged file is replaced.

    Raises
    ------
    Fc7Error
        If the store cannot be written.
    """
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(path.with_name(f".{FILE}.lock"), wait=True):
            hosts = _read(notify or (lambda note: None))
            here = store.names()
            known = {other: value for other, value in hosts.get(host_name(), {}).items() if other in here}
            hosts[host_name()] = {**known, name: measured}
            _replace(path, hosts)
    except OSError as exc:
        raise Fc7Error(f"{path}: cannot be written ({exc.strerror or exc}); make room or rights") from exc
    return path


def _path() -> Path:
    return store.store_root() / FILE


def _read(notify: Notify) -> dict[str, dict[str, Measured]]:
    path = _path()
    needed = {field.name for field in fields(Measured)}
    try:
        hosts: dict[str, dict[str, dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))["hosts"]
        return {
            host: {
                name: Measured(**{key: value for key, value in values.items() if key in needed})
                for name, values in networks.items()
            }
            for host, networks in hosts.items()
        }
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        notify(f"{path}: cannot be read ({exc.strerror or exc}); passed over")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        bench = command_line("models", "bench")
        notify(f"{path}: damaged ({type(exc).__name__}); passed over, `{bench}` writes it anew")
    return {}


def _is_still(name: str, measured: Measured) -> bool:
    try:
        spec = store.load(name).spec
    except Fc7Error:
        return False
    return spec.default_layer == measured.layer and spec.fingerprint(measured.layer) == measured.fingerprint


def _replace(path: Path, hosts: Mapping[str, Mapping[str, Measured]]) -> None:
    plain = {host: {name: asdict(m) for name, m in sorted(found.items())} for host, found in hosts.items()}
    write_whole(path, (json.dumps({"hosts": plain}, ensure_ascii=False, indent=2) + "\n").encode())
