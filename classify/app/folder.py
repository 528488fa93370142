"""How the folder of images differs from the feature cache: looked at now and then, while somebody looks."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from fc7.classify.app.files import AppFiles
from fc7.classify.app.labels import CachedImages
from fc7.classify.app.shared import Shared
from fc7.classify.app.uploads import clear_parts
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.inputs.places.folders import escape
from fc7.models.common.errors import Fc7Error
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
    unread : int
        Those of them that the feature cache does not have.
    gone : int
        Images of the cache that are not in the folder.
    classes : tuple of str
        Folders directly in it.
    """

    images: int
    unread: int
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
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="folder", daemon=True).start()

    def state(self, images: CachedImages | None) -> FolderState | None:
        """The latest; None before the first listing is done."""
        if images is not self._images:
            self._images = images
            self._wanted.set()
        self._asked = time.monotonic()
        return self._state

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
            return FolderState(0, 0, 0, classes)
        try:
            there = {ref.path for ref in list_inputs([str(folder)], labelled=False).images}
        except Fc7Error:
            there = set()
        return FolderState(len(there), len(there - known), len(known - there), classes)


def class_folders(folder: Path) -> tuple[str, ...]:
    """The folders directly in the folder of images, by the names of their classes."""
    try:
        names = [each.name for each in folder.iterdir() if each.is_dir() and each.name[0] != "."]
    except OSError:
        return ()
    # As the labels of their images are written.
    return tuple(sorted(normal(escape(name)) for name in names))
