"""What was trusted on first use: ``<root>/pins.json``.

::

    {"pins": {"<network>/<file>": Pin, ...}}

Of some files nobody published a sha256. The first that comes, over https, is taken as it is and its
sha256 kept here; from then on that file is the only one that is taken under this name. The pins are the
store's, not the networks': they stay when a network is removed.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fc7.models.common.durable import write_whole
from fc7.models.common.errors import Fc7Error
from fc7.models.common.locks import exclusive
from fc7.models.common.progress import Notify
from fc7.models.store.paths import store_root

FILE = "pins.json"
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Pin:
    """One file as it first came.

    Attributes
    ----------
    sha256 : str
        64 hex digits, lower case.
    size : int
        Bytes.
    date : str
        The day, ISO 8601, UTC.
    urls : tuple of str
        Where it could have come from, in the order they were tried.
    """

    sha256: str
    size: int
    date: str
    urls: tuple[str, ...]

    def __post_init__(self) -> None:
        texts = (self.sha256, self.date, *self.urls)
        if not all(isinstance(text, str) for text in texts) or not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"{self} is not a pin")


def pinned(network: str, file: str) -> Pin | None:
    """What is kept of a network's file, or None.

    Raises
    ------
    Fc7Error
        If the pins are there and cannot be read.
    """
    return _read().get(f"{network}/{file}")


def pins_of(network: str, notify: Notify | None = None) -> dict[str, Pin]:
    """File name -> pin, of the files of one network; `notify` is told if the pins cannot be read."""
    try:
        found = _read()
    except Fc7Error as exc:
        (notify or (lambda note: None))(str(exc))
        return {}
    return {key.partition("/")[2]: pin for key, pin in found.items() if key.partition("/")[0] == network}


def keep(network: str, file: str, pin: Pin) -> None:
    """Write a file's pin over the one it had; a kill leaves the old file or the new one.

    Raises
    ------
    Fc7Error
        If the pins cannot be read or written.
    """
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(path.with_name(f".{FILE}.lock"), wait=True):
            pins = {**_read(), f"{network}/{file}": pin}
            plain = {"pins": {name: dataclasses.asdict(kept) for name, kept in sorted(pins.items())}}
            write_whole(path, (json.dumps(plain, ensure_ascii=False, indent=2) + "\n").encode())
    except OSError as exc:
        raise Fc7Error(f"{path}: cannot be written ({exc.strerror or exc}); make room or rights") from exc


def _path() -> Path:
    return store_root() / FILE


def _read() -> Mapping[str, Pin]:
    path = _path()
    try:
        found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["pins"]
        return {name: Pin(**{**pin, "urls": tuple(pin["urls"])}) for name, pin in found.items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        raise Fc7Error(f"{path}: cannot be read ({exc.strerror or exc}); check its rights") from exc
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise Fc7Error(
            f"{path}: damaged ({type(exc).__name__}); it holds the hashes of files trusted on first use. "
            "Put a copy back, or delete it: the next pull of such a file is then a first one again"
        ) from exc
