"""A cache that another network made, met by a run that named none: say which one goes on with it."""

from __future__ import annotations

from pathlib import Path

from fc7.extract.cache.commit.committed import Committed
from fc7.extract.cache.format.identity import REMEDY
from fc7.models.common.errors import MismatchError
from fc7.models.common.program import own_call_with
from fc7.models.store import store
from fc7.models.store.default import DefaultNetwork


def check_before_fetching(out: Path, default: DefaultNetwork) -> None:
    """See that the default network is the cache's, before it is fetched for nothing.

    Parameters
    ----------
    out : Path
        Need not exist.
    default : DefaultNetwork
        One of the store passes: its features may be the cache's under another name.

    Raises
    ------
    MismatchError
        With the command that goes on with the cache.
    CacheError
        If the cache cannot be read.
    """
    if default.name in store.names():
        return
    network = _network_of(out)
    if network not in (None, default.name):
        raise with_the_default_explained(
            MismatchError(f"{out} was made with network {network!r}, not {default.name!r}; {REMEDY}"),
            out,
            default,
        )


def with_the_default_explained(exc: MismatchError, out: Path, default: DefaultNetwork) -> MismatchError:
    """A mismatch of a run that named no network, with the command that goes on with the cache."""
    network = _network_of(out)
    if network in (None, default.name):
        return exc
    line = own_call_with("--network", str(network)) or f"ExtractOptions(network={network!r})"
    return MismatchError(
        f"{exc}. {default.name!r} is {default.called}; `{line}` goes on with this feature cache"
    )


def _network_of(cache: Path) -> str | None:
    old = Committed.find(cache, repair=False)
    return None if old is None else old.header.identity.network
