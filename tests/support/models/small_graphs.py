"""Networks of a few hundred numbers, written as exporters write them, and what they compute by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from fc7.extract.engine.session import open_session
from fc7.extract.options import RunOptions
from fc7.extract.records import Features, Pixels
from fc7.models.network.spec import PreprocessSpec
from fc7.models.store.store import StoredNetwork

SIZE = 8
PLAIN = PreprocessSpec("warp", SIZE, SIZE, SIZE, SIZE, "RGB")
NODE = helper.make_node


def weights(kind: int = TensorProto.FLOAT) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(5)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    return {
        "conv_w": rng.normal(0, 0.02, (4, 3, 3, 3)).astype(dtype),
        "conv_b": rng.normal(0, 1, 4).astype(dtype),
        "fc_w": rng.normal(0, 0.5, (5, 64)).astype(dtype),
        "fc_b": rng.normal(0, 1, 5).astype(dtype),
    }


def trunk(source: str = "data") -> list[NodeProto]:
    """``conv`` (4, 8, 8), ``relu``, ``pool`` (4, 4, 4)."""
    return [
        NODE("Conv", [source, "conv_w", "conv_b"], ["conv"], "conv_node", pads=[1, 1, 1, 1]),
        NODE("Relu", ["conv"], ["relu"], "relu_node"),
        NODE("MaxPool", ["relu"], ["pool"], "pool_node", kernel_shape=[2, 2], strides=[2, 2]),
    ]


def head(source: str = "pool") -> list[NodeProto]:
    """``flat`` (64), ``scores`` (5), ``prob`` (5)."""
    return [
        NODE("Flatten", [source], ["flat"], "flat_node"),
        NODE("Gemm", ["flat", "fc_w", "fc_b"], ["scores"], "fc_node", transB=1),
        NODE("Softmax", ["scores"], ["prob"], "prob_node", axis=1),
    ]


def model(
    nodes: Sequence[NodeProto] | None = None,
    *,
    shape: Sequence[int | str | None] = ("N", 3, SIZE, SIZE),
    kind: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("prob",),
    arrays: dict[str, NDArray[Any]] | None = None,
    opset: int = 13,
    ir: int = 8,
    producer: str = "test",
    listed: bool = False,
) -> ModelProto:
    """A graph of `nodes` with those of `weights` and `arrays` that they read; `listed` as inputs too."""
    nodes = [*trunk(), *head()] if nodes is None else list(nodes)
    read = {name for node in nodes for name in node.input}
    held = {name: value for name, value in {**weights(kind), **(arrays or {})}.items() if name in read}
    extra = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
        for n, v in held.items()
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("data", kind, list(shape)), *(extra if listed else [])],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir, producer_name=producer
    )


def write(made: ModelProto, folder: Path, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(made.SerializeToString())
    return path


def images(n: int = 3, size: int = SIZE) -> Pixels:
    return np.random.default_rng(n).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def run(
    stored: StoredNetwork, layers: Sequence[str], pixels: Pixels, batch: int | None = None
) -> dict[str, Features]:
    """Features by the product; a network bound to a batch is given that."""
    session = open_session(
        stored.graph_path, stored.spec, layers, RunOptions(device="cpu", batch_size=batch, threads=1)
    )
    size = session.batch_size
    parts = [session.run(pixels[i : i + size]) for i in range(0, len(pixels), size)]
    return {layer: np.concatenate([part[layer] for part in parts]) for layer in layers}


def by_itself(
    made: ModelProto, tensors: Sequence[str], pixels: Pixels, *, last: bool = False
) -> dict[str, NDArray[np.float32]]:
    """The same tensors by onnx's own evaluator, one image at a time, from raw RGB; flattened."""
    whole = onnx.ModelProto()
    whole.CopyFrom(made)
    del whole.graph.output[:]
    whole.graph.output.extend([onnx.ValueInfoProto(name=name) for name in tensors])
    evaluator = ReferenceEvaluator(whole)
    dtype = helper.tensor_dtype_to_np_dtype(made.graph.input[0].type.tensor_type.elem_type)
    rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in tensors}
    for image in pixels:
        fed = image[None] if last else image[None].transpose(0, 3, 1, 2)
        for name, value in zip(
            tensors, evaluator.run(None, {made.graph.input[0].name: fed.astype(dtype)}), strict=True
        ):
            rows[name].append(np.asarray(value, np.float32).reshape(-1))
    return {name: np.stack(found) for name, found in rows.items()}


def close(found: Features, wanted: NDArray[Any], tolerance: float = 1e-5) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= tolerance * max(1.0, float(np.abs(wanted).max()))
