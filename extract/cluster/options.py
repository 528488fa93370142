"""What the user chose of a cluster, and how ``--ray`` may stand without an address."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

AUTO, LOCAL = "auto", "local"
_ADDRESS = re.compile(r"auto|local|ray://.+|[A-Za-z0-9_.-]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5}")


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """On which cluster, with how many workers.

    Attributes
    ----------
    address : str
        ``host:port`` of a running cluster; ``auto`` is the running one if there is one, else a local
        one for this run; ``local`` always starts one.
    workers : int or None
        In the whole cluster; None is one a GPU, or a few on a node without.
    gpus_per_worker : float or None
        Below 1, workers share a GPU; 0 uses none. None is 1 where there are any.
    share_folder : bool
        False sends rows through Ray's object store even where workers see the cache's folder.
    """

    address: str = AUTO
    workers: int | None = None
    gpus_per_worker: float | None = None
    share_folder: bool = True


def with_addresses(arguments: Sequence[str]) -> list[str]:
    """Arguments in which every bare ``--ray`` is given the address ``auto``.

    An option's value cannot be left out in Typer. What follows ``--ray`` is its value only if it looks
    like an address, so ``extract --ray imgs/`` means what it seems to mean.
    """
    found = list(arguments)
    end = found.index("--") if "--" in found else len(found)
    for i in reversed(range(end)):
        if found[i] == "--ray" and not (i + 1 < end and _ADDRESS.fullmatch(found[i + 1])):
            found.insert(i + 1, AUTO)
    return found
