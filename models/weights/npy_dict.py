"""`bvlc-alexnet.npy`: a pickled dict of layer -> [W, b] in TensorFlow's layout.

Published by Michael Guerzhoy (www.cs.toronto.edu/~guerzhoy/tf_alexnet) and used by the Udacity
traffic-sign lab; caffe-tensorflow writes the same with ``{"weights": W, "biases": b}``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.errors import WeightsError
from fc7.models.network.canonical import CONVS, DENSES, listed
from fc7.models.weights.pickles import load_plain

MAGIC = b"\x93NUMPY"
# numpy/lib/format.py reads headers up to this length without trust.
_MAX_HEADER = 10_000
# Python 2 on Windows wrote long integers as 1L.
_HEADER = re.compile(
    r"\{\s*'descr':\s*'([^']*)',\s*'fortran_order':\s*(?:True|False),\s*'shape':\s*\(([0-9L, ]*)\),?\s*\}\s*"
)
_ADVICE = "Give a dict of layer name to [weights, biases], as bvlc_alexnet.npy"


def read_npy_dict(path: Path) -> dict[str, NDArray[Any]]:
    """The layers' arrays under canonical keys and in canonical layout.

    Parameters
    ----------
    path : Path
        An ``.npy`` file, header version 1 to 3, of one pickled dict; Python 2's pickles included.

    Returns
    -------
    dict of str to ndarray
        ``conv1.weight`` (out, in / group, height, width), ``fc6.weight`` (out, in) with the
        inputs in channel, row, column order, and so on for the layers that are there.

    Raises
    ------
    UnsafeFileError
        If the pickle asks for anything but arrays and plain containers.
    WeightsError
        If it is damaged or no such dict.
    """
    with path.open("rb") as stream:
        _check_header(stream, str(path))
        # Python 2's strings hold the array data; latin1 keeps every byte.
        found = load_plain(stream, encoding="latin1", name=str(path), advice=_ADVICE)
    if isinstance(found, np.ndarray) and found.dtype == object and found.size == 1:
        found = found.item()
    if not isinstance(found, dict):
        raise WeightsError(f"{path}: holds a {type(found).__name__}. {_ADVICE}")
    return canonical_layout(_layers(found, str(path)), str(path))


def canonical_layout(
    layers: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], name: str
) -> dict[str, NDArray[Any]]:
    """Turn TensorFlow's layouts into ours.

    Parameters
    ----------
    layers : mapping of str to (weights, biases)
        Convolutions (height, width, in / group, out); dense layers (in, out), fc6's inputs in row,
        column, channel order.
    name : str
        The file, for messages.

    Raises
    ------
    WeightsError
        If the arrays have other dimensions.
    """
    arrays: dict[str, NDArray[Any]] = {}
    channels = 0
    for layer, (weights, biases) in layers.items():
        needed = 4 if layer in CONVS else 2
        if weights.ndim != needed or biases.ndim != 1:
            raise WeightsError(
                f"{name}: {layer} has weights {weights.shape} and biases {biases.shape}, needed {needed} "
                "dimensions and 1; is the file in TensorFlow's layout?"
            )
        if layer in CONVS:
            channels = weights.shape[3]
            turned = weights.transpose(3, 2, 0, 1)
        else:
            turned = _channels_first(weights, channels, name) if layer == "fc6" else weights.T
        arrays[f"{layer}.weight"], arrays[f"{layer}.bias"] = turned, biases
    return arrays


def _channels_first(weights: NDArray[Any], channels: int, name: str) -> NDArray[Any]:
    """fc6 as (out, in): its rows are the cells of conv5's map, row, column, channel."""
    inputs, outputs = weights.shape
    side = math.isqrt(inputs // channels) if channels else 0
    if not channels or side * side * channels != inputs:
        raise WeightsError(
            f"{name}: fc6 takes {inputs} numbers, which is not a square map of conv5's {channels} channels"
        )
    cells = weights.reshape(side, side, channels, outputs)
    return cells.transpose(3, 2, 0, 1).reshape(outputs, inputs)


def _layers(found: dict[Any, Any], name: str) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Weights and biases of the layers of an AlexNet, in network order."""
    named = {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in found.items()}
    layers = {}
    for layer in CONVS + DENSES:
        if layer in named:
            layers[layer] = _pair(named.pop(layer), layer, name)
    if named or not layers:
        raise WeightsError(
            f"{name}: a dict with {listed(found)}; give {', '.join(CONVS + DENSES)} and nothing else"
        )
    return layers


def _pair(value: Any, layer: str, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    if isinstance(value, dict):
        value = [value.get("weights"), value.get("biases")]
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        value = value.tolist()
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    if not is_pair or not all(isinstance(part, np.ndarray) for part in value):
        raise WeightsError(f"{name}: {layer} is not a pair of arrays. {_ADVICE}")
    return value[0], value[1]


def _check_header(stream: BinaryIO, name: str) -> None:
    """Read the header up to the data; NumPy's own readers stop at version 2 or are private.

    Format: numpy/lib/format.py, "Format Version 1.0" to "3.0".
    """
    start = stream.read(8)
    length_size = 2 if start[6:7] == b"\x01" else 4
    length = int.from_bytes(stream.read(length_size), "little")
    if len(start) != 8 or start[:6] != MAGIC or start[6] not in (1, 2, 3) or length > _MAX_HEADER:
        raise WeightsError(f"{name}: a damaged .npy header, or of a version after 3; fetch the file again")
    found = _HEADER.fullmatch(stream.read(length).decode("latin-1"))
    if found is None:
        raise WeightsError(f"{name}: a damaged .npy header or an array with fields. {_ADVICE}")
    descr, shape = found.groups()
    if descr not in ("|O", "O") or shape.strip(" ,L") not in ("", "1"):
        raise WeightsError(f"{name}: an array of type {listed([descr])} and shape ({shape[:40]}). {_ADVICE}")
