"""Whether a run would take away most labels of a cache, which a file of corrections does by mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from fc7.extract.cache.reader import CacheReader
from fc7.extract.options import ExtractOptions
from fc7.extract.records import ImageRef
from fc7.models.common.errors import CacheError
from fc7.models.common.program import command_line


def labels_of(cache: Path) -> dict[str, str]:
    """Path -> label of the images of a cache that have one; none where it cannot be read."""
    with suppress(CacheError), CacheReader(cache) as reader:
        known = reader.columns()
        return {path: label for path, label in zip(known.path, known.label, strict=True) if label}
    return {}


def fit_with_corrections(cache: Path, labels: Path) -> str:
    """What to paste where a file of `--labels` holds corrections."""
    return f"`{command_line('fit', cache, '--corrections', labels)}`"


def check_labels(
    images: Sequence[ImageRef], before: Mapping[str, str], cache: Path, options: ExtractOptions
) -> str | None:
    """Why labels should not simply go, in words; None if at most half of them would.

    Parameters
    ----------
    images : sequence of ImageRef
        The listing. What it lacks loses its row, not its label alone (`extract.plan.check_missing`).
    before : mapping of str to str
        As `labels_of` gives it.
    """
    lost = [ref.path for ref in images if not ref.label and ref.path in before]
    if 2 * len(lost) <= len(before):
        return None
    found = (
        f"{cache} holds {len(before):,} labelled images, and {len(lost):,} of them would have no label any "
        f"more ({min(lost)}, ...)"
    )
    away = "--remove-missing takes the other labels away"
    if options.labels is None:
        return (
            f"{found}, as --label-by {options.label_by} finds none. Two things may be meant: another "
            f"pattern, or these images have no label, and {away}. Nothing was changed"
        )
    fit = fit_with_corrections(cache, options.labels)
    return (
        f"{found}, as --labels {options.labels} gives them none. Two things may be meant. It holds "
        f"corrections: {fit} puts them over the labels of the feature cache, and so do evaluate, report, "
        f"suspects, compare and learning-curve. Or it is the complete list of labels: {away}. Nothing was "
        "changed"
    )
