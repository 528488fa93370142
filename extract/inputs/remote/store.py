"""Object stores and web servers: list, look, read, with patience. The only importer of fsspec.

fsspec (filesystem-spec.readthedocs.io) speaks the stores' protocols; what its many libraries raise is
translated by `extract.inputs.remote.errors`. How often a question is asked is decided here too: at most
`TRIES` times, with waits of 0.25, 0.75, 2.25 and 6.75 seconds between, each made up to half as long or longer
by chance so that many readers do not come back at once.

fsspec (2026.9) itself asks a web server once: one answer of 503 is an error. `tenacity` (9.2.1) would take
0.25 MB in the place of one loop.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from fc7.extract.inputs.places.addresses import Address, redacted
from fc7.extract.inputs.remote.entry import Entry, entry_of
from fc7.extract.inputs.remote.errors import StoreError, translated
from fc7.models.common.errors import SourceError, UsageError
from fc7.models.common.program import pip_install

TRIES, FIRST_WAIT, GROWTH = 5, 0.25, 3.0
SILENCE = 30.0
"""Seconds without a sign of life after which a connection is given up."""

READERS = 16
"""Objects that are read at once: a store answers after tens of milliseconds, whatever the machine."""

_T = TypeVar("_T")
_S3 = ("s3", "s3a")
_SCHEMES = re.compile(r"([\w+.-]+)://")


class Store:
    """One place of a store: what lies below it is named by paths from there.

    Not made directly but by `open_store`, which gives one for many callers.
    """

    def __init__(self, address: Address, fs: Any, root: str) -> None:
        self._address, self._fs, self._root = address, fs, root
        self._is_s3 = address.head.partition(":")[0] in _S3

    def entries(self, relative: str) -> Iterator[Entry]:
        """Files and folders directly in a folder; not for web servers, whose pages are read.

        Raises
        ------
        StoreError, CredentialsError
        """
        folder = self._path(relative)
        for found in self._patiently(lambda: self._fs.ls(folder, detail=True)):
            name = str(found["name"])
            full = name.rstrip("/")
            # A store without folders marks an empty one by an object of its name.
            if full.strip("/") != folder.strip("/"):
                yield entry_of(full.rpartition("/")[2], found)
            elif self._is_s3 and name.endswith("/") and found.get("type") == "directory":
                # Keys such as imgs//1.jpg: s3fs cannot list what is below.
                yield entry_of("", found)

    def look(self, relative: str) -> Entry:
        """What one path is.

        Raises
        ------
        StoreError, CredentialsError
        """
        path = self._path(relative)
        return entry_of(relative.rpartition("/")[2], self._patiently(lambda: self._fs.info(path)))

    def read(self, relative: str, size: int = 0) -> bytes:
        """The whole content.

        Parameters
        ----------
        size : int
            Bytes that must come; 0 if unknown.

        Raises
        ------
        StoreError
            If it cannot be had, or another number of bytes came at every try.
        CredentialsError
        """
        path = self._path(relative)

        def whole() -> bytes:
            data: bytes = self._fs.cat_file(path)
            if size and len(data) != size:
                reason = (
                    f"changed while it was read, or cut short: listed with {size} bytes, read {len(data)}"
                )
                raise StoreError(reason, "passing")
            return data

        return self._patiently(whole)

    def _path(self, relative: str) -> str:
        if not self._address.is_web:
            return f"{self._root.rstrip('/')}/{relative}" if relative else self._root
        base = self._address
        if not relative:
            return base.full
        # A signature over a folder is good for what lies in it.
        query = "" if "?" in relative else base.query
        return f"{base.head}/{base.path}/".rstrip("/") + f"/{relative}{query}"

    def _patiently(self, ask: Callable[[], _T]) -> _T:
        for attempt in range(TRIES):
            try:
                return ask()
            except Exception as exc:  # every store has its own library with its own errors
                fault = translated(exc, redacted(self._address.head))
                if isinstance(fault, StoreError) and fault.kind == "passing":
                    if attempt + 1 < TRIES:
                        time.sleep(FIRST_WAIT * GROWTH**attempt * random.uniform(0.5, 1.5))
                        continue
                    raise StoreError(f"{fault} ({TRIES} tries)", fault.kind) from exc
                raise fault from exc
        raise AssertionError("unreachable: the last attempt returns or raises")


_stores: dict[tuple[Address, int, int], Store] = {}
_opening = threading.Lock()


def open_store(address: Address) -> Store:
    """The store that an address lies in, opened once a process.

    Raises
    ------
    UsageError
        If nothing speaks its scheme, or what does is not installed.
    """
    # A connection does not survive a fork; one that blocks serves its own thread only.
    for thread in (0, threading.get_ident()):
        found = _stores.get((address, os.getpid(), thread))
        if found is not None:
            return found
    with _opening:
        fs, root = _connect(address)
        thread = 0 if getattr(fs, "async_impl", False) else threading.get_ident()
        return _stores.setdefault((address, os.getpid(), thread), Store(address, fs, root))


def _connect(address: Address) -> tuple[Any, str]:
    scheme = address.head.partition(":")[0]
    try:
        import fsspec

        ours = _options(fsspec.config.conf)
        schemes = set(_SCHEMES.findall(address.full))
        options = {protocol: ours[protocol] for protocol in ours.keys() & schemes}
        fs, root = fsspec.core.url_to_fs(address.full, **options)
    except ImportError as exc:
        raise UsageError(
            f"{address.shown}: reading {scheme}:// needs a package that is not here ({redacted(str(exc))}); "
            f"{pip_install('fc7[cloud]')} brings those for s3, gs and https; other schemes need fsspec's own"
        ) from exc
    except ValueError as exc:
        if "not known" not in str(exc):
            raise UsageError(f"{address.shown}: {redacted(str(exc))}") from exc
        raise UsageError(
            f"{address.shown}: nothing reads {scheme}:// addresses; s3://, gs://, https:// and the other "
            "schemes of fsspec are read"
        ) from exc
    except Exception as exc:
        fault = translated(exc, redacted(address.head))
        raise SourceError(f"{address.shown}: {fault}") if isinstance(fault, StoreError) else fault from exc
    if scheme in _S3:
        fs.retries = 1
    return fs, str(root)


def _options(configured: Mapping[str, Any]) -> dict[str, Any]:
    """Our limits for each protocol, under what the user's fsspec configuration says."""

    def ours(protocol: str, key: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return {"use_listings_cache": False, key: {**values, **configured.get(protocol, {}).get(key, {})}}

    # Asked again by us: their own patience under ours would make it 25 tries.
    boto = {
        "retries": {"total_max_attempts": 1},
        "connect_timeout": SILENCE,
        "read_timeout": SILENCE,
        "max_pool_connections": READERS,
    }
    found = {protocol: ours(protocol, "config_kwargs", boto) for protocol in _S3}
    found |= {protocol: {"use_listings_cache": False} for protocol in ("gs", "gcs")}
    try:
        import aiohttp
    except ImportError:
        return found
    web = {
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE),
        "headers": {"User-Agent": "fc7", "Accept-Encoding": "identity"},
        "trust_env": True,  # http_proxy, https_proxy, no_proxy
    }
    # Signatures are over the characters as they are: nothing is encoded again.
    found |= {
        protocol: {**ours(protocol, "client_kwargs", web), "encoded": True} for protocol in ("http", "https")
    }
    return found
