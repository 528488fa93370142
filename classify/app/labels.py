"""The rows of the feature cache with the labels that corrections give them, as the app shows them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fc7.classify.app.files import AppFiles
from fc7.classify.app.shared import Shared
from fc7.extract.cache.format.header import CacheHeader
from fc7.extract.cache.reader import CacheReader
from fc7.extract.inputs.tables.corrections import Corrections
from fc7.extract.inputs.tables.corrections_history import Change, append_changes
from fc7.extract.inputs.tables.corrections_table import read_corrections
from fc7.extract.records import Failure
from fc7.models.common.errors import CacheError, Fc7Error, UsageError
from fc7.models.common.label_names import in_order
from fc7.models.common.terminal import counted

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class CachedImages:
    """What a feature cache says of its images; row i of each field is the same image.

    Attributes
    ----------
    stamp : tuple of 3 int
        Of the file: another one when it was written anew, and rows may mean other images then.
    labels : list of str
        The cache's own; empty where there is none.
    header : CacheHeader
        What made the features, and where the images lay.
    """

    stamp: Stamp
    paths: list[str]
    sha256: list[str]
    labels: list[str]
    failures: list[Failure]
    header: CacheHeader

    @property
    def name(self) -> str:
        """The stamp as a text, which requests about rows carry."""
        return "-".join(map(str, self.stamp))


@dataclass(frozen=True, slots=True)
class Labelled:
    """The images with their labels of now.

    Attributes
    ----------
    labels : list of str
    taken_out : frozenset of int
        Rows that corrections take out.
    corrected : dict of int to str
        Row -> label that corrections give it in place of the cache's; empty if they take it out.
    """

    images: CachedImages
    labels: list[str]
    taken_out: frozenset[int]
    corrected: dict[int, str]

    @property
    def n_corrected(self) -> int:
        """Images that corrections change."""
        return len(self.corrected)

    @property
    def classes(self) -> dict[str, int]:
        """Label -> images, in the order in which labels are always shown."""
        counts = Counter(label for label in self.labels if label)
        return {label: counts[label] for label in in_order(counts)}

    @property
    def unlabelled(self) -> list[int]:
        """Rows without a label that are not taken out."""
        return [row for row, label in enumerate(self.labels) if not label and row not in self.taken_out]


class Labels:
    """Reads both files when they change, and adds to the corrections."""

    def __init__(self, files: AppFiles, shared: Shared) -> None:
        self._files, self._shared = files, shared
        self._lock = threading.RLock()
        self._images: CachedImages | None = None
        self._labelled: tuple[Stamp | None, Labelled] | None = None
        self._steps: list[tuple[str, list[Change]]] = []
        if files.corrections.is_file():
            # Also removes what a kill may have left of a line.
            for note in append_changes(files.corrections, []):
                shared.note(note, "warning")

    @property
    def can_undo(self) -> str | None:
        """What the next `undo` takes back, for people."""
        with self._lock:
            return self._steps[-1][0] if self._steps else None

    def labelled(self) -> Labelled | None:
        """Images and labels; None as long as there is no feature cache.

        Raises
        ------
        Fc7Error
            If the cache is damaged.
        """
        with self._lock:
            images = self._cached()
            if images is None:
                return None
            stamp = stamp_of(self._files.corrections)
            if self._labelled is None or self._labelled[0] != stamp or self._labelled[1].images is not images:
                self._labelled = stamp, self._corrected(images, stamp)
            return self._labelled[1]

    def relabel(self, rows: Sequence[int], label: str | None, cache: str) -> int:
        """Keep the right label of some images; how many change by it.

        Parameters
        ----------
        label : str or None
            Empty takes them out; None takes back what was decided of them.
        cache : str
            `CachedImages.name` of what the rows were shown of.

        Raises
        ------
        UsageError
            If the cache is another one by now, or has no such rows.
        Fc7Error
            If it cannot be kept.
        """
        with self._lock:
            now = self._shown(cache)
            if any(not 0 <= row < len(now.labels) for row in rows):
                raise UsageError(
                    f"a row of {len(now.labels)} was expected, and another was named; reload the page"
                )
            if label is None:
                changing = list(rows)
            elif label:
                changing = [row for row in rows if now.labels[row] != label]
            else:
                changing = [row for row in rows if row not in now.taken_out]
            if not changing:
                return 0
            about = counted(len(changing), "image")
            what = "decisions taken back" if label is None else f"now {label!r}" if label else "taken out"
            self._keep(now, [(row, label) for row in changing], f"{about} {what}")
            return len(changing)

    def accept(self, guesses: Sequence[tuple[int, str]], cache: str) -> int:
        """Give unlabelled images the labels that were guessed; one step to undo.

        Raises
        ------
        UsageError, Fc7Error
            As `relabel`.
        """
        with self._lock:
            now = self._shown(cache)
            free = set(now.unlabelled)
            accepted: list[tuple[int, str | None]] = [(row, label) for row, label in guesses if row in free]
            if accepted:
                self._keep(now, accepted, f"{counted(len(accepted), 'guess', 'guesses')} accepted")
            return len(accepted)

    def undo(self) -> str:
        """Take back the last decision of this run of the app; what it was.

        Raises
        ------
        UsageError
            If there is none.
        """
        with self._lock:
            if not self._steps:
                raise UsageError("nothing is left to undo; earlier decisions can be changed image by image")
            text, changes = self._steps[-1]
            append_changes(self._files.corrections, changes)
            self._steps.pop()
            self._shared.changed()
            return text

    def _keep(self, now: Labelled, decided: Sequence[tuple[int, str | None]], text: str) -> None:
        images = now.images
        changes = [
            Change(images.paths[row], images.sha256[row], label or "", undone=label is None)
            for row, label in decided
        ]
        # What was decided before comes back; where nothing was, the cache's own label does.
        back = [
            Change(change.path, change.sha256, now.corrected.get(row, ""), undone=row not in now.corrected)
            for change, (row, _) in zip(changes, decided, strict=True)
        ]
        append_changes(self._files.corrections, changes)
        self._steps.append((text, back))
        self._shared.changed()

    def _shown(self, cache: str) -> Labelled:
        now = self.labelled()
        if now is None or now.images.name != cache:
            raise UsageError(
                "the feature cache was written anew since the page showed it; look again, then repeat"
            )
        return now

    def _cached(self) -> CachedImages | None:
        stamp = stamp_of(self._files.features)
        if stamp is None:
            self._images = None
        elif self._images is None or self._images.stamp != stamp:
            with CacheReader(self._files.features) as reader:
                columns = reader.columns()
                self._images = CachedImages(
                    stamp,
                    paths=columns.path,
                    sha256=columns.sha256,
                    labels=columns.label,
                    failures=reader.failures(),
                    header=reader.header,
                )
            # Rows may be others now; what was decided is known by path and content and stays.
            self._shared.changed()
        return self._images

    def _corrected(self, images: CachedImages, stamp: Stamp | None) -> Labelled:
        corrections = Corrections("", ())
        if stamp is not None:
            corrections = read_corrections(self._files.corrections)
        try:
            labels, done = corrections.over(images.paths, images.sha256, images.labels)
        except CacheError:
            raise
        except Fc7Error as exc:
            # None of its images is here yet: perhaps they are extracted next.
            self._shared.note(str(exc), "warning")
            return Labelled(images, images.labels, frozenset(), corrected={})
        corrected = {image.row: image.label for image in done.images}
        return Labelled(
            images, labels, frozenset(row for row, new in corrected.items() if not new), corrected=corrected
        )


def stamp_of(path: Path) -> Stamp | None:
    """What changes when a file does; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
