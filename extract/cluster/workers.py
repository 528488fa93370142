"""The workers of a run: started where there is room, introduced, and replaced when they are gone."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fc7.extract.cluster.backend import Backend, Broken, Handle, Outcome, Ticket
from fc7.extract.cluster.chunks import Chunk
from fc7.extract.cluster.handshake import Handshake
from fc7.extract.cluster.messages import Introduction, WorkerReady
from fc7.extract.cluster.slots import Node, Slot, plan_slots
from fc7.extract.options import ClusterOptions
from fc7.extract.patience import Patience
from fc7.models.common.errors import Fc7Error
from fc7.models.common.progress import Notify
from fc7.models.common.terminal import counted

_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 30.0
_STARTS = 5
"""A node on which so many workers in a row died before they were ready gets no more."""


@dataclass(slots=True, eq=False)
class Member:
    """A worker, from its start to its end.

    Attributes
    ----------
    ready : WorkerReady or None
        None until it has loaded the network.
    holds : dict of Ticket to (Chunk, float)
        What it is doing, and since when.
    alone : bool
        It holds a suspect, and its machine gets nothing else.
    size : int
        Images of its next chunk.
    silent : float
        Seconds that were waited for it since its last answer; minus infinity before the first one, as it may
        wait for room on its machine.
    patience : Patience
        How long its chunks have taken.
    """

    slot: Slot
    handle: Handle
    ready: WorkerReady | None = None
    holds: dict[Ticket, tuple[Chunk, float]] = field(default_factory=dict)
    alone: bool = False
    size: int = 0
    silent: float = -math.inf
    patience: Patience = field(default_factory=Patience)


class WorkerPool:
    """Who works.

    Parameters
    ----------
    say : callable
        Is told of each finding once.

    Attributes
    ----------
    asked : dict of Ticket to Member
        Calls that have not been answered.
    """

    def __init__(self, backend: Backend, handshake: Handshake, options: ClusterOptions, say: Notify) -> None:
        self.members: list[Member] = []
        self.asked: dict[Ticket, Member] = {}
        self._backend = backend
        self._handshake = handshake
        self._options = options
        self._say = say
        self._refused: dict[str, BaseException] = {}
        self._early_deaths: dict[str, int] = {}
        self._alive: list[Node] = []
        self._looked = 0.0
        self._at_rest = time.monotonic()

    @property
    def ready(self) -> list[Member]:
        """Those that can be given chunks."""
        return [member for member in self.members if member.ready is not None]

    def look(self, n_images: int) -> list[Member]:
        """Start the workers that are missing: at first, after a loss, on a node that has joined.

        Parameters
        ----------
        n_images : int
            That nobody has; no more workers than these are started.

        Returns
        -------
        list of Member
            Those that went down with their machine; they are no members any more.

        Raises
        ------
        Fc7Error
            If no node can take part.
        """
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return []
        self._alive = self._backend.nodes()
        self._looked = time.monotonic()
        lost = [member for member in self.members if not self.is_alive(member.slot.node)]
        for member in lost:
            self.dismiss(member)
        usable = [node for node in self._alive if node.id not in self._refused]
        if self._refused and not usable:
            raise self._why_nobody()
        slots = plan_slots(usable, self._options.workers, self._gpus_per_worker())
        for slot in self._vacant(slots)[:n_images]:
            member = Member(slot, self._backend.start(slot))
            self.members.append(member)
            self.ask(member, "hello", self._handshake.greeting)
        self._be_patient()
        return lost

    def ask(self, member: Member, method: str, *arguments: Any) -> Ticket:
        """Call a worker."""
        ticket = self._backend.call(member.handle, method, *arguments)
        self.asked[ticket] = member
        return ticket

    def answers(self, seconds: float) -> Iterator[tuple[Member, Ticket, Outcome]]:
        """What members say; those that do not answer within so many seconds have been silent for as long."""
        began = time.monotonic()
        found = self._backend.wait(list(self.asked), seconds)
        # Not what a driver that was stopped meanwhile has missed.
        waited = min(time.monotonic() - began, seconds)
        for member in set(self.asked.values()):
            member.silent += waited
        for ticket, outcome in found:
            # A worker that was lost meanwhile is not listened to any more: its chunks are with others.
            asked = self.asked.pop(ticket, None)
            if asked is not None:
                yield asked, ticket, outcome
                asked.silent = 0.0

    def take_answer(self, member: Member, answer: Introduction | WorkerReady | Broken) -> None:
        """Take an answer of a worker that is not ready yet."""
        if isinstance(answer, Broken):
            self._refuse(member.slot.node, answer.error)
        elif isinstance(answer, WorkerReady):
            member.ready = answer
            self._early_deaths.pop(member.slot.node.id, None)
            self._say(answer.why)
        else:
            try:
                order = self._handshake.order(member.slot, answer)
            except Fc7Error as exc:
                self._refuse(member.slot.node, exc)
            else:
                self.ask(member, "open", *order)

    def take_death(self, member: Member, reason: str) -> bool:
        """A worker has died; whether its machine lives, so that its work may be the cause."""
        self.dismiss(member)
        self._alive = self._backend.nodes()
        self._looked = 0.0
        node = member.slot.node
        if not self.is_alive(node):
            return False
        if member.ready is None:
            deaths = self._early_deaths[node.id] = self._early_deaths.get(node.id, 0) + 1
            if deaths >= _STARTS:
                what = f"{deaths} workers in a row died there before they were ready"
                self._refuse(node, Fc7Error(f"{what}: {reason}"))
        return True

    def dismiss(self, member: Member) -> None:
        """End a worker and forget what it was asked and was reading."""
        if member in self.members:
            self.members.remove(member)
            self.asked = {ticket: asked for ticket, asked in self.asked.items() if asked is not member}
            self._backend.stop(member.handle)
            self._forget_reading(member)

    def is_alive(self, node: Node) -> bool:
        """Whether a machine is still there, as far as is known."""
        return any(other.id == node.id for other in self._alive)

    def close(self) -> None:
        """End all, and wait until what they were doing has ended."""
        self._backend.stop_all([member.handle for member in self.members], list(self.asked))
        for member in self.members:
            self._forget_reading(member)

    @staticmethod
    def _forget_reading(member: Member) -> None:
        if member.ready is not None and member.ready.in_flight is not None:
            with contextlib.suppress(OSError):
                member.ready.in_flight.unlink(missing_ok=True)

    def _vacant(self, slots: list[Slot]) -> list[Slot]:
        """Slots without a worker. Workers that are there stay, also where they would not be put now."""
        have: dict[str, int] = {}
        for member in self.members:
            have[member.slot.node.id] = have.get(member.slot.node.id, 0) + 1
        vacant = []
        for slot in slots:
            have[slot.node.id] = have.get(slot.node.id, 0) - 1
            if have[slot.node.id] < 0:
                vacant.append(slot)
        if self._options.workers is not None:
            return vacant[: max(0, self._options.workers - len(self.members))]
        return vacant

    def _gpus_per_worker(self) -> float | None:
        return 0.0 if self._handshake.run.how.device == "cpu" else self._options.gpus_per_worker

    def _refuse(self, node: Node, error: BaseException) -> None:
        """Use a node no more; the run goes on while there is another."""
        self._looked = 0.0
        if node.id not in self._refused:
            self._refused[node.id] = error
            self._say(f"{node.name} takes no part: {error}")
        # None of its workers holds images: the first that was ready would have shown that it can.
        for member in [member for member in self.members if member.slot.node.id == node.id]:
            if member.ready is None:
                self.dismiss(member)

    def _why_nobody(self) -> Fc7Error:
        error = next(iter(self._refused.values()))
        if isinstance(error, Fc7Error):
            return error
        return Fc7Error(
            f"no worker could be started: {type(error).__name__}: {' '.join(str(error).split())[:500]}"
        )

    def _be_patient(self) -> None:
        """Say why nothing happens, and go on waiting: a node may join, or others may finish."""
        if self.ready:
            self._at_rest = time.monotonic()
        elif time.monotonic() - self._at_rest > _PATIENCE_SECONDS:
            cpus = sum(node.cpus for node in self._alive)
            cores = "1 core" if cpus == 1 else f"{cpus:g} cores"
            self._say(
                f"still waiting for workers: the cluster has {counted(len(self._alive), 'node')} with "
                f"{cores}, too few or in use; Ctrl-C stops, and what was done is kept"
            )
