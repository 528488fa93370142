"""Which networks can be named, and which of them run here and now, without a download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fc7.models.catalog import catalog
from fc7.models.catalog.published import published_facts
from fc7.models.common.errors import Fc7Error, UnknownNetworkError
from fc7.models.common.names import guess
from fc7.models.common.program import command_line
from fc7.models.network.spec import IMAGENET_CLASSES
from fc7.models.store import store
from fc7.models.store.installed import is_installed


@dataclass(frozen=True, slots=True)
class ReadyNetwork:
    """A trained network that runs here without a download.

    Attributes
    ----------
    name : str
        What ``--network`` takes.
    where : {"store", "installed"}
        In the store, or in an installed package, from which its first use puts it there.
    top1 : float or None
        Per cent of ILSVRC-2012's validation images, as published of its very file.
    classifies : bool
        Whether it gives ImageNet's 1000 classes, which `imagenet` needs.
    """

    name: str
    where: Literal["store", "installed"]
    top1: float | None
    classifies: bool


def ready_networks() -> list[ReadyNetwork]:
    """The trained networks that run here without a download, the most accurate first.

    Those of which no accuracy was published come last. Damaged networks and random weights are left out.
    """
    here = store.names()
    found = [ready for ready in map(_stored, here) if ready is not None]
    found += [
        ReadyNetwork(
            entry.name,
            "installed",
            entry.top1,
            classifies=any(n in IMAGENET_CLASSES for _, n in entry.layers),
        )
        for entry in catalog.NETWORKS
        if entry.name not in here and any(is_installed(source) for source in entry.sources)
    ]
    return sorted(found, key=lambda ready: (ready.top1 is None, -(ready.top1 or 0), ready.name))


def check_known(name: str) -> None:
    """See that the store or the catalogue has a network of this name.

    Raises
    ------
    UnknownNetworkError
        With the names there are.
    """
    here = store.names()
    if name in here or name in catalog.names():
        return
    raise UnknownNetworkError(
        f"no network {name!r}: the network store {store.store_root()} has {', '.join(here) or 'none'}; the "
        f"catalogue has {', '.join(catalog.names())}.{guess(name, {*here, *catalog.names()})} "
        f"`{command_line('models', 'import', 'FILE', '--as', 'NAME')}` brings a file of yours"
    )


def _stored(name: str) -> ReadyNetwork | None:
    try:
        spec = store.load(name).spec
    except Fc7Error:
        return None
    facts = published_facts(spec)
    top1 = facts.top1 if facts is not None else None
    return ReadyNetwork(name, "store", top1, classifies=spec.output is not None) if spec.trained else None
