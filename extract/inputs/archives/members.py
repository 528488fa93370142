"""Which members of an archive are images, under which paths, and with which labels.

Nothing is written to the disk, so a hostile name can do no harm here. It is refused all the same:
its path would name a file that the archive has no business with.

A shard in WebDataset's manner (github.com/webdataset/webdataset) has files of one stem for one
sample: ``000.jpg`` and ``000.cls`` (the class, as text) or ``000.json``.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Literal

from fc7.extract.images.codecs.formats import HEAD_BYTES, begins_as_image
from fc7.extract.images.limits import MAX_MEMBER_BYTES, check_members
from fc7.extract.inputs.places.folders import HIDDEN, escape, is_hidden, may_hold_image, not_an_image
from fc7.extract.records import Failure, ImageRef, Listing, Origin
from fc7.models.common.progress import Notify

Kind = Literal["file", "folder", "link", "other"]

REPLACED, LINK = "replaced by a later member", "link"
"""Keys of `Listing.ignored`: a member that the archive holds again further on; a link to a file."""

MAX_LABEL_BYTES = 1 << 20
"""A larger .cls or .json holds no label."""

_LABELS = (".cls", ".json")
# In the order in which they are looked for.
_JSON_KEYS = ("label", "cls", "class")
_DRIVE = re.compile(r"[A-Za-z]:")
_SLASHES = re.compile(r"[/\\]")


class Members:
    """What was met in an archive so far.

    Parameters
    ----------
    name : str
        The archive, for messages.
    head : callable
        Given a member's locator and a number, gives so many of its first bytes; asked as the member is added,
        if its name is no image's.
    """

    def __init__(self, name: str, head: Callable[[int, int], bytes]) -> None:
        self.name = name
        self._head = head
        self._count = 0
        self._images: dict[str, tuple[int, int, int]] = {}
        self._failures: dict[str, Failure] = {}
        self._ignored: Counter[str] = Counter()
        self._labels: dict[str, Callable[[], str | None]] = {}

    def add(
        self, name: str, kind: Kind, size: int, mtime_ns: int, locator: int, trouble: str | None = None
    ) -> None:
        """Take in one member.

        Parameters
        ----------
        name : str
            As the archive has it, with ``/``.
        kind : {"file", "folder", "link", "other"}
        size : int
            Bytes once unpacked, as claimed.
        mtime_ns, locator : int
            For its `ImageRef`.
        trouble : str, optional
            Why it cannot be read, if the archive's list already says so.

        Raises
        ------
        UnsafeFileError
            If there are more than `extract.images.limits.MAX_MEMBERS`.
        """
        self._count += 1
        check_members(self.name, self._count)
        unsafe = _why_unsafe(name)
        if unsafe is not None:
            self._fail(escape(name) or "(no name)", f"refused: {unsafe}", size, mtime_ns=mtime_ns)
            return
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if kind == "folder" or not parts:
            return
        other = not_an_image(parts[-1])
        if any(map(is_hidden, parts)):
            self._ignored[HIDDEN] += 1
        elif other is not None and (kind != "file" or trouble or not self._holds_image(name, size, locator)):
            self._ignored[LINK if kind == "link" else other] += 1
        else:
            path = escape("/".join(parts))
            reason = trouble or _why_not(kind, size)
            if reason is not None:
                self._fail(path, reason, size, mtime_ns=mtime_ns)
                return
            self._forget(path)
            self._images[path] = (size, mtime_ns, locator)

    def _holds_image(self, name: str, size: int, locator: int) -> bool:
        # A label's file is text, and never asked for: a tar file is read forwards.
        may = may_hold_image(name.rpartition("/")[2])
        return may and begins_as_image(self._head(locator, min(size, HEAD_BYTES)))

    @staticmethod
    def may_hold_label(name: str, size: int) -> bool:
        """Whether a member is a ``.cls`` or ``.json`` of a shard."""
        return name.lower().endswith(_LABELS) and size <= MAX_LABEL_BYTES

    def add_label(self, name: str, find: Callable[[], str | None]) -> None:
        """Take in what may be the label of the images of the same stem.

        Parameters
        ----------
        name : str
            Of the member; a ``.cls`` counts before a ``.json``.
        find : callable
            Gives the label; only called if every image has such a member.
        """
        stem, _, suffix = name.removeprefix("./").rpartition(".")
        if suffix.lower() == "cls" or escape(stem) not in self._labels:
            self._labels[escape(stem)] = find

    def listing(self, origin: Origin, notify: Notify) -> Listing:
        """All of it, sorted by path.

        The label is that of the shard's own label files if most images have one, or all lie at the top;
        else the name of the folder that an image lies in, none at the top.
        """
        labels = self._own_labels(notify)
        folders: dict[str, str] = {}
        images = []
        for path in sorted(self._images):
            if labels is None:
                folder = path.rpartition("/")[0]
                # One string for all images of a folder.
                label = folders.setdefault(folder, folder.rpartition("/")[2]) or None
            else:
                label = labels[path]
            size, mtime_ns, locator = self._images[path]
            images.append(
                ImageRef(
                    path,
                    label=label,
                    group=None,
                    split=None,
                    size=size,
                    mtime_ns=mtime_ns,
                    origin=origin,
                    locator=locator,
                )
            )
        failures = [self._failures[path] for path in sorted(self._failures)]
        return Listing(images, failures, dict(self._ignored), roots=(origin.name,))

    def _fail(self, path: str, reason: str, size: int, mtime_ns: int) -> None:
        self._forget(path)
        self._failures[path] = Failure(path, reason, size, mtime_ns=mtime_ns)

    def _forget(self, path: str) -> None:
        """As when unpacking, the last member of a name is the one that counts."""
        if self._images.pop(path, None) or self._failures.pop(path, None):
            self._ignored[REPLACED] += 1

    def _own_labels(self, notify: Notify) -> dict[str, str | None] | None:
        """Labels by path from the members beside the images; None if they do not label the shard."""
        if not self._labels:
            return None
        labels: dict[str, str | None] = {}
        for path in self._images:
            find = self._labels.get(path.rpartition(".")[0]) or self._labels.get(_sample(path))
            labels[path] = find() if find is not None else None
        without = sum(label is None for label in labels.values())
        if without == len(labels):
            return None
        missing = f"{self.name}: {without} of {len(labels)} images have no label in a .cls or .json"
        if 2 * without >= len(labels) and any("/" in path for path in labels):
            notify(f"{missing}; the labels are the folders' names")
            return None
        if without:
            notify(f"{missing}; these have none")
        return labels


def label_of(name: str, data: bytes) -> str | None:
    """The label that a ``.cls`` or ``.json`` of a shard holds; None if there is none to be had.

    A ``.cls`` is text: a number or a name. In a ``.json`` it is the text or number under ``label``, ``cls``
    or ``class``; 1.0 is 1. A zero byte stays in it, for `extract.cache.format.storable` to refuse.
    """
    try:
        text = data.decode("utf-8-sig").strip()
        if name.lower().endswith(".cls"):
            return text or None
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for key in _JSON_KEYS:
        value = found.get(key) if isinstance(found, dict) else None
        if isinstance(value, float):
            value = int(value) if value.is_integer() else str(value) if math.isfinite(value) else None
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return escape(str(value))
    return None


def _why_unsafe(name: str) -> str | None:
    if name.startswith(("/", "\\")):
        return "an absolute path in an archive"
    if _DRIVE.match(name):
        return "a drive letter in an archive"
    if ".." in name and ".." in _SLASHES.split(name):
        return "a path that leaves the archive"
    return None


def _why_not(kind: Kind, size: int) -> str | None:
    if kind == "link":
        return "a link; links inside archives are not followed"
    if kind == "other":
        return "not a file but a pipe, socket or device"
    if size > MAX_MEMBER_BYTES:
        return f"claims {size:,} bytes; at most {MAX_MEMBER_BYTES:,} are read from an archive"
    return None


def _sample(path: str) -> str:
    """WebDataset's key: the path up to the first dot of its last component."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + name.partition(".")[0]
