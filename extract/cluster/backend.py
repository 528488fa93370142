"""What the driver needs of whatever runs its workers; `ray_backend` is the real one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fc7.extract.cluster.slots import Node, Slot

Handle = Any
"""A worker, as the backend knows it."""

Ticket = Any
"""A call that has not been answered; hashable."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A call that raised in the worker, which lives on."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Gone:
    """A call whose worker died or cannot be reached; whether it was finished is not known.

    Attributes
    ----------
    memory : bool
        It was ended because memory ran out.
    """

    reason: str
    memory: bool = False


Outcome = Any
"""What a call gave, or `Broken`, or `Gone`."""


class Backend(Protocol):
    """Starts workers, calls them, and learns that they are gone."""

    @property
    def described(self) -> str:
        """For the user."""

    def nodes(self) -> list[Node]:
        """The machines that are alive, in a fixed order."""

    def share(self, value: Any) -> Any:
        """Put a value where every worker can fetch it; what it gives can be an argument of `call`."""

    def start(self, slot: Slot) -> Handle:
        """A new worker; its first calls wait until it runs."""

    def call(self, worker: Handle, method: str, *arguments: Any) -> Ticket:
        """Ask a worker something."""

    def wait(self, tickets: Sequence[Ticket], seconds: float) -> list[tuple[Ticket, Outcome]]:
        """Answers that have come, at least one if one comes within `seconds`."""

    def stop(self, worker: Handle) -> None:
        """End a worker, whatever it is doing."""

    def stop_all(self, workers: Iterable[Handle], tickets: Sequence[Ticket]) -> None:
        """End workers, and wait until what they were doing has ended."""
