"""Folders named ``train``, ``val``, ``test`` above the classes: a split of the data, and no classes of it.

::

    data/train/ants/1.jpg   trains, ants
    data/val/ants/2.jpg     judges, ants
    data/test/3.jpg         no label
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from extract.manifests import SPLIT_WORDS


@dataclass(frozen=True, slots=True)
class SplitFolders:
    """Which folders of a listing are parts of a split.

    Attributes
    ----------
    words : mapping of str to str
        Folder's path -> ``train``, ``val`` or ``test``.
    judged : bool
        Whether images of a class lie both in one that trains and in one that judges.
    """

    words: Mapping[str, str]
    judged: bool

    def around(self, folder: str) -> str | None:
        """The outermost of these folders that `folder` is or lies in."""
        if not self.words:
            return None
        end = folder.find("/")
        while end >= 0:
            if folder[:end] in self.words:
                return folder[:end]
            end = folder.find("/", end + 1)
        return folder if folder in self.words else None

    def below(self, folder: str) -> list[str]:
        """The folders in a path from the top, without the one that is a part of the split."""
        names = folder.split("/") if folder else []
        part = self.around(folder)
        if part is not None:
            del names[part.count("/")]
        return names


def find_split_folders(folders: Iterable[str]) -> SplitFolders:
    """Which of the folders around some images are parts of a split.

    They are where one that trains holds folders with images, and one that judges lies beside it. Alone, or
    where ``train`` holds nothing but images, such a name may well be a class: a railway's.

    Parameters
    ----------
    folders : iterable of str
        Of the images, from the root, with ``/``; "" for the root.

    Examples
    --------
    >>> find_split_folders(["train/ants", "train/bees", "val/ants"]).words
    {'train': 'train', 'val': 'val'}
    >>> find_split_folders(["train", "car", "test/car"]).words
    {}
    """
    holds: dict[str, dict[str, bool]] = {}
    for folder in folders:
        names = folder.split("/")
        for depth, name in enumerate(names):
            if name.lower() in SPLIT_WORDS:
                beside = holds.setdefault("/".join(names[:depth]), {})
                beside[name] = beside.get(name, False) or depth + 1 < len(names)
    words: dict[str, str] = {}
    judged = False
    for around, beside in holds.items():
        parts = {name: SPLIT_WORDS[name.lower()] for name in beside}
        trains = any(beside[name] for name, word in parts.items() if word == "train")
        judges = [beside[name] for name, word in parts.items() if word != "train"]
        if trains and judges:
            words |= {f"{around}/{name}" if around else name: word for name, word in parts.items()}
            judged = judged or any(judges)
    return SplitFolders(words, judged)
