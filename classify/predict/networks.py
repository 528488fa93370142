"""The network of the store that gives the features that something was made of."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from fc7.classify.data.identity import FeatureIdentity
from fc7.classify.data.matching import check_identity
from fc7.extract.engine.trial import try_network
from fc7.models.common.errors import MismatchError
from fc7.models.common.program import command_line
from fc7.models.common.progress import Notify, Progress
from fc7.models.network.spec import NetworkSpec, PreprocessSpec
from fc7.models.store import store
from fc7.models.store.ensure import ensure_network

if TYPE_CHECKING:
    from fc7.models.store.store import StoredNetwork


def find_network(
    wanted: FeatureIdentity,
    progress: Progress,
    notify: Notify = lambda note: None,
    *,
    owner: str = "the classifier",
    otherwise: str = "fit again",
) -> tuple[StoredNetwork, NetworkSpec, str]:
    """The network in the store that gives some features; one of the catalogue is fetched.

    Parameters
    ----------
    owner, otherwise : str
        Who wants it, and what to do in place of importing it, for messages.

    Returns
    -------
    stored : StoredNetwork
    spec : NetworkSpec
        With the preprocessing of the features, should it differ from the network's own.
    layer : str

    Raises
    ------
    MismatchError
        If no network of the store gives these features, or it is unknown which did; the text says what to do.
    """
    check_identity(wanted)
    if wanted.network not in store.names():
        # Most classifiers are used where they were fitted, and have no need of the catalogue.
        from fc7.models.catalog import catalog

        if wanted.network in (*catalog.names(), catalog.UNTRAINED):
            ensure_network(wanted.network, progress, need="this", notify=notify, trial=try_network)
    found = stored_network(wanted)
    if found is not None:
        return found
    raise MismatchError(
        f"{owner} wants {wanted.layer} of network {wanted.network!r} (fingerprint "
        f"{wanted.fingerprint[:12]}), and no network in the network store {store.store_root()} gives it: "
        f"import the very file that its features were made with "
        f"(`{command_line('models', 'import', 'FILE', '--as', wanted.network)}`), or {otherwise}"
    )


def stored_network(wanted: FeatureIdentity) -> tuple[StoredNetwork, NetworkSpec, str] | None:
    """As `find_network`, or None if the store does not have it; nothing is fetched."""
    try:
        preprocess = PreprocessSpec.from_json(wanted.preprocess)
    except (ValueError, KeyError, TypeError):
        # It was fitted on rows from elsewhere, and whoever gave them did not say how they were made.
        return None
    for name in sorted(store.names(), key=lambda name: name != wanted.network):
        stored = store.load(name)
        spec = dataclasses.replace(stored.spec, preprocess=preprocess, pool=wanted.pool)
        for layer in spec.layers:
            if spec.fingerprint(layer.name) == wanted.fingerprint:
                return stored, spec, layer.name
    return None
