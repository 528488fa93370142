"""Where a classifier looks: how much less probable a label becomes when a part of the picture is covered.

Zeiler and Fergus ("Visualizing and Understanding Convolutional Networks", 2014, section 4.2) slide a grey
square over the picture and look at the probability of the right class. Nothing but forward runs is needed, so
that any network will do. The picture is covered before it is prepared for the network, by the code that
prepares every other one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fc7.classify.classifier.classifier import Classifier
from fc7.extract.images.decode import shrink
from fc7.extract.records import Features, ImageRef, Pixels
from fc7.models.common.errors import ImageError, UsageError

# Covering copies of photographs of 12 megapixels would take longer than running the network.
_SIDE = 512
_GREY = 128


@dataclass(frozen=True, slots=True, eq=False)
class OcclusionMap:
    """How a label's probability falls where the picture is covered.

    Attributes
    ----------
    label : str
        The most probable one of the whole picture.
    base : float
        Its probability there, 0 to 1.
    drop : ndarray of shape (rows, columns), float32
        `base` minus the probability with the square around that part covered; negative where covering helps.
    """

    label: str
    base: float
    drop: NDArray[np.float32]


def occlusion_map(
    image: bytes | Pixels,
    classifier: Classifier,
    features_of: Callable[[Sequence[ImageRef]], Features],
    *,
    cells: int = 8,
) -> OcclusionMap:
    """Cover each part of a picture in turn, and see what becomes of the most probable label.

    Parameters
    ----------
    image : bytes, or ndarray of shape (height, width, 3), uint8
        A file's content, or RGB, 0-255.
    features_of : callable
        Runs the classifier's network over images: (n images) -> ndarray of shape (n, n_features), float32.
    cells : int
        Parts along each side, at least 2. A square covers two of them each way.

    Raises
    ------
    ImageError
        If the image cannot be read.
    UsageError
        If `cells` is below 2.

    Examples
    --------
    A "network" whose only feature is how bright the left half is, and a classifier that goes by it:

    >>> from fc7.classify.classifier.normalizer import Normalizer
    >>> picture = np.full((64, 64, 3), 128, np.uint8)
    >>> picture[:, :32] = 255
    >>> def features_of(refs):
    ...     return np.array([[ref.origin.read(ref)[:, :32].mean() / 255] for ref in refs], np.float32)
    >>> bright = Classifier(("dark", "bright"), np.array([[-9.0], [9.0]]), np.array([6.0, -6.0]),
    ...                     Normalizer("none", None, None), scale=1.0, head="svm", C=1.0)
    >>> found = occlusion_map(picture, bright, features_of, cells=4)
    >>> found.label, (found.drop > 0.001).astype(int).tolist()[1]
    ('bright', [1, 1, 1, 0])
    """
    if cells < 2:
        raise UsageError(f"{cells} cells were found; at least 2 along each side are needed")
    picture = shrink(image, _SIDE)
    squares = [_square(picture, cells, i, column=j) for i in range(cells) for j in range(cells)]
    refs = [_ref(number, _Covered(picture, square)) for number, square in enumerate([None, *squares])]
    X = features_of(refs)
    if len(X) != len(refs):
        raise ImageError(f"the network gave {len(X)} rows of features for {len(refs)} copies of the picture")
    P = classifier.predict_proba(X)
    best = int(P[0].argmax())
    drop = (P[0, best] - P[1:, best]).reshape(cells, cells)
    return OcclusionMap(classifier.classes_[best], float(P[0, best]), drop.astype(np.float32))


_Square = tuple[slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class _Covered:
    """The place of one copy of a picture; `extract.records.Origin`."""

    picture: Pixels
    square: _Square | None
    name: str = ""

    def read(self, ref: ImageRef) -> Pixels:
        if self.square is None:
            return self.picture
        covered = self.picture.copy()
        covered[self.square] = _GREY
        return covered


def _square(picture: Pixels, cells: int, row: int, column: int) -> _Square:
    height, width = picture.shape[:2]
    return _span(row, cells, height), _span(column, cells, width)


def _span(number: int, cells: int, size: int) -> slice:
    """Two cells around the middle of one, as far as they lie in the picture."""
    return slice(
        max(0, round((number - 0.5) * size / cells)), min(size, round((number + 1.5) * size / cells))
    )


def _ref(number: int, origin: _Covered) -> ImageRef:
    return ImageRef(
        f"{number:06}", label=None, group=None, split=None, size=0, mtime_ns=0, origin=origin, locator=number
    )
