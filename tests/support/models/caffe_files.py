"""Caffe files written by hand, byte by byte and line by line, independent of every reader.

A network is a list of `Layer`; from it come the text of a prototxt and the bytes of a caffemodel,
in each version of the format. Field numbers: BVLC/caffe src/caffe/proto/caffe.proto.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Params = Mapping[str, Any]
V1_NUMBERS = {
    "Concat": 3, "Convolution": 4, "Data": 5, "Dropout": 6, "Flatten": 8, "InnerProduct": 14, "LRN": 15,
    "Pooling": 17, "ReLU": 18, "Sigmoid": 19, "Softmax": 20, "SoftmaxWithLoss": 21, "Split": 22, "TanH": 23,
    "Eltwise": 25, "Power": 26,
}  # fmt: skip
V1_WORDS = {
    "Concat": "CONCAT", "Convolution": "CONVOLUTION", "Data": "DATA", "Dropout": "DROPOUT",
    "Flatten": "FLATTEN", "InnerProduct": "INNER_PRODUCT", "LRN": "LRN", "Pooling": "POOLING",
    "ReLU": "RELU", "Sigmoid": "SIGMOID", "Softmax": "SOFTMAX", "SoftmaxWithLoss": "SOFTMAX_LOSS",
    "Split": "SPLIT", "TanH": "TANH", "Eltwise": "ELTWISE", "Power": "POWER",
}  # fmt: skip
V0_WORDS = {
    "Convolution": "conv", "InnerProduct": "innerproduct", "LRN": "lrn", "Pooling": "pool", "ReLU": "relu",
    "Dropout": "dropout", "Softmax": "softmax",
}  # fmt: skip
PARAMS = {
    "BatchNorm": "batch_norm_param", "Bias": "bias_param", "Concat": "concat_param",
    "Convolution": "convolution_param", "Dropout": "dropout_param", "ELU": "elu_param",
    "Eltwise": "eltwise_param", "Flatten": "flatten_param", "InnerProduct": "inner_product_param",
    "LRN": "lrn_param", "PReLU": "prelu_param", "Pooling": "pooling_param", "Power": "power_param",
    "ReLU": "relu_param", "Reshape": "reshape_param", "Scale": "scale_param", "Softmax": "softmax_param",
}  # fmt: skip


@dataclass(frozen=True)
class Word:
    """An enum's value, which a prototxt writes without quotes."""

    text: str


MAX, AVE = Word("MAX"), Word("AVE")


@dataclass
class Layer:
    name: str
    type: str
    bottoms: list[str]
    tops: list[str]
    params: Params = field(default_factory=dict)
    blobs: list[NDArray[np.float32]] = field(default_factory=list)
    extra: Params = field(default_factory=dict)


# --- protobuf ----------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field_number: int, value: int) -> bytes:
    return varint(field_number << 3) + varint(value)


def chunk(field_number: int, *data: bytes) -> bytes:
    size = sum(map(len, data))
    return b"".join((varint(field_number << 3 | 2), varint(size), *data))


def blob(
    array: NDArray[Any], *, legacy: bool = False, packed: bool = True, dims: Sequence[int] | None = None
) -> bytes:
    """A BlobProto; float64 arrays go into double_data, as Caffe built for doubles writes them."""
    shape = list(array.shape if dims is None else dims)
    double = array.dtype == np.float64
    little = np.ascontiguousarray(array, "<f8" if double else "<f4")
    number_of_data = 8 if double else 5
    if packed:
        data = chunk(number_of_data, little.tobytes())
    else:
        tag, width = varint(number_of_data << 3 | (1 if double else 5)), little.itemsize
        raw = little.tobytes()
        data = b"".join(tag + raw[i : i + width] for i in range(0, len(raw), width))
    if legacy:
        shape = [1] * (4 - len(shape)) + shape
        return b"".join(number(i + 1, size) for i, size in enumerate(shape)) + data
    return data + chunk(7, chunk(1, b"".join(varint(size) for size in shape)))


def caffemodel(
    layers: Sequence[Layer],
    *,
    version: int = 2,
    name: str = "net",
    legacy: bool = False,
    packed: bool = True,
    double: bool = False,
) -> bytes:
    parts = [chunk(1, name.encode())] if name else []
    for layer in layers:
        arrays = [array.astype(np.float64) if double else array for array in layer.blobs]
        blobs = [blob(array, legacy=legacy, packed=packed) for array in arrays]
        wires = b"".join(chunk(3 if version == 2 else 2, text.encode()) for text in layer.bottoms)
        wires += b"".join(chunk(4 if version == 2 else 3, text.encode()) for text in layer.tops)
        title = layer.name.encode()
        if version == 2:
            body = chunk(1, title) + chunk(2, layer.type.encode()) + wires
            parts.append(chunk(100, body, number(10, 0), *(chunk(7, part) for part in blobs)))
        elif version == 1:
            body = wires + chunk(4, title) + number(5, V1_NUMBERS[layer.type])
            parts.append(chunk(2, body, *(chunk(6, part) for part in blobs)))
        else:
            body = chunk(1, title) + chunk(2, V0_WORDS[layer.type].encode())
            parts.append(chunk(2, chunk(1, body, *(chunk(50, part) for part in blobs)), wires))
    return b"".join(parts)


# --- the text format ---------------------------------------------------------------------------


def text_fields(fields: Params, indent: str = "") -> str:
    lines = []
    for key, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                lines.append(f"{indent}{key} {{\n{text_fields(item, indent + '  ')}{indent}}}\n")
            elif isinstance(item, Word):
                lines.append(f"{indent}{key}: {item.text}\n")
            elif isinstance(item, bool):
                lines.append(f"{indent}{key}: {str(item).lower()}\n")
            elif isinstance(item, str):
                lines.append(f'{indent}{key}: "{item}"\n')
            else:
                lines.append(f"{indent}{key}: {item!r}\n")
    return "".join(lines)


def prototxt(
    layers: Sequence[Layer], dims: Sequence[int], *, version: int = 2, inputs: str = "input_dim"
) -> str:
    """The description; `inputs` is how the image is given: input_dim, input_shape or layer."""
    out = 'name: "net"\n'
    if inputs == "layer":
        shape = {"shape": {"dim": list(dims)}}
        out += text_fields({"layer": {"name": "in", "type": "Input", "top": "data", "input_param": shape}})
    elif inputs == "input_shape":
        out += text_fields({"input": "data", "input_shape": {"dim": list(dims)}})
    else:
        out += text_fields({"input": "data", "input_dim": list(dims)})
    for layer in layers:
        kind: Any = layer.type if version == 2 else Word(V1_WORDS[layer.type])
        fields = {"name": layer.name, "type": kind, "bottom": layer.bottoms, "top": layer.tops, **layer.extra}
        if layer.params:
            fields[PARAMS[layer.type]] = layer.params
        out += text_fields({"layer" if version == 2 else "layers": fields})
    return out


# --- networks ----------------------------------------------------------------------------------


class Maker:
    """Writes down layer after layer with random weights, scaled so that the values stay near one."""

    def __init__(self, seed: int = 0) -> None:
        self.layers: list[Layer] = []
        self._rng = np.random.default_rng(seed)

    def random(self, *shape: int, low: float = -1.0) -> NDArray[np.float32]:
        values = self._rng.random(shape, np.float32)
        values *= 1 - low
        values += low
        return values

    def add(self, kind: str, name: str, bottoms: str | list[str], top: str = "", **params: Any) -> Layer:
        reads = [bottoms] if isinstance(bottoms, str) else bottoms
        self.layers.append(Layer(name, kind, reads, [top or name], params))
        return self.layers[-1]

    def conv(self, name: str, bottom: str, ins: int, outs: int, kernel: int, **params: Any) -> None:
        layer = self.add("Convolution", name, bottom, num_output=outs, **{"kernel_size": kernel, **params})
        inner = ins // params.get("group", 1)
        weight = self.random(outs, inner, kernel, kernel)
        weight *= np.float32(2 / np.sqrt(inner * kernel**2))
        layer.blobs = [weight, self.random(outs)] if params.get("bias_term", True) else [weight]

    def relu(self, blob_name: str, name: str) -> None:
        self.add("ReLU", name, blob_name, blob_name)

    def pool(
        self, name: str, bottom: str, method: Word = MAX, kernel: int = 3, stride: int = 2, **params: Any
    ) -> None:
        self.add("Pooling", name, bottom, pool=method, kernel_size=kernel, stride=stride, **params)

    def norm(self, name: str, bottom: str) -> None:
        self.add("LRN", name, bottom, local_size=5, alpha=0.0001, beta=0.75)

    def dense(self, name: str, bottom: str, ins: int, outs: int) -> None:
        layer = self.add("InnerProduct", name, bottom, num_output=outs)
        weight = self.random(outs, ins)
        weight *= np.float32(2 / np.sqrt(ins))
        layer.blobs = [weight, self.random(outs)]


def alexnet(
    channels: Sequence[int] = (96, 256, 384, 384, 256),
    units: Sequence[int] = (4096, 4096, 1000),
    *,
    pool_first: bool = False,
    side: int = 6,
    seed: int = 0,
) -> list[Layer]:
    """AlexNet, or CaffeNet with `pool_first`; `side` is that of pool5's map."""
    net, here, ins = Maker(seed), "data", 3
    for i, outs in enumerate(channels, 1):
        settings: dict[str, Any] = {1: {"stride": 4}, 2: {"pad": 2}}.get(i, {"pad": 1})
        if i in (2, 4, 5):
            settings["group"] = 2
        net.conv(f"conv{i}", here, ins, outs, {1: 11, 2: 5}.get(i, 3), **settings)
        net.relu(f"conv{i}", f"relu{i}")
        here, ins = f"conv{i}", outs
        if i in (1, 2):
            for kind in ("pool", "norm") if pool_first else ("norm", "pool"):
                (net.pool if kind == "pool" else net.norm)(f"{kind}{i}", here)
                here = f"{kind}{i}"
    net.pool("pool5", here)
    here, size = "pool5", ins * side * side
    for i, outs in zip((6, 7, 8), units, strict=True):
        net.dense(f"fc{i}", here, size, outs)
        if i < 8:
            net.relu(f"fc{i}", f"relu{i}")
            net.add("Dropout", f"drop{i}", f"fc{i}", f"fc{i}", dropout_ratio=0.5)
        here, size = f"fc{i}", outs
    net.add("Softmax", "prob", "fc8")
    return net.layers


def canonical_weights(layers: Sequence[Layer]) -> dict[str, NDArray[np.float32]]:
    """The learned arrays of an `alexnet` under fc7's own keys."""
    weights = {}
    for layer in layers:
        for kind, array in zip(("weight", "bias"), layer.blobs, strict=False):
            weights[f"{layer.name}.{kind}"] = array
    return weights


def tensor_names(layers: Sequence[Layer]) -> dict[str, str]:
    """Which tensor holds what each layer makes, by the rule that `build_caffe_graph` documents."""
    makers: dict[str, list[str]] = {}
    for layer in layers:
        if not (layer.type == "Dropout" and layer.bottoms == layer.tops):
            makers.setdefault(layer.tops[0], []).append(layer.name)
    names = {}
    for top, made_by in makers.items():
        for before, maker in enumerate(reversed(made_by)):
            names[maker] = top + ("" if before == 0 else "_pre" if before == 1 else f"_pre{before}")
    return names
