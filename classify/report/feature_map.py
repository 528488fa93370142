"""The map of the features as the page shows it: points that say which image they are, some with a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fc7.classify.report.evaluated import EvaluatedImages
from fc7.classify.report.report_data import MapPoint, Projection

WIDTH, HEIGHT = 700, 480
"""Size of the map in its own units; points lie inside it by a margin that holds a marker."""
_MARGIN = 12
# 4 KB a picture; among them at most so many mistakes, as a weak classifier's map would show nothing else.
MOST_PICTURES, MOST_MISTAKES = 400, 200


def map_points(
    found: Projection, paths: Sequence[str], classes: Sequence[str], evaluated: EvaluatedImages | None
) -> tuple[MapPoint, ...]:
    """A point for each row of the projection, mistakes last so that they are drawn on top.

    Parameters
    ----------
    found : Projection
    paths : sequence of str
        Of all rows of the cache.
    classes : sequence of str
        What `found.code` indexes.
    evaluated : EvaluatedImages or None
        What is said of test images.
    """
    said: dict[int, tuple[str, bool]] = {}
    if evaluated is not None:
        for i, row in enumerate(evaluated.rows.tolist()):
            words = f"{evaluated.labels[evaluated.predicted[i]]}, {evaluated.confidence[i]:.1%}"
            said[row] = words, bool(evaluated.right[i])
    place = _scaled(found.points)
    rows = found.rows.tolist()
    wrong = np.array([row in said and not said[row][1] for row in rows], np.bool_)
    pictured = _pictured(wrong)
    points = []
    for i in np.argsort(wrong, kind="stable").tolist():
        label, row = classes[found.code[i]], rows[i]
        text = f"labelled {label}" + (f", predicted {said[row][0]}" if row in said else "")
        x, y = place[i].tolist()
        points.append(
            MapPoint(
                x,
                y=y,
                code=int(found.code[i]),
                row=row,
                path=paths[row],
                text=text,
                wrong=bool(wrong[i]),
                pictured=bool(pictured[i]),
            )
        )
    return tuple(points)


def _scaled(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Onto the map, each axis to its whole length; y grows downwards."""
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    share = (points - low) / np.where(span > 0, span, 1)
    room = np.array([WIDTH, HEIGHT]) - 2 * _MARGIN
    scaled: NDArray[np.float64] = np.round(
        _MARGIN + np.column_stack([share[:, 0], 1 - share[:, 1]]) * room, 1
    )
    return scaled


def _pictured(wrong: NDArray[np.bool_], seed: int = 0) -> NDArray[np.bool_]:
    """Which points have a picture: mistakes first, the others drawn by `seed`."""
    order = np.random.default_rng(seed).permutation(len(wrong))
    mistakes = order[wrong[order]][:MOST_MISTAKES]
    chosen = np.zeros(len(wrong), np.bool_)
    chosen[mistakes] = True
    chosen[order[~wrong[order]][: MOST_PICTURES - len(mistakes)]] = True
    return chosen
