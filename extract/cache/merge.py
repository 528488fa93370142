"""Two caches of one network become one."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fc7.extract.cache.commit.index import Entries
from fc7.extract.cache.commit.join import join
from fc7.extract.cache.commit.row_locations import RowLocations
from fc7.extract.cache.commit.write import CommitResult, Contents, header_of, write_cache
from fc7.extract.cache.format import files
from fc7.extract.cache.format.header import CacheHeader, Run, merged_runs, open_cache
from fc7.extract.cache.format.lock import Lock
from fc7.extract.cache.format.sources import Sources
from fc7.extract.cache.reader import CacheReader, RowColumns
from fc7.extract.kinds import FEATURE_CACHE
from fc7.extract.records import Failure
from fc7.models.common.errors import MismatchError, UsageError
from fc7.models.common.progress import Progress, Silent
from fc7.models.outputs.outputs import CallFiles, Destination, Output


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the merged cache."""

    path: str
    label: str
    group: str
    split: str
    size: int
    mtime_ns: int
    sha256: str


def merge(
    first: str | Path,
    second: str | Path,
    out: Destination,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> CommitResult:
    """Put the rows of two caches into one.

    A path that is in both counts once, if its content is the same; then a label, group or split
    that one of them lacks is taken from the other, and features from the first. An image that is
    a row in one and a failure in the other is a row.

    Parameters
    ----------
    out : str, Path or Output
        Neither of the two.
    force : bool
        Replace what stands at `out`, a cache or not.

    Raises
    ------
    MismatchError
        If the two hold different layers, or features of different networks.
    UsageError
        If they have different images or labels under one path, or something stands at `out`.
    CacheError, CacheCorruptError, CacheLockedError
        If one cannot be read, or `out` not written; then it is as it was.
    """
    paths = (Path(first), Path(second))
    out = CallFiles(paths, force=force).claim(out, FEATURE_CACHE, spare=_whole)
    target = out.place.target
    lock = Lock(files.lock_path(target), out.path)
    lock.acquire()
    try:
        return _merge(paths, out, progress or Silent())
    except OSError as exc:
        raise files.write_error(out.path, exc) from exc
    finally:
        files.remove(files.tmp_path(target))
        lock.release()


def _whole(_: Path) -> str:
    return "which a merge would replace, not add to"


def _merge(paths: tuple[Path, Path], out: Output, progress: Progress) -> CommitResult:
    with CacheReader(paths[0]) as one, CacheReader(paths[1]) as two:
        headers = [one.header, two.header]
        _check_same_network(paths, headers)
        rows = _merged_rows(paths, one.columns(), two.columns())
        failures = _merged_failures(rows, one.failures(), two.failures())
    entries = []
    for path, header in zip(paths, headers, strict=True):
        with open_cache(path) as file:
            found = Entries.read(file, header.identity.layers, {})
            entries.append(dataclasses.replace(found, failures=[]))
    index = join(entries)
    header = header_of(
        headers[0].identity,
        "float16" if all(header.storage == "float16" for header in headers) else "float32",
        Contents(rows, failures, tuple(dict.fromkeys(root for header in headers for root in header.roots))),
        runs=_merged_runs(headers, len(rows)),
    )
    temporary = files.tmp_path(out.place.target)
    with Sources([lambda: open_cache(paths[0]), lambda: open_cache(paths[1])]) as sources:
        locations = RowLocations(rows, index.source, index.row)
        write_cache(temporary, header, locations, failures=failures, sources=sources, progress=progress)
    out.put(temporary)
    return CommitResult(len(rows), len(failures), written=True)


def _check_same_network(paths: tuple[Path, Path], headers: Sequence[CacheHeader]) -> None:
    one, two = (header.identity for header in headers)
    if set(one.layers) != set(two.layers):
        raise MismatchError(
            f"{paths[0]} holds {', '.join(one.layers)} and {paths[1]} {', '.join(two.layers)}; "
            "a merge needs the same layers: extract --layer adds those that are missing"
        )
    one.require(two, f"{paths[1]}, unlike {paths[0]},", "only feature caches of one network can be merged")


def _merged_rows(paths: tuple[Path, Path], one: RowColumns, two: RowColumns) -> list[_Row]:
    rows: list[_Row] = []
    conflicts: list[str] = []
    for row in heapq.merge(_rows(one), _rows(two), key=lambda row: row.path):
        if not rows or rows[-1].path != row.path:
            rows.append(row)
        elif rows[-1].sha256 != row.sha256:
            conflicts.append(f"{row.path} (different images)")
        else:
            before = rows[-1]
            texts = {}
            for field in ("label", "group", "split"):
                old, new = getattr(before, field), getattr(row, field)
                if old and new and old != new:
                    conflicts.append(f"{row.path} ({field} {old!r} and {new!r})")
                texts[field] = old or new
            rows[-1] = dataclasses.replace(row, **texts)
    if conflicts:
        more = f" and {len(conflicts) - 3} more" if len(conflicts) > 3 else ""
        raise UsageError(
            f"{paths[0]} and {paths[1]} disagree on {'; '.join(conflicts[:3])}{more}; "
            "extract the images of both from one folder above them, so that each path means one image"
        )
    return rows


def _merged_runs(headers: Sequence[CacheHeader], n_rows: int) -> tuple[Run, ...]:
    """How the rows were made: the first file's, and of the second's as many as it brings in.

    Which those are no row says. Two caches that share rows mostly share the run that made them, so the runs
    of the second that the first does not know come first.
    """
    one, two = headers
    known = list(map(_about, one.runs))
    left = n_rows - one.rows
    runs = list(one.runs)
    for run in sorted(two.runs, key=lambda run: _about(run) in known):
        brought = min(int(run["rows"]), left)
        runs.append({**run, "rows": brought})
        left -= brought
    return merged_runs(runs)


def _about(run: Run) -> dict[str, str | int]:
    return {key: value for key, value in run.items() if key != "rows"}


def _rows(columns: RowColumns) -> Iterator[_Row]:
    return map(
        _Row,
        columns.path,
        columns.label,
        columns.group,
        columns.split,
        columns.size.tolist(),
        columns.mtime_ns.tolist(),
        columns.sha256,
    )


def _merged_failures(rows: Sequence[_Row], one: Sequence[Failure], two: Sequence[Failure]) -> list[Failure]:
    failures = {failure.path: failure for failure in [*two, *one]}
    for row in rows:
        failures.pop(row.path, None)
    return [failures[path] for path in sorted(failures)]
