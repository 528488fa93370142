"""From the layers of a graph to what a run gives: a row of float32 numbers for each image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper

from fc7.models.graph.files import named_array
from fc7.models.graph.surgery import untyped, with_parts
from fc7.models.network.spec import LayerSpec, Pool

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_MAP_POOLS = {"avg": "GlobalAveragePool", "max": "GlobalMaxPool"}
_FIRST = "(the first token)"


def vectors_out(model: ModelProto, layers: Mapping[str, LayerSpec], pool: Pool) -> ModelProto:
    """Make each layer a float32 output (n, dim) called `vector_name(name)`.

    Parameters
    ----------
    layers : mapping of str to LayerSpec
        By the name that its output is made of.
    pool : {"flatten", "avg", "max", "token"}
        Maps are flattened in their own order, (channels, height, width) or (height, width,
        channels), or pooled to one number a channel; sequences are flattened or give their first
        token; vectors stay as they are.
    """
    nodes, arrays, outputs = list(model.graph.node), list(model.graph.initializer), []
    for name, layer in layers.items():
        here = layer.tensor
        if layer.pooled(pool):
            pooling = _pooling(name, layer, pool)
            nodes += pooling
            here = pooling[-1].output[0]
        nodes.append(helper.make_node("Flatten", [here], [f"{name} (flat)"], axis=1))
        nodes.append(helper.make_node("Cast", [f"{name} (flat)"], [vector_name(name)], to=TensorProto.FLOAT))
        outputs.append(untyped(vector_name(name)))
    if pool == "token":
        arrays.append(named_array(np.array(0, np.int64), _FIRST))
    return with_parts(model, nodes=nodes, initializers=arrays, inputs=model.graph.input, outputs=outputs)


def vector_name(layer: str) -> str:
    """The output of `vectors_out` for a layer; the plain name may be a tensor's already."""
    return f"{layer} (vector)"


def _pooling(name: str, layer: LayerSpec, pool: Pool) -> list[NodeProto]:
    """The nodes that make less of a layer, from its tensor on."""
    if pool == "token":
        return [helper.make_node("Gather", [layer.tensor, _FIRST], [f"{name} (token)"], axis=1)]
    if not layer.channels_last:
        return [helper.make_node(_MAP_POOLS[pool], [layer.tensor], [f"{name} (pooled)"])]
    # Turned and pooled as any map: ReduceMean changed its form between opsets, these did not.
    turned = f"{name} (turned)"
    return [
        helper.make_node("Transpose", [layer.tensor], [turned], perm=[0, 3, 1, 2]),
        helper.make_node(_MAP_POOLS[pool], [turned], [f"{name} (pooled)"]),
    ]
