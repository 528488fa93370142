"""Folders side by side, as a shell makes them of ``imgs/*``: the name of each is its images' label."""

from __future__ import annotations

from collections.abc import Collection

from fc7.extract.inputs.places.folders import FolderWalk, escape
from fc7.extract.inputs.tables.manifests import SPLIT_VALUES
from fc7.models.common.progress import Notify
from fc7.models.common.terminal import one_line

_SHOWN = 3


def label_class_folders(found: FolderWalk, folders: Collection[str], notify: Notify) -> None:
    """Label the images that lie directly in the folders that were given, if these are classes.

    They are if two of them or more hold images, those lie in one folder, and no given folder has folders
    with images in it. Files that were named beside them then have no label, as if the folder around all of
    them had been given. Otherwise images directly in a given folder stay without one.

    Parameters
    ----------
    found : FolderWalk
        Changed in place.
    folders : collection of str
        Those that were given, as paths from the origin with ``/``.
    notify : callable
        Is told what became of the labels, if there were several folders.
    """
    given = set(map(escape, folders))
    holding = {ref.path.rpartition("/")[0] for ref in found.images}
    flat = sorted(holding & given)
    if len(given) < 2 or not flat:
        return
    names = [folder.rpartition("/")[2] for folder in flat]
    around = {folder.rpartition("/")[0] for folder in flat}
    shown = ", ".join(map(one_line, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
    deep = any(_is_inside(folder, given) for folder in holding - given)
    if deep or len(flat) < 2 or len(around) > 1 or SPLIT_VALUES.keys() >= set(map(str.lower, names)):
        notify(
            f"images directly in {shown} have no label; to have the folders' names as labels give the folder "
            "around them, or give --labels"
        )
        return
    labels: dict[str, str | None] = {**dict(zip(flat, names, strict=True)), around.pop(): None}
    for i, ref in enumerate(found.images):
        folder = ref.path.rpartition("/")[0]
        if folder in labels:
            found.images[i] = ref.marked(labels[folder], ref.group, ref.split)
    notify(f"{len(names)} folders side by side: the name of each is the label of its images ({shown})")


def _is_inside(folder: str, given: Collection[str]) -> bool:
    while folder:
        folder = folder.rpartition("/")[0]
        if folder in given:
            return True
    return False
