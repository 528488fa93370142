"""The layers of a graph: every tensor that features can be taken from, under a name one can type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fc7.models.common.errors import UnknownLayerError, UsageError
from fc7.models.graph.digest import tensor_digests
from fc7.models.graph.sizes import all_layer_shapes
from fc7.models.graph.surgery import channels_last_maps, resolve_tensor
from fc7.models.network.spec import LayerSpec

if TYPE_CHECKING:
    from onnx import ModelProto


def layers_of(model: ModelProto) -> list[LayerSpec]:
    """Every tensor that features can be taken from, with its digest; the weights must be loaded."""
    digests = tensor_digests(model)
    shapes = all_layer_shapes(model)
    last = channels_last_maps(model)
    makers = {node.output[0]: node.name for node in model.graph.node if node.output}
    return [
        LayerSpec(
            name,
            tensor,
            shape,
            digest=digests[tensor],
            node=makers.get(tensor, "") if makers.get(tensor) != tensor else "",
            channels_last=tensor in last and len(shape) == 3,
        )
        for (tensor, shape), name in zip(shapes.items(), _names(shapes), strict=True)
    ]


def find_layer(layers: Iterable[LayerSpec], model: ModelProto, wanted: str, file: str) -> LayerSpec:
    """The layer that a user means: by its name, its tensor's or its node's.

    Raises
    ------
    UnknownLayerError
        If the graph has no such tensor or node.
    UsageError
        If it has, but features cannot be taken from it.
    """
    by_tensor = {layer.tensor: layer for layer in layers}
    by_name = {layer.name: layer for layer in by_tensor.values()}
    if wanted in by_tensor or wanted in by_name:
        return by_tensor.get(wanted) or by_name[wanted]
    try:
        tensor = resolve_tensor(model, wanted)
    except UnknownLayerError as exc:
        raise UnknownLayerError(f"{file}: {exc}") from exc
    if tensor not in by_tensor:
        raise UsageError(
            f"{file}: {wanted!r} is not a row of floating-point numbers of one size for each image; "
            "choose another --layer"
        )
    return by_tensor[tensor]


def _names(tensors: Iterable[str]) -> list[str]:
    """Names that may stand in a command and in an HDF5 path, where ``/`` separates groups.

    Commas separate layers on the command line, and a dot alone is a place in HDF5.
    """
    taken: set[str] = set()
    names: list[str] = []
    for tensor in tensors:
        kept = "".join(c if c.isprintable() and c not in "/,\\ " else "_" for c in tensor.strip("/"))
        plain = kept.strip(".") or "tensor"
        name, count = plain, 1
        while name in taken:
            count += 1
            name = f"{plain}_{count}"
        taken.add(name)
        names.append(name)
    return names
