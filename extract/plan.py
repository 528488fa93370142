"""What a run has to do: decided from a listing and from what the cache knows, before anything is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fc7.extract.images.codecs.formats import NOT_INSTALLED
from fc7.extract.records import Failure, ImageRef, changed_ns_of

# The times of one file system come from one clock of at most this step (FAT's is two seconds).
_CLOCK_TICK_NS = 2_000_000_000
# A share of rows that may leave without a word: what people delete, not what a disk that is away takes along.
_FEW = 0.1


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
    missing : list of str
        Paths of rows whose image is not listed.
    """

    reuse: list[ImageRef]
    work: list[ImageRef]
    failures: list[Failure]
    missing: list[str]

    def with_edited(self, paths: Collection[str]) -> Plan:
        """The same with these images among the work, in the order of the listing."""
        reuse = [ref for ref in self.reuse if ref.path not in paths]
        again = [ref for ref in self.reuse if ref.path in paths]
        work = sorted([*self.work, *again], key=lambda ref: ref.path)
        return Plan(reuse, work, self.failures, missing=self.missing)


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
    known : mapping of str to Known
        Path -> row.
    known_failures : mapping of str to Failure
        Path -> failure.
    layers : collection of str
        What every row must have.
    retry_failed : bool
        Read files that failed before, even if they are unchanged.
    """
    plan = Plan([], [], [], missing=[])
    found = 0
    needed = set(layers)
    for ref in images:
        row = known.get(ref.path)
        failure = known_failures.get(ref.path)
        found += row is not None
        if row is not None and _unchanged(ref, row) and needed.issubset(row.layers):
            plan.reuse.append(ref)
        elif (
            failure is not None
            and _unchanged(ref, failure)
            and not retry_failed
            and NOT_INSTALLED not in failure.reason
        ):
            plan.failures.append(failure)
        else:
            plan.work.append(ref)
    if found < len(known):
        listed = {ref.path for ref in images}
        plan.missing.extend(path for path in known if path not in listed)
    return plan


def find_moved(
    work: Sequence[ImageRef],
    known: Mapping[str, Known],
    with_content: Callable[[str], str | None],
    hash_of: Callable[[Iterable[ImageRef]], Iterable[str | None]],
    layers: Collection[str],
    edited: Collection[str] = (),
) -> dict[str, str]:
    """Work whose content the cache holds already: path -> known path.

    That is another path where files were renamed, and the same where only a time has changed. Only files
    whose size is that of a known row are read at all.

    Parameters
    ----------
    known : mapping of str to Known
        Path -> row.
    with_content : callable
        sha256 -> a known path with that content, or None.
    hash_of : callable
        Images -> their sha256, in order; None for one that cannot be read.
    layers : collection of str
        What every row must have.
    edited : collection of str
        Paths from `find_edited`.
    """
    if not work:
        return {}
    sizes = {row.size for row in known.values()}

    def may_be_known(ref: ImageRef) -> bool:
        row = known.get(ref.path)
        lacks_a_layer = row is not None and _unchanged(ref, row) and ref.path not in edited
        return ref.size in sizes and not lacks_a_layer

    candidates = [ref for ref in work if may_be_known(ref)]
    moved: dict[str, str] = {}
    for ref, digest in zip(candidates, hash_of(candidates), strict=True):
        if digest is None:
            continue
        own = known.get(ref.path)
        old = ref.path if own is not None and own.sha256 == digest else with_content(digest)
        if old is not None and set(layers).issubset(known[old].layers):
            moved[ref.path] = old
    return moved


def find_copied(
    moved: Mapping[str, str], kept: Collection[str], roots: tuple[Sequence[str], Sequence[str]]
) -> set[str]:
    """Which images found by their content are copies: the other one has its content still.

    Parameters
    ----------
    moved : mapping of str to str
        From `find_moved`.
    kept : collection of str
        Paths whose row stays as it is.
    roots : pair of sequences of str
        Where the cache's images lay, and where this run's lie. Of another root nothing is listed; a folder
        that is there still is looked into.
    """
    others = {path: old for path, old in moved.items() if path != old}
    before = [root for root in roots[0] if root not in roots[1]]
    return {
        path
        for path, old in others.items()
        if old in kept
        or moved.get(old) == old
        or any(os.path.lexists(os.path.join(root, old)) for root in before)  # noqa: PTH118
    }


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
        Path -> row.
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
    known : mapping of str to Known
        Path -> row.
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


def may_be_others(
    reuse: Sequence[ImageRef], ambiguous: Collection[str], committed_ns: int | None
) -> list[ImageRef]:
    """Images whose size and time prove nothing: another row has both, and they were changed since then.

    Renaming leaves a file's modification time alone and sets its change time (POSIX: `rename` marks st_ctime
    on every file system in use), so files that were renumbered or swapped are among these.

    Parameters
    ----------
    reuse : sequence of ImageRef
        Images that look unchanged.
    ambiguous : collection of str
        Paths that share size and time with another row.
    committed_ns : int or None
        When the rows were written; None if that cannot be told.
    """
    if not ambiguous:
        return []
    return [
        ref
        for ref in reuse
        if ref.path in ambiguous
        and (changed := changed_ns_of(ref)) is not None
        and (committed_ns is None or changed > committed_ns - _CLOCK_TICK_NS)
    ]


def check_missing(
    missing: Collection[str], n_rows: int, roots: tuple[Sequence[str], Sequence[str]], empty: Sequence[str]
) -> str | None:
    """Why rows of images that are not listed should not simply go, in words; None if they may.

    Parameters
    ----------
    missing : collection of str
        Their paths; what is found again under another path is none of them.
    n_rows : int
        Of the cache.
    roots : pair of sequences of str
        Where its images lay, and where this run's lie.
    empty : sequence of str
        Inputs that gave nothing (`Listing.empty`).
    """
    if not missing:
        return None
    before, now = ([os.path.normpath(root) for root in some] for some in roots)
    if before and before != now:
        return f"it was made from {', '.join(roots[0][:3])}, and this run was given {', '.join(roots[1][:3])}"
    if empty:
        return f"nothing was found in {', '.join(empty[:3])}"
    if len(missing) > _FEW * n_rows:
        return "that is more than a tenth of them"
    return None


def _unchanged(ref: ImageRef, seen: Known | Failure) -> bool:
    return ref.size == seen.size and ref.mtime_ns == seen.mtime_ns
