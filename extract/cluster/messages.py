"""What the driver and a worker tell each other; all of it small, and all of it can be pickled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fc7.extract.clock import Clock
from fc7.extract.records import ImageRef, Origin, Rows

if TYPE_CHECKING:
    from fc7.extract.engine.providers import Device, Precision


@dataclass(frozen=True, slots=True)
class Greeting:
    """The driver's first question to a worker.

    Attributes
    ----------
    probe : Path or None
        A file in the cache's folder of segments, and
    word : bytes
        what it holds: whoever reads that sees the same folder.
    network : mapping of str to int
        Absolute path -> size of every file of the network.
    samples : sequence of ImageRef
        Images that the driver can read, one of each place.
    """

    probe: Path | None
    word: bytes
    network: Mapping[str, int]
    samples: Sequence[ImageRef]
    device: Device
    precision: Precision


@dataclass(frozen=True, slots=True)
class Introduction:
    """A worker's answer.

    Attributes
    ----------
    version : str
        Of fc7.
    unseen : str or None
        An image that the driver can read and this worker cannot, and why.
    precision : {"fp32", "fp16", "bf16"}
        That it would choose.
    """

    version: str
    sees_folder: bool
    sees_network: bool
    unseen: str | None
    precision: Precision


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker that has loaded the network.

    Attributes
    ----------
    why : str
        Of the engine.
    in_flight : Path or None
        The file of `extract.worker.in_flight` that the driver may look into.
    """

    why: str
    batch_size: int
    in_flight: Path | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """Images of a listing, packed: their origins are known to the worker by number.

    Attributes
    ----------
    locators : sequence of str, int or None
        None where it is the path.
    name : str
        Of the segment that they become.
    start : int
        Number of the first one in the run.
    """

    paths: Sequence[str]
    sizes: Sequence[int]
    mtimes_ns: Sequence[int]
    origins: Sequence[int]
    locators: Sequence[str | int | None]
    name: str
    start: int

    @classmethod
    def of(
        cls, refs: Sequence[ImageRef], start: int, numbers: Mapping[int, int], number: str, about: str
    ) -> Parcel:
        """Pack images.

        Parameters
        ----------
        start : int
            Number of the first image in the run.
        numbers : mapping of int to int
            ``id`` of an origin -> its number.
        number : str
            Of the run: its segments are newer than those of the runs before.
        about : str
            The features that the images get. The segment is named by them and by the images, so that a
            second copy of the same work gets the same name.
        """
        held = hashlib.sha256(about.encode())
        for ref in refs:
            held.update(f"\0{ref.path}\0{ref.size}\0{ref.mtime_ns}".encode("utf-8", "surrogatepass"))
        return cls(
            [ref.path for ref in refs],
            [ref.size for ref in refs],
            [ref.mtime_ns for ref in refs],
            [numbers[id(ref.origin)] for ref in refs],
            [None if ref.locator == ref.path else ref.locator for ref in refs],
            # Read in the order of their names, segments give paths that are nearly sorted.
            f"{number}-{start:010}-{held.hexdigest()[:32]}",
            start,
        )

    def refs(self, origins: Sequence[Origin]) -> list[ImageRef]:
        """Unpack them; what only a cache needs to know is left out."""
        return [
            ImageRef(
                path,
                label=None,
                group=None,
                split=None,
                size=size,
                mtime_ns=mtime,
                origin=origins[origin],
                locator=path if locator is None else locator,
            )
            for path, size, mtime, origin, locator in zip(
                self.paths, self.sizes, self.mtimes_ns, self.origins, self.locators, strict=True
            )
        ]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a parcel.

    Attributes
    ----------
    rows : sequence of int
        Positions in the parcel of the images that gave a row.
    finished : Rows
        As the worker gave it, but without the images themselves: the driver has them.
    """

    rows: Sequence[int]
    finished: Rows
    clock: Clock
