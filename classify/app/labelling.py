"""What to label next, and which guesses are sure enough to be taken."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.classify.active_learning.next_images import NextImages, next_images
from fc7.classify.app.files import AppFiles
from fc7.classify.app.labels import Labelled, stamp_of
from fc7.classify.app.training import HeldOut, probabilities_of
from fc7.classify.predict.predictions import best_first
from fc7.models.common.errors import DataError

_GUESSES = 5
_MOST_SHOWN = 5000


@dataclass(frozen=True, slots=True, eq=False)
class Guesses:
    """The best guess for every image that had no label when they were made."""

    fitted: HeldOut
    rows: list[int]
    labels: list[str]
    probabilities: NDArray[np.float32]


class Labelling:
    """The queue and the guesses; both are made again when something that they rest on has changed."""

    def __init__(self, files: AppFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._queue: tuple[object, dict[str, Any]] | None = None
        self._guesses: Guesses | None = None

    def queue(self, now: Labelled, fitted: HeldOut | None, n: int) -> dict[str, Any]:
        """The images to label next, with the best guesses for each.

        Raises
        ------
        Fc7Error
            As `next_images`.
        """
        if not now.unlabelled:
            return {"by": "", "notes": [], "items": []}
        key = (now.images.stamp, stamp_of(self._files.corrections), fitted and fitted.stamp, n)
        with self._lock:
            if self._queue is None or self._queue[0] != key:
                self._queue = key, self._chosen(now, fitted, n)
            return self._queue[1]

    def sure(self, now: Labelled, fitted: HeldOut, least: float) -> dict[str, Any]:
        """Unlabelled images that the classifier is at least so sure of, and how often it is right then."""
        found = self.guesses(now, fitted)
        free = set(now.unlabelled)
        rows = [
            row
            for row, p in zip(found.rows, found.probabilities.tolist(), strict=True)
            if p >= np.float32(least) and row in free
        ]
        held_out = fitted.precision_above(least)
        low, high = held_out.interval
        return {
            "above": least,
            "n": len(rows),
            "rows": rows[:_MOST_SHOWN],
            "held_out": {
                "n": held_out.n,
                "right": held_out.n_correct,
                "precision": held_out.accuracy,
                "low": low,
                "high": high,
            }
            if held_out.n
            else None,
        }

    def guesses(self, now: Labelled, fitted: HeldOut) -> Guesses:
        """The best guess for each image without a label."""
        with self._lock:
            known = self._guesses
            if known is None or known.fitted is not fitted or not set(now.unlabelled) <= set(known.rows):
                rows = now.unlabelled
                P = probabilities_of(self._files.features, fitted, rows)
                best = P.argmax(axis=1).tolist() if len(P) else []
                labels = [fitted.classifier.classes_[i] for i in best]
                known = self._guesses = Guesses(fitted, rows, labels, probabilities=P.max(axis=1, initial=0))
            return known

    def _chosen(self, now: Labelled, fitted: HeldOut | None, n: int) -> dict[str, Any]:
        try:
            chosen = next_images(
                self._files.features,
                n,
                model=None if fitted is None else fitted.classifier,
                corrections=self._files.corrections_if_any,
            )
        except DataError as exc:
            return {"by": "", "notes": [str(exc)], "items": []}
        return {"by": chosen.by, "notes": list(chosen.notes), "items": self._items(chosen, now, fitted)}

    def _items(self, chosen: NextImages, now: Labelled, fitted: HeldOut | None) -> list[dict[str, Any]]:
        rows = [image.row for image in chosen.images]
        if fitted is None:
            guesses = [
                [
                    {"label": label, "probability": p}
                    for label, p in (
                        (image.suggested, image.probability),
                        (image.second, image.second_probability),
                    )
                    if label
                ]
                for image in chosen.images
            ]
        else:
            P = probabilities_of(self._files.features, fitted, rows)
            guesses = top_guesses(fitted, P)
        sha256 = now.images.sha256
        return [
            {"row": row, "path": now.images.paths[row], "h": sha256[row][:8], "guesses": some}
            for row, some in zip(rows, guesses, strict=True)
        ]


def top_guesses(fitted: HeldOut, probabilities: NDArray[np.float32]) -> list[list[dict[str, Any]]]:
    """The most probable labels of each row, the best first."""
    classes = fitted.classifier.classes_
    order = best_first(probabilities, min(_GUESSES, len(classes)))
    return [
        [{"label": classes[i], "probability": float(row[i])} for i in best]
        for row, best in zip(probabilities, order.tolist(), strict=True)
    ]
