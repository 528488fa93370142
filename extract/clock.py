"""Where a run's time went."""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("decode", "inference", "write")


@dataclass(slots=True)
class Clock:
    """How long each stage was busy, in seconds.

    The stages work at the same time, so these add up to more than the run took; on cores that they
    share, their ratios are those of the work. The one that is busy all the time holds the others up.

    Attributes
    ----------
    decode : float
        Reading and decoding, the mean over the threads that do it.
    inference : float
        The network, the mean over the calls that run at the same time.
    write : float
        The caller kept what it was given; of `extract` the commit too.
    loop : float
        From the first image to the last row without the network's loading; workers' are added up.
    loading : float
        Until the network was there; images are decoded meanwhile.
    """

    decode: float = 0.0
    inference: float = 0.0
    write: float = 0.0
    loop: float = 0.0
    loading: float = 0.0

    @property
    def bottleneck(self) -> str:
        """The stage that was busy longest."""
        return max(STAGES, key=lambda stage: float(getattr(self, stage)))

    @property
    def busy(self) -> float:
        """All stages together."""
        return self.decode + self.inference + self.write

    def describe(self) -> str:
        """Shares in per cent: ``decode 71%, inference 26%, write 3%``."""
        shares = {stage: getattr(self, stage) / self.busy if self.busy else 0 for stage in STAGES}
        return ", ".join(f"{stage} {share:.0%}" for stage, share in shares.items())
