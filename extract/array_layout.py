"""Which array holds images, which labels, in what order the axes stand: one set of rules for all files.

======================  =====================================================================
images                  ``images``, ``x``, ``data``, ``features`` (in any case)
labels                  ``labels``, ``label``, ``y``, ``targets``
parts                   ``x_train``, ``train_images``, ``y_test``, ``val_labels``, ...: each part
                        becomes the `split` of its images, and a folder in their paths
axes                    (N, H, W, 3), (N, H, W, 1), (N, H, W); (N, 3, H, W) if the last axis is
                        not 1 or 3
images' type            uint8
labels                  whole numbers (as floats too), text, or one-hot rows; (N,) or (N, 1)
======================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.folders import escape
from extract.stages import Pixels
from models.errors import SourceError

IMAGE_KEYS = ("images", "x", "data", "features")
LABEL_KEYS = ("labels", "label", "y", "targets")
PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What a part may be called, and the split that it is."""

_CHANNELS = (1, 3)
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
class Layout:
    """How the axes of a stack of images stand.

    Attributes
    ----------
    count : int
        Images.
    axis : int
        The images' axis.
    turn : tuple of int
        Transposes one image, as it lies without that axis, to (H, W, C) or (H, W).
    bytes_each : int
        Of one image.
    """

    count: int
    axis: int
    turn: tuple[int, ...]
    bytes_each: int

    def picture(self, stored: NDArray[Any]) -> Pixels:
        """One image as it lies -> ndarray of shape (H, W, 3) or (H, W), uint8."""
        turned: Pixels = stored.transpose(self.turn)
        if turned.ndim == 3 and turned.shape[2] == 1:
            turned = turned[:, :, 0]
        return np.ascontiguousarray(turned)


def layout(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> Layout:
    """The axes of a stack of images, by the table at the top.

    Raises
    ------
    SourceError
        If it is no stack of uint8 images.
    """
    if dtype.hasobject:
        raise SourceError(f"{name}: an array of objects; refused, it would need pickle. Save one uint8 array")
    if dtype != np.uint8:
        raise SourceError(
            f"{name}: images of type {dtype} were found, uint8 (0-255) is needed; "
            "if they lie in 0-1: (255 * x).round().astype('uint8')"
        )
    if 0 in shape[1:]:
        raise SourceError(f"{name}: images without pixels, shape {shape}")
    each = int(np.prod(shape[1:], dtype=object))
    if len(shape) == 4 and shape[3] in _CHANNELS:
        return Layout(shape[0], 0, (0, 1, 2), each)
    if len(shape) == 4 and shape[1] in _CHANNELS:
        return Layout(shape[0], 0, (1, 2, 0), each)
    if len(shape) == 3:
        return Layout(shape[0], 0, (0, 1), each)
    raise SourceError(
        f"{name}: images of shape {shape} were found; (N, H, W, 3), (N, H, W) or (N, 3, H, W) is needed"
    )


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
    if labels.ndim == 2 and 1 in labels.shape and labels.size == count:
        labels = labels.reshape(-1)
    if labels.ndim not in (1, 2) or len(labels) != count:
        raise SourceError(f"{name}: labels of shape {labels.shape} for {count} images; one each is needed")
    if labels.dtype.kind == "f":
        if not (np.isfinite(labels) & (labels == np.round(labels))).all():
            raise SourceError(f"{name}: labels that are no whole numbers; classes are needed, not measures")
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
        text = str(value)
        return text if "\0" in text else escape(text)
    raise SourceError(f"{name}: a label of type {type(value).__name__}; text or whole numbers are needed")
