"""The records that cross a border in stage one, and one Protocol per stage.

::

    Origin ──ImageRef──▶ decode ──uint8 RGB──▶ FeatureNetwork ──rows──▶ cache

Each stage knows these records and nothing of its neighbours' libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.record_repr import one_line_repr
from fc7.models.common.terminal import one_line

Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]


class Origin(Protocol):
    """Where images lie: a folder, an archive, an array file, an object store.

    One that waits for a network also has `readers`: how many of its images are worth reading at once. One
    that is an archive has `packed_below`.
    """

    @property
    def name(self) -> str:
        """The place as the user gave it; recorded in the cache as one of its roots."""

    def read(self, ref: ImageRef) -> bytes | Pixels:
        """Encoded bytes of one image, or its pixels where nothing is encoded.

        Raises
        ------
        models.common.errors.ImageError
            If it cannot be read; the text is the reason shown to the user.
        """


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One image of a listing, not yet opened.

    Attributes
    ----------
    path : str
        Relative to its root, with ``/``, unique in the listing, valid UTF-8.
    label, group, split : str or None
        None where there is none.
    size : int
        Bytes.
    mtime_ns : int
        Modification time, nanoseconds since the epoch; 0 where the place has none.
    locator : str or int
        What `origin` needs to find it again: the real relative path (which may hold
        undecodable bytes as surrogates), or an index.
    """

    path: str
    label: str | None
    group: str | None
    split: str | None
    size: int
    mtime_ns: int
    origin: Origin = field(repr=False, compare=False)
    locator: str | int = field(repr=False, compare=False)

    @property
    def shown(self) -> str:
        """The path as the user would type it: under the place that was given."""
        return start_of(self.origin.name) + self.path

    def marked(self, label: str | None, group: str | None, split: str | None) -> ImageRef:
        """The same image with another label, group and split."""
        # Not dataclasses.replace, which is slower: there may be millions.
        return ImageRef(
            self.path,
            label=label,
            group=group,
            split=split,
            size=self.size,
            mtime_ns=self.mtime_ns,
            origin=self.origin,
            locator=self.locator,
        )


def start_of(root: str) -> str:
    """What stands before the paths of a root as the user would type them: nothing for the current folder."""
    return "" if root in ("", ".") else root if root.endswith("://") else root.rstrip("/") + "/"


def packed_below(origin: Origin) -> str | None:
    """What stands before the paths as an archive has them; None for images that lie in no archive."""
    below: str | None = getattr(origin, "packed_below", None)
    return below


def changed_ns_of(ref: ImageRef) -> int | None:
    """When an image's file was last changed in any way, nanoseconds since the epoch.

    None where size and modification time are the place's own word for its content: an archive that was
    rewritten has another time, and so has a store's object.
    """
    changed_ns: Callable[[ImageRef], int | None] | None = getattr(ref.origin, "changed_ns", None)
    return None if changed_ns is None else changed_ns(ref)


def readers_of(origin: Origin) -> int:
    """How many images of an origin are worth reading at once beyond what can be decoded at once; 0 mostly."""
    return int(getattr(origin, "readers", 0))


UNSEEN = -1
"""The modification time of a failure that says nothing of the file's content; no file has it. What was away
may be back unchanged, so such an image is tried again on every run, and keeps the row that it has."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that gave no row, and why; one line of text, without the path.

    Attributes
    ----------
    size, mtime_ns : int
        Of the file that was looked at; the time is `UNSEEN` where its content was not.
    """

    path: str
    reason: str
    size: int
    mtime_ns: int

    @property
    def unseen(self) -> bool:
        """Whether nothing is said of the content: a file that vanished, a disk or a store that was away."""
        return self.mtime_ns == UNSEEN

    @property
    def text(self) -> str:
        """Path and reason, for people."""
        return f"{one_line(self.path)}: {one_line(self.reason)}"


@dataclass(frozen=True, slots=True)
class Listing:
    """What the sources hold, before anything is opened.

    Attributes
    ----------
    images : sequence of ImageRef
        Sorted by `path`, each path once.
    failures : sequence of Failure
        Entries that are images by name but can already be seen to be unreadable (a broken link).
    ignored : mapping of str to int
        File suffix -> how many files that are no images.
    roots : tuple of str
        Where the images lie, as the user gave it.
    empty : tuple of str
        Inputs in which nothing was found, while others gave something: a disk that is away, perhaps.
    """

    images: Sequence[ImageRef]
    failures: Sequence[Failure]
    ignored: Mapping[str, int]
    roots: tuple[str, ...]
    empty: tuple[str, ...] = ()

    __repr__ = one_line_repr


@dataclass(frozen=True, slots=True)
class Rows:
    """Images that are done, in column form: item i of the first four fields is the same image.

    Attributes
    ----------
    refs : sequence of ImageRef
        The images that gave a row.
    sha256 : sequence of str
        Hex digest of the bytes that were decoded.
    features : mapping of str to ndarray of shape (n_rows, dim), float32
        Keyed by layer name.
    thumbnails : ndarray of shape (n_rows, 96), uint8, or None
        As `extract.images.thumbnails` makes them; None if they are not known.
    failures : sequence of Failure
        Images of the same stretch that gave none.
    provenance : mapping of str to str or None
        How the rows were made: provider, precision, versions. None without rows.
    kept : bool
        They lie in a finished segment already, and features and thumbnails are left out here.
    """

    refs: Sequence[ImageRef]
    sha256: Sequence[str]
    features: Mapping[str, Features]
    thumbnails: NDArray[np.uint8] | None = None
    failures: Sequence[Failure] = ()
    provenance: Mapping[str, str] | None = None
    kept: bool = False

    __repr__ = one_line_repr


class FeatureNetwork(Protocol):
    """A network on a device, cut at one or more layers."""

    @property
    def batch_size(self) -> int:
        """The most images in one call."""

    @property
    def calls_at_once(self) -> int:
        """How many threads should call `run` at the same time, for the device to be busy throughout."""

    def run(self, images: Pixels) -> dict[str, Features]:
        """Features of a batch.

        Parameters
        ----------
        images : ndarray of shape (n, crop_height, crop_width, 3), uint8
            RGB, 0-255, n at most `batch_size`.

        Returns
        -------
        dict of str to ndarray of shape (n, dim), float32
        """
