"""`--group-by`: which images belong together, read from their paths."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from fc7.extract.records import ImageRef
from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Notify
from fc7.models.common.terminal import counted

OPTION = "--group-by"


def compile_pattern(option: str, pattern: str) -> re.Pattern[str]:
    """The regular expression of an option: `--group-by`, `--label-by`.

    Raises
    ------
    UsageError
        If it is none, with the place of the mistake.
    """
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as exc:
        place = getattr(exc, "pos", None)
        where = "" if place is None else f" at character {place + 1}"
        why = getattr(exc, "msg", str(exc))
        raise UsageError(
            f"{option} {pattern!r}: {why}{where}; a regular expression is needed, such as '^(\\d+)_'"
        ) from exc


def group_of(path: str, pattern: re.Pattern[str]) -> str | None:
    r"""The group that a path belongs to.

    The pattern is looked for in the file's name first, then in the whole path: ``^(\d+)_`` finds
    the track of a traffic sign in ``00005/00012_00003.ppm``, and ``^([^/]+/\d+)_`` a track
    within its class. The group is the first bracket that took part, or all that matched if there
    are no brackets; an empty one is none.
    """
    match = pattern.search(path.rpartition("/")[2]) or pattern.search(path)
    if match is None:
        return None
    if not match.re.groups:
        return match.group() or None
    return next((part for part in match.groups() if part), None)


def add_groups(images: Sequence[ImageRef], pattern: str, notify: Notify) -> list[ImageRef]:
    """Give every image that has no group the one that its path says.

    Parameters
    ----------
    images : sequence of ImageRef
        A group that is already there, from a manifest, stays.
    pattern : str
        Regular expression; see `group_of`.
    notify : callable
        Is told how many groups there are, how many of them hold several labels, and how many images are
        in none.

    Raises
    ------
    UsageError
        If the pattern is no regular expression.
    """
    compiled = compile_pattern(OPTION, pattern)
    groups: dict[str, str] = {}
    grouped = []
    for ref in images:
        group = ref.group
        if group is None:
            found = group_of(ref.path, compiled)
            # One string for all images of a group.
            group = None if found is None else groups.setdefault(found, found)
        grouped.append(ref.marked(ref.label, group, ref.split))
    without = sum(ref.group is None for ref in grouped)
    count = len({ref.group for ref in grouped} - {None})
    note = f"{OPTION}: {counted(count, 'group')} in {counted(len(grouped), 'image')}"
    if mixed := _mixed(grouped):
        note += (
            f"; images of several labels are in {mixed} of them: where numbers start over in each folder, "
            r"'^([^/]+/\d+)_' keeps the folders apart"
        )
    notify(f"{note}; without a match, and so in no group: {without}" if without else note)
    return grouped


def useful_groups(paths: Sequence[str], labels: Sequence[str], pattern: re.Pattern[str]) -> int:
    """How many groups a pattern makes of some images, if it is worth proposing; else 0.

    Its groups must be of one label each; most images must share theirs with another, and most labels have
    two groups or more: one to learn from, one to test with.
    """
    label_of: dict[str, str] = {}
    size: Counter[str] = Counter()
    for path, label in zip(paths, labels, strict=True):
        group = group_of(path, pattern)
        if group is None:
            continue
        if label_of.setdefault(group, label) != label:
            return 0
        size[group] += 1
    in_several = sum(count for count in size.values() if count > 1)
    per_label = Counter(label_of.values())
    divided = sum(per_label[label] > 1 for label in set(labels))
    # Of 862 signs drawn at random from GTSRB, 70 % have another of their track among them.
    return len(size) if 2 * in_several > len(paths) and 2 * divided > len(set(labels)) else 0


def _mixed(images: Sequence[ImageRef]) -> int:
    """How many groups hold images of more than one label."""
    label: dict[str, str] = {}
    mixed = set()
    for ref in images:
        if (
            ref.group is not None
            and ref.label is not None
            and label.setdefault(ref.group, ref.label) != ref.label
        ):
            mixed.add(ref.group)
    return len(mixed)
