"""The images that an exported file is tried on before it is written: the user's own, or drawn ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fc7.classify.classifier.classifier import Classifier
from fc7.extract.cache.reader import CacheReader
from fc7.extract.drawn.shapes import CLASSES, SIDE, draw_shape
from fc7.extract.images.geometry import sample
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.records import ImageRef, Listing, Pixels
from fc7.models.common.errors import Fc7Error
from fc7.models.common.progress import Notify

# Enough to meet dark and bright, large and small images; a second or two of work.
MOST = 24
_DRAWN_NAME = "drawn pictures"


@dataclass(frozen=True, slots=True)
class CheckImages:
    """Images to try a file on.

    Attributes
    ----------
    listing : Listing
        At most `MOST` images, evenly spaced over all there were.
    source : str
        Where they are from, for people.
    """

    listing: Listing
    source: str


@dataclass(frozen=True, slots=True)
class CheckInputs:
    """Where images to try a file on may be found.

    Attributes
    ----------
    images : sequence of str or Path
        Whatever `extract` takes.
    features : Path or None
        A features.h5, for its images. One of other features, or whose images are gone, is passed over.
    """

    images: Sequence[str | Path] = ()
    features: Path | None = None


DRAWN = CheckInputs()
"""Nowhere: they are drawn."""


def check_images(inputs: CheckInputs, classifier: Classifier, notify: Notify) -> CheckImages:
    """Those given; else those that a cache of the classifier's features was made from; else drawn ones.

    Parameters
    ----------
    notify : callable
        Is told why a cache was passed over.

    Raises
    ------
    UsageError, SourceError
        If `inputs.images` holds none.
    """
    images, features = inputs.images, inputs.features
    if images:
        return CheckImages(_some(list_inputs(images)), ", ".join(map(str, images)))
    roots = _roots(features, classifier) if features is not None and features.is_file() else ()
    if roots:
        try:
            return CheckImages(_some(list_inputs(roots)), f"{', '.join(roots)} ({features})")
        except Fc7Error as exc:
            notify(f"the images of {features} cannot be listed: {exc}")
    return CheckImages(_drawn(), _DRAWN_NAME)


def _roots(features: Path, classifier: Classifier) -> tuple[str, ...]:
    """The places that the images of a cache lay in, if it holds the classifier's features."""
    try:
        with CacheReader(features) as reader:
            fits = classifier.identity.fingerprint in reader.identity.fingerprints.values()
            # A list on stdin is gone.
            return reader.header.roots if fits and "-" not in reader.header.roots else ()
    except Fc7Error:
        return ()


def _some(listing: Listing) -> Listing:
    rows = np.unique(np.linspace(0, len(listing.images) - 1, min(MOST, len(listing.images))).round())
    return Listing([listing.images[int(i)] for i in rows], (), {}, roots=listing.roots)


class _Drawn:
    """Pictures with what photographs have: soft light, an object with edges, grain, several shapes."""

    name = _DRAWN_NAME

    def read(self, ref: ImageRef) -> Pixels:

        number = int(ref.locator)
        rng = np.random.Generator(np.random.PCG64(number))
        height, width = (int(n) for n in rng.integers(SIDE, 2 * SIDE, 2))
        light = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        picture = sample(light, height, width, interpolation="bicubic").astype(np.int16)
        shape = draw_shape(CLASSES[number % len(CLASSES)], rng)
        top, left = (height - SIDE) // 2, (width - SIDE) // 2
        middle = picture[top : top + SIDE, left : left + SIDE]
        middle[shape.any(axis=2)] = shape[shape.any(axis=2)]
        picture += rng.integers(-12, 13, picture.shape, dtype=np.int16)
        pixels: Pixels = np.clip(picture, 0, 255).astype(np.uint8)
        return pixels


def _drawn() -> Listing:
    origin = _Drawn()
    refs = [
        ImageRef(f"{i:02}", label=None, group=None, split=None, size=0, mtime_ns=0, origin=origin, locator=i)
        for i in range(MOST)
    ]
    return Listing(refs, (), {}, roots=(_DRAWN_NAME,))
