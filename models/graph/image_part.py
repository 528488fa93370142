"""Of a graph with several inputs, the part that one image feeds: of a CLIP export the image tower."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from fc7.models.common.errors import UnknownLayerError, UsageError, WeightsError
from fc7.models.graph.surgery import (
    FED_TYPES,
    fed_inputs,
    layer_shapes,
    needed_nodes,
    reads,
    resolve_tensor,
    untyped,
    with_parts,
)

# So many layers are named in a message; features come from the last ones.
_NAMED = 8


def image_part(model: ModelProto, layer: str | None, file: str) -> ModelProto:
    """The nodes that need one image and no other input, so that the rest of the graph is never asked for.

    Parameters
    ----------
    model : onnx.ModelProto
        With its arrays loaded.
    layer : str or None
        The tensor or node that is wanted. It tells which image counts where there are several.
    file : str
        Its name, for messages.

    Returns
    -------
    onnx.ModelProto
        With one input; `model` itself if it has one already, or none that could be an image. Its outputs are
        those of the graph that are left, or else the tensors that nobody reads.

    Raises
    ------
    UsageError
        If `layer` needs several inputs, or if it is not given and there are several images; with the layers
        that need one image alone.
    WeightsError
        If there is no such layer.
    """
    inputs = fed_inputs(model)
    images = [value for value in inputs if _may_be_image(value)]
    if len(inputs) < 2 or not images:
        return model
    fed = {value.name: _fed_by(model, value.name) for value in inputs}
    parts = {
        image.name: fed[image.name].difference(*(fed[name] for name in fed if name != image.name))
        for image in images
    }
    if not any(parts.values()):
        others = [value for value in inputs if value not in images] or inputs
        raise WeightsError(
            f"{file}: every layer needs {', '.join(map(_described, others))}, and one image is all that is "
            f"fed. Export it for inference, with the image as its only input{_with_a_value(others)}"
        )
    wanted = _maker(model, layer)
    chosen = [name for name, part in parts.items() if part and (wanted is None or wanted in part)]
    if len(chosen) == 1:
        return _part(model, chosen[0], parts[chosen[0]])
    found = "say with --layer which image is meant"
    if wanted is not None:
        needed = [value for value in inputs if wanted in fed[value.name]]
        shown = ", ".join(map(_described, needed)) or "no input at all"
        found = f"layer {layer!r} needs {shown}, and one image is all that is fed{_with_a_value(needed)}"
    alone = "; ".join(
        f"{name} alone: {', '.join(_last_layers(_part(model, name, part)))}"
        for name, part in parts.items()
        if part
    )
    raise UsageError(f"{file}: {found}. Layers that need {alone}")


def _may_be_image(value: ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim]
    # 0 is a size that the graph leaves open.
    return tensor.elem_type in FED_TYPES and len(dims) == 4 and not {0, 3}.isdisjoint((dims[1], dims[3]))


def _fed_by(model: ModelProto, name: str) -> set[int]:
    """The nodes whose result depends on an input, by their place in the graph."""
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(model.graph.node):
        for read in reads(node):
            readers.setdefault(read, []).append(index)
    found: set[int] = set()
    waiting = [name]
    while waiting:
        for index in readers.get(waiting.pop(), ()):
            if index not in found:
                found.add(index)
                waiting += model.graph.node[index].output
    return found


def _maker(model: ModelProto, layer: str | None) -> int | None:
    """The node that computes a layer, if it is called by its tensor's or its node's name."""
    if layer is None:
        return None
    try:
        tensor = resolve_tensor(model, layer)
    except UnknownLayerError:
        return None
    return next(index for index, node in enumerate(model.graph.node) if tensor in node.output)


def _part(model: ModelProto, image: str, part: Iterable[int]) -> ModelProto:
    """The graph of these nodes and of what they need besides: arrays, and nodes that compute constants."""
    nodes = model.graph.node
    kept = needed_nodes(model, part)
    left = [node for index, node in enumerate(nodes) if index in kept]
    read = {name for node in left for name in reads(node)}
    made = [name for node in left for name in node.output if name]
    outputs = [value.name for value in model.graph.output if value.name in made]
    taken = with_parts(
        model,
        nodes=left,
        initializers=[tensor for tensor in model.graph.initializer if tensor.name in read],
        inputs=[value for value in model.graph.input if value.name == image],
        outputs=[untyped(name) for name in outputs or [name for name in made if name not in read]],
    )
    taken.producer_name = model.producer_name
    return taken


def _last_layers(part: ModelProto) -> list[str]:
    """The last tensors that features can be taken from, as far as their sizes are known, and the outputs."""
    known = list(layer_shapes(part)) or [node.output[0] for node in part.graph.node]
    return list(dict.fromkeys([*known[-_NAMED:], *(value.name for value in part.graph.output)]))


def _with_a_value(inputs: Sequence[ValueInfoProto]) -> str:
    """How to do without the inputs that are one number, such as a switch between training and inference."""
    for value in inputs:
        tensor = value.type.tensor_type
        if all(dim.dim_value == 1 for dim in tensor.shape.dim):
            kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
            return (
                f". For {value.name} a value can be stored in the file, here 0: model.graph.initializer."
                f"append(onnx.numpy_helper.from_array(numpy.zeros({[1] * len(tensor.shape.dim)}, {kind!r}), "
                f"{value.name!r}))"
            )
    return ""


def _described(value: ValueInfoProto) -> str:
    """An input with its type and shape: ``input_ids (int64, n x 77)``."""
    tensor = value.type.tensor_type
    kind = TensorProto.DataType.Name(tensor.elem_type).lower()
    sizes = [dim.dim_param or str(dim.dim_value or "?") for dim in tensor.shape.dim]
    return f"{value.name} ({kind}, {' x '.join(sizes) or 'one number'})"
