"""The lists of images that the page shows, a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fc7.classify.app.labels import Labelled
from fc7.classify.app.training import HeldOut
from fc7.classify.fit.suspects import Suspect, Suspects
from fc7.models.common.errors import UsageError

MOST_ROWS = 500
"""Of a list that a page gets at once."""

Found = Sequence[tuple[int, str | None, float | None]]
"""Row, suggested label and a probability that goes with it."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What the lists are made of.

    Attributes
    ----------
    fitted : callable
        Gives the classifier with its held-out images, or raises UsageError.
    suspects : Suspects or None
        Of the last search.
    """

    now: Labelled
    fitted: Callable[[], HeldOut]
    suspects: Suspects | None

    def rows(self, which: str, asked: dict[str, str]) -> Found:
        """A whole list.

        Raises
        ------
        UsageError
            If there is no such list.
        """
        labels = self.now.labels
        if which == "all":
            return _plain(range(len(labels)))
        if which == "class":
            return _plain([row for row, label in enumerate(labels) if label == asked.get("class")])
        if which == "unlabelled":
            return _plain(self.now.unlabelled)
        if which == "taken_out":
            return _plain(sorted(self.now.taken_out))
        if which == "mistakes":
            # One that was corrected to what was predicted is no mistake any more.
            return [each for each in self.fitted().mistakes() if labels[each[0]] not in ("", each[1])]
        if which == "cell":
            return self.fitted().cell(asked.get("true", ""), asked.get("predicted", ""))
        if which == "suspects":
            return [(row, each.suggested, None) for row, each in self.named.items()]
        raise UsageError(
            f"{which!r} was asked for; lists are all, class, unlabelled, taken_out, mistakes, "
            "suspects and cell"
        )

    @property
    def named(self) -> dict[int, Suspect]:
        """Row -> the suspect there, where its label is still the one that was suspected."""
        if self.suspects is None:
            return {}
        labels, at = self.now.labels, {path: row for row, path in enumerate(self.now.images.paths)}
        return {
            at[each.path]: each
            for each in self.suspects.named
            if each.path in at and labels[at[each.path]] == each.label
        }


def part_of(listed: Listed, which: str, asked: dict[str, str], part: slice) -> dict[str, Any]:
    """Some images of a list, for the page.

    Parameters
    ----------
    which : str
        all, class, unlabelled, taken_out, mistakes, suspects or cell.
    asked : dict of str to str
        ``class``, or ``true`` and ``predicted``.
    part : slice
        Where in the list; of more than 500 the first 500.

    Raises
    ------
    UsageError
        If there is no such list.
    """
    now, found = listed.now, listed.rows(which, asked)
    suspects = listed.named if which == "suspects" else {}
    images = now.images
    return {
        "total": len(found),
        "cache": images.name,
        "items": [
            {
                "row": row,
                "path": images.paths[row],
                "h": images.sha256[row][:8],
                "label": now.labels[row],
                "original": images.labels[row],
                "out": row in now.taken_out,
                "suggested": suggested,
                "probability": probability,
                "p_wrong": float(suspects[row].p_wrong) if row in suspects else None,
            }
            for row, suggested, probability in found[part][:MOST_ROWS]
        ],
    }


def _plain(rows: Sequence[int]) -> Found:
    return [(row, None, None) for row in rows]
