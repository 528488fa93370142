"""A graph and its large arrays apart, for an engine that takes no arrays from beside a graph."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from fc7.models.graph.files import load_array
from fc7.models.graph.prepare import Runnable

# Smaller ones may be scales and shapes, which an engine's reader wants to see when it reads the graph.
_LARGE = 1 << 16
_MAPPED = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8)


def weights_as_inputs(prepared: Runnable) -> tuple[bytes, dict[str, NDArray[np.generic]]]:
    """A graph that carries its small arrays and takes the large ones as inputs.

    Parameters
    ----------
    prepared : Runnable
        Its folder holds the arrays.

    Returns
    -------
    graph : bytes
        ONNX, without arrays outside it.
    weights : dict of str to ndarray
        Input name -> array, mapped from the disk: private pages that nobody writes to. A file that is cut
        short meanwhile ends the process, as it does in ONNX Runtime, which maps them too.

    Raises
    ------
    WeightsError
        If a small array is missing or damaged.

    Examples
    --------
    ``tiles`` has small arrays only.

    >>> from fc7.models.graph.prepare import runnable
    >>> from fc7.models.store.store import load
    >>> tiles = load("tiles")
    >>> graph, weights = weights_as_inputs(runnable(tiles.graph_path, tiles.spec, ["tiles"]))
    >>> len(graph) > 0, weights
    (True, {})
    """
    model = onnx.load_model_from_string(prepared.graph)
    files: dict[Path, NDArray[np.uint8]] = {}
    weights: dict[str, NDArray[np.generic]] = {}
    kept: list[TensorProto] = []
    for tensor in model.graph.initializer:
        dims = tuple(tensor.dims)
        large = tensor.data_type in _MAPPED and math.prod(dims) >= _LARGE
        if not (large and uses_external_data(tensor)):
            load_array(tensor, prepared.folder / "network.onnx")
            kept.append(tensor)
            continue
        where = ExternalDataInfo(tensor)
        path = prepared.folder / where.location
        if path not in files:
            # "c": copy on write, which makes of it an array that OpenVINO does not copy; it writes nothing.
            files[path] = np.memmap(path, np.uint8, "c")
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        start = where.offset or 0
        array = files[path][start : start + math.prod(dims) * dtype.itemsize].view(dtype).reshape(dims)
        weights[tensor.name] = array if array.flags.aligned else array.copy()
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model.SerializeToString(), weights
