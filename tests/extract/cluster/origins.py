"""An origin whose images can end the process that reads them; workers import it from here."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from dataclasses import dataclass, replace

from extract.folders import FolderOrigin
from extract.stages import ImageRef, Listing


@dataclass(frozen=True)
class LethalOrigin:
    """A folder in which some images kill whoever reads them, as the kernel does when memory runs out."""

    inner: FolderOrigin
    lethal: Collection[str]

    @property
    def name(self) -> str:
        return self.inner.name

    def read(self, ref: ImageRef) -> bytes:
        if ref.path in self.lethal:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.inner.read(ref)


def with_lethal(listing: Listing, lethal: Collection[str]) -> Listing:
    """The same listing, some images of which are lethal."""
    origin = listing.images[0].origin
    assert isinstance(origin, FolderOrigin)
    other = LethalOrigin(origin, lethal)
    return replace(listing, images=[replace(ref, origin=other) for ref in listing.images])
