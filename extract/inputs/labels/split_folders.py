"""Folders named ``train``, ``val``, ``test`` above or below the classes: a split of the data, and no classes.

::

    data/train/ants/1.jpg   trains, ants           data/ants/train/1.jpg   trains, ants
    data/val/ants/2.jpg     tests, ants            data/ants/test/2.jpg    tests, ants
    data/test/3.jpg         no label
    data/test/test/3.jpg    no label: no class of data/train has this name

The word may stand in a longer name, if the folders beside it have the same one: ``seg_train``, ``seg_test``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fc7.extract.inputs.tables.manifests import SPLIT_VALUES
from fc7.models.common.label_names import folded_name

# Kaggle's sets call so what predictions are wanted of.
_FOLDER_WORDS = {**SPLIT_VALUES, "pred": "test"}
_DIGITS = "0123456789"
# What folders of images without a class are called.
_NO_CLASSES = frozenset(
    {
        *SPLIT_VALUES,
        *("image", "images", "img", "imgs", "photos", "pictures", "data"),
        *("unknown", "unlabeled", "unlabelled", "unclassified"),
    }
)


@dataclass(frozen=True, slots=True)
class SplitFolders:
    """Which folders of a listing are parts of a split.

    Attributes
    ----------
    split_of : mapping of str to str
        Folder's path -> ``train``, ``val`` or ``test``.
    inner : set of str
        Those of them that lie in the folder of their class, and not around the classes.
    """

    split_of: Mapping[str, str]
    inner: frozenset[str] = frozenset()

    def around(self, folder: str) -> str | None:
        """The outermost of these folders that `folder` is or lies in."""
        if not self.split_of:
            return None
        end = folder.find("/")
        while end >= 0:
            if folder[:end] in self.split_of:
                return folder[:end]
            end = folder.find("/", end + 1)
        return folder if folder in self.split_of else None

    def below(self, folder: str) -> list[str]:
        """The folders in a path from the top, without the part of the split and one of its name in it."""
        names = folder.split("/") if folder else []
        part = self.around(folder)
        if part is not None:
            depth = part.count("/")
            name = names.pop(depth)
            # As archives that hold a folder of their own name are unpacked: train/train/cats.
            if len(names) > depth + 1 and names[depth] == name:
                del names[depth]
        return names

    def class_of(self, folder: str) -> str | None:
        """The class of the images directly in a folder: the last one in the path that is no part."""
        if not folder or (folder in self.split_of and folder not in self.inner):
            return None
        return self.below(folder)[-1]

    def without_classes(self, classes: Mapping[str, str | None], *, said: bool = False) -> frozenset[str]:
        """The parts that test and whose folders are no classes: none has the name of one that trains.

        They are also called as folders of no class are (``test/images``), or there is one alone. Several of
        other names are classes that nothing was learned of.

        Parameters
        ----------
        classes : mapping of str to str or None
            Folder -> what would be the class of its images.
        said : bool
            Whether the user says which folders are classes: then one alone may be one.
        """
        found: defaultdict[str, set[str]] = defaultdict(set)
        for folder, name in classes.items():
            part = self.around(folder)
            if part is not None and name is not None and part not in self.inner:
                found[part].add(folded_name(name))
        learned = {name for part, names in found.items() if self.split_of[part] == "train" for name in names}
        return frozenset(
            part
            for part, names in found.items()
            if learned
            and learned.isdisjoint(names)
            and self.split_of[part] != "train"
            and (all(map(is_no_class, names)) or (len(names) == 1 and not said))
        )


def is_no_class(name: str) -> bool:
    """Whether a folder is called as parts of a split or folders of all images are, a number after it or not.

    Examples
    --------
    >>> [name for name in ("test1", "val2017", "Images", "cats") if is_no_class(name)]
    ['test1', 'val2017', 'Images']
    """
    return name.lower().rstrip(f"{_DIGITS}_-") in _NO_CLASSES


def find_split_folders(folders: Iterable[str]) -> SplitFolders:
    """Which of the folders around some images are parts of a split.

    They are where one that trains holds folders with images, and one that tests lies beside it, of the same
    name but for the word and its number. Alone, or where ``train`` holds nothing but images, such a name may
    well be a class: a railway's. It is none where several folders hold a part that trains and one that
    tests, and nothing else: these are the classes.

    Parameters
    ----------
    folders : iterable of str
        Of the images, from the root, with ``/``; "" for the root.

    Examples
    --------
    >>> sorted(find_split_folders(["train/ants", "train/bees", "val/ants"]).split_of.items())
    [('train', 'train'), ('val', 'val')]
    >>> find_split_folders(["train", "car", "test/car"]).split_of
    {}
    >>> sorted(find_split_folders(["training_set/ants", "test_set/ants", "my_test/ants"]).split_of)
    ['test_set', 'training_set']
    >>> sorted(find_split_folders(["ants/train", "ants/val", "bees/train", "bees/val"]).inner)
    ['ants/train', 'ants/val', 'bees/train', 'bees/val']
    """
    distinct = set(folders)
    split_of: dict[str, str] = {}
    for parts in _parts_beside(distinct).values():
        trains = any(part.holds_folders for part in parts.values() if part.word == "train")
        if trains and {part.word for part in parts.values()} != {"train"}:
            split_of |= {folder: part.word for folder, part in parts.items()}
    inner = {folder: word for folder, word in _parts_in_classes(distinct).items() if folder not in split_of}
    return SplitFolders(split_of | inner, frozenset(inner))


@dataclass(slots=True)
class _SetFolder:
    """A folder that is called like a part.

    Attributes
    ----------
    word : str
        ``train``, ``val`` or ``test``.
    holds_folders : bool
        Whether there are folders with images in it.
    """

    word: str
    holds_folders: bool = False


def _parts_beside(folders: Iterable[str]) -> dict[tuple[str, str], dict[str, _SetFolder]]:
    """Those that lie in one folder and have one name but for the word: by their paths."""
    beside: defaultdict[tuple[str, str], dict[str, _SetFolder]] = defaultdict(dict)
    for folder in folders:
        names = folder.split("/")
        for depth, name in enumerate(names):
            called = _called(name)
            if called is not None:
                word, others = called
                parts = beside["/".join(names[:depth]), others]
                part = parts.setdefault("/".join(names[: depth + 1]), _SetFolder(word))
                part.holds_folders |= depth + 1 < len(names)
    return beside


def _called(name: str) -> tuple[str, str] | None:
    """What a folder's name says of a split, and the other words in it.

    Examples
    --------
    >>> _called("seg_train"), _called("test1"), _called("contest"), _called("train-test")
    (('train', 'seg'), ('test', ''), None, None)
    """
    words = re.split(r"[\s_-]+", name.lower())
    found = [i for i, word in enumerate(words) if word.rstrip(_DIGITS) in _FOLDER_WORDS]
    if len(found) != 1:
        return None
    word = words.pop(found[0])
    return _FOLDER_WORDS[word.rstrip(_DIGITS)], " ".join(words)


def _parts_in_classes(folders: Iterable[str]) -> dict[str, str]:
    """Folder -> ``train``, ``val`` or ``test``, of those that lie in the folders of their classes."""
    holds: defaultdict[str, list[str]] = defaultdict(list)
    holding = set(folders)
    for folder in holding:
        around, _, name = folder.rpartition("/")
        if around:
            holds[around].append(name)
    classes = {
        around: {f"{around}/{name}": SPLIT_VALUES[name.lower()] for name in names}
        for around, names in holds.items()
        if around not in holding and SPLIT_VALUES.keys() >= set(map(str.lower, names))
    }
    divided = [
        parts for parts in classes.values() if "train" in parts.values() and len(set(parts.values())) > 1
    ]
    if len(divided) < 2:
        return {}
    return {folder: word for parts in classes.values() for folder, word in parts.items()}
