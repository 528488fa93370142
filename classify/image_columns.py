"""What is known of the image behind each row of features, beside its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class ImageColumns:
    """A column for each thing that may be known; entry i of each is about row i.

    Attributes
    ----------
    paths : sequence of n str, or None
        For messages, and to draw the split by where `sha256` is not known.
    sha256 : sequence of n str, or None
        Content hashes, empty where unknown: copies of an image stay on one side. Without `sha256` and `paths`
        a fit hashes the feature rows themselves.
    groups : sequence of n (str or None), or None
        Rows of one group stay on one side; what is near inside a group is no evidence of chance.
    splits : sequence of n (str or None), or None
        ``train`` or ``test`` for each row, if the split is given; all empty counts as none.
    thumbnails : ndarray of shape (n, 96) or (n, 64), uint8, or None
        `extract.images.thumbnails` of the images, zeros where there is none, 64 where no colours are known;
        they find near-duplicates too.

    Examples
    --------
    >>> ImageColumns(groups=["monday", "monday", "tuesday"]).splits is None
    True
    """

    paths: Sequence[str] | None = None
    sha256: Sequence[str] | None = None
    groups: Sequence[str | None] | NDArray[np.str_] | None = None
    splits: Sequence[str | None] | NDArray[np.str_] | None = None
    thumbnails: NDArray[np.uint8] | None = None


NOTHING_KNOWN = ImageColumns()
"""Features and labels alone."""
