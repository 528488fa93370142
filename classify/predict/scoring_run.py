"""How a classifier's network is run over images, for everything that scores them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fc7.extract.clock import Clock
from fc7.extract.options import RunOptions
from fc7.models.common.progress import Notify, Progress

if TYPE_CHECKING:
    from fc7.extract.cluster.driver import NodeWork


@dataclass(frozen=True, slots=True)
class ScoringRun:
    """How the network is run over images, and who is told of it.

    Attributes
    ----------
    clock : Clock
        Is told where the time went.
    nodes : dict of str to NodeWork
        On a cluster filled with what each node did.
    """

    options: RunOptions
    progress: Progress
    notify: Notify
    clock: Clock = field(default_factory=Clock)
    nodes: dict[str, NodeWork] = field(default_factory=dict)
