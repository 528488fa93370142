"""What lies below an address, folder by folder, by the rules of `extract.inputs.places.folders`.

fsspec's own `find` leaves out, without a word, every folder that it may not list (2026.9).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from fc7.extract.inputs.places.addresses import Address
from fc7.extract.inputs.places.folders import (
    HIDDEN,
    LINKED_AGAIN,
    MAX_FILE_BYTES,
    ZERO_BYTE,
    escape,
    is_hidden,
    not_an_image,
)
from fc7.extract.inputs.places.join import ListedSource
from fc7.extract.inputs.remote.entry import Entry
from fc7.extract.inputs.remote.errors import StoreError
from fc7.extract.inputs.remote.store import READERS, open_store
from fc7.extract.inputs.remote.web_pages import is_html, links_below
from fc7.extract.records import Failure, ImageRef, Listing
from fc7.models.common.errors import ImageError, SourceError, UsageError

MAX_DEPTH = 64
"""Folders within folders. Only a web server that answers every address with one page gets here."""


@dataclass(frozen=True, slots=True)
class RemoteOrigin:
    """Objects below one address.

    Attributes
    ----------
    name : str
        The address without what must not be shown.
    address : Address
        With it: a worker on another machine that is given this object can read.
    """

    name: str
    address: Address = field(repr=False)

    @property
    def readers(self) -> int:
        """As many are read at once (`extract.records.Origin`)."""
        return READERS

    def read(self, ref: ImageRef) -> bytes:
        """The whole object.

        Raises
        ------
        ImageError
            If it cannot be had after all tries, is too large, or is not of the size that was listed.
        CredentialsError
        """
        if ref.size > MAX_FILE_BYTES:
            raise ImageError(f"the object has {ref.size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        return open_store(self.address).read(str(ref.locator), ref.size)


@dataclass(slots=True)
class RemoteWalk:
    """What was met below one origin so far."""

    origin: RemoteOrigin
    images: dict[str, ImageRef] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def add(
        self,
        locator: str,
        label: str | None,
        entry: Entry,
        group: str | None = None,
        split: str | None = None,
    ) -> None:
        """Take in one image; `locator` is its path from the origin as the store has it."""
        path = escape(self.origin.address.plain(locator))
        if path in self.images:
            self.ignored[LINKED_AGAIN] += 1
            return
        # One string for both where nothing differs: millions are kept.
        place = path if path == locator else locator
        self.images[path] = ImageRef(
            path,
            label=label,
            group=group,
            split=split,
            size=entry.size,
            mtime_ns=entry.token,
            origin=self.origin,
            locator=place,
        )

    def fail(self, locator: str, reason: str) -> None:
        """Take in what cannot be had."""
        self.failures.append(Failure(escape(self.origin.address.plain(locator)), reason, 0, mtime_ns=0))

    def source(self) -> ListedSource:
        """All of it, sorted by path."""
        name = self.origin.name
        images = sorted(self.images.values(), key=lambda ref: ref.path)
        # Links that differ in what is no part of a path: what one of them gave, or one reason.
        once = {one.path: one for one in reversed(self.failures) if one.path not in self.images}
        failures = sorted(once.values(), key=lambda failure: failure.path)
        return ListedSource(name, name, Listing(images, failures, dict(+self.ignored), roots=(name,)))


@dataclass(frozen=True, slots=True)
class _RemoteFolder:
    """A folder still to be listed, from its origin; `depth` below the one that was given."""

    locator: str
    depth: int

    def label(self, address: Address) -> str | None:
        return escape(address.plain(self.locator).rpartition("/")[2]) if self.depth else None


def unlisted(shown: str, fault: StoreError) -> UsageError | SourceError:
    """The error for a place that the user named and that cannot be listed."""
    if fault.kind == "absent":
        return UsageError(f"{shown}: not found")
    return SourceError(f"{shown}: {fault}")


def walk(found: RemoteWalk, relative: str, page: bytes | None, pool: ThreadPoolExecutor) -> None:
    """List a folder and all below it, the folders of one level at the same time.

    Parameters
    ----------
    found : RemoteWalk
        Takes what is met.
    relative : str
        The folder, from the origin; "" for that itself.
    page : bytes or None
        Its index page if that was read already.
    pool : ThreadPoolExecutor
        Asks.

    Raises
    ------
    UsageError, SourceError
        If this folder cannot be listed. Folders below that cannot are failures, with their names.
    """
    level = [_RemoteFolder(relative, 0)]
    while level:
        below: list[_RemoteFolder] = []
        pages = [page] if page is not None else [None] * len(level)
        page = None
        for folder, listed in zip(
            level, pool.map(lambda a, b: _list(found.origin, a, b), level, pages), strict=True
        ):
            if isinstance(listed, StoreError):
                if folder.depth == 0:
                    shown = found.origin.name if not relative else f"{found.origin.name}/{relative}"
                    raise unlisted(shown, listed)
                found.fail(f"{folder.locator}/", f"the folder cannot be read: {listed}")
                continue
            below += _take(found, folder, listed, pool=pool)
        level = below


def _list(origin: RemoteOrigin, folder: _RemoteFolder, page: bytes | None) -> list[Entry] | StoreError:
    if "\0" in origin.address.plain(folder.locator):
        return StoreError(ZERO_BYTE, "other")
    store = open_store(origin.address)
    try:
        if not origin.address.is_web:
            return list(store.entries(folder.locator))
        data = page if page is not None else store.read(f"{folder.locator}/" if folder.locator else "")
    except StoreError as fault:
        return fault
    if not is_html(data):
        return StoreError("the server sends no page that lists its files", "other")
    base = "/".join(filter(None, (origin.address.head, origin.address.path, folder.locator))) + "/"
    return [Entry(link.rstrip("/"), link.endswith("/"), 0, token=0) for link in links_below(data, base)]


def _take(
    found: RemoteWalk, folder: _RemoteFolder, listed: Sequence[Entry], pool: ThreadPoolExecutor
) -> list[_RemoteFolder]:
    """Take a folder's images; the folders in it."""
    address = found.origin.address
    label = folder.label(address)
    start = f"{folder.locator}/" if folder.locator else ""
    below: list[_RemoteFolder] = []
    images: list[Entry] = []
    for entry in listed:
        plain = address.plain(entry.name)
        parts = plain.split("/")
        if not all(parts):
            found.fail(f"{start}{entry.name}/", "names with two slashes in a row are not read")
        elif any(map(is_hidden, parts)):
            found.ignored[HIDDEN] += 1
        elif entry.is_folder:
            if folder.depth >= MAX_DEPTH:
                found.fail(start + entry.name, f"more than {MAX_DEPTH} folders deep; not followed")
            else:
                below.append(_RemoteFolder(start + entry.name, folder.depth + 1))
        elif (other := not_an_image(parts[-1])) is not None:
            found.ignored[other] += 1
        else:
            images.append(entry)
    if not address.is_web:
        for entry in images:
            found.add(start + entry.name, label, entry)
        return below
    # A page says neither size nor time; the server does, image by image.
    looked = pool.map(lambda entry: look(found.origin, start + entry.name), images)
    for entry, seen in zip(images, looked, strict=True):
        inner = address.plain(entry.name).rpartition("/")[0].rpartition("/")[2]
        if isinstance(seen, StoreError):
            found.fail(start + entry.name, str(seen))
        else:
            found.add(start + entry.name, escape(inner) if inner else label, seen)
    return below


def check_single(found: RemoteWalk, locator: str, where: str) -> None:
    """Refuse an image that differs from one already found only in what is no part of its path.

    Raises
    ------
    UsageError
    """
    path = escape(found.origin.address.plain(locator))
    if path in found.images and found.images[path].locator != locator:
        raise UsageError(
            f"{where}: {path} again, with something else after the question mark; give each "
            "image an address of its own, as that may be a secret and is not part of an image's path"
        )


def look(origin: RemoteOrigin, locator: str) -> Entry | StoreError:
    """What a path from an origin is, or why that cannot be told."""
    if "\0" in origin.address.plain(locator):
        return StoreError(ZERO_BYTE, "other")
    try:
        return open_store(origin.address).look(locator)
    except StoreError as fault:
        return fault
