"""ONNX files on disk: read, check, keep. Where `onnx`'s own errors become ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data, uses_external_data

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.network.canonical import listed
from fc7.models.weights.external_data import claimed_bytes, external_file, read_external

GRAPH_FILE, WEIGHTS_FILE = "network.onnx", "network.weights"
# Protobuf refuses messages of 2 GiB and more (protobuf.dev, "Proto Limits").
_PROTOBUF_LIMIT = 1 << 31
_PACKED: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
}  # bits an element
# Two arrays may share bytes (tied weights); a file whose arrays ask for many times its size is a bomb.
_MOST_SHARED = 4
_APART = 1024


def save_graph(model: ModelProto, folder: Path) -> None:
    """Write ``network.onnx`` and, beside it, ``network.weights`` with every array of 1 KiB and more.

    With the arrays apart, cutting or rewriting a network handles kilobytes, and the engine
    maps the weights from disk. `model` itself is changed to point at the file.
    """
    save_apart(model, folder / GRAPH_FILE, WEIGHTS_FILE)


def save_apart(model: ModelProto, path: Path, arrays: str) -> None:
    """Write a graph, and its arrays of 1 KiB and more into a file beside it.

    Parameters
    ----------
    model : onnx.ModelProto
        Is changed to point at the file.
    arrays : str
        The file's name; it must not be there yet.

    Notes
    -----
    ``onnx.save_model(location=...)`` looks for that name in the current folder and not beside `path`, and
    refuses to write if anything is called so there (onnx 1.23.2, `convert_model_to_external_data`).
    """
    for tensor in _initializers(model.graph):
        if tensor.HasField("raw_data") and len(tensor.raw_data) >= _APART:
            set_external_data(tensor, arrays)
    onnx.save_model(model, str(path))


def load_graph(path: Path) -> ModelProto:
    """Read a graph and leave its external arrays where they are.

    Raises
    ------
    WeightsError
        If the file is no ONNX graph, or too large to be one.
    """
    try:
        if (size := path.stat().st_size) >= _PROTOBUF_LIMIT:
            raise WeightsError(
                f"{path}: {size} bytes, and an ONNX file cannot have 2 GiB or more. Save it with its arrays "
                "beside it: onnx.save_model(model, path, save_as_external_data=True)"
            )
        model = onnx.load_model(str(path), load_external_data=False)
    except (DecodeError, ValueError) as exc:
        raise WeightsError(
            f"{path}: not an ONNX file, or a damaged one ({exc}); fetch or export it again"
        ) from exc
    except OSError as exc:
        raise WeightsError(f"{path}: cannot be read ({exc.strerror or exc})") from exc
    if not model.graph.node:
        raise WeightsError(f"{path}: holds no graph; an ONNX network was needed")
    return model


def load_whole_graph(path: Path) -> ModelProto:
    """Read a graph from anywhere, external arrays included.

    Every array's size is checked against the bytes there are before memory is asked for.

    Raises
    ------
    UnsafeFileError
        If an array claims to lie outside the file's own folder, or an absurd size.
    WeightsError
        If the file or an array of it is missing or damaged.
    """
    model = load_graph(path)
    with damage(path.name):
        _check_total(model, path)
        for tensor in all_tensors(model):
            load_array(tensor, path)
    return model


@contextmanager
def damage(name: str) -> Iterator[None]:
    """Turn what `onnx` and protobuf raise on a damaged graph into a `WeightsError`.

    They have no common base: a name that is no text is a UnicodeDecodeError when it is first asked
    for, an impossible graph a RuntimeError of one of `onnx`'s own classes or a ValidationError.
    """
    try:
        yield
    except (
        DecodeError,
        EncodeError,
        ValueError,
        TypeError,
        LookupError,
        OverflowError,
        RuntimeError,
        MemoryError,
        onnx.checker.ValidationError,
        onnx.defs.SchemaError,
    ) as exc:
        said = " ".join(str(exc).split())[:300] or type(exc).__name__
        raise WeightsError(
            f"{name}: a damaged ONNX file, or one that asks for the impossible ({said}); "
            "fetch or export it again"
        ) from exc


def constant_values(model: ModelProto) -> dict[str, np.ndarray]:
    """The arrays that a graph carries itself: name -> value."""
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if not uses_external_data(tensor)
    }


def all_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every array of a graph, its sub-graphs and its functions, wherever it is kept."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _initializers(graph: GraphProto) -> Iterator[TensorProto]:
    """The arrays of a graph and of the graphs inside its nodes (If, Loop)."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _initializers(inner)


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _graph_tensors(attribute.g)
            for graph in attribute.graphs:
                yield from _graph_tensors(graph)


def _check_total(model: ModelProto, path: Path) -> None:
    """Many arrays may not all claim the same bytes beside the file."""
    asked, held = 0, dict[Path, int]()
    for tensor in all_tensors(model):
        if uses_external_data(tensor):
            target = external_file(path.parent, _entries(tensor), path.name)
            if target.is_file():
                held[target] = target.stat().st_size
            asked += _claimed(tensor, path)
    if asked > _MOST_SHARED * sum(held.values()) and held:
        raise UnsafeFileError(
            f"{path}: its arrays ask for {asked} bytes of {sum(held.values())} beside it; refused"
        )


def load_array(tensor: TensorProto, path: Path) -> None:
    """Bring an array of the graph in `path` into memory; nothing happens where it is there already.

    Raises
    ------
    UnsafeFileError
        If it claims to lie outside the file's own folder, or an absurd size.
    WeightsError
        If its bytes are missing, or not as many as its shape needs.
    """
    n_bytes = _claimed(tensor, path)
    if uses_external_data(tensor):
        tensor.raw_data = read_external(path.parent, _entries(tensor), n_bytes, name=path.name)
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
    elif tensor.HasField("raw_data") and len(tensor.raw_data) != n_bytes:
        raise WeightsError(
            f"{path}: array {listed([tensor.name])} has {len(tensor.raw_data)} bytes, its shape needs "
            f"{n_bytes}; the file is damaged. Fetch or export it again"
        )
    elif not tensor.HasField("raw_data"):
        numpy_helper.to_array(tensor)  # raises if the numbers are not as many as the shape says


def _claimed(tensor: TensorProto, path: Path) -> int:
    """Bytes that the shape and the type of an array stand for; 0 for text, which has no fixed size."""
    dims = list(tensor.dims)
    if tensor.data_type in _PACKED:
        return (claimed_bytes(dims, 1, path.name) * _PACKED[tensor.data_type] + 7) // 8
    if tensor.data_type == TensorProto.STRING:
        return 0 * claimed_bytes(dims, 1, path.name)
    try:
        item = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError as exc:
        raise WeightsError(
            f"{path}: array {listed([tensor.name])} is of an unknown type (number {tensor.data_type}); "
            "the file is damaged, or newer than the installed onnx"
        ) from exc
    return claimed_bytes(dims, item, path.name)


def _entries(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def named_array(value: np.ndarray, name: str) -> TensorProto:
    """An array as a graph carries it."""
    return numpy_helper.from_array(value, name)
