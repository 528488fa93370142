"""An AlexNet's weights and plan out of an ONNX file. The only importer of `onnx` among the readers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import uses_external_data

from fc7.models.common.errors import WeightsError
from fc7.models.network.architectures import Step
from fc7.models.network.canonical import CanonicalWeights, canonical, listed
from fc7.models.weights.alexnet_walk import Op, PartedError, Walk
from fc7.models.weights.external_data import claimed_bytes, external_file, read_external
from fc7.models.weights.floats import BFLOAT16, decode, item_size

# Protobuf refuses messages of 2 GiB and more (protobuf.dev, "Proto Limits").
_PROTOBUF_LIMIT = 1 << 31
_CODES: dict[int, str] = {
    TensorProto.FLOAT: "f4",
    TensorProto.DOUBLE: "f8",
    TensorProto.FLOAT16: "f2",
    TensorProto.BFLOAT16: BFLOAT16,
    TensorProto.INT64: "i8",
}
_PLAIN_ATTRIBUTES = (
    AttributeProto.INT,
    AttributeProto.FLOAT,
    AttributeProto.STRING,
    AttributeProto.INTS,
    AttributeProto.FLOATS,
)
# An exporter may put a chain of these before a weight.
_MAX_CHAIN = 8


@dataclass(frozen=True, slots=True)
class OnnxAlexNet:
    """What the walk found.

    Attributes
    ----------
    arrays : dict of str to ndarray, float32
        Canonical weights.
    steps : tuple of Step
        The plan, to compare with `models.network.architectures`.
    """

    arrays: CanonicalWeights
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class OtherGraph:
    """A sound ONNX graph, but not one of the AlexNets we build; `reason` says where they part."""

    reason: str


def read_onnx(path: Path) -> OnnxAlexNet | OtherGraph:
    """Weights and plan of an AlexNet, or why it is none.

    Parameters
    ----------
    path : Path
        Any opset; float32, float64, float16 or bfloat16 weights, as initializers, Constant nodes or
        transposed, reshaped or cast from them, inside the file or beside it.

    Raises
    ------
    UnsafeFileError
        If an array lies outside the file's folder or claims an absurd size.
    WeightsError
        If the file is no ONNX graph, is damaged, or has 2 GiB or more.
    """
    model = _parse(path)
    try:
        _check_places(model, path)
        walk = Walk([_op(node) for node in model.graph.node], _image(model), _Constants(model, path).find)
    except PartedError as exc:
        return OtherGraph(str(exc))
    return OnnxAlexNet(canonical(walk.arrays, str(path)), tuple(walk.steps))


def _parse(path: Path) -> ModelProto:
    size = path.stat().st_size
    if size >= _PROTOBUF_LIMIT:
        raise WeightsError(
            f"{path}: {size} bytes, and an ONNX file cannot have 2 GiB or more. Save it with its arrays "
            "beside it: onnx.save_model(model, path, save_as_external_data=True)"
        )
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, ValueError) as exc:
        raise WeightsError(f"{path}: a damaged ONNX file ({exc}); fetch or export it again") from exc
    if not model.graph.node:
        raise WeightsError(f"{path}: an ONNX file without a graph; fetch or export it again")
    return model


def _check_places(model: ModelProto, path: Path) -> None:
    """Every array's place is checked, also of those that are not read here."""
    tensors = list(model.graph.initializer)
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while nodes:
        for attribute in nodes.pop().attribute:
            tensors += [attribute.t, *attribute.tensors]
            for graph in (attribute.g, *attribute.graphs):
                tensors += graph.initializer
                nodes += graph.node
    for tensor in tensors:
        if uses_external_data(tensor):
            external_file(path.parent, _entries(tensor), str(path))


def _image(model: ModelProto) -> str:
    """The name of the one input that is no weight."""
    if "matlab" in _text(model.producer_name).lower():
        raise PartedError("MATLAB's networks take RGB images where Caffe's take BGR")
    held = {_text(tensor.name) for tensor in model.graph.initializer}
    names = [name for value in model.graph.input if (name := _text(value.name)) not in held]
    if len(names) != 1:
        raise PartedError(f"it has {len(names)} inputs")
    return names[0]


def _entries(tensor: TensorProto) -> dict[str, str]:
    return {_text(entry.key): _text(entry.value) for entry in tensor.external_data}


class _Constants:
    """The arrays of a graph by name: initializers, Constant nodes, and what is turned from them."""

    def __init__(self, model: ModelProto, path: Path) -> None:
        self._path = path
        self._tensors = {_text(tensor.name): tensor for tensor in model.graph.initializer}
        self._makers = {_text(name): node for node in model.graph.node for name in node.output}

    def find(self, name: str, depth: int = 0) -> NDArray[Any] | None:
        """The array called `name`, if it is one, or turned from one."""
        if name in self._tensors:
            return self._array(self._tensors[name])
        node = self._makers.get(name)
        if node is None:
            return None
        if node.op_type == "Constant":
            values = [attribute.t for attribute in node.attribute if attribute.name == "value"]
            return self._array(values[0]) if values else None
        source = self.find(_text(node.input[0]), depth + 1) if node.input and depth < _MAX_CHAIN else None
        if source is None or node.op_type == "Identity":
            return source
        if node.op_type == "Cast" and _op(node).number("to", 0) == TensorProto.FLOAT:
            return source.astype(np.float32)
        if node.op_type == "Transpose":
            axes = _op(node).ints("perm", tuple(range(source.ndim))[::-1])
            return source.transpose(axes) if sorted(axes) == list(range(source.ndim)) else None
        if node.op_type == "Reshape" and len(node.input) > 1:
            shape = self.find(_text(node.input[1]), _MAX_CHAIN)  # itself not turned from anything
            return _reshaped(source, shape) if shape is not None else None
        return None

    def _array(self, tensor: TensorProto) -> NDArray[Any] | None:
        if tensor.data_type not in _CODES:
            return None
        code, dims, name = _CODES[tensor.data_type], list(tensor.dims), str(self._path)
        n_bytes = claimed_bytes(dims, item_size(code), name)
        if uses_external_data(tensor):
            raw = read_external(self._path.parent, _entries(tensor), n_bytes, name=name)
        elif tensor.HasField("raw_data"):
            raw = tensor.raw_data
        else:
            raw = b""
        try:
            array = decode(raw, code).reshape(dims) if raw else numpy_helper.to_array(tensor)
        except (ValueError, TypeError, OverflowError) as exc:
            raise WeightsError(
                f"{name}: array {listed([tensor.name])} does not hold the {n_bytes} bytes of its shape "
                f"{tuple(dims)}; the file is damaged"
            ) from exc
        return array.astype(np.float32) if code == BFLOAT16 else array


def _reshaped(source: NDArray[Any], shape: NDArray[Any]) -> NDArray[Any] | None:
    """ONNX's Reshape: 0 keeps a size, -1 takes the rest."""
    if shape.size > source.ndim + 4:
        return None
    sizes = [int(size) for size in shape.reshape(-1)]
    sizes = [source.shape[i] if s == 0 and i < source.ndim else s for i, s in enumerate(sizes)]
    try:
        return source.reshape(sizes)
    except (ValueError, OverflowError):
        return None


def _op(node: NodeProto) -> Op:
    kind = _text(node.op_type)
    if node.domain not in ("", "ai.onnx"):
        kind = f"{_text(node.domain)}.{kind}"
    attributes = {
        _text(attribute.name): helper.get_attribute_value(attribute)
        for attribute in node.attribute
        if attribute.type in _PLAIN_ATTRIBUTES
    }
    return Op(kind, list(map(_text, node.input)), list(map(_text, node.output)), attributes=attributes)


def _text(value: str | bytes) -> str:
    """Protobuf gives bytes where a file's text is no UTF-8."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
