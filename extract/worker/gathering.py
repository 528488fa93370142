"""Rows and failures waiting to become a segment."""

from __future__ import annotations

import time

import numpy as np

from fc7.extract.records import Failure, Rows

# A segment is written when this much has gathered: what a kill can cost.
_SEGMENT_SECONDS = 3.0
_SEGMENT_BYTES = 32 << 20


class Gathered:
    """Blocks and failures since the last segment."""

    def __init__(self) -> None:
        self.blocks: list[Rows] = []
        self.failures: list[Failure] = []
        self._since = time.monotonic()
        self._bytes = 0

    def add(self, block: Rows) -> None:
        """Take in what the loop gave."""
        if block.refs:
            self.blocks.append(block)
            self._bytes += sum(rows.nbytes for rows in block.features.values())
        self.failures += block.failures

    def due(self) -> bool:
        """Whether it is time to write."""
        return self._bytes >= _SEGMENT_BYTES or time.monotonic() - self._since >= _SEGMENT_SECONDS

    def joined(self) -> Rows:
        """All of it as one."""
        layers = self.blocks[0].features if self.blocks else ()
        thumbnails = [block.thumbnails for block in self.blocks if block.thumbnails is not None]
        return Rows(
            [ref for block in self.blocks for ref in block.refs],
            [sha for block in self.blocks for sha in block.sha256],
            {layer: np.concatenate([block.features[layer] for block in self.blocks]) for layer in layers},
            thumbnails=np.concatenate(thumbnails)
            if thumbnails and len(thumbnails) == len(self.blocks)
            else None,
            failures=self.failures,
        )
