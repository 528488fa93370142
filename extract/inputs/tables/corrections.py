"""Corrections: a table of images and their right labels, which goes before the labels of a feature cache.

The form is that of the table of `--labels` (`extract.inputs.tables.manifests`), with these differences:

==========  =================================================================================
columns     ``path`` or ``sha256`` or both, and ``label``. All others are left alone, those of
            `suspects --csv` and `duplicates --csv` too, whose tables are corrections as they are
label       the right one; empty takes the image out. One that the image has already corrects nothing
repeated    an image may be named again with the same label
changed     makes the table a history (`extract.inputs.tables.corrections_history`): the last line counts
==========  =================================================================================

Where path and content disagree the content counts: it is what somebody looked at when writing the label, and
a file of that name may have become another image since. With both, only the image at that path is meant, of
copies too; a content alone means every image that has it.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fc7.extract.inputs.places.folders import escape
from fc7.extract.inputs.tables.corrections_history import CHANGED, UNDONE, without_torn_line
from fc7.extract.inputs.tables.manifests import (
    ID_NAMES,
    LABEL_NAMES,
    PATH_NAMES,
    column,
    list_mistakes,
    records,
    separator_of,
    text_of,
    wrong_count,
)
from fc7.models.common.errors import UsageError
from fc7.models.common.label_names import some
from fc7.models.common.terminal import counted
from fc7.models.common.unicode_forms import normal

OPTION = "--corrections"
_CONTENT = "sha256"
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Correction:
    """The right label of an image.

    Attributes
    ----------
    line : int
        Where it begins in the file; the first line is 1.
    path, sha256 : str
        At least one is not empty.
    label : str
        Empty takes the image out.
    """

    line: int
    path: str
    sha256: str
    label: str

    @property
    def name(self) -> str:
        """The image in a message."""
        return repr(self.path or self.sha256)


@dataclass(frozen=True, slots=True)
class CorrectedImage:
    """An image whose label is another now; `label` is empty if it was taken out."""

    row: int
    path: str
    sha256: str
    label: str


@dataclass(frozen=True, slots=True)
class Corrected:
    """What corrections did to the labels of some images.

    Attributes
    ----------
    file : str
        Where they came from, as it was given.
    sha256 : str
        `Corrections.sha256`.
    images : tuple of CorrectedImage
        By row. Those that had the label already are none of them.
    notes : tuple of str
        What was passed over, a sentence each.
    """

    file: str
    sha256: str
    images: tuple[CorrectedImage, ...]
    notes: tuple[str, ...] = ()

    @property
    def n_removed(self) -> int:
        """Images that were taken out."""
        return sum(not image.label for image in self.images)

    @property
    def lines(self) -> list[str]:
        """How many labels are others now, and what was passed over: what a command says."""
        labels = counted(len(self.images) - self.n_removed, "label")
        return [
            f"{labels} corrected, {counted(self.n_removed, 'image')} taken out ({self.file})",
            *self.notes,
        ]

    def to_json(self) -> dict[str, object]:
        """For programs, and for the classifier: an absolute path by its name, as folders are the user's."""
        return {
            "file": Path(self.file).name if Path(self.file).is_absolute() else self.file,
            "sha256": self.sha256,
            "labels_corrected": len(self.images) - self.n_removed,
            "images_taken_out": self.n_removed,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Corrections:
    """A file of corrections that was read without a mistake; use `read_corrections`.

    Attributes
    ----------
    decided : bool
        Somebody wrote each line by itself: an empty label takes out an unlabelled image too.
    """

    file: str
    rows: tuple[Correction, ...]
    decided: bool = False

    @cached_property
    def sha256(self) -> str:
        """Of what it says: the same for the same images and labels in any order and any form of table."""
        said = sorted({(row.path, row.sha256, row.label) for row in self.rows})
        return hashlib.sha256(json.dumps(said).encode("ascii")).hexdigest()

    def over(
        self, paths: Sequence[str], sha256: Sequence[str], labels: Sequence[str]
    ) -> tuple[list[str], Corrected]:
        """The labels that images have with these corrections.

        Parameters
        ----------
        paths, sha256, labels : sequence of n str
            Of each image; paths are unique, and hashes and labels empty where there is none.

        Returns
        -------
        list of n str
        Corrected

        Raises
        ------
        UsageError
            If no line names an image, or two give one image different labels.

        Examples
        --------
        >>> rows = Correction(2, "a.png", "", "dog"), Correction(3, "b.png", "", "")
        >>> fixes = Corrections("fixes.csv", rows)
        >>> labels, corrected = fixes.over(["a.png", "b.png", "c.png"], [""] * 3, ["cat"] * 3)
        >>> labels, corrected.lines
        (['dog', '', 'cat'], ['1 label corrected, 1 image taken out (fixes.csv)'])
        """
        found = _Images(paths, sha256)
        chosen: dict[int, Correction] = {}
        mistakes, unknown, other = list[str](), list[str](), list[str]()
        for row in self.rows:
            at, is_other = found.named(row)
            if is_other:
                other.append(row.name)
            elif not at:
                unknown.append(row.name)
            for i in at:
                known = chosen.setdefault(i, row)
                if known.label != row.label:
                    mistakes.append(_contradiction(row, known))
        if mistakes:
            raise UsageError(list_mistakes(self.file, mistakes))
        if self.rows and not chosen:
            like = f"the images are like {paths[0]!r}" if paths else "no image was given"
            raise UsageError(
                f"{OPTION} {self.file}: none of its {len(self.rows)} lines names an image that is there. It "
                f"names {self.rows[0].name}, {like}; paths are those of the feature cache, as suspects --csv "
                "writes them"
            )
        changed = [
            CorrectedImage(i, paths[i], sha256[i], chosen[i].label)
            for i in sorted(chosen)
            if chosen[i].label != normal(labels[i]) or (self.decided and not chosen[i].label)
        ]
        right = list(labels)
        for image in changed:
            right[image.row] = image.label
        return right, Corrected(self.file, self.sha256, tuple(changed), self._notes(unknown, other))

    def _notes(self, unknown: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
        n = len(self.rows)
        notes = []
        if unknown:
            notes.append(
                f"{len(unknown)} of {n} lines of {self.file} name no image that is there: {some(unknown)}"
            )
        if other:
            notes.append(
                f"{len(other)} of {n} lines of {self.file} name a path that holds another image now than the "
                f"one whose sha256 they give; that image was corrected if it is there: {some(other)}"
            )
        return tuple(notes)


class _Images:
    """Images to be found by path and by content."""

    def __init__(self, paths: Sequence[str], sha256: Sequence[str]) -> None:
        self._sha256 = sha256
        self._by_path = {path: i for i, path in enumerate(paths)}
        self._by_form: dict[str, int] = {}
        self._by_content: dict[str, list[int]] = {}

    def named(self, row: Correction) -> tuple[list[int], bool]:
        """The images that a line means, and whether its path holds another one than its content says."""
        at = self._at(row.path) if row.path else None
        if not row.sha256:
            return ([] if at is None else [at]), False
        if at is not None and self._sha256[at] in (row.sha256, ""):
            return [at], False
        if not self._by_content:
            found = defaultdict[str, list[int]](list)
            for i, digest in enumerate(self._sha256):
                found[digest].append(i)
            self._by_content = found
        return self._by_content.get(row.sha256, []), at is not None

    def _at(self, path: str) -> int | None:
        """As it is written, else in the form that caches write: slashes, and NFC of Unicode's two forms."""
        if path in self._by_path:
            return self._by_path[path]
        if not self._by_form:
            self._by_form = {normal(one): i for one, i in self._by_path.items()}
        return self._by_form.get(normal(posixpath.normpath(path.replace("\\", "/"))))


def corrections_given(given: Corrections | str | Path | None) -> Corrections | None:
    """Corrections in whichever form a caller has them; a file is read.

    Raises
    ------
    SourceError, UsageError
        As `read_corrections`.
    """
    return given if isinstance(given, Corrections | None) else read_corrections(Path(given))


def read_corrections(path: Path) -> Corrections:
    """Read a file of corrections; see the table at the top. Without a line it corrects nothing.

    Raises
    ------
    SourceError
        If it cannot be read or is not UTF-8.
    UsageError
        If it is not there, its header lacks a column, or lines are wrong; these are named with their numbers.
    """
    name = escape(str(path))
    text = text_of(path, name, OPTION)
    is_history = CHANGED in text.partition("\n")[0].strip().lower().split(",")
    text = without_torn_line(text) if is_history else text
    keys = (*PATH_NAMES, *ID_NAMES, _CONTENT)
    mistakes = list[str]()
    lines = records(text, separator_of(text, path, keys), mistakes)
    _, header = next(lines, (1, []))
    names = [field.strip().lower() for field in header]
    by_path = not set(names).isdisjoint((*PATH_NAMES, *ID_NAMES))
    if not by_path and _CONTENT not in names:
        raise UsageError(
            f"{OPTION} {name}: the first line is {', '.join(names[:8]) or 'empty'}; a header with the "
            "columns path,label or sha256,label is needed, as suspects --csv writes it"
        )
    columns = (
        column(names, PATH_NAMES, name, ID_NAMES) if by_path else None,
        names.index(_CONTENT) if _CONTENT in names else None,
        column(names, LABEL_NAMES, name),
    )
    undone = names.index(UNDONE) if is_history and UNDONE in names else None
    rows, latest = list[Correction](), dict[str, Correction]()
    for line, fields in lines:
        why = wrong_count(fields, len(names))
        if why is None:
            image, content, label = ("" if at is None else fields[at] for at in columns)
            image = image if image.strip() else ""
            row = Correction(line, image, content.strip().lower(), normal(label.strip()))
            why = _why_wrong(row)
        if why is not None:
            mistakes.append(f"line {line}: {why}")
        elif is_history:
            latest.pop(row.path or row.sha256, None)
            if undone is None or not fields[undone].strip():
                latest[row.path or row.sha256] = row
        else:
            rows.append(row)
    rows += latest.values()
    mistakes += _contradictions(rows)
    if mistakes:
        raise UsageError(list_mistakes(name, mistakes))
    return Corrections(name, tuple(rows), is_history)


def _why_wrong(row: Correction) -> str | None:
    if not row.path and not row.sha256:
        return "no path and no sha256"
    if row.sha256 and not _DIGEST.fullmatch(row.sha256):
        return f"sha256 {row.sha256!r}; 64 hexadecimal digits are needed, or nothing"
    return None


def _contradictions(rows: Iterable[Correction]) -> list[str]:
    """Of lines that name one image and give it different labels."""
    first: dict[str, Correction] = {}
    return [
        _contradiction(row, known)
        for row in rows
        if (known := first.setdefault(row.path or row.sha256, row)).label != row.label
    ]


def _contradiction(row: Correction, known: Correction) -> str:
    return f"line {row.line}: {row.name} is {row.label!r} here, {known.label!r} in line {known.line}"
