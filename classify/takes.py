"""File names that look like pictures of one take, as tracks and videos give them: what to tell of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from extract.grouping import group_of

# A take's name, which holds a number, and one more number: GTSRB's 00012_00003.ppm is frame 3 of track 12.
# Where takes are numbered anew in each folder the folder is part of the name.
_TAKES = (
    r"^(\d+)_\d+\.",
    r"^(.+/\d+)_\d+\.",
    r"^([^/]*\d[^/]*)[_-]\d+\.",
    r"^(.+/[^/]*\d[^/]*)[_-]\d+\.",
)
# What every name has that one of them finds. They take long to see that a name of many digits is none.
_NUMBERED = re.compile(r"[_-]\d+\.")
# Names that cameras give (four capitals, digits or underscores, and four digits: JEITA CP-3461, "DCF"), and
# numbered frames.
_RUNNING = re.compile(r"(?:(?!\d{4})[A-Z0-9_]{4}\d{4}|[Ff]rame[_-]?\d+)\.[^.]+")
_MOST = 0.9


def hint_of_takes(
    paths: Sequence[str] | None, labels: Sequence[str], groups: Sequence[str] | None, *, ordered: bool
) -> str | None:
    """A sentence if the names of the images say that neighbours may be alike and nothing keeps them together.

    Parameters
    ----------
    paths, labels, groups : sequence of n str, or None
        As `classify.rows.Table` has them.
    ordered : bool
        Whether the split is in the order of the paths.

    Returns
    -------
    str or None
        With a pattern for ``--group-by`` whose groups hold several images of one label, and most classes
        several groups; or with ``--ordered`` where names only count on.
    """
    if paths is None or any(groups or ()):
        return None
    for pattern in _TAKES:
        found = _groups(paths, labels, pattern)
        if found:
            one = next(path for path in paths if group_of(path, re.compile(pattern)) is not None)
            return (
                f"names like {_name(one)} look like pictures of one take: extract again with --group-by "
                f"'{pattern}' ({found} groups of {len(paths)} images), which keeps each take on one side "
                "of the split; until then the figures may be too good"
            )
    running = [name for name in map(_name, paths) if _RUNNING.fullmatch(name)]
    if not ordered and len(running) > _MOST * len(paths):
        return (
            f"names like {running[0]} count on, and pictures taken one after the other may be alike: "
            "compare with fit --ordered, where the last of each class judge"
        )
    return None


def _groups(paths: Sequence[str], labels: Sequence[str], pattern: str) -> int:
    """How many groups a pattern makes; 0 if they are of no use, or join labels."""
    compiled = re.compile(pattern)
    label_of: dict[str, str] = {}
    size: Counter[str] = Counter()
    for path, label in zip(paths, labels, strict=True):
        group = group_of(path, compiled) if _NUMBERED.search(path) else None
        if group is None:
            continue
        if label_of.setdefault(group, label) != label:
            return 0
        size[group] += 1
    in_several = sum(count for count in size.values() if count > 1)
    per_class = Counter(label_of.values())
    divided = sum(per_class[label] > 1 for label in set(labels))
    # Of 862 signs drawn at random from GTSRB, 70 % have another of their track among them.
    return len(size) if 2 * in_several > len(paths) and 2 * divided > len(set(labels)) else 0


def _name(path: str) -> str:
    return path.rpartition("/")[2]
