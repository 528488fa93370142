"""What `next` prints and writes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from fc7.classify.active_learning.next_images import NextImage, NextImages
from fc7.classify.commands.texts.suspects_text import corrected_lines
from fc7.classify.kinds import NEXT_COLUMNS
from fc7.models.common.names import shortened
from fc7.models.common.terminal import counted
from fc7.models.outputs.csv_rows import write_table
from fc7.models.outputs.outputs import Output


def next_text(chosen: NextImages) -> str:
    """A line for each image, the least sure first, then what the choice rests on, for people."""
    lines = [f"{i:4}  {shortened(each.path, 60)}{_guess(each)}" for i, each in enumerate(chosen.images, 1)]
    lines.append(
        f"{len(chosen.images)} of {counted(chosen.n_unlabelled, 'image')} without a label, by {chosen.by}"
    )
    lines += [] if chosen.corrected is None else chosen.corrected.lines
    lines += [f"note: {note}" for note in chosen.notes]
    return "\n".join(lines)


def next_json(chosen: NextImages) -> dict[str, object]:
    """The same for a program."""
    return {
        "unlabelled": chosen.n_unlabelled,
        "labelled": chosen.n_labelled,
        "by": chosen.by,
        "notes": list(chosen.notes),
        **({} if chosen.corrected is None else {"corrections": chosen.corrected.to_json()}),
        "images": [
            {
                "path": each.path,
                "sha256": each.sha256,
                "suggested": each.suggested or None,
                "probability": _number(each.probability),
                "second": each.second or None,
                "second_probability": _number(each.second_probability),
            }
            for each in chosen.images
        ],
    }


def write_next_csv(chosen: NextImages, out: Output) -> Path:
    """A table of corrections whose labels are still empty; those that were given come last.

    Raises
    ------
    Fc7Error
        If it cannot be written.
    """

    def lines() -> Iterator[tuple[str, ...]]:
        for each in chosen.images:
            yield (
                *(each.path, each.sha256, "", each.suggested, _six(each.probability)),
                *(each.second, _six(each.second_probability)),
            )

    before = corrected_lines(chosen.corrected, {each.path for each in chosen.images}, len(NEXT_COLUMNS))
    return write_table([NEXT_COLUMNS, *lines(), *before], out)


def _guess(image: NextImage) -> str:
    if not image.suggested:
        return ""
    return (
        f": {shortened(image.suggested)} {image.probability:.1%} or {shortened(image.second)} "
        f"{image.second_probability:.1%}"
    )


def _six(p: float) -> str:
    return "" if math.isnan(p) else f"{p:.6f}"


def _number(p: float) -> float | None:
    return None if math.isnan(p) else round(p, 6)
