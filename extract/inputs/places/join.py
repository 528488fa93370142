"""Several places as one listing: paths that stay unique, and stay the same in any order of the inputs."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from fc7.extract.inputs.places.folders import escape
from fc7.extract.records import (
    Failure,
    ImageRef,
    Listing,
    Origin,
    Pixels,
    changed_ns_of,
    packed_below,
    readers_of,
)
from fc7.models.common.errors import UsageError


@dataclass(frozen=True, slots=True)
class ListedSource:
    """One place that images lie in, listed.

    Attributes
    ----------
    typed : str
        As the user gave it; recorded as a root.
    place : str
        Its absolute path.
    listing : Listing
        Paths from inside the place.
    key : str
        What stands before its paths even when it is alone, as for rows of an array: its name
        and ``/``.
    """

    typed: str
    place: str
    listing: Listing
    key: str = ""


@dataclass(frozen=True, slots=True)
class _Renamed:
    """An origin under another name: where the paths before which a source's name was put start.

    Attributes
    ----------
    prefix : str
        The source's name and ``/``.
    """

    name: str
    inner: Origin
    prefix: str

    @property
    def readers(self) -> int:
        return readers_of(self.inner)

    @property
    def packed_below(self) -> str | None:
        inside = packed_below(self.inner)
        return None if inside is None else self.prefix + inside

    def read(self, ref: ImageRef) -> bytes | Pixels:
        return self.inner.read(ref)

    def changed_ns(self, ref: ImageRef) -> int | None:
        return changed_ns_of(dataclasses.replace(ref, origin=self.inner))


@dataclass(slots=True)
class _Joined:
    images: list[ImageRef] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def join(sources: Sequence[ListedSource]) -> Listing:
    """All sources in one listing, sorted by path.

    One source keeps its paths. With several, each path begins with the name of its source:
    the folder's or the file's. Sources of one name get as many of
    the folders around them as it takes to tell them apart (``a/set.zip``, ``b/set.zip``).

    Parameters
    ----------
    sources : sequence of ListedSource
        At least one; one that is there twice counts once.

    Raises
    ------
    UsageError
        If two images still have one path.
    """
    distinct = list({source.place: source for source in sources}.values())
    if len(distinct) == 1:
        return distinct[0].listing
    joined = _Joined()
    for source, name in zip(distinct, _names([source.place for source in distinct]), strict=True):
        _add(joined, source, name)
    joined.images.sort(key=lambda ref: ref.path)
    joined.failures.sort(key=lambda failure: failure.path)
    for one, other in zip(joined.images, joined.images[1:], strict=False):
        if one.path == other.path:
            raise UsageError(f"two images would be {one.path!r}; give their sources in separate runs")
    roots = tuple(escape(source.typed) for source in distinct)
    empty = [source.typed for source in distinct if not source.listing.images and not source.listing.failures]
    empty += [typed for source in distinct for typed in source.listing.empty]
    return Listing(
        joined.images, joined.failures, dict(joined.ignored), roots=roots, empty=tuple(map(escape, empty))
    )


def _add(joined: _Joined, source: ListedSource, name: str) -> None:
    prefix = f"{escape(name)}/"
    around = _around(source, name)
    renamed: dict[int, _Renamed] = {}
    for ref in source.listing.images:
        origin = renamed.get(id(ref.origin))
        if origin is None:
            origin = renamed[id(ref.origin)] = _Renamed(around, ref.origin, prefix)
        joined.images.append(
            ImageRef(
                prefix + ref.path[len(source.key) :],
                label=ref.label,
                group=ref.group,
                split=ref.split,
                size=ref.size,
                mtime_ns=ref.mtime_ns,
                origin=origin,
                locator=ref.locator,
            )
        )
    joined.failures += [
        Failure(prefix + failure.path, failure.reason, failure.size, mtime_ns=failure.mtime_ns)
        for failure in source.listing.failures
    ]
    joined.ignored.update(source.listing.ignored)


def _around(source: ListedSource, name: str) -> str:
    """What stands before the source's new name, as the user would type it."""
    typed = source.typed.replace(os.sep, "/").rstrip("/")
    if typed == name:
        return "."
    if typed.endswith(f"/{name}"):
        around = typed[: -len(name)]
        return escape(around if around.endswith("://") else around.rstrip("/") or "/")
    full = PurePath(source.place).as_posix()
    return escape(full.removesuffix(name).rstrip("/") or "/")


def _names(places: Sequence[str]) -> list[str]:
    """The shortest ends of some distinct paths that differ, with ``/``."""
    parts = [PurePath(place).parts for place in places]
    lengths = [1] * len(parts)
    while True:
        names = ["/".join(part[-length:]) for part, length in zip(parts, lengths, strict=True)]
        counts = Counter(names)
        longer = [
            counts[name] > 1 and length < len(part)
            for name, part, length in zip(names, parts, lengths, strict=True)
        ]
        if not any(longer):
            return [name.replace("\\", "").replace(":", "").lstrip("/") or "root" for name in names]
        lengths = [length + more for length, more in zip(lengths, longer, strict=True)]
