"""What is in a cache, without reading a row."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from fc7.extract.cache.format.files import list_segments, lock_path, work_path
from fc7.extract.cache.format.header import CacheHeader, Run, open_cache
from fc7.models.common.terminal import counted, one_line


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """A cache in one screen.

    Attributes
    ----------
    size : int
        Bytes of the file.
    written : datetime
        When, in the local time zone.
    segments : int
        Finished segments that an interrupted run left.
    writer : str or None
        Who holds the lock.
    """

    path: Path
    header: CacheHeader
    format_version: int
    size: int
    written: datetime.datetime
    segments: int
    writer: str | None

    def text(self) -> str:
        """For people: one screen."""
        header = self.header
        identity = header.identity
        trained = "" if identity.trained else " (random weights: features only good for trying the tool)"
        classes = counted(header.classes, "class", "classes")
        lines = [
            ("file", f"{self.path}, {self.size / 1e6:,.1f} MB, format version {self.format_version}"),
            ("written", f"{self.written:%Y-%m-%d %H:%M:%S %z} by fc7 {header.tool_version}"),
            ("images", f"{header.rows + header.failures:,}"),
            ("rows", f"{header.rows:,}, {header.labelled:,} labelled, {classes}"),
            ("failures", f"{header.failures:,}"),
            *_stale_lines(header),
            ("network", f"{identity.network}{trained}"),
            *(
                ("layer", f"{layer}, {identity.dims[layer]:,} x {header.storage}")
                for layer in identity.layers
            ),
            ("pool", identity.pool),
            ("preprocess", identity.preprocess.describe()),
            ("fingerprint", identity.fingerprint),
            *(("root", root) for root in header.roots),
            *(("run", _run_text(run)) for run in header.runs),
        ]
        if self.segments:
            lines.append(
                ("unfinished", f"{counted(self.segments, 'segment')}; run the same extract again to go on")
            )
        if self.writer:
            lines.append(("locked by", self.writer))
        return "\n".join(f"{name:<12}{one_line(value)}" for name, value in lines)

    def to_dict(self) -> dict[str, object]:
        """For programs: plain values, ready for JSON."""
        header = self.header
        identity = header.identity
        return {
            "path": str(self.path),
            "bytes": self.size,
            "format_version": self.format_version,
            "written": self.written.isoformat(),
            "tool_version": header.tool_version,
            "rows": header.rows,
            "failures": header.failures,
            "stale": header.stale,
            "stale_rows": [{"path": path, "reason": reason} for path, reason in header.stale_rows],
            "labelled": header.labelled,
            "classes": header.classes,
            "network": identity.network,
            "trained": identity.trained,
            "fingerprint": identity.fingerprint,
            "layers": [
                {
                    "name": layer,
                    "dim": identity.dims[layer],
                    "dtype": header.storage,
                    "fingerprint": identity.fingerprints[layer],
                }
                for layer in identity.layers
            ],
            "pool": identity.pool,
            "preprocessing": identity.preprocess.to_json(),
            "roots": list(header.roots),
            "runs": [dict(run) for run in header.runs],
            "segments": self.segments,
            "writer": self.writer,
        }


def _stale_lines(header: CacheHeader) -> list[tuple[str, str]]:
    """Rows whose images could not be looked at: how many, and the first by name."""
    if not header.stale:
        return []
    more = header.stale - len(header.stale_rows)
    named = [("", f"{path}: {reason}") for path, reason in header.stale_rows]
    others = [("", f"and {more:,} more")] if more else []
    return [("stale", f"{header.stale:,} of the rows: the last run could not look at"), *named, *others]


def _run_text(run: Run) -> str:
    about = ", ".join(f"{key} {value}" for key, value in sorted(run.items()) if key != "rows")
    return f"{counted(int(run.get('rows', 0)), 'row')}: {about or 'nothing recorded'}"


def describe(path: str | Path) -> CacheInfo:
    """What is in a cache; no row is read, so it takes no longer for a large one.

    Raises
    ------
    CacheError
        If there is no cache, or one of a newer format version.
    CacheCorruptError
        If what it says of itself is damaged.
    """
    path = Path(path)
    with open_cache(path) as file:
        header = CacheHeader.read(file)
        version = file.format_version
    stat = path.stat()
    real = path.resolve()
    return CacheInfo(
        path=path,
        header=header,
        format_version=version,
        size=stat.st_size,
        written=datetime.datetime.fromtimestamp(stat.st_mtime).astimezone(),
        segments=len(list_segments(work_path(real))),
        writer=_writer(lock_path(real)),
    )


def _writer(lock: Path) -> str | None:
    if not lock.exists():
        return None
    # A cache is seldom locked, and to tell who holds a lock loads processes and files.
    from fc7.extract.cache.format.lock import Owner

    owner = Owner.read(lock)
    return owner.describe() if owner is not None and not owner.is_dead() else None
