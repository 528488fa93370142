"""The border where names of folders become labels: one rule for disks, archives, lists and stores."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from extract.formats import SUFFIXES
from extract.label_by import OPTION, LabelRule
from extract.label_names import in_order, lookalikes
from extract.manifests import SPLIT_WORDS
from extract.split_folders import SplitFolders, find_split_folders
from extract.stages import ImageRef
from extract.unicode_forms import normal
from models.progress import Notify

_SHOWN = 3


def label_by_folders(
    images: Sequence[ImageRef], rule: LabelRule | None, inputs: Collection[str], notify: Notify
) -> list[ImageRef]:
    """Labels and splits that the folders' names give, where no manifest gives them.

    Parameters
    ----------
    images : sequence of ImageRef
        With the labels of their readers.
    rule : LabelRule or None
        Finds the label in place of the name of the folder an image lies in.
    inputs : collection of str
        What the user named: several places with the same classes are no sessions.
    notify : callable
        Is told of a split and of what else the folders may mean.

    Returns
    -------
    list of ImageRef
        Images directly in a part of a split have no label, and all have its split if there are images of
        classes to learn from and to judge with, and none of a class outside.
    """
    folders = [_folder(ref) for ref in images]
    split = find_split_folders(set(folders))
    below = {folder: split.below(folder) for folder in set(folders)}
    labels: list[str | None] = []
    for ref, folder in zip(images, folders, strict=True):
        label = ref.label
        if rule is not None:
            label = rule.label(ref.path, below[folder])
        elif folder in split.words and label == folder.rpartition("/")[2]:
            label = None
        labels.append(label)
    words: dict[str, str] = {}
    if split.words:
        parts = _Parts.of(split, images, folders, labels)
        notify(parts.describe())
        words = parts.words()
    if rule is not None:
        without = sum(label is None for label in labels)
        note = f"{OPTION}: {len(set(labels) - {None})} labels in {len(images)} images"
        notify(f"{note}; without a match, and so without a label: {without}" if without else note)
    else:
        # There may be millions of images, and few folders.
        given = set(zip(folders, (ref.label for ref in images), strict=True))
        for note in (*_flat_note(labels), *_session_note(given, below, inputs)):
            notify(note)
        if not split.words:
            return list(images)
    settled = []
    for ref, folder, label in zip(images, folders, labels, strict=True):
        word = words.get(folder, ref.split)
        same = label == ref.label and word == ref.split
        settled.append(ref if same else _changed(ref, label, word))
    return settled


def normalised(images: Sequence[ImageRef], notify: Notify) -> list[ImageRef]:
    """Labels in the form that they are compared in; names that may be mistakes are told of."""
    forms: dict[str, str] = {}
    settled = []
    for ref in images:
        label = None if ref.label is None else forms.setdefault(ref.label, normal(ref.label))
        settled.append(ref if label == ref.label else _changed(ref, label, ref.split))
    names = in_order(forms.values())
    for note in lookalikes(names):
        notify(note)
    like_files = [name for name in names if name.lower().endswith(SUFFIXES)]
    if like_files:
        several = set(like_files)
        held = sum(ref.label in several for ref in settled)
        notify(
            f"the class {_some(list(map(repr, like_files)))} is named like an image file and has {held} "
            "images; a folder of thumbnails is mostly not meant as a class"
        )
    return settled


@dataclass(frozen=True, slots=True)
class _Parts:
    """How many images each folder of a listing holds, and the part of a split that it is or lies in.

    Attributes
    ----------
    split : SplitFolders
    around : mapping of str to str or None
        Folder -> the part.
    labelled, unlabelled : Counter of str
        Folder -> images.
    outside : str or None
        Path of the first image with a label in no part.
    """

    split: SplitFolders
    around: Mapping[str, str | None]
    labelled: Counter[str]
    unlabelled: Counter[str]
    outside: str | None

    @classmethod
    def of(
        cls,
        split: SplitFolders,
        images: Sequence[ImageRef],
        folders: Sequence[str],
        labels: Sequence[str | None],
    ) -> _Parts:
        around = {folder: split.around(folder) for folder in set(folders)}
        labelled = [label is not None for label in labels]
        rows = zip(images, folders, labelled, strict=True)
        return cls(
            split,
            around,
            Counter(folder for folder, has in zip(folders, labelled, strict=True) if has),
            Counter(folder for folder, has in zip(folders, labelled, strict=True) if not has),
            next((ref.path for ref, folder, has in rows if has and around[folder] is None), None),
        )

    def words(self) -> dict[str, str]:
        """Folder -> ``train``, ``val`` or ``test``; empty if the split cannot be used."""
        if not self.split.judged or self.outside is not None:
            return {}
        return {folder: self.split.words[part] for folder, part in self.around.items() if part is not None}

    def describe(self) -> str:
        """What became of the split, in a line."""
        held: Counter[str] = Counter()
        flat = 0
        for folder, part in self.around.items():
            if part is not None:
                held[part.rpartition("/")[2]] += self.labelled[folder]
                flat += self.unlabelled[folder]
        shown = ", ".join(f"{name}/ {count}" for name, count in sorted(held.items()) if count)
        names = sorted({f"{place.rpartition('/')[2]}/" for place in self.split.words})
        note = f"{', '.join(names)}: parts of a split, and no classes"
        if self.words():
            note += f"; it is kept ({shown} images), and fit judges on what is not in train (--split)"
        elif self.split.judged:
            note += f"; it is not used, as images with a label lie outside, {self.outside} first"
        return f"{note}; {flat} images without a class folder have no label" if flat else note


def _flat_note(labels: Sequence[str | None]) -> list[str]:
    """What to say if all that could be classes are parts of a split by their names."""
    names = in_order(label for label in labels if label is not None)
    if not names or not SPLIT_WORDS.keys() >= set(map(str.lower, names)):
        return []
    return [
        f"the classes {_some(names)} are parts of a split by their names: if file names tell the class, as "
        f"cat.1.jpg does, give {OPTION} '^([A-Za-z]+)[._-]', else --labels"
    ]


def _session_note(
    given: set[tuple[str, str | None]], below: dict[str, list[str]], inputs: Collection[str]
) -> list[str]:
    """What to say if one label is the name of folders in several others, as those of days are.

    `given` are the folders with the labels of their images.
    """
    places: defaultdict[str, set[str]] = defaultdict(set)
    for folder, label in given:
        folders = below[folder]
        if label is not None and folders and folders[-1] == label:
            places[label].add("/".join(folders))
    several = {label: sorted(found) for label, found in places.items() if len(found) > 1}
    named = [name.replace("\\", "/").rstrip("/") for name in inputs] if len(inputs) > 1 else []
    several = {label: found for label, found in several.items() if not _are_inputs(found, named)}
    if not several:
        return []
    label = in_order(several)[0]
    found = several[label]
    around = {place.rpartition("/")[0] for place in found}
    depths = {place.count("/") for place in found}
    level = depths.pop() if len(depths) == 1 else -2
    above = in_order(place.rpartition("/")[2] for place in around if place)
    return [
        f"{_some(found)} are one class, {label!r} (so {_are(len(several))} of {len(places)} labels): if "
        f"{_some(above)} are the classes, give {OPTION} {level}, and --group-by '^(.+)/' to keep the images "
        "of a folder on one side of a split"
    ]


def _are(n: int) -> str:
    return f"is {n}" if n == 1 else f"are {n}"


def _are_inputs(places: Sequence[str], inputs: Sequence[str]) -> bool:
    around = [place.rpartition("/")[0] for place in places]
    return all(any(f"/{name}".endswith(f"/{one}") for name in inputs) for one in around if one)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _changed(ref: ImageRef, label: str | None, split: str | None) -> ImageRef:
    # Not dataclasses.replace, which is slower: there may be millions.
    return ImageRef(ref.path, label, ref.group, split, ref.size, ref.mtime_ns, ref.origin, ref.locator)


def _folder(ref: ImageRef) -> str:
    return ref.path.rpartition("/")[0]
