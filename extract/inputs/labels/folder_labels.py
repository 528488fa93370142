"""The border where names of folders become labels: one rule for disks, archives, lists and stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from fc7.extract.images.codecs.formats import SUFFIXES
from fc7.extract.inputs.labels.label_by import OPTION, LabelRule
from fc7.extract.inputs.labels.sessions import folders_of_a_class_note, session_note
from fc7.extract.inputs.labels.split_folders import SplitFolders, find_split_folders, is_no_class
from fc7.extract.inputs.labels.split_sets import SplitSets
from fc7.extract.records import ImageRef, packed_below
from fc7.models.common.label_names import in_order, lookalikes, some
from fc7.models.common.progress import Notify
from fc7.models.common.terminal import counted
from fc7.models.common.unicode_forms import normal

# cat.0.jpg, dog_1.jpg
_FIRST_WORD = "^([A-Za-z]+)[._-]"


def label_by_folders(
    images: Sequence[ImageRef],
    rule: LabelRule | None,
    inputs: Collection[str],
    notify: Notify,
    *,
    grouped: bool = False,
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
    grouped : bool
        Whether the user says what the groups are: else a folder of a session is offered.

    Returns
    -------
    list of ImageRef
        Images directly in a part of a split have no label, and all have its split if there are images of
        classes to learn from and to test with, and none of a class outside.
    """
    folders = [_folder(ref) for ref in images]
    split = find_split_folders(folders)
    tops = _top_folders(images, folders)
    levels = {folder: _levels(folder, split, tops) for folder in set(folders)}
    named = {folder: _class_of(folder, split, tops, rule=rule, levels=levels[folder]) for folder in levels}
    blank = split.without_classes(named, said=rule is not None)
    named |= {folder: None for folder in named if split.around(folder) in blank}
    labels: list[str | None] = []
    for ref, folder in zip(images, folders, strict=True):
        if rule is not None and rule.pattern is not None:
            labels.append(rule.label(ref.path, levels[folder]))
        else:
            by_folder = rule is not None or ref.label == folder.rpartition("/")[2]
            labels.append(named[folder] if by_folder else ref.label)
    split_of: dict[str, str] = {}
    if split.split_of:
        sets = SplitSets.of(split, images, folders, labels=labels, blank=blank)
        for note in sets.describe():
            notify(note)
        split_of = sets.split_of()
    if rule is not None:
        without = sum(label is None for label in labels)
        note = f"{OPTION}: {counted(len(set(labels) - {None}), 'label')} in {counted(len(images), 'image')}"
        notify(f"{note}; without a match, and so without a label: {without}" if without else note)
        notes = [] if grouped else folders_of_a_class_note(images, labels, levels)
    else:
        notes = [
            *_flat_note(images, labels),
            *session_note(images, labels, levels, inputs=inputs, grouped=grouped),
        ]
    for note in notes:
        notify(note)
    settled = []
    for ref, folder, label in zip(images, folders, labels, strict=True):
        own_split = split_of.get(folder, ref.split)
        same = label == ref.label and own_split == ref.split
        settled.append(ref if same else ref.marked(label, ref.group, own_split))
    return settled


def normalised(images: Sequence[ImageRef], notify: Notify) -> list[ImageRef]:
    """Labels in the form that they are compared in; names that may be mistakes are told of."""
    forms: dict[str, str] = {}
    settled = []
    for ref in images:
        label = None if ref.label is None else forms.setdefault(ref.label, normal(ref.label))
        settled.append(ref if label == ref.label else ref.marked(label, ref.group, ref.split))
    names = in_order(forms.values())
    for note in lookalikes(names):
        notify(note)
    like_files = [name for name in names if name.lower().endswith(SUFFIXES)]
    if like_files:
        several = set(like_files)
        held = sum(ref.label in several for ref in settled)
        notify(
            f"the class {some(list(map(repr, like_files)))} is named like an image file and has "
            f"{counted(held, 'image')}; a folder of thumbnails is mostly not meant as a class"
        )
    return settled


def _top_folders(images: Sequence[ImageRef], folders: Sequence[str]) -> set[str]:
    """Folders around all that an archive holds: packed with it, and no class or level.

    Only where there are others in it: the one in cat.zip may well be a class.
    """
    origins = {id(ref.origin): ref.origin for ref in images}
    packed = {key: start for key, origin in origins.items() if (start := packed_below(origin)) is not None}
    if not packed:
        return set()
    inside: dict[int, set[str]] = {key: set() for key in packed}
    for ref, folder in zip(images, folders, strict=True):
        if (start := packed.get(id(ref.origin))) is not None:
            inside[id(ref.origin)].add(folder[len(start) :])
    tops = set()
    for key, found in inside.items():
        names = {folder.partition("/")[0] for folder in found}
        if len(names) == 1 and any("/" in folder for folder in found):
            tops.add(packed[key] + names.pop())
    return tops


def _class_of(
    folder: str, split: SplitFolders, tops: Collection[str], rule: LabelRule | None, levels: Sequence[str]
) -> str | None:
    """The class that folders' names give the images directly in one; None where file names are to give it."""
    if rule is None:
        return None if folder in tops else split.class_of(folder)
    return rule.label(folder, levels) if rule.pattern is None else None


def _levels(folder: str, split: SplitFolders, tops: Collection[str]) -> list[str]:
    """The folders in a path that may be classes, the outermost first."""
    names = split.below(folder)
    around = next((top for top in tops if f"{folder}/".startswith(f"{top}/")), None)
    if around is not None:
        del names[around.count("/")]
    return names


def _flat_note(images: Sequence[ImageRef], labels: Sequence[str | None]) -> list[str]:
    """What to say if no folder is a class by its name, which that of a part of a split is not."""
    names = in_order(label for label in labels if label is not None)
    if not all(map(is_no_class, names)):
        return []
    rule = LabelRule.parse(_FIRST_WORD)
    found = Counter(label for ref in images if (label := rule.label(ref.path, ())) is not None)
    told = len(found) > 1 and 2 * len(found) <= found.total() and 2 * found.total() > len(images)
    if not names and not told:
        return []
    what = f"labels that are hardly classes: {some(names)}" if names else "no folder names a class"
    if not told:
        return [f"{what}; if they are none, give --labels a table of path,label"]
    return [
        f"{what}; if file names tell the class ({some(in_order(found))}), give {OPTION} '{_FIRST_WORD}', "
        "else --labels a table of path,label"
    ]


def _folder(ref: ImageRef) -> str:
    return ref.path.rpartition("/")[0]
