"""What all windows of the app look at: a number that grows with every change, and notes for people."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal

_NOTES_KEPT = 30

NoteKind = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened, a sentence."""

    id: int
    kind: NoteKind
    text: str


class Shared:
    """A version, and the latest notes; any thread may change them.

    Attributes
    ----------
    ended : bool
        Nobody is to wait for a change any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = 1
        self._notes: deque[Note] = deque(maxlen=_NOTES_KEPT)
        self._next = 1
        self.ended = False

    @property
    def version(self) -> int:
        """Another number whenever something that a page shows has changed."""
        return self._version

    @property
    def notes(self) -> list[Note]:
        """The latest ones, the oldest first."""
        with self._lock:
            return list(self._notes)

    def changed(self) -> None:
        """Have every page look again."""
        with self._lock:
            self._version += 1

    def note(self, text: str, kind: NoteKind = "info") -> None:
        """Tell every page something; what the last note said already is not said again."""
        with self._lock:
            if not self._notes or self._notes[-1].text != text:
                self._notes.append(Note(self._next, kind, text))
                self._next += 1
            self._version += 1
