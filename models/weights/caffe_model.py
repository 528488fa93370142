"""Caffe's binary files: the layers and blobs of a ``.caffemodel``, the mean image of a ``.binaryproto``.

Field numbers: BVLC/caffe src/caffe/proto/caffe.proto, messages NetParameter, LayerParameter,
V1LayerParameter, V0LayerParameter, BlobProto and BlobShape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.models.common.errors import WeightsError
from fc7.models.network.architectures import ARCHITECTURES, Conv, Dense, MaxPool, Norm
from fc7.models.network.canonical import CONVS, DENSES, CanonicalWeights, canonical, listed
from fc7.models.weights.caffe_types import V1_TYPES
from fc7.models.weights.caffe_wire import BYTES, VARINT, Field, Wire, signed

# V0LayerParameter.type (BVLC/caffe src/caffe/util/upgrade_proto.cpp, UpgradeV0LayerType); only what
# tells an AlexNet is needed.
_V0_TYPES = {"conv": "Convolution", "innerproduct": "InnerProduct", "lrn": "LRN", "pool": "Pooling"}
# Where a kind of layer message keeps its name, its type and its blobs.
_V2_FIELDS, _V1_FIELDS, _V0_FIELDS = (1, 2, 7), (4, 5, 6), (1, 2, 50)
# NetParameter's layers of both kinds, and V1LayerParameter's older layer.
_V2_LAYER, _V1_LAYER, _V0_LAYER = 100, 2, 1
# Protobuf refuses messages of 2 GiB and more (protobuf.dev, "Proto Limits").
_PROTOBUF_LIMIT = 1 << 31
_MAX_DIMENSIONS = 32  # kMaxBlobAxes in BVLC/caffe include/caffe/blob.hpp
_STEP_TYPES = {Conv: "Convolution", Dense: "InnerProduct", Norm: "LRN", MaxPool: "Pooling"}


@dataclass(frozen=True, slots=True, eq=False)
class CaffeBlob:
    """An array in a Caffe file.

    Attributes
    ----------
    shape : tuple of int
        As written; old files have four sizes, with ones in front.
    array : ndarray, float32 or float64
        One-dimensional, as many numbers as the shape says.
    """

    shape: tuple[int, ...]
    array: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class CaffeLayer:
    """A layer of a caffemodel: name, type under LayerParameter's name for it, and learned arrays."""

    name: str
    type: str
    blobs: tuple[CaffeBlob, ...]


def read_caffemodel(path: Path) -> list[CaffeLayer]:
    """Every layer of a trained network, in the file's order, those without weights included.

    Parameters
    ----------
    path : Path
        A ``.caffemodel`` with LayerParameter, V1LayerParameter or V0LayerParameter messages.

    Raises
    ------
    WeightsError
        If the file is damaged, or a blob has another number of values than its shape says.
    UnsafeFileError
        If the file has absurdly many fields.
    """
    wire = Wire(str(path))
    layers = []
    for field in wire.fields(_content(path)):
        if field.wire_type == BYTES and field.number == _V2_LAYER:
            layers.append(_layer(wire, field.data, _V2_FIELDS))
        elif field.wire_type == BYTES and field.number == _V1_LAYER:
            inner = [f for f in wire.fields(field.data) if (f.number, f.wire_type) == (_V0_LAYER, BYTES)]
            fields = _V0_FIELDS if inner else _V1_FIELDS
            layers.append(_layer(wire, inner[-1].data if inner else field.data, fields))
    if not layers:
        raise WeightsError(f"{path}: a Caffe file without layers; a trained .caffemodel was needed")
    return layers


def read_mean(path: Path) -> tuple[float, float, float]:
    """The channel means of a mean image, in the image's own order, which is B, G, R for Caffe.

    Parameters
    ----------
    path : Path
        A ``.binaryproto``: one BlobProto of shape (1, 3, height, width) or (3, height, width).

    Returns
    -------
    tuple of 3 floats
        The mean over the pixels of each channel, on 0-255. Caffe can subtract the image itself,
        pixel by pixel; BVLC's own example (examples/00-classification.ipynb) subtracts these three
        numbers, and so does fc7.

    Raises
    ------
    WeightsError
        If the file is damaged or no image of three channels.
    """
    wire = Wire(str(path))
    try:
        blob = _blob(wire, _content(path), "the mean image")
    except OSError as exc:
        raise WeightsError(
            f"{path}: cannot be read ({exc.strerror or exc}); give the path of a .binaryproto"
        ) from exc
    image = blob.shape[1:] if len(blob.shape) == 4 and blob.shape[0] == 1 else blob.shape
    if len(image) != 3 or image[0] != 3 or not blob.array.size:
        raise WeightsError(
            f"{path}: holds an array of shape {blob.shape}; a mean image of shape (1, 3, height, width) "
            "was needed, as compute_image_mean writes it"
        )
    if not np.isfinite(blob.array).all():
        raise WeightsError(f"{path}: the mean image holds NaN or infinite values; compute it again")
    blue, green, red = blob.array.reshape(3, -1).mean(axis=1, dtype=np.float64).tolist()
    return blue, green, red


def alexnet_weights(layers: list[CaffeLayer], name: str) -> tuple[CanonicalWeights, str | None]:
    """The weights of an AlexNet, and which one by the order of its layers.

    Parameters
    ----------
    layers : list of CaffeLayer
        Layers are told by type and order, not by name, so that a fine-tuned ``fc8_flickr`` or
        R-CNN's ``fc-rcnn`` is found.
    name : str
        The file, for messages.

    Returns
    -------
    arrays : dict of str to ndarray, float32
        Canonical.
    arch : str or None
        ``alexnet``, ``caffenet`` or ``alexnet-owt``; None where the file lists no layers but those
        with weights, or a trunk that several begin with.

    Raises
    ------
    WeightsError
        If the layers are no AlexNet's.
    """
    kinds = [layer.type for layer in layers if layer.type in _STEP_TYPES.values()]
    learned = [layer for layer in layers if layer.blobs]
    convs = [layer for layer in learned if layer.type == "Convolution"][: len(CONVS)]
    rest = [layer for layer in learned if layer not in convs] if len(convs) == len(CONVS) else []
    odd = [layer.type for layer in learned if layer not in convs + rest]
    odd += [layer.type for layer in rest if layer.type not in ("InnerProduct", "Convolution")]
    if odd or not convs or len(rest) > len(DENSES):
        raise WeightsError(
            f"{name}: {len(learned)} layers with weights ({listed(layer.name for layer in learned)}), not an "
            "AlexNet's five convolutions and three fully connected layers; bring its deploy.prototxt with "
            "--prototxt"
        )
    arrays: dict[str, NDArray[Any]] = {}
    for key, layer in zip(CONVS + DENSES, convs + rest, strict=False):
        arrays |= _weight_and_bias(key, layer, name)
    return canonical(arrays, name), _plan_of(kinds)


def _plan_of(kinds: list[str]) -> str | None:
    """The architecture whose layers come in this order, if there is just one."""
    plans = {}
    for plan in ARCHITECTURES.values():
        if plan.name != "alexnet-tf":  # alexnet's layers; no Caffe file is meant for its padding
            plans[plan.name] = [_STEP_TYPES[type(step)] for step in plan.steps]
    found = [plan for plan, steps in plans.items() if steps[: len(kinds)] == kinds]
    return found[0] if len(found) == 1 else None


def _weight_and_bias(key: str, layer: CaffeLayer, name: str) -> dict[str, NDArray[Any]]:
    weight, bias = layer.blobs[0], layer.blobs[-1]
    shape = weight.shape
    if key in DENSES:
        # A fully connected layer is (out, in), (1, 1, out, in) in old files, or a convolution
        # over the whole map, whose numbers lie in the same order.
        outputs = shape[0] if layer.type == "Convolution" else math.prod(shape[:-1])
        shape = (outputs, weight.array.size // max(outputs, 1))
    if len(layer.blobs) != 2 or len(shape) != (2 if key in DENSES else 4) or bias.array.size != shape[0]:
        raise WeightsError(
            f"{name}: layer {listed([layer.name])} holds arrays of shapes "
            f"{listed(blob.shape for blob in layer.blobs)}; {key} needs weights and one bias for each output"
        )
    return {f"{key}.weight": weight.array.reshape(shape), f"{key}.bias": bias.array}


def _content(path: Path) -> memoryview:
    size = path.stat().st_size
    if size >= _PROTOBUF_LIMIT:
        raise WeightsError(f"{path}: {size} bytes, and a Caffe file cannot have 2 GiB or more")
    return memoryview(path.read_bytes())


def _layer(wire: Wire, message: memoryview, numbers: tuple[int, int, int]) -> CaffeLayer:
    name_field, type_field, blobs_field = numbers
    name, kind = "", ""
    blobs: list[memoryview] = []
    for field in wire.fields(message):
        if field.number == name_field and field.wire_type == BYTES:
            name = wire.text(field.data)
        elif field.number == type_field and field.wire_type == BYTES:
            kind = wire.text(field.data)
        elif field.number == type_field and field.wire_type == VARINT:
            kind = V1_TYPES.get(field.value, ("", str(field.value)))[1]
        elif field.number == blobs_field and field.wire_type == BYTES:
            blobs.append(field.data)
    if numbers is _V0_FIELDS:
        kind = _V0_TYPES.get(kind, kind)
    return CaffeLayer(name, kind, tuple(_blob(wire, blob, f"layer {listed([name])}") for blob in blobs))


def _blob(wire: Wire, message: memoryview, owner: str) -> CaffeBlob:
    legacy: dict[int, int] = {}
    dims: list[int] | None = None
    singles: list[Field] = []
    doubles: list[Field] = []
    for field in wire.fields(message):
        match field.number, field.wire_type:
            case ((1 | 2 | 3 | 4), 0):
                legacy[field.number] = signed(field.value)
            case 5, (2 | 5):
                singles.append(field)
            case 8, (1 | 2):
                doubles.append(field)
            case 7, 2:
                shape = [f for f in wire.fields(field.data) if f.number == 1]
                dims = [size for part in shape for size in wire.integers(part)]
    if legacy or dims is None:  # Caffe, too, prefers the four sizes (blob.cpp, FromProto)
        dims = [legacy.get(number, 0) for number in (1, 2, 3, 4)]
    array = (
        _numbers(singles, "<f4", wire, owner=owner)
        if singles
        else _numbers(doubles, "<f8", wire, owner=owner)
    )
    if len(dims) > _MAX_DIMENSIONS or min(dims, default=0) < 0 or math.prod(dims) != array.size:
        raise WeightsError(
            f"{wire.name}: {owner} has a blob of shape ({listed(dims)}) with {array.size} values; "
            "the file is damaged, fetch it again"
        )
    return CaffeBlob(tuple(dims), array)


def _numbers(fields: list[Field], code: str, wire: Wire, owner: str) -> NDArray[Any]:
    """The values of a repeated field, joined; copied, so that they are aligned and the file can go."""
    width = np.dtype(code).itemsize
    if any(len(field.data) % width for field in fields):
        raise WeightsError(f"{wire.name}: {owner} has a blob that ends within a number; fetch the file again")
    raw = fields[0].data if len(fields) == 1 else b"".join(field.data for field in fields)
    return np.array(np.frombuffer(raw, code))
