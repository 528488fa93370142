"""Origins whose images can end or starve the process that reads them; workers import them from here."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from fc7.extract.inputs.places.folders import FolderOrigin
from fc7.extract.records import ImageRef, Listing, Origin


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


@dataclass(frozen=True)
class CrampedOrigin:
    """A folder whose reader may take so many bytes of address space beyond what it has, and no more."""

    inner: FolderOrigin
    more: int
    driver: int

    @property
    def name(self) -> str:
        return self.inner.name

    def read(self, ref: ImageRef) -> bytes:
        # Workers are limited at their first image, the process that started them never.
        if os.getpid() != self.driver and resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
            status = Path("/proc/self/status").read_text()
            used = int(status.partition("VmSize:")[2].split()[0]) << 10
            resource.setrlimit(resource.RLIMIT_AS, (used + self.more, resource.RLIM_INFINITY))
        return self.inner.read(ref)


@dataclass(frozen=True)
class SlowOrigin:
    """A folder whose images take their time."""

    inner: FolderOrigin
    seconds: float

    @property
    def name(self) -> str:
        return self.inner.name

    def read(self, ref: ImageRef) -> bytes:
        time.sleep(self.seconds)
        return self.inner.read(ref)


@dataclass(frozen=True)
class GreedyOrigin:
    """A folder of which one image takes memory bit by bit until it has `most` bytes or is stopped."""

    inner: FolderOrigin
    greedy: str
    most: int

    @property
    def name(self) -> str:
        return self.inner.name

    def read(self, ref: ImageRef) -> bytes:
        if ref.path == self.greedy:
            taken = []
            for _ in range(self.most >> 25):
                taken.append(b"\1" * (1 << 25))
                time.sleep(0.02)
        return self.inner.read(ref)


def seen_through(listing: Listing, make: Callable[[FolderOrigin], Origin]) -> Listing:
    """The same listing, read another way."""
    origin = listing.images[0].origin
    assert isinstance(origin, FolderOrigin)
    other = make(origin)
    return replace(listing, images=[replace(ref, origin=other) for ref in listing.images])


def with_lethal(listing: Listing, lethal: Collection[str]) -> Listing:
    """The same listing, some images of which are lethal."""
    return seen_through(listing, lambda origin: LethalOrigin(origin, lethal))
