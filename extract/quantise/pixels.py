"""The pixels of some images of a listing, as a network is fed them, to measure the ranges of its maps on."""

from __future__ import annotations

import numpy as np

from fc7.extract.images.decode import prepare
from fc7.extract.records import Listing, Pixels
from fc7.models.common.errors import DataError, ImageError
from fc7.models.common.progress import Progress
from fc7.models.network.spec import PreprocessSpec

MOST = 256
"""More than the 96 that the recipes of tests/benchmarks/NOTES.md were compared with."""


def calibration_pixels(listing: Listing, spec: PreprocessSpec, progress: Progress) -> Pixels:
    """Those of at most `MOST` images, evenly spaced over all; one that gives no pixels is left out.

    Returns
    -------
    ndarray of shape (n, crop_height, crop_width, 3), uint8
        RGB, crops one after another.

    Raises
    ------
    DataError
        If none of them can be read.
    """
    images = listing.images
    rows = np.unique(np.linspace(0, len(images) - 1, min(MOST, len(images))).round().astype(int))
    progress.start(len(rows), "reading images")
    found, reason = list[Pixels](), ""
    for row in rows.tolist():
        ref = images[row]
        try:
            found.append(prepare(ref.origin.read(ref), spec))
        except ImageError as exc:
            reason = f"{ref.shown}: {exc}"
        progress.advance()
    progress.finish()
    if not found:
        raise DataError(f"none of the images can be read ({reason}); give others with --images")
    return np.concatenate(found)
