"""What the images in the parts of a split are, and what is said of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fc7.extract.inputs.labels.split_folders import SplitFolders
from fc7.extract.records import ImageRef
from fc7.models.common.label_names import in_order, some
from fc7.models.common.terminal import counted
from fc7.models.common.unicode_forms import normal


@dataclass(frozen=True, slots=True)
class Parts:
    """How many images each folder of a listing holds, and the part of a split that it is or lies in.

    Attributes
    ----------
    split : SplitFolders
    around : mapping of str to str or None
        Folder -> the part.
    labelled, unlabelled : Counter of str
        Folder -> images.
    classes : mapping of str to set of str
        Part -> the labels in it.
    blank : set of str
        Parts whose folders are no classes.
    outside : str or None
        Path of the first image with a label in no part.
    """

    split: SplitFolders
    around: Mapping[str, str | None]
    labelled: Counter[str]
    unlabelled: Counter[str]
    classes: Mapping[str, set[str]]
    blank: Collection[str]
    outside: str | None

    @classmethod
    def of(
        cls,
        split: SplitFolders,
        images: Sequence[ImageRef],
        folders: Sequence[str],
        labels: Sequence[str | None],
        blank: Collection[str],
    ) -> Parts:
        around = {folder: split.around(folder) for folder in set(folders)}
        labelled, unlabelled = Counter[str](), Counter[str]()
        classes: defaultdict[str, set[str]] = defaultdict(set)
        outside: str | None = None
        for ref, folder, label in zip(images, folders, labels, strict=True):
            part = around[folder]
            if label is None:
                unlabelled[folder] += 1
                continue
            labelled[folder] += 1
            if part is None:
                outside = outside or ref.path
            else:
                classes[part].add(normal(label))
        return cls(split, around, labelled, unlabelled, classes, blank, outside)

    @property
    def judged(self) -> bool:
        """Whether there are images of a class to learn from, and to judge with."""
        sides = {self.split.words[part] == "train" for part in self.classes}
        return len(sides) > 1

    def words(self) -> dict[str, str]:
        """Folder -> ``train``, ``val`` or ``test``; empty if the split cannot be used."""
        if not self.judged or self.outside is not None:
            return {}
        return {folder: self.split.words[part] for folder, part in self.around.items() if part is not None}

    def describe(self) -> list[str]:
        """What became of the split, in a line; and which classes are not on both sides of it."""
        held: Counter[str] = Counter()
        flat, unnamed = 0, 0
        for folder, part in self.around.items():
            if part is not None:
                held[_name(part)] += self.labelled[folder]
                flat += self.unlabelled[folder] if part not in self.blank else 0
                unnamed += self.unlabelled[folder] if part in self.blank else 0
        shown = ", ".join(f"{name} {count}" for name, count in sorted(held.items()) if count)
        names = ", ".join(sorted(set(map(_name, self.split.words))))
        note = f"{names}{' in the classes' if self.split.inner else ''}: sets of a split, and no classes"
        if self.words():
            note += f"; it is kept ({shown} images), and fit tests on what is not in train (--split)"
        elif self.judged:
            note += f"; it is not used, as images with a label lie outside, {self.outside} first"
        if unnamed:
            inside = sorted(self._folders_of_no_class())
            note += (
                f"; {some(inside)} {_have(len(inside))} the name of no class in train/, so "
                f"{counted(unnamed, 'image')} there {_have(unnamed)} no label"
            )
        if flat:
            note += f"; {counted(flat, 'image')} without a class folder {_have(flat)} no label"
        return [note, *self._one_sided()]

    def _folders_of_no_class(self) -> set[str]:
        return {f"{folder}/" for folder, part in self.around.items() if part in self.blank and folder != part}

    def _one_sided(self) -> list[str]:
        """A line on classes that cannot be judged, or were not learned."""
        if not self.words():
            return []
        holding: defaultdict[str, set[str]] = defaultdict(set)
        trains: defaultdict[str, set[bool]] = defaultdict(set)
        for part, labels in self.classes.items():
            for label in labels:
                holding[label].add(_name(part))
                trains[label].add(self.split.words[part] == "train")
        lone = [label for label in in_order(trains) if len(trains[label]) == 1]
        if not lone:
            return []
        named = [f"{label!r} only in {', '.join(sorted(holding[label]))}" for label in lone]
        what = counted(len(lone), "class is", "classes are")
        return [f"{what} not on both sides of the split, so not learned or not tested: {some(named)}"]


def _have(n: int) -> str:
    return "has" if n == 1 else "have"


def _name(part: str) -> str:
    return f"{part.rpartition('/')[2]}/"
