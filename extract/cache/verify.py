"""Is a cache whole, and are the images still those it was made from?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from fc7.extract.cache.commit.index import Entries, RowIndex
from fc7.extract.cache.commit.join import join
from fc7.extract.cache.commit.soundness import unusable_features
from fc7.extract.cache.commit.thumbnail_columns import thumbnail_names
from fc7.extract.cache.format.checksums import checksums_of_rows
from fc7.extract.cache.format.columns import texts
from fc7.extract.cache.format.header import CacheHeader, features_name, open_cache
from fc7.extract.cache.format.sealed_reader import SealedReader
from fc7.extract.cache.remedy import IMAGES, extract_again
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.places.addresses import is_address
from fc7.extract.inputs.tables.list_lines import STDIN
from fc7.extract.records import ImageRef, Listing
from fc7.models.common.errors import CacheCorruptError, ImageError
from fc7.models.common.progress import Progress, Silent
from fc7.models.common.terminal import counted, one_line

_ROW_COLUMNS = ("path", "label", "group", "split", "size", "mtime_ns", "sha256")
_FAILURE_COLUMNS = ("path", "reason", "size", "mtime_ns")
# What `extract` does not need to go on with a cache: features are made anew from the images, and these
# columns come from the listing or from features, or are left out.
_MADE_ANEW = ("features/", "checksums_of_rows/", "label", "group", "split", "thumbnail", "colour")
# Images that are read at the same time lie in memory.
_IMAGES_AT_ONCE = 64


@dataclass(slots=True)
class VerifyReport:
    """What `verify` found.

    Attributes
    ----------
    rows, failures : int
        By the file's own account.
    problems : list of str
        What is wrong with the file; empty if it is whole.
    images : int or None
        How many were looked at; None if none was asked for.
    changed : list of str
        Paths whose content is not what the row was made from.
    missing : list of str
        Paths of rows that are not among the images.
    unreadable : list of str
        Paths of rows whose image cannot be read.
    new : list of str
        Images that are neither row nor failure.
    next_step : str
        What to run, or to do, about all that was found; empty if nothing was.
    """

    path: Path
    rows: int = 0
    failures: int = 0
    problems: list[str] = field(default_factory=list)
    images: int | None = None
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    next_step: str = ""

    @property
    def ok(self) -> bool:
        """The file is whole, and so is what it was made from as far as that was looked at."""
        return not (self.problems or self.changed or self.missing or self.unreadable or self.new)

    def text(self) -> str:
        """For people: a summary, then every finding on a line."""
        state = "damaged" if self.problems else "whole"
        held = f"{counted(self.rows, 'row')}, {counted(self.failures, 'failure')}"
        lines = [f"{self.path}: {state}, {held}"]
        lines += [f"damaged: {problem}" for problem in self.problems]
        if self.images is not None:
            lines.append(
                f"{counted(self.images, 'image')}: {len(self.changed):,} changed, "
                f"{len(self.missing):,} missing, {len(self.unreadable):,} unreadable, {len(self.new):,} new"
            )
            for kind in ("changed", "missing", "unreadable", "new"):
                lines += [f"{kind}: {one_line(path)}" for path in getattr(self, kind)]
        if self.next_step:
            lines.append(f"next: {self.next_step}")
        return "\n".join(lines)


def verify(
    path: str | Path, images: str | Path | Listing | None = None, *, progress: Progress | None = None
) -> VerifyReport:
    """Read every checksum of a cache; with `images`, hash them again.

    Parameters
    ----------
    images : str, Path, Listing or None
        Where the images lie, as it was given to `extract`, or a listing of them.

    Returns
    -------
    VerifyReport
        Damage is reported, not raised.

    Raises
    ------
    CacheError
        If there is no file, or it is no cache, or one of a newer format version.
    UsageError
        If there are no images where they should lie.
    """
    report = VerifyReport(Path(path))
    header: CacheHeader | None = None
    not_finite: dict[str, list[int]] = {}
    beyond_repair = False
    try:
        with open_cache(report.path) as file:
            header = CacheHeader.read(file)
            report.rows, report.failures = header.rows, header.failures
            damage = list(_damage(file, header, not_finite))
            wrong = list(_wrong_counts(file, header))
            report.problems += [*(problem for _, problem in damage), *wrong]
            beyond_repair = bool(wrong) or not all(name.startswith(_MADE_ANEW) for name, _ in damage)
            if not report.problems:
                entries = Entries.read(file, header.identity.layers, {})
                report.problems += _disagreements(file, entries)
                beyond_repair = bool(report.problems)
                report.problems += _named(file, not_finite)
                index = join([entries])
    except CacheCorruptError as exc:
        report.problems.append(str(exc))
        beyond_repair = True
    if report.problems:
        options = ["--force" if beyond_repair else "--repair"]
        if not_finite and header is not None and any(run.get("precision") != "fp32" for run in header.runs):
            options += ["--precision", "fp32"]
        report.next_step = _mending(report.path, header, options)
    elif images is not None:
        _compare(report, index, _listing(images), progress=progress or Silent())
        given = [] if isinstance(images, Listing) else [str(images)]
        report.next_step = _bringing_up_to_date(report, header, given)
    return report


def _damage(
    file: SealedReader, header: CacheHeader, not_finite: dict[str, list[int]]
) -> Iterator[tuple[str, str]]:
    """(Dataset, what is wrong) of everything that fails its checksum; rows that are not finite are noted."""
    features = {features_name(layer): layer for layer in header.identity.layers}
    for name in file.names():
        if name not in features:
            for _, problem in file.damaged(name):
                yield name, str(problem)
            continue
        for rows, damage in unusable_features(file, features[name]):
            if damage is None:
                not_finite.setdefault(features[name], []).extend(rows)
            else:
                yield name, str(damage)


def _mending(path: Path, header: CacheHeader | None, options: Sequence[str]) -> str:
    """What makes a damaged cache whole."""
    does = (
        "makes all of it anew, and keeps this file until that is complete"
        if "--force" in options
        else "redoes what is damaged, and nothing else"
    )
    return f"`{extract_again(path, header, [], *options)}` {does}{_left_open(header, [])}"


def _bringing_up_to_date(report: VerifyReport, header: CacheHeader | None, images: Sequence[str]) -> str:
    """What makes a cache say what its images are now."""
    steps = []
    if report.unreadable:
        steps.append("make the unreadable images readable (their rights, their disk) and verify again")
    if report.changed or report.missing or report.new:
        options = [*["--verify"] * bool(report.changed), *["--remove-missing"] * bool(report.missing)]
        line = extract_again(report.path, header, images, *options)
        steps.append(f"`{line}` takes over what changed{_left_open(header, images)}")
    return "; ".join(steps)


def _left_open(header: CacheHeader | None, images: Sequence[str]) -> str:
    """What a cache does not say of how it was made, for the user to add."""
    given = list(images or (() if header is None else header.roots))
    away = [root for root in given if root != STDIN and not is_address(root) and not Path(root).exists()]
    told = "; add the --labels, --label-by or --group-by that it was made with, if any"
    if header is None:
        told = "; IMAGES are those it was made of, and --network and others as they were given then"
    elif not given or STDIN in given:
        told = f"; {IMAGES} are those it was made of{told}"
    if away:
        told += f"; {', '.join(away[:3])} is not here: run it where that lies, or name where it is now"
    return told


def _wrong_counts(file: SealedReader, header: CacheHeader) -> Iterator[str]:
    """Columns that are not as long as the file says: images = rows + failures."""
    expected = dict.fromkeys(_ROW_COLUMNS, header.rows)
    expected |= {features_name(layer): header.rows for layer in header.identity.layers}
    sums = {checksums_of_rows(features_name(layer)) for layer in header.identity.layers}
    expected |= dict.fromkeys([*thumbnail_names(file), *sums.intersection(file.names())], header.rows)
    expected |= {f"failures/{name}": header.failures for name in _FAILURE_COLUMNS}
    for name, rows in expected.items():
        found = file[name].shape[0]
        if found != rows:
            yield f"{file.path}: dataset {name} has {found} rows, not {rows}"


def _named(file: SealedReader, not_finite: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Rows that are not finite numbers, by their images."""
    for layer, rows in not_finite.items():
        paths = texts(file.take("path", np.array(rows, np.int64)))
        for path in paths:
            yield f"{file.path}: {path}: its {layer} holds NaN or infinity"


def _disagreements(file: SealedReader, entries: Entries) -> Iterator[str]:
    """What does not add up although every byte is as it was written."""
    paths = entries.paths
    for i, j in pairwise(range(len(paths))):
        if paths[i] >= paths[j]:
            yield f"{file.path}: dataset path, row {j}: not sorted, or twice"
            return
    failed = [failure.path for failure in entries.failures]
    if any(a >= b for a, b in pairwise(failed)):
        yield f"{file.path}: the paths of failures are not sorted, or one comes twice"
    for path in failed:
        if paths.find(path.encode()) >= 0:
            yield f"{file.path}: {path} is both a row and a failure"


def _listing(images: str | Path | Listing) -> Listing:
    if isinstance(images, Listing):
        return images
    return list_inputs([images])


def _compare(report: VerifyReport, index: RowIndex, listing: Listing, progress: Progress) -> None:
    report.images = len(listing.images)
    listed = {ref.path for ref in listing.images}
    report.missing = [path for path in index if path not in listed]
    rows = [ref for ref in listing.images if ref.path in index]
    report.new = [
        ref.path for ref in listing.images if ref.path not in index and ref.path not in index.failures
    ]
    progress.start(len(rows), "hashing")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(rows), _IMAGES_AT_ONCE):
            some: Sequence[ImageRef] = rows[start : start + _IMAGES_AT_ONCE]
            for ref, digest in zip(some, pool.map(_digest, some), strict=True):
                if digest is None:
                    report.unreadable.append(ref.path)
                elif digest != index[ref.path].sha256:
                    report.changed.append(ref.path)
            progress.advance(len(some))
    progress.finish()


def _digest(ref: ImageRef) -> str | None:
    try:
        data = ref.origin.read(ref)
    except ImageError:
        return None
    return hashlib.sha256(data if isinstance(data, bytes) else data.tobytes()).hexdigest()
