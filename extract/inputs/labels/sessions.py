"""Folders of days and the like, around or below those of the classes: what to offer who has them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from fc7.extract.inputs.labels.grouping import OPTION as GROUP_BY
from fc7.extract.inputs.labels.grouping import useful_groups
from fc7.extract.inputs.labels.label_by import OPTION as LABEL_BY
from fc7.extract.inputs.labels.label_by import LabelRule
from fc7.extract.records import ImageRef
from fc7.models.common.label_names import in_order, some
from fc7.models.common.terminal import counted

# Its group is the folder that an image lies in.
_ANY_FOLDER = "^(.+)/"


def session_note(
    images: Sequence[ImageRef],
    labels: Sequence[str | None],
    levels: Mapping[str, Sequence[str]],
    inputs: Collection[str],
    *,
    grouped: bool,
) -> list[str]:
    """What to say if one label is the name of folders in several others, as those of days are."""
    places = _places(images, labels, levels)
    places = {label: found for label, found in places.items() if all(_last(one) == label for one in found)}
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
    above = in_order(map(_last, around - {""}))
    note = (
        f"{some(found)} are one class, {label!r} (so {_are(len(several))} of "
        f"{counted(len(places), 'label')}): if {some(above)} are the classes, give {LABEL_BY} {level}"
    )
    rule = LabelRule.parse(str(level))
    meant = [rule.label(ref.path, levels[_folder(ref)]) for ref in images]
    if not grouped and _folders_are_groups(images, meant):
        note += f", and {GROUP_BY} '{_ANY_FOLDER}' to keep the images of a folder on one side of a split"
    return [note]


def folders_of_a_class_note(
    images: Sequence[ImageRef], labels: Sequence[str | None], levels: Mapping[str, Sequence[str]]
) -> list[str]:
    """What to say if the images of most classes lie in several folders, as those of days are."""
    places = _places(images, labels, levels)
    several = {label: sorted(found) for label, found in places.items() if len(found) > 1}
    if not several or not _folders_are_groups(images, labels):
        return []
    label = in_order(several)[0]
    return [
        f"{some(several[label])} are folders of one class, {label!r}: {GROUP_BY} '{_ANY_FOLDER}' keeps the "
        "images of a folder on one side of a split"
    ]


def _places(
    images: Sequence[ImageRef], labels: Sequence[str | None], levels: Mapping[str, Sequence[str]]
) -> dict[str, set[str]]:
    """Label -> the folders of its images, without those that are no levels."""
    places: defaultdict[str, set[str]] = defaultdict(set)
    for folder, label in set(zip(map(_folder, images), labels, strict=True)):
        if label is not None and levels[folder]:
            places[label].add("/".join(levels[folder]))
    return places


def _folders_are_groups(images: Sequence[ImageRef], labels: Sequence[str | None]) -> bool:
    labelled = [(ref.path, label) for ref, label in zip(images, labels, strict=True) if label is not None]
    paths, known = [path for path, _ in labelled], [label for _, label in labelled]
    return useful_groups(paths, known, re.compile(_ANY_FOLDER)) > 0


def _are(n: int) -> str:
    return f"is {n}" if n == 1 else f"are {n}"


def _are_inputs(places: Sequence[str], inputs: Sequence[str]) -> bool:
    around = [place.rpartition("/")[0] for place in places]
    return all(any(f"/{name}".endswith(f"/{one}") for name in inputs) for one in around if one)


def _folder(ref: ImageRef) -> str:
    return ref.path.rpartition("/")[0]


def _last(folder: str) -> str:
    return folder.rpartition("/")[2]
