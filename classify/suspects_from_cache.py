"""The suspects among the labels of a features.h5: what the command `suspects` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from classify.duplicates import find_duplicates
from classify.normalize import Normalization
from classify.out_of_fold import out_of_fold
from classify.rows import make_table
from classify.suspects import Suspect, find_suspects
from extract.cache.reader import load_features
from models.progress import Progress


@dataclass(frozen=True, slots=True)
class FoundSuspects:
    """What `cache_suspects` found.

    Attributes
    ----------
    suspects : tuple of Suspect
        The most suspicious first.
    labelled : int
        Images with a label.
    unjudged : int
        Those among them that nothing could judge: the only image or group of their class.
    C : float
        Of the heads that judged.
    """

    suspects: tuple[Suspect, ...]
    labelled: int
    unjudged: int
    C: float


def cache_suspects(
    features: str | Path,
    *,
    layer: str | None = None,
    C: float | None = None,
    normalize: Normalization = "l2",
    seed: int = 0,
    progress: Progress | None = None,
) -> FoundSuspects:
    """Judge every labelled image of a cache by heads that have not seen it.

    Parameters
    ----------
    features : str or Path
    layer : str or None
        The only or last one if None.
    C, normalize, seed, progress
        As `classify.out_of_fold.out_of_fold`.

    Raises
    ------
    DataError
        If there are no labels, or too few of each.
    CacheError
        If the cache cannot be read.
    """
    found = load_features(features, layer)
    table = make_table(
        found.X, found.y, paths=found.paths, sha256=found.sha256, groups=found.groups, splits=None
    )
    copies = find_duplicates(
        table.X, table.rows, table.labels, table.content, table.groups, progress=progress
    )
    judged = out_of_fold(table, alike=copies.ties, C=C, normalize=normalize, seed=seed, progress=progress)
    return FoundSuspects(
        suspects=tuple(find_suspects(table, judged, copies.groups)),
        labelled=len(table.rows),
        unjudged=int((~judged.known).sum()),
        C=judged.C,
    )
