"""What a run has to do: decided from a listing and from what the cache knows, before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from extract.stages import Failure, ImageRef


class Known(Protocol):
    """What a cache remembers of a row."""

    @property
    def size(self) -> int:
        """Bytes of the file it was made from."""

    @property
    def mtime_ns(self) -> int:
        """That file's modification time."""

    @property
    def sha256(self) -> str:
        """Hex digest of that file's content."""

    @property
    def layers(self) -> Collection[str]:
        """The layers it has features of."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision, image by image.

    Attributes
    ----------
    reuse : list of ImageRef
        Unchanged since their row was made; not opened.
    work : list of ImageRef
        New, changed, or lacking a layer; to be read and run.
    failures : list of Failure
        Unchanged since they failed; not tried again.
    removed : int
        Rows whose image is no longer listed.
    """

    reuse: list[ImageRef]
    work: list[ImageRef]
    failures: list[Failure]
    removed: int

    def with_edited(self, paths: Collection[str]) -> Plan:
        """The same with these images among the work, in the order of the listing."""
        reuse = [ref for ref in self.reuse if ref.path not in paths]
        again = [ref for ref in self.reuse if ref.path in paths]
        work = sorted([*self.work, *again], key=lambda ref: ref.path)
        return Plan(reuse, work, self.failures, self.removed)


def make_plan(
    images: Sequence[ImageRef],
    known: Mapping[str, Known],
    known_failures: Mapping[str, Failure],
    layers: Collection[str],
    *,
    retry_failed: bool = False,
) -> Plan:
    """Compare a listing with what is known, by size and modification time.

    Parameters
    ----------
    images : sequence of ImageRef
    known : mapping of str to Known
        Path -> row.
    known_failures : mapping of str to Failure
    layers : collection of str
        What every row must have.
    retry_failed : bool
        Read files that failed before, even if they are unchanged.
    """
    plan = Plan([], [], [], 0)
    found = 0
    needed = set(layers)
    for ref in images:
        row = known.get(ref.path)
        failure = known_failures.get(ref.path)
        found += row is not None
        if row is not None and _unchanged(ref, row) and needed.issubset(row.layers):
            plan.reuse.append(ref)
        elif failure is not None and _unchanged(ref, failure) and not retry_failed:
            plan.failures.append(failure)
        else:
            plan.work.append(ref)
    return Plan(plan.reuse, plan.work, plan.failures, removed=len(known) - found)


def find_moved(
    work: Sequence[ImageRef],
    known: Mapping[str, Known],
    with_content: Callable[[str], str | None],
    hash_of: Callable[[Iterable[ImageRef]], Iterable[str | None]],
    layers: Collection[str],
) -> dict[str, str]:
    """New paths whose content the cache already holds under another one: new path -> known path.

    Only files whose size is that of a known row are read at all.

    Parameters
    ----------
    work : sequence of ImageRef
    known : mapping of str to Known
    with_content : callable
        sha256 -> a known path with that content, or None.
    hash_of : callable
        Images -> their sha256, in order; None for one that cannot be read.
    layers : collection of str
    """
    sizes = {row.size for row in known.values()}
    candidates = [ref for ref in work if ref.path not in known and ref.size in sizes]
    moved: dict[str, str] = {}
    for ref, digest in zip(candidates, hash_of(candidates), strict=True):
        old = with_content(digest) if digest is not None else None
        if old is not None and set(layers).issubset(known[old].layers):
            moved[ref.path] = old
    return moved


def find_edited(
    reuse: Sequence[ImageRef],
    known: Mapping[str, Known],
    hash_of: Callable[[Iterable[ImageRef]], Iterable[str | None]],
) -> set[str]:
    """Paths whose content changed while size and time did not; every file is read.

    Parameters
    ----------
    reuse : sequence of ImageRef
        Images that look unchanged.
    known : mapping of str to Known
    hash_of : callable
        As for `find_moved`. An image that can no longer be read counts as edited, and will fail.
    """
    return {
        ref.path
        for ref, digest in zip(reuse, hash_of(reuse), strict=True)
        if digest != known[ref.path].sha256
    }


def layers_to_run(
    work: Sequence[ImageRef],
    known: Mapping[str, Known],
    layers: Sequence[str],
    edited: Collection[str] = (),
) -> tuple[str, ...]:
    """The layers that some of the work lacks: adding pool5 to a cache of fc7 does not run fc7 again.

    Parameters
    ----------
    work : sequence of ImageRef
    known : mapping of str to Known
    layers : sequence of str
        What every row must have.
    edited : collection of str
        Paths from `find_edited`: of their rows nothing can be used.
    """
    lacking: set[str] = set()
    for ref in work:
        row = known.get(ref.path) if ref.path not in edited else None
        lacking.update(set(layers) - set(row.layers) if row is not None and _unchanged(ref, row) else layers)
    return tuple(layer for layer in layers if layer in lacking)


def _unchanged(ref: ImageRef, seen: Known | Failure) -> bool:
    return ref.size == seen.size and ref.mtime_ns == seen.mtime_ns
