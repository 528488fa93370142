"""Weight files written by hand, opcode by opcode and byte by byte, independent of every reader.

Nothing here imports what it stands for: no pickle for pickles, no PyTorch, no safetensors. Only
`npy_dict_by_numpy`, for full-size arrays, lets NumPy and pickle write.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]

# A small network of AlexNet's plan: groups in conv2, conv4 and conv5, and a 3x3 map into fc6.
SMALL_SHAPES: dict[str, tuple[int, ...]] = {
    "conv1": (4, 3, 3, 3),
    "conv2": (6, 2, 3, 3),
    "conv3": (4, 6, 3, 3),
    "conv4": (4, 2, 3, 3),
    "conv5": (4, 2, 3, 3),
    "fc6": (8, 36),
    "fc7": (7, 8),
    "fc8": (5, 7),
}
TORCHVISION = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}


def random_weights(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> Weights:
    """Standard normal weights and biases; keys ``conv1.weight``, ``conv1.bias``, ..."""
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for layer, shape in shapes.items():
        weights[f"{layer}.weight"] = rng.standard_normal(shape, np.float32)
        weights[f"{layer}.bias"] = rng.standard_normal(shape[:1], np.float32)
    return weights


def small_weights(seed: int = 0) -> Weights:
    return random_weights(SMALL_SHAPES, seed)


def torchvision_names(weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    renamed = {}
    for key, array in weights.items():
        layer, _, kind = key.partition(".")
        renamed[f"{TORCHVISION[layer]}.{kind}"] = array
    return renamed


# --- pickles, protocol 2 -----------------------------------------------------------------------


def p_text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<i", len(raw)) + raw


def p_text_of_python2(value: bytes) -> bytes:
    return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<i", len(value))) + value


def p_int(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def p_bool(value: bool) -> bytes:
    return b"\x88" if value else b"\x89"


P_NONE = b"N"


def p_tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def p_list(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def p_dict(items: Mapping[bytes, bytes]) -> bytes:
    return b"}(" + b"".join(key + value for key, value in items.items()) + b"u"


def p_name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def p_call(target: bytes, *arguments: bytes) -> bytes:
    return target + p_tuple(*arguments) + b"R"


def p_built(target: bytes, state: bytes) -> bytes:
    return target + state + b"b"


def p_dump(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def p_dtype(code: str = "f4", order: str = "<") -> bytes:
    made = p_call(p_name("numpy", "dtype"), p_text_of_python2(code.encode()), p_int(0), p_int(1))
    parts = [p_int(3), p_text_of_python2(order.encode()), P_NONE, P_NONE, P_NONE]
    return p_built(made, p_tuple(*parts, p_int(-1), p_int(-1), p_int(0)))


def p_array_start(core: str = "core") -> bytes:
    made = p_name(f"numpy.{core}.multiarray", "_reconstruct")
    return p_call(made, p_name("numpy", "ndarray"), p_tuple(p_int(0)), p_text_of_python2(b"b"))


def p_array(array: NDArray[Any], *, big_endian: bool = False) -> bytes:
    """As Python 2 and NumPy 1 wrote it: the data is a byte string."""
    order: Literal["<", ">"] = ">" if big_endian else "<"
    code = array.dtype.str[1:]
    data = array.astype(array.dtype.newbyteorder(order)).tobytes()
    shape = p_tuple(*map(p_int, array.shape))
    state = p_tuple(p_int(1), shape, p_dtype(code, order), p_bool(False), p_text_of_python2(data))
    return p_built(p_array_start(), state)


# --- PyTorch -----------------------------------------------------------------------------------

STORAGE = {"f8": "DoubleStorage", "f4": "FloatStorage", "f2": "HalfStorage", "i8": "LongStorage"}


def p_tensor(
    key: str, array: NDArray[Any], *, offset: int = 0, stride: Sequence[int] | None = None, count: int = -1
) -> bytes:
    """A tensor over a storage; contiguous and alone in it unless told otherwise."""
    kind = p_name("torch", STORAGE[array.dtype.str[1:]])
    held = array.size if count < 0 else count
    storage = p_tuple(p_text("storage"), kind, p_text(key), p_text("cpu"), p_int(held)) + b"Q"
    steps = [step // array.itemsize for step in array.strides] if stride is None else stride
    size, steps_ = p_tuple(*map(p_int, array.shape)), p_tuple(*map(p_int, steps))
    hooks = p_call(p_name("collections", "OrderedDict"))
    return p_call(
        p_name("torch._utils", "_rebuild_tensor_v2"),
        storage,
        p_int(offset),
        size,
        steps_,
        p_bool(False),
        hooks,
    )


def p_state_dict(tensors: Mapping[str, bytes]) -> bytes:
    start = p_call(p_name("collections", "OrderedDict"))
    filled = start + b"(" + b"".join(p_text(key) + value for key, value in tensors.items()) + b"u"
    return p_built(filled, p_dict({p_text("_metadata"): p_call(p_name("collections", "OrderedDict"))}))


def torch_zip_of(
    pickled: bytes,
    storages: Mapping[str, bytes],
    *,
    folder: str = "weights",
    compression: int = zipfile.ZIP_STORED,
    byteorder: str | None = "little",
) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        archive.writestr(f"{folder}/data.pkl", p_dump(pickled))
        if byteorder is not None:
            archive.writestr(f"{folder}/byteorder", byteorder)
        for key, raw in storages.items():
            archive.writestr(f"{folder}/data/{key}", raw)
        archive.writestr(f"{folder}/version", "3\n")
    return target.getvalue()


def torch_zip(
    arrays: Mapping[str, NDArray[Any]], *, folder: str = "weights", compression: int = zipfile.ZIP_STORED
) -> bytes:
    pickled = p_state_dict({name: p_tensor(str(i), a) for i, (name, a) in enumerate(arrays.items())})
    storages = {str(i): array.tobytes() for i, array in enumerate(arrays.values())}
    return torch_zip_of(pickled, storages, folder=folder, compression=compression)


def torch_legacy_of(
    pickled: bytes, storages: Mapping[str, tuple[int, bytes]], *, little: bool = True
) -> bytes:
    system = p_dict({p_text("protocol_version"): p_int(1001), p_text("little_endian"): p_bool(little)})
    parts = [p_dump(p_int(0x1950A86A20F9469CFC6C)), p_dump(p_int(1001)), p_dump(system), p_dump(pickled)]
    parts.append(p_dump(p_list(*map(p_text, storages))))
    for count, raw in storages.values():
        parts.append(struct.pack("<q" if little else ">q", count) + raw)
    return b"".join(parts)


def torch_legacy(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    keys = [f"1402{i}" for i in range(len(arrays))]
    pickled = p_state_dict(
        {name: p_tensor(key, array) for key, (name, array) in zip(keys, arrays.items(), strict=True)}
    )
    storages = {key: (array.size, array.tobytes()) for key, array in zip(keys, arrays.values(), strict=True)}
    return torch_legacy_of(pickled, storages)


# --- safetensors -------------------------------------------------------------------------------

SAFETENSORS_TYPES = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64"}


def safetensors_of(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in arrays.items():
        end = len(data) + array.nbytes
        kind = SAFETENSORS_TYPES[array.dtype.str[1:]]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), end]}
        data += array.tobytes()
    return safetensors_of(header, data)


# --- the .npy dict -----------------------------------------------------------------------------


def npy_of(pickled: bytes, *, version: int = 1, descr: str = "|O", shape: str = "()") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    length_size = 2 if version == 1 else 4
    header += b" " * (-(8 + length_size + len(header) + 1) % 64) + b"\n"
    start = b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(length_size, "little")
    return start + header + pickled


def p_object_array(inner: bytes) -> bytes:
    """A 0-dimensional object array around one object, as numpy.save writes a dict."""
    state = p_tuple(p_int(1), p_tuple(), p_dtype("O8", "|"), p_bool(False), p_list(inner))
    return p_built(p_array_start(), state)


def tensorflow_layout(weights: Weights) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Each number moved one index at a time, so that nothing of the reader's transposes is shared."""
    turned = {}
    for layer in [key.partition(".")[0] for key in weights if key.endswith(".weight")]:
        ours, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        if ours.ndim == 4:
            out, inner, height, width = ours.shape
            theirs = np.empty((height, width, inner, out), np.float32)
            for o, i, y, x in np.ndindex(*ours.shape):
                theirs[y, x, i, o] = ours[o, i, y, x]
        else:
            theirs = np.empty(ours.shape[::-1], np.float32)
            channels = weights["conv5.weight"].shape[0] if layer == "fc6" else 1
            cells = ours.shape[1] // channels
            for o, i in np.ndindex(*ours.shape):
                channel, cell = divmod(i, cells) if layer == "fc6" else (0, i)
                theirs[cell * channels + channel, o] = ours[o, i]
        turned[layer] = (theirs, bias)
    return turned


def npy_dict(weights: Weights, version: int = 1) -> bytes:
    layers = tensorflow_layout(weights)
    pairs = {
        p_text_of_python2(layer.encode()): p_list(p_array(w), p_array(b)) for layer, (w, b) in layers.items()
    }
    return npy_of(p_dump(p_object_array(p_dict(pairs))), version=version)


def npy_dict_by_numpy(weights: Weights) -> bytes:
    """The same with the inverse of design section 4's transposes."""
    content = {}
    for key, array in weights.items():
        layer, _, kind = key.partition(".")
        if kind == "bias":
            continue
        if array.ndim == 4:
            theirs = array.transpose(2, 3, 1, 0)
        elif layer == "fc6":
            channels = weights["conv5.weight"].shape[0]
            side = int((array.shape[1] // channels) ** 0.5)
            cells = array.reshape(-1, channels, side, side)
            theirs = cells.transpose(2, 3, 1, 0).reshape(-1, array.shape[0])
        else:
            theirs = array.T
        content[layer] = [theirs.copy(), weights[f"{layer}.bias"]]
    held = np.empty((), object)
    held[()] = content
    return npy_of(pickle.dumps(held, protocol=3))
