"""File names that look like pictures of one take, as tracks and videos give them: what to tell of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fc7.extract.inputs.labels.grouping import group_of, useful_groups
from fc7.extract.inputs.labels.split_folders import find_split_folders

# A take's name, which holds a number, and one more number: GTSRB's 00012_00003.ppm is frame 3 of track 12,
# vid0-frame000.jpg frame 0 of the video 0. Where takes are numbered anew in each folder the folder is part of
# the name.
_TAKES = (
    r"^(\d+)_\d+\.",
    r"^(.+/\d+)_\d+\.",
    r"^([^/]*\d[^/]*)[_-][A-Za-z]*\d+\.",
    r"^(.+/[^/]*\d[^/]*)[_-][A-Za-z]*\d+\.",
)
# What every name has that one of them finds. They take long to see that a name of many digits is none.
_NUMBERED = re.compile(r"[_-][A-Za-z]*\d+\.")
# Names that cameras give (four capitals, digits or underscores, and four digits: JEITA CP-3461, "DCF"), and
# numbered frames.
_RUNNING = re.compile(r"(?:(?!\d{4})[A-Z0-9_]{4}\d{4}|[Ff]rame[_-]?\d+)\.[^.]+")
# Those whose numbers are alike but for the last digit, or the last two.
_STRETCHES = (
    r"^([^/]*\d)\d\.",
    r"^(.+/[^/]*\d)\d\.",
    r"^([^/]*\d)\d\d\.",
    r"^(.+/[^/]*\d)\d\d\.",
)
_FOLDER = "^(.+)/"
_COMPARE = "compare with fit --ordered, where the last of each class are the test set"
_MOST = 0.9


def group_hint(
    paths: Sequence[str] | None, labels: Sequence[str], groups: Sequence[str] | None, *, ordered: bool
) -> str | None:
    """A sentence if the names of the images say that neighbours may be alike and nothing keeps them together.

    Parameters
    ----------
    paths, labels, groups : sequence of n str, or None
        As `classify.data.rows.Table` has them.
    ordered : bool
        Whether the split is in the order of the paths.

    Returns
    -------
    str or None
        With a pattern for ``--group-by`` whose groups hold several images of one label, and most classes
        several groups; or with ``--ordered`` where names count on and no pattern makes such groups.
    """
    if paths is None or any(groups or ()):
        return None
    numbered = [path if _NUMBERED.search(path) else "" for path in paths]
    for pattern in _TAKES:
        found = useful_groups(numbered, labels, re.compile(pattern))
        if found:
            one = next(path for path in numbered if group_of(path, re.compile(pattern)) is not None)
            return (
                f"names like {_name(one)} look like pictures of one session: extract again with --group-by "
                f"'{pattern}' ({found} groups of {len(paths)} images), which keeps each session on one side "
                "of the split; until then the accuracy may be too high"
            )
    running = [name for name in map(_name, paths) if _RUNNING.fullmatch(name)]
    if ordered or len(running) <= _MOST * len(paths):
        return None
    note = f"names like {running[0]} count on, and pictures taken one after the other may be alike: "
    folders = () if find_split_folders(path.rpartition("/")[0] for path in paths).split_of else (_FOLDER,)
    for pattern in (*folders, *_STRETCHES):
        found = useful_groups(paths, labels, re.compile(pattern))
        if found:
            kept = "those of a folder" if pattern == _FOLDER else "neighbours in number"
            return (
                f"{note}extract again with --group-by '{pattern}' ({found} groups of {len(paths)} images), "
                f"which keeps {kept} on one side of the split; or {_COMPARE}"
            )
    return note + _COMPARE


def _name(path: str) -> str:
    return path.rpartition("/")[2]
