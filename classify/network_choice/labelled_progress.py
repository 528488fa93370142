"""Progress that says of which network it is."""

from __future__ import annotations

from dataclasses import dataclass

from fc7.models.common.progress import Progress


@dataclass(frozen=True, slots=True)
class LabelledProgress:
    """A `Progress` whose bars begin with a name."""

    progress: Progress
    name: str

    def start(self, total: int, what: str) -> None:
        """Begin counting, with the name before `what`."""
        self.progress.start(total, f"{self.name}: {what}")

    def advance(self, n: int = 1) -> None:
        """`n` more are done."""
        self.progress.advance(n)

    def finish(self) -> None:
        """Nothing more will come."""
        self.progress.finish()
