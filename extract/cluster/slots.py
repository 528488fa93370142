"""How many workers go to which node, and what each of them may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_WORKERS_A_CPU_NODE = 4
"""Each holds the network: four copies of AlexNet's fc7 are 1 GB, and four keep any node's cores busy."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster, as Ray counts it.

    Attributes
    ----------
    name : str
        For people; unique in the cluster.
    """

    id: str
    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True, slots=True)
class Slot:
    """Room for one worker: its node and its share of it."""

    node: Node
    cpus: float
    gpus: float


def plan_slots(nodes: Sequence[Node], workers: int | None, gpus_per_worker: float | None) -> list[Slot]:
    """Where workers are to be.

    Parameters
    ----------
    nodes : sequence of Node
        Those that are alive.
    workers : int or None
        In the whole cluster, shared out by what each node has room for. None fills every node: as many
        workers as its GPUs allow, and where there are none up to `_WORKERS_A_CPU_NODE`.
    gpus_per_worker : float or None
        None is 1 on nodes with GPUs; 0 uses no GPU anywhere. If it is above 0, nodes without so many
        GPUs get no worker.

    Returns
    -------
    list of Slot
        Cores are divided among the workers of a node; with more workers than cores they share cores.
    """
    usable = [node for node in nodes if _most(node, gpus_per_worker) > 0]
    if workers is None:
        counts = {node.id: _most(node, gpus_per_worker) for node in usable}
    else:
        counts = _shared_out(usable, workers, gpus_per_worker)
    slots = []
    for node in usable:
        count = counts[node.id]
        share = node.cpus / count if count else 0.0
        # Ray takes whole cores, or a part of one.
        cpus = float(int(share)) if share >= 1 else round(share, 3)
        slots += [Slot(node, cpus, _gpus(node, gpus_per_worker))] * count
    return slots


def _gpus(node: Node, gpus_per_worker: float | None) -> float:
    if gpus_per_worker is None:
        return 1.0 if node.gpus >= 1 else 0.0
    return gpus_per_worker


def _most(node: Node, gpus_per_worker: float | None) -> int:
    """How many workers a node takes by default."""
    gpus = _gpus(node, gpus_per_worker)
    # 1e-9: three thirds of a GPU are one.
    return int(node.gpus / gpus + 1e-9) if gpus else min(_WORKERS_A_CPU_NODE, int(node.cpus))


def _shared_out(nodes: Sequence[Node], workers: int, gpus_per_worker: float | None) -> dict[str, int]:
    """One worker at a time to the node that is least full for its size, the first of equals."""
    counts = {node.id: 0 for node in nodes}
    for _ in range(workers):
        free = [
            node
            for node in nodes
            if not _gpus(node, gpus_per_worker) or counts[node.id] < _most(node, gpus_per_worker)
        ]
        if not free:
            break
        best = min(
            free, key=lambda node: (counts[node.id] + 1) / (_most(node, None) if node.gpus else node.cpus)
        )
        counts[best.id] += 1
    return counts
