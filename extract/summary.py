"""What an extraction says when it is done, for people and for programs."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fc7.extract.clock import Clock
from fc7.extract.kinds import FAILURE_COLUMNS, FAILURES
from fc7.extract.records import Failure, Listing
from fc7.models.common.durable import explained
from fc7.models.common.label_names import in_order
from fc7.models.common.program import command_line
from fc7.models.common.progress import Notify
from fc7.models.common.terminal import counted, one_line
from fc7.models.outputs.outputs import Destination, claimed

_FAILURES_SHOWN = 20
_CLASSES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ExtractSummary:
    """What a run found and did; images = rows + failures, always.

    Attributes
    ----------
    out : Path
        The cache.
    images, rows : int
        All images, and those that have a row in the cache now.
    failures : list of Failure
        Every image of the listing that has no row, with its reason.
    stale : list of Failure
        Images that cannot be looked at now, with the reason; each keeps the row that it had.
    extracted, reused, copied, moved, removed : int
        Rows made now, kept, taken from an image of the same content, the same where that image is gone, and
        dropped because their image is gone.
    ignored : dict of str to int
        File suffix -> how many files that are no images.
    seconds : float
        Of the whole call.
    trained : bool
        False for a network with random weights.
    engine : str or None
        Provider and precision; None if the network was not needed.
    written : bool
        False if the file already said all this.
    nodes : mapping of str to (int, float)
        On a cluster, for each node its name, the images it did and the seconds it worked.
    hint : str or None
        What would make the next run faster (`extract.hints`).
    classes : mapping of str to int
        Label -> rows, in the order of classes.
    unlabelled : str or None
        Path of the first row without a label.
    """

    out: Path
    images: int
    rows: int
    failures: list[Failure]
    stale: list[Failure]
    extracted: int
    reused: int
    copied: int
    moved: int
    removed: int
    ignored: dict[str, int]
    seconds: float
    clock: Clock
    network: str
    trained: bool
    engine: str | None
    written: bool
    nodes: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    hint: str | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    unlabelled: str | None = None

    def __repr__(self) -> str:
        failed = counted(len(self.failures), "failure")
        counts = f"{counted(self.images, 'image')}, {counted(self.rows, 'row')}, {failed}"
        return (
            f"ExtractSummary({str(self.out)!r}: {counts}, {self.extracted} extracted, {self.reused} reused)"
        )

    @property
    def unread(self) -> int:
        """Images that could not be read now, whether a row of theirs was kept or not."""
        return len(self.failures) + len(self.stale)

    @property
    def rate(self) -> float:
        """Images per second of those that were extracted now."""
        return self.extracted / self.seconds if self.seconds else 0.0


def summary_text(summary: ExtractSummary) -> str:
    """A few lines: the failures with their reasons, what was ignored, counts and speed, the file."""
    lines = [f"skipped {failure.text}" for failure in summary.failures[:_FAILURES_SHOWN]]
    more = len(summary.failures) - _FAILURES_SHOWN
    if more > 0:
        lines.append(f"skipped {more} more; --failures-csv FILE lists them all")
    stale = summary.stale[:_FAILURES_SHOWN]
    lines += [f"kept the earlier row of {failure.text}" for failure in stale]
    if len(summary.stale) > len(stale):
        lines.append(f"kept the rows of {len(summary.stale) - len(stale)} more; --json lists them all")
    if summary.ignored:
        lines.append(_ignored(summary.ignored))
    parts = [counted(summary.images, "image"), counted(summary.rows, "row")]
    parts += [counted(len(summary.failures), "failure")]
    parts += [f"{summary.reused} reused"]
    parts += [f"{len(summary.stale)} kept though unreadable now"] if summary.stale else []
    parts += [f"{summary.copied} copied"] if summary.copied else []
    parts += [f"{summary.moved} moved"] if summary.moved else []
    parts += [f"{summary.removed} removed"] if summary.removed else []
    parts += [f"{summary.seconds:.1f} s"]
    if summary.extracted:
        parts += [f"{summary.rate:.0f} images/s", f"slowest: {summary.clock.bottleneck}"]
        parts[-1] += f" ({summary.clock.describe()})"
        parts[-1] += f"; {summary.hint}" if summary.hint else ""
    parts += nodes_text(summary.nodes)
    lines.append(", ".join(parts))
    lines += _classes_text(summary)
    kept = "wrote" if summary.written else "nothing changed in"
    lines.append(f"{kept} {summary.out}")
    return "\n".join(lines)


def failed_text(summary: ExtractSummary) -> str:
    """What to say at the end where some images, or all, could not be read, and how to go on."""
    if not summary.rows:
        images = counted(summary.images, "image")
        return f"none of {images} gave a row; the first: {summary.failures[0].text}"
    return (
        f"{summary.unread} of {summary.images} images could not be read (the first: "
        f"{(summary.failures or summary.stale)[0].text}); fit can go on with "
        f"{counted(summary.rows, 'row')}: {command_line('fit', summary.out)}; --max-failures "
        f"{summary.unread} allows so many"
    )


def note_ignored(listing: Listing, notify: Notify) -> None:
    """Say what a listing passed over: ``not images: 2 .txt, 1 hidden``."""
    if listing.ignored:
        notify(_ignored(listing.ignored))


def _ignored(ignored: Mapping[str, int]) -> str:
    kinds = (f"{n} {one_line(suffix) or 'without suffix'}" for suffix, n in sorted(ignored.items()))
    return f"not images: {', '.join(kinds)}"


def summary_json(summary: ExtractSummary) -> dict[str, object]:
    """The same for a program."""
    return {
        "out": str(summary.out),
        "images": summary.images,
        "rows": summary.rows,
        "failures": [{"path": failure.path, "reason": failure.reason} for failure in summary.failures],
        "stale": [{"path": failure.path, "reason": failure.reason} for failure in summary.stale],
        "extracted": summary.extracted,
        "reused": summary.reused,
        "copied": summary.copied,
        "moved": summary.moved,
        "removed": summary.removed,
        "ignored": summary.ignored,
        "classes": dict(summary.classes),
        "seconds": round(summary.seconds, 3),
        "images_per_second": round(summary.rate, 1),
        "stage_seconds": {
            "decode": round(summary.clock.decode, 3),
            "inference": round(summary.clock.inference, 3),
            "write": round(summary.clock.write, 3),
        },
        "network": summary.network,
        "trained": summary.trained,
        "engine": summary.engine,
        "written": summary.written,
        "hint": summary.hint,
        "nodes": nodes_json(summary.nodes),
    }


def count_classes(labels: Iterable[str | None]) -> dict[str, int]:
    """Label -> how many there are, in the order of classes; None does not count."""
    counts = Counter(label for label in labels if label)
    return {label: counts[label] for label in in_order(counts)}


def _classes_text(summary: ExtractSummary) -> list[str]:
    classes, rows = summary.classes, summary.rows
    if not rows:
        return []
    shown = ", ".join(f"{label!r} {count}" for label, count in list(classes.items())[:_CLASSES_SHOWN])
    more = len(classes) - _CLASSES_SHOWN
    text = counted(len(classes), "class", "classes")
    text += f": {shown}" if shown else ""
    text += f" and {more} more" if more > 0 else ""
    if summary.unlabelled is None:
        return [text]
    without = rows - sum(classes.values())
    first = f"{one_line(summary.unlabelled)}{' first' if without > 1 else ''}"
    return [
        f"{text}; {counted(without, 'row has', 'rows have')} no label",
        f"without a label: {first}; a label is the name of the folder around an image, below the folder "
        "that is given; else give --labels or --label-by",
    ]


def nodes_text(nodes: Mapping[str, tuple[int, float]]) -> list[str]:
    """What each node of a cluster did: ``node-1 640 at 52 images/s``."""
    return [
        f"{name} {images} at {images / seconds if seconds else 0:.0f} images/s"
        for name, (images, seconds) in sorted(nodes.items())
    ]


def nodes_json(nodes: Mapping[str, tuple[int, float]]) -> list[dict[str, object]]:
    """The same for a program."""
    return [
        {"node": name, "images": images, "images_per_second": round(images / seconds if seconds else 0, 1)}
        for name, (images, seconds) in sorted(nodes.items())
    ]


def write_failures_csv(failures: list[Failure], out: Destination) -> Path:
    """All failures as ``path,reason``.

    Raises
    ------
    UsageError
        If something else stands there.
    Fc7Error
        If it cannot be written.
    """
    out = claimed(out, FAILURES, "--failures-csv")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(FAILURE_COLUMNS)
    writer.writerows([failure.path, failure.reason] for failure in failures)
    with explained(out.path, out.option):
        return out.write(text.getvalue().encode("utf-8", "surrogateescape"))
