"""Canonical weights: the one form that every reader gives, whatever the file was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.errors import WeightsError

CanonicalWeights = dict[str, NDArray[np.float32]]

CONVS = ("conv1", "conv2", "conv3", "conv4", "conv5")
DENSES = ("fc6", "fc7", "fc8")
KEYS = tuple(f"{layer}.{kind}" for layer in CONVS + DENSES for kind in ("weight", "bias"))


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """What a weight file turned out to hold.

    Attributes
    ----------
    format : str
        For people: ``PyTorch state dict``.
    arch : str
        A name of `models.backbones.known.BUILT`.
    arrays : dict of str to ndarray, float32
        Of an AlexNet canonical: `KEYS` or a prefix of them, in that order, C-contiguous. Convolutions
        are (out, in / group, height, width); dense layers (out, in), fc6's inputs in channel, row,
        column order. Of a backbone: what its plan takes, by the names of its state dict.
    note : str
        What the user should know about the reading, one sentence, or empty.
    """

    format: str
    arch: str
    arrays: CanonicalWeights
    note: str = ""


def canonical(arrays: Mapping[str, NDArray[Any]], name: str) -> CanonicalWeights:
    """The arrays in network order, as float32.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Keys of `KEYS`, layouts as in `WeightsFile.arrays`, any floating-point type.
    name : str
        The file, for messages.

    Raises
    ------
    WeightsError
        If a layer in the middle is missing, an array is not of floating-point numbers, or a
        number is not finite.
    """
    if not arrays:
        raise WeightsError(f"{name}: holds no weights; an AlexNet begins with {KEYS[0]}")
    last = max(KEYS.index(key) for key in arrays)
    # A trunk ends with a whole layer: a last weight without its bias is damage.
    needed = KEYS[: last + 1 + (last + 1) % 2]
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise WeightsError(
            f"{name}: {listed(missing)} missing, though {KEYS[last]} is there; "
            "the layers of a network must be complete up to the last one"
        )
    return {key: finite_float32(arrays[key], key, name) for key in needed}


def listed(names: Iterable[object], most: int = 8) -> str:
    """Names from a file in one short line; whatever a file calls things, the line stays one line."""
    shown = [str(name)[:60].encode("unicode_escape").decode("ascii") for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return (", ".join(shown[:most]) or "nothing") + more


def finite_float32(array: NDArray[Any], key: str, name: str) -> NDArray[np.float32]:
    """The array `key` of the file `name` as float32, C-contiguous.

    Raises
    ------
    WeightsError
        If it is not of floating-point numbers, or a number is not finite.
    """
    if array.dtype.kind != "f":
        raise WeightsError(
            f"{name}: {key} is of type {array.dtype}; floating-point numbers were needed. "
            "Quantised weights are not read: save the network before quantisation"
        )
    with np.errstate(over="ignore"):  # a float64 too large for float32 is reported as infinite
        single = np.ascontiguousarray(array, np.float32)
    bad = single.size - int(np.count_nonzero(np.isfinite(single)))
    if bad:
        raise WeightsError(
            f"{name}: {bad} of the {single.size} numbers of {key} are NaN or infinite in float32; "
            "the file is damaged or its training diverged. Fetch or export it again"
        )
    return single
