"""A graph and its large arrays apart, for an engine that takes no arrays from beside a graph."""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Apart:
    """What `weights_as_inputs` makes of a graph.

    Attributes
    ----------
    graph : bytes
        ONNX, without arrays outside it.
    weights : dict of str to ndarray
        Input name -> array, mapped from the disk: private pages that nobody writes to. A file that is cut
        short meanwhile ends the process, as it does in ONNX Runtime, which maps them too.
    """

    graph: bytes
    weights: dict[str, NDArray[np.generic]]
    files: tuple[mmap.mmap, ...]

    def give_back(self) -> None:
        """Give the memory of the weights back, where the system can; what is asked for again is read again.

        An engine has made its own of them, in its own order. Of BVLC AlexNet's that is 227 MB.
        """
        if hasattr(mmap, "MADV_DONTNEED"):
            for file in self.files:
                file.madvise(mmap.MADV_DONTNEED)


def weights_as_inputs(prepared: Runnable) -> Apart:
    """A graph that carries its small arrays and takes the large ones as inputs.

    Parameters
    ----------
    prepared : Runnable
        Its folder holds the arrays.

    Raises
    ------
    WeightsError
        If a small array is missing or damaged.
    OSError
        If a file of large ones cannot be mapped.

    Examples
    --------
    ``tiles`` has small arrays only.

    >>> from fc7.models.graph.prepare import runnable
    >>> from fc7.models.store.store import load
    >>> tiles = load("tiles")
    >>> apart = weights_as_inputs(runnable(tiles.graph_path, tiles.spec, ["tiles"]))
    >>> len(apart.graph) > 0, apart.weights
    (True, {})
    """
    model = onnx.load_model_from_string(prepared.graph)
    files: dict[Path, mmap.mmap] = {}
    weights: dict[str, NDArray[np.generic]] = {}
    kept: list[TensorProto] = []
    for tensor in model.graph.initializer:
        count = math.prod(tensor.dims)
        if not (uses_external_data(tensor) and tensor.data_type in _MAPPED and count >= _LARGE):
            load_array(tensor, prepared.folder / "network.onnx")
            kept.append(tensor)
            continue
        where = ExternalDataInfo(tensor)
        path = prepared.folder / where.location
        if path not in files:
            with path.open("rb") as stream:
                # Copy on write makes of it arrays that OpenVINO does not copy; it writes nothing.
                files[path] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        array = np.frombuffer(files[path], dtype, count, where.offset or 0).reshape(tuple(tensor.dims))
        weights[tensor.name] = array if array.flags.aligned else array.copy()
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return Apart(model.SerializeToString(), weights, tuple(files.values()))
