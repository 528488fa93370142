"""Which networks are compared: ``alexnet,googlenet:pool5`` as networks and layers, each once.

The first colon parts a network from its layer, since no network has one in its name (`models.store.paths`)
and a layer may. A comma parts two networks, since no layer has one in its name (`models.graph.layers`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from fc7.extract.kinds import FEATURE_CACHE
from fc7.models.common.errors import UsageError, WeightsError
from fc7.models.common.program import command_line
from fc7.models.outputs.kinds import Kind
from fc7.models.store import store

ALL = "all"
"""In place of a network's name: every network of the network store."""


@dataclass(frozen=True, slots=True)
class NetworkCandidate:
    """A network to compare, whose layers are extracted together.

    Attributes
    ----------
    layers : tuple of str
        As they were given, each once; empty text for the network's default layer.
    """

    network: str
    layers: tuple[str, ...]

    @property
    def file(self) -> str:
        """The name of its feature cache."""
        return f"{self.network}.h5"


def candidates_of(names: Sequence[str] = ()) -> list[NetworkCandidate]:
    """The networks that are meant, before anything is fetched.

    Parameters
    ----------
    names : sequence of str
        Each ``NETWORK``, ``NETWORK:LAYER`` or ``all``, or several with commas between them. None means
        ``all``.

    Raises
    ------
    UnknownNetworkError
        If neither the store nor the catalogue knows a network.
    UnknownLayerError
        If a network of the store has no such layer.
    UsageError
        If all networks of the store are meant, and it has none.

    Examples
    --------
    >>> wanted = candidates_of(["alexnet:fc6,tiles", "alexnet:pool5", "tiles"])
    >>> [(candidate.network, candidate.layers) for candidate in wanted]
    [('alexnet', ('fc6', 'pool5')), ('tiles', ('',))]
    """
    given = [word.strip() for text in names for word in text.split(",") if word.strip()]
    wanted: dict[str, dict[str, None]] = {}
    for word in given or [ALL]:
        network, _, layer = word.partition(":")
        for name in _stored() if word == ALL else [network]:
            wanted.setdefault(name, {})[layer if word != ALL else ""] = None
    candidates = [NetworkCandidate(network, tuple(layers)) for network, layers in wanted.items()]
    for candidate in candidates:
        _check(candidate)
    return candidates


def caches_of(candidates: Sequence[NetworkCandidate]) -> dict[str, Kind]:
    """The feature caches that are made: for `models.outputs.outputs.CallFiles.folder`."""
    return {candidate.file: FEATURE_CACHE for candidate in candidates}


def _stored() -> list[str]:
    names = store.names()
    if not names:
        raise UsageError(
            f"the network store {store.store_root()} has no network to compare; name some of "
            f"`{command_line('models', 'list')}` with --networks"
        )
    return names


def _check(candidate: NetworkCandidate) -> None:
    if candidate.network not in store.names():
        # The catalogue takes its time to load.
        from fc7.models.store.availability import check_known

        check_known(candidate.network)
        return
    # A damaged network is told of when it is its turn, and the others go on.
    with contextlib.suppress(WeightsError):
        spec = store.load(candidate.network).spec
        for layer in candidate.layers:
            spec.layer(layer or spec.default_layer)
