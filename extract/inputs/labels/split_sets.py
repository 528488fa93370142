"""What the images in the sets of a split are, and what is said of them."""

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
class SplitSets:
    """How many images each folder of a listing holds, and the set of a split that it is or lies in.

    Attributes
    ----------
    around : mapping of str to str or None
        Folder -> the set's folder.
    labelled, unlabelled : Counter of str
        Folder -> images.
    classes : mapping of str to set of str
        The set's folder -> the labels in it.
    blank : set of str
        Sets whose folders are no classes.
    outside : str or None
        Path of the first image with a label in no set.
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
    ) -> SplitSets:
        around = {folder: split.around(folder) for folder in set(folders)}
        labelled, unlabelled = Counter[str](), Counter[str]()
        classes: defaultdict[str, set[str]] = defaultdict(set)
        outside: str | None = None
        for ref, folder, label in zip(images, folders, labels, strict=True):
            set_folder = around[folder]
            if label is None:
                unlabelled[folder] += 1
                continue
            labelled[folder] += 1
            if set_folder is None:
                outside = outside or ref.path
            else:
                classes[set_folder].add(normal(label))
        return cls(split, around, labelled, unlabelled, classes, blank, outside)

    @property
    def has_both_sides(self) -> bool:
        """Whether there are images of a class to train on, and to test on."""
        sides = {self.split.split_of[set_folder] == "train" for set_folder in self.classes}
        return len(sides) > 1

    def split_of(self) -> dict[str, str]:
        """Folder -> ``train``, ``val`` or ``test``; empty if the split cannot be used."""
        if not self.has_both_sides or self.outside is not None:
            return {}
        return {
            folder: self.split.split_of[set_folder]
            for folder, set_folder in self.around.items()
            if set_folder is not None
        }

    def describe(self) -> list[str]:
        """What became of the split, in a line; and which classes are not on both sides of it."""
        held: Counter[str] = Counter()
        flat, unnamed = 0, 0
        for folder, set_folder in self.around.items():
            if set_folder is not None:
                held[_name(set_folder)] += self.labelled[folder]
                flat += self.unlabelled[folder] if set_folder not in self.blank else 0
                unnamed += self.unlabelled[folder] if set_folder in self.blank else 0
        shown = ", ".join(f"{name} {count}" for name, count in sorted(held.items()) if count)
        names = ", ".join(sorted(set(map(_name, self.split.split_of))))
        note = f"{names}{' in the classes' if self.split.inner else ''}: sets of a split, and no classes"
        if self.split_of():
            note += f"; the split is kept ({shown} images), and fit tests on what is not in train (--split)"
        elif self.has_both_sides:
            note += f"; the split is not used, as images with a label lie outside, {self.outside} first"
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
        return {
            f"{folder}/"
            for folder, set_folder in self.around.items()
            if set_folder in self.blank and folder != set_folder
        }

    def _one_sided(self) -> list[str]:
        """A line on classes that cannot be tested, or were not learned."""
        if not self.split_of():
            return []
        holding: defaultdict[str, set[str]] = defaultdict(set)
        trains: defaultdict[str, set[bool]] = defaultdict(set)
        for set_folder, labels in self.classes.items():
            for label in labels:
                holding[label].add(_name(set_folder))
                trains[label].add(self.split.split_of[set_folder] == "train")
        lone = [label for label in in_order(trains) if len(trains[label]) == 1]
        if not lone:
            return []
        named = [f"{label!r} only in {', '.join(sorted(holding[label]))}" for label in lone]
        what = counted(len(lone), "class is", "classes are")
        return [f"{what} not on both sides of the split, so not learned or not tested: {some(named)}"]


def _have(n: int) -> str:
    return "has" if n == 1 else "have"


def _name(set_folder: str) -> str:
    return f"{set_folder.rpartition('/')[2]}/"
