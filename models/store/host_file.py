"""What was measured on a machine, kept beside the networks in a JSON file of the network store.

::

    {"hosts": {<host name>: {<network>: {...}, ...}, ...}}

Measurements belong to a machine: a store that was copied or is shared shows each machine its own.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fc7.models.common.durable import write_whole
from fc7.models.common.errors import Fc7Error
from fc7.models.common.locks import exclusive
from fc7.models.common.progress import Notify
from fc7.models.store import store

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)
else:
    Record = TypeVar("Record")


def host_name() -> str:
    """The machine's name on its network, which tells one machine's measurements from another's."""
    return platform.node() or "unknown"


@dataclass(frozen=True, slots=True)
class HostFile(Generic[Record]):
    """A file of the network store with a record for each network on each machine.

    Attributes
    ----------
    name : str
        Of the file.
    record : type
        A dataclass of numbers and texts; its ``__post_init__`` refuses what is none with ValueError.
    mends : str
        Who writes a damaged one anew, for people.
    """

    name: str
    record: type[Record]
    mends: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return store.store_root() / self.name

    def here(self, notify: Notify) -> dict[str, Record]:
        """Network name -> this machine's record; a damaged file counts as none, and `notify` is told so."""
        return self._read(notify).get(host_name(), {})

    def keep(self, network: str, record: Record, notify: Notify) -> Path:
        """Write one network's record over the one it had on this machine; returns the file.

        A kill leaves the old file or the new one. A damaged file is replaced, and networks that are gone
        are left out.

        Raises
        ------
        Fc7Error
            If the store cannot be written.
        """
        path = self.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with exclusive(path.with_name(f".{self.name}.lock"), wait=True):
                hosts = self._read(notify)
                here = store.names()
                known = {other: value for other, value in hosts.get(host_name(), {}).items() if other in here}
                hosts[host_name()] = {**known, network: record}
                self._replace(hosts)
        except OSError as exc:
            raise Fc7Error(f"{path}: cannot be written ({exc.strerror or exc}); make room or rights") from exc
        return path

    def _read(self, notify: Notify) -> dict[str, dict[str, Record]]:
        needed = {field.name for field in fields(self.record)}
        try:
            hosts: dict[str, dict[str, dict[str, Any]]] = json.loads(self.path.read_text(encoding="utf-8"))[
                "hosts"
            ]
            return {
                host: {
                    name: self.record(**{key: value for key, value in values.items() if key in needed})
                    for name, values in networks.items()
                }
                for host, networks in hosts.items()
            }
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as exc:
            notify(f"{self.path}: cannot be read ({exc.strerror or exc}); passed over")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
            notify(f"{self.path}: damaged ({type(exc).__name__}); passed over, {self.mends} writes it anew")
        return {}

    def _replace(self, hosts: Mapping[str, Mapping[str, Record]]) -> None:
        plain = {
            host: {name: asdict(m) for name, m in sorted(found.items())} for host, found in hosts.items()
        }
        text = json.dumps({"hosts": plain}, ensure_ascii=False, indent=2) + "\n"
        write_whole(self.path, text.encode())
