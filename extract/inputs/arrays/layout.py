"""Which array holds images, which labels, in what order the axes stand: one set of rules for all files.

======================  =====================================================================
images                  ``images``, ``x``, ``data``, ``features`` (in any case)
labels                  ``labels``, ``label``, ``y``, ``targets``
parts                   ``x_train``, ``train_images``, ``y_test``, ``val_labels``, ...: each part
                        becomes the `split` of its images, and a folder in their paths
axes                    (N, H, W, 3), (N, H, W, 4), (N, H, W, 1), (N, H, W); (N, 3, H, W) and
                        (N, 1, H, W) if the last axis is not 1, 3 or 4
one picture             (H, W), (H, W, 3), (H, W, 4), (H, W, 1), (3, H, W), (4, H, W). The number of
                        labels decides between these and (N, H, W); without it (H, W, 3) and (H, W, 4)
                        are one picture, and (3, H, W) and (4, H, W) are asked about
images' type            uint8
labels                  whole numbers (as floats too), text, or one-hot rows; (N,) or (N, 1)
======================  =====================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.extract.images.colours import to_bytes
from fc7.extract.inputs.places.folders import escape
from fc7.extract.records import Pixels
from fc7.models.common.errors import SourceError

IMAGE_KEYS = ("images", "x", "data", "features")
LABEL_KEYS = ("labels", "label", "y", "targets")
PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What a part may be called, and the split that it is."""

# A fourth plane before the rows is as often infrared as alpha: not taken of many pictures, asked of one.
_CHANNELS_FIRST, _CHANNELS_LAST = (1, 3), (1, 3, 4)
PLANES = {3: "RGB", 4: "RGBA"}
"""What as many planes of one picture may be, which may be as many grey pictures too."""
_KEYS_READ = (
    f"{', '.join(IMAGE_KEYS)} for the images, {', '.join(LABEL_KEYS)} for the labels, or x_train, ..."
)


@dataclass(frozen=True, slots=True)
class Part:
    """Images and their labels as a file names them.

    Attributes
    ----------
    split : str or None
        None if the file is not divided.
    images : str
        The key.
    labels : str or None
        The key, if there is one.
    """

    split: str | None
    images: str
    labels: str | None


def find_parts(shapes: Mapping[str, tuple[int, ...]], name: str) -> list[Part]:
    """Which arrays of a file are images and labels.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Key -> shape of every array in the file.
    name : str
        The file, for messages.

    Raises
    ------
    SourceError
        If no array is named as images, or more than one could be meant.
    """
    images: dict[str | None, list[str]] = {}
    labels: dict[str | None, list[str]] = {}
    for key in shapes:
        word, split = _role(key)
        if word in IMAGE_KEYS:
            images.setdefault(split, []).append(key)
        elif word in LABEL_KEYS:
            labels.setdefault(split, []).append(key)
    doubled = [keys for role in (images, labels) for keys in role.values() if len(keys) > 1]
    if not images or doubled or (None in images and len(images) > 1):
        what = "more than one array could be meant" if images else "no array is named as images"
        held = ", ".join(f"{key} {shape}" for key, shape in sorted(shapes.items())[:12]) or "nothing"
        raise SourceError(f"{name}: {what}; it holds {held}. Names that are read: {_KEYS_READ}")
    return [
        Part(split, keys[0], labels.get(split, [None])[0])
        for split, keys in sorted(images.items(), key=lambda item: item[0] or "")
    ]


def _role(key: str) -> tuple[str, str | None]:
    """``x_train`` and ``train_images`` -> what it holds and its part."""
    lower = key.lower()
    for left, right in (lower.rpartition("_")[::2], lower.partition("_")[::-2]):
        if right in PARTS and left in (*IMAGE_KEYS, *LABEL_KEYS):
            return left, PARTS[right]
    return lower, None


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """How the axes of a stack of images, or of one image, stand.

    Attributes
    ----------
    count : int
        Images.
    axis : int or None
        The images' axis; None if the whole array is one image.
    turn : tuple of int
        Transposes one image, as it lies without that axis, to (H, W, C) or (H, W).
    bytes_each : int
        Of one image.
    """

    count: int
    axis: int | None
    turn: tuple[int, ...]
    bytes_each: int

    def picture(self, stored: NDArray[Any]) -> Pixels:
        """One image as it lies -> ndarray of shape (H, W, 3), (H, W, 4) or (H, W), uint8."""
        turned: Pixels = stored.transpose(self.turn)
        if turned.ndim == 3 and turned.shape[2] == 1:
            turned = turned[:, :, 0]
        return np.ascontiguousarray(turned)


@dataclass(frozen=True, slots=True)
class AxesReading:
    """One way to read an array that has several.

    Attributes
    ----------
    what : str
        In words.
    saved : str
        What of the array ``x`` is to be saved so that it can be read no other way.
    """

    layout: ArrayLayout
    what: str
    saved: str


def layout(
    shape: tuple[int, ...], dtype: np.dtype[Any], name: str, labels: tuple[int, ...] | None = None
) -> ArrayLayout:
    """The axes of an array of images, by the table at the top.

    Parameters
    ----------
    name : str
        The file and key, for messages.
    labels : tuple of int, optional
        Shape of the labels, if there are some.

    Raises
    ------
    SourceError
        If it is no array of uint8 images, or can be read in several ways.
    """
    if dtype.hasobject:
        raise SourceError(f"{name}: an array of objects; refused, it would need pickle. Save one uint8 array")
    if dtype != np.uint8:
        raise SourceError(
            f"{name}: images of type {dtype} were found, uint8 (0-255) is needed; {to_bytes(dtype)}"
        )
    if 0 in shape[1:]:
        raise SourceError(f"{name}: images without pixels, shape {shape}")
    each = math.prod(shape[1:])
    if len(shape) == 4 and shape[3] in _CHANNELS_LAST:
        return ArrayLayout(shape[0], 0, (0, 1, 2), bytes_each=each)
    if len(shape) == 4 and shape[1] in _CHANNELS_FIRST:
        return ArrayLayout(shape[0], 0, (1, 2, 0), bytes_each=each)
    # Nobody has pictures that are two pixels wide, unless their labels say so: grey with alpha, not read.
    if len(shape) == 3 and (shape[2] != 2 or (labels is not None and shape[0] in counts_of(labels))):
        return chosen(_readings(shape, labels), shape, labels, name=name)
    if len(shape) == 2 and (labels is None or 1 in counts_of(labels)):
        return ArrayLayout(1, None, (0, 1), bytes_each=math.prod(shape))
    raise SourceError(
        f"{name}: images of shape {shape} were found; (N, H, W, 3 or 4), (N, H, W) or (N, 3, H, W) is needed"
    )


def _readings(shape: tuple[int, ...], labels: tuple[int, ...] | None) -> list[AxesReading]:
    """Ways to read three axes."""
    whole, each = math.prod(shape), math.prod(shape[1:])
    grey = AxesReading(
        ArrayLayout(shape[0], 0, (0, 1), bytes_each=each), f"{shape[0]} grey pictures", "x[..., None]"
    )
    found = []
    if shape[2] in _CHANNELS_LAST:
        found.append(
            AxesReading(
                ArrayLayout(1, None, (0, 1, 2), bytes_each=whole),
                "one picture (rows, columns, channels)",
                "x[None]",
            )
        )
    if shape[0] in PLANES:
        found.append(
            AxesReading(
                ArrayLayout(1, None, (1, 2, 0), bytes_each=whole),
                f"one picture (channels, rows, columns) of {PLANES[shape[0]]}",
                "x.transpose(1, 2, 0)[None]",
            )
        )
    # Nobody has grey pictures that are four pixels wide, unless their labels say so.
    if shape[2] not in _CHANNELS_LAST or (labels is not None and 1 not in counts_of(labels)):
        found.append(grey)
    return found


def counts_of(labels: tuple[int, ...]) -> set[int]:
    """How many images labels of a shape may be for: (N,), (N, 1), (1, N), () or one-hot rows (N, K)."""
    flat = len(labels) < 2 or 1 in labels
    return {labels[0] if labels else 1, *([math.prod(labels)] if flat else [])}


def chosen(
    readings: list[AxesReading], shape: tuple[int, ...], labels: tuple[int, ...] | None, name: str
) -> ArrayLayout:
    """The reading that the number of labels leaves, or the only one.

    Raises
    ------
    SourceError
        If several are left: each is named, with what to save to mean that one.
    """
    if labels is not None:
        fitting = [one for one in readings if one.layout.count in counts_of(labels)]
        readings = fitting or readings[-1:]
    if len(readings) > 1:
        raise SourceError(
            f"{name}: shape {shape} may be "
            + " or ".join(one.what for one in readings)
            + "; say which by what you save: "
            + "; ".join(f"{one.saved} for {one.what}" for one in readings)
        )
    return readings[0].layout


def label_texts(labels: NDArray[Any], count: int, name: str) -> list[str]:
    """One text for every image.

    Parameters
    ----------
    labels : ndarray
        See the table at the top. One-hot rows give the column's number.
    count : int
        Images.
    name : str
        The file and key, for messages.

    Raises
    ------
    SourceError
        If there are more or fewer than images, or they are of another kind.
    """
    if labels.size == count and (labels.ndim == 0 or (labels.ndim == 2 and 1 in labels.shape)):
        labels = labels.reshape(-1)
    if labels.ndim not in (1, 2) or len(labels) != count:
        raise SourceError(f"{name}: labels of shape {labels.shape} for {count} images; one each is needed")
    if labels.dtype.kind == "f":
        if not (np.isfinite(labels) & (labels == np.round(labels))).all():
            raise SourceError(f"{name}: labels that are not whole numbers; classes are needed, not measures")
        labels = labels.astype(np.int64)
    if labels.ndim == 2:
        if labels.dtype.kind not in "biu" or not ((labels == 1).sum(1) == 1).all() or labels.sum() != count:
            raise SourceError(f"{name}: labels of shape {labels.shape} that are not one-hot; (N,) is needed")
        labels = labels.argmax(1)
    if labels.dtype.kind in "biu":
        known = {int(value): str(int(value)) for value in np.unique(labels)}
        return [known[int(value)] for value in labels.tolist()]
    return [_text(value, name) for value in labels.tolist()]


def _text(value: object, name: str) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return escape(str(value))
    raise SourceError(f"{name}: a label of type {type(value).__name__}; text or whole numbers are needed")
