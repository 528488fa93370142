"""Corrections: images and their right labels, which go before the labels of a feature cache.

Where path and content disagree the content counts: it is what somebody looked at when writing the label, and
a file of that name may have become another image since. With both, only the image at that path is meant, of
copies too; a content alone means every image that has it.

`extract.inputs.tables.corrections_table` reads the file that they are in.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fc7.extract.inputs.tables.manifests import list_mistakes
from fc7.models.common.errors import UsageError
from fc7.models.common.label_names import some
from fc7.models.common.terminal import counted
from fc7.models.common.unicode_forms import normal

OPTION = "--corrections"


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
    undone : bool
        Whether it takes earlier lines of the image back, whatever its label.
    """

    line: int
    path: str
    sha256: str
    label: str
    undone: bool = False

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
    ordered : bool
        Whether a row goes before the earlier ones of an image; where it does not, two labels of one image
        contradict each other.
    notes : tuple of str
        What was passed over when it was read, a sentence each.
    """

    file: str
    rows: tuple[Correction, ...]
    decided: bool = False
    ordered: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """Of what it says: the same for the same images and labels in any form of table, and in any order
        where that does not matter.
        """
        said = [(row.path, row.sha256, *(() if row.undone else (row.label,))) for row in self.rows]
        if not self.ordered:
            said = sorted(set(said))
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
        is_named = False
        for row in self.rows:
            at, is_other = found.named(row)
            is_named |= bool(at)
            if row.undone:
                for i in at:
                    chosen.pop(i, None)
                continue
            if is_other:
                other.append(row.name)
            elif not at:
                unknown.append(row.name)
            for i in at:
                known = chosen.setdefault(i, row)
                if self.ordered:
                    chosen[i] = row
                elif known.label != row.label:
                    mistakes.append(contradiction(row, known))
        if mistakes:
            raise UsageError(list_mistakes(self.file, mistakes))
        if self.rows and not is_named:
            like = f"the images are like {paths[0]!r}" if paths else "no image was given"
            raise UsageError(
                f"{OPTION} {self.file}: none of its {len(self.rows)} lines names an image that is there. It "
                f"names {self.rows[0].name}, {like}; paths are those of the feature cache, as suspects --csv "
                "writes them"
            )
        changed = [
            CorrectedImage(i, paths[i], sha256[i], label=chosen[i].label)
            for i in sorted(chosen)
            if chosen[i].label != normal(labels[i]) or (self.decided and not chosen[i].label)
        ]
        right = list(labels)
        for image in changed:
            right[image.row] = image.label
        return right, Corrected(self.file, self.sha256, tuple(changed), notes=self._notes(unknown, other))

    def _notes(self, unknown: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
        n = len(self.rows)
        notes = list(self.notes)
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
        """As it is written, else with slashes, and NFC of Unicode's two forms."""
        if path in self._by_path:
            return self._by_path[path]
        if not self._by_form:
            self._by_form = {normal(one): i for one, i in self._by_path.items()}
        return self._by_form.get(cache_form(path))


def cache_form(path: str) -> str:
    """A path in the form that caches write."""
    return normal(posixpath.normpath(path.replace("\\", "/")))


def contradiction(row: Correction, known: Correction) -> str:
    """What to say of two lines that give one image different labels."""
    return f"line {row.line}: {row.name} is {row.label!r} here, {known.label!r} in line {known.line}"
