"""How the folder of images differs from the feature cache: looked at now and then, while somebody looks."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fc7.classify.app.files import AppFiles
from fc7.classify.app.labels import CachedImages
from fc7.classify.app.lists import MOST_ROWS
from fc7.classify.app.shared import Shared
from fc7.classify.app.uploads import clear_parts
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.places.folders import escape
from fc7.extract.records import ImageRef
from fc7.models.common.errors import Fc7Error, ImageError
from fc7.models.common.unicode_forms import normal

# A listing may take this share of the time; where nobody asks for so long, none is made.
_SHARE, _LEAST_PAUSE, _IDLE = 0.1, 2.0, 60.0


@dataclass(frozen=True, slots=True)
class FolderState:
    """What a listing found.

    Attributes
    ----------
    images : int
        In the folder.
    unread : tuple of ImageRef
        Those of them that the feature cache does not have, by path.
    gone : int
        Images of the cache that are not in the folder.
    classes : tuple of str
        Folders directly in it.
    """

    images: int
    unread: tuple[ImageRef, ...]
    gone: int
    classes: tuple[str, ...]


class FolderWatch:
    """Lists the folder in a thread of its own."""

    def __init__(self, files: AppFiles, shared: Shared) -> None:
        self._files, self._shared = files, shared
        self._wanted = threading.Event()
        self._asked = 0.0
        self._images: CachedImages | None = None
        self._state: FolderState | None = None
        self._numbers: dict[ImageRef, int] = {}
        self._shown: list[ImageRef] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="folder", daemon=True).start()

    def state(self, images: CachedImages | None) -> FolderState | None:
        """The latest; None before the first listing is done."""
        if images is not self._images:
            self._images = images
            self._wanted.set()
        self._asked = time.monotonic()
        return self._state

    def part_of_unread(self, part: slice) -> dict[str, Any]:
        """Some of the images whose features are not read yet, in the form of `lists.part_of`.

        `row` is a number that stays the image's own, whatever comes before it in the list meanwhile.
        """
        unread = () if self._state is None else self._state.unread
        items = [
            {
                "row": self._number_of(ref),
                "path": ref.path,
                "h": "",
                "label": ref.label or "",
                "unread": True,
            }
            for ref in unread[part][:MOST_ROWS]
        ]
        return {"total": len(unread), "cache": None, "items": items}

    def numbered(self, number: int) -> ImageRef:
        """The image that `part_of_unread` gave the number.

        Raises
        ------
        ImageError
            If it gave it to none.
        """
        with self._lock:
            if number >= len(self._shown):
                raise ImageError("no image has that number; look again")
            return self._shown[number]

    def _number_of(self, ref: ImageRef) -> int:
        # Path, size and time: a file that is changed is another image.
        with self._lock:
            number = self._numbers.setdefault(ref, len(self._shown))
            if number == len(self._shown):
                self._shown.append(ref)
            return number

    def look_again(self) -> None:
        """Something was put there."""
        self._wanted.set()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        self._wanted.set()

    def _watch(self) -> None:
        clear_parts(self._files.images)
        pause = _LEAST_PAUSE
        while True:
            self._wanted.wait(pause)
            if self._ended.is_set():
                return
            if not self._wanted.is_set() and time.monotonic() - self._asked > _IDLE:
                continue
            self._wanted.clear()
            started = time.monotonic()
            found = self._listed()
            pause = max(_LEAST_PAUSE, (time.monotonic() - started) / _SHARE)
            if found != self._state:
                self._state = found
                self._shared.changed()
            # What is dropped comes as many files.
            time.sleep(0.2)

    def _listed(self) -> FolderState:
        images, folder = self._images, self._files.images
        known = set(images.paths) if images is not None else set[str]()
        known |= {failure.path for failure in images.failures} if images is not None else set()
        classes = class_folders(folder)
        if images is not None and str(folder) not in images.header.roots:
            # The features are of images elsewhere: nothing here is to be compared with them.
            return FolderState(0, (), 0, classes=classes)
        try:
            there = list_inputs([str(folder)], labelled=False).images
        except (Fc7Error, OSError):
            # Empty, or away at this moment: the next listing tells.
            there = []
        unread = tuple(ref for ref in there if ref.path not in known)
        n_gone = len(known) - (len(there) - len(unread))
        return FolderState(len(there), unread, n_gone, classes=classes)


def class_folders(folder: Path) -> tuple[str, ...]:
    """The folders directly in the folder of images, by the names of their classes."""
    try:
        names = [each.name for each in folder.iterdir() if each.is_dir() and each.name[0] != "."]
    except OSError:
        return ()
    # As the labels of their images are written.
    return tuple(sorted(normal(escape(name)) for name in names))
