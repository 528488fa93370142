"""ONNX files on disk: read, check, keep. Where `onnx`'s own errors become ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.external_data_helper import uses_external_data

from models.errors import UnsafeFileError, WeightsError

GRAPH_FILE, WEIGHTS_FILE = "network.onnx", "network.weights"


def save_graph(model: ModelProto, folder: Path) -> None:
    """Write ``network.onnx`` and, beside it, ``network.weights`` with every array over 1 KiB.

    With the arrays apart, cutting or rewriting a network handles kilobytes, and the engine
    maps the weights from disk. `model` itself is changed to point at the file.
    """
    onnx.save_model(
        model,
        str(folder / GRAPH_FILE),
        save_as_external_data=True,
        location=WEIGHTS_FILE,
        size_threshold=1024,
    )


def load_graph(path: Path) -> ModelProto:
    """Read a graph and leave its external arrays where they are.

    Raises
    ------
    WeightsError
        If the file is no ONNX graph.
    """
    try:
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

    Raises
    ------
    UnsafeFileError
        If an array claims to lie outside the file's own folder.
    WeightsError
        If the file or an array of it is missing or damaged.
    """
    model = load_graph(path)
    folder = path.resolve().parent
    for tensor in _tensors(model):
        if uses_external_data(tensor):
            _check_external(tensor, folder, path)
    try:
        onnx.load_external_data_for_model(model, str(folder))
    except (ValueError, OSError, onnx.checker.ValidationError) as exc:
        raise WeightsError(f"{path}: its external data cannot be read ({exc})") from exc
    return model


def constant_values(model: ModelProto) -> dict[str, np.ndarray]:
    """The small arrays that a graph carries itself: name -> value."""
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if not uses_external_data(tensor)
    }


def _tensors(model: ModelProto) -> list[TensorProto]:
    found = list(model.graph.initializer)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                found.append(attribute.t)
            found.extend(attribute.tensors)
    return found


def _check_external(tensor: TensorProto, folder: Path, path: Path) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    target = (folder / location).resolve()
    if not location or not target.is_relative_to(folder):
        raise UnsafeFileError(
            f"{path}: array {tensor.name!r} points to {location!r}, outside the file's folder; "
            "refused. Export the network again with its data beside it"
        )
    if not target.is_file():
        raise WeightsError(f"{path}: its data file {location!r} is missing; copy it beside the .onnx")
    size = target.stat().st_size
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
    except ValueError as exc:
        raise WeightsError(f"{path}: array {tensor.name!r} has a damaged offset or length") from exc
    if offset < 0 or length < 0 or offset + length > size:
        raise WeightsError(
            f"{path}: array {tensor.name!r} needs bytes {offset}-{offset + length} of {location!r}, "
            f"which has {size}; copy the data file again"
        )
