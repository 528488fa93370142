"""Cut a graph at chosen tensors and turn what is left into features.

Every function takes a graph and gives a new one; arrays kept outside the graph stay there.

`onnx_graphsurgeon` (0.6.1) cuts GoogLeNet to the same size, but wants the type of every tensor at the cut
told, takes 0.50 MB, and would replace `cut` and `needed_nodes` alone. onnx's own `Extractor` knows no tensor
whose shape inference has not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from onnx import (
    AttributeProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    helper,
    shape_inference,
)
from onnx.external_data_helper import uses_external_data

from fc7.models.common.errors import UnknownLayerError, WeightsError

FED_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8)
"""Element types of the images that a network can be fed."""
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
# From IR 4 on weights need not be listed as inputs; listed there, engines could not fold them. What
# later versions added (number types under 8 bits) no image network of ours holds, and IR 10 is read by
# every ONNX Runtime since 1.18 (its release table), so that a file's newer stamp need not stop it.
_OLDEST_IR, _NEWEST_IR = 4, 10
# Arrays up to this many numbers can be shapes, axes and scales, which shape inference reads.
SMALL = 64
# A tensor's ONNX element type and its sizes, 0 where one is not known.
Sized = tuple[int, tuple[int, ...]]
_MAPS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LRN")


def image_input(model: ModelProto) -> ValueInfoProto:
    """The one input that takes images.

    Raises
    ------
    WeightsError
        If the graph has none, or several inputs without a default, or one that cannot be images.
    """
    inputs = fed_inputs(model)
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise WeightsError(f"the graph has {len(inputs)} inputs ({names}); one that takes images was needed")
    rank = len(inputs[0].type.tensor_type.shape.dim)
    if rank != 4:
        raise WeightsError(f"input {inputs[0].name!r} has {rank} dimensions; images have 4 (N, C, H, W)")
    found: ValueInfoProto = inputs[0]
    return found


def fed_inputs(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs that must be given: those without a default among the graph's arrays."""
    held = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in held]


def channels_last(model: ModelProto) -> bool:
    """Whether the input is (N, H, W, 3), as TensorFlow exports, and not (N, 3, H, W).

    Where the sizes leave it open, a Transpose that brings channels to the front tells.
    """
    image = image_input(model)
    dims: list[int] = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    if dims[1] == 0 and dims[3] == 0:
        readers = [node for node in model.graph.node if image.name in node.input]
        return any(settings(node).get("perm") == [0, 3, 1, 2] for node in readers)
    return dims[3] == 3 and dims[1] != 3


def input_size(model: ModelProto) -> tuple[int, int] | None:
    """Height and width of the input, or None where the graph leaves them free."""
    dims = [dim.dim_value for dim in image_input(model).type.tensor_type.shape.dim]
    height, width = dims[1:3] if channels_last(model) else dims[2:4]
    return (height, width) if height > 0 and width > 0 else None


def fixed_batch(model: ModelProto) -> int | None:
    """The batch a graph is bound to, or None where any will do."""
    return image_input(model).type.tensor_type.shape.dim[0].dim_value or None


def with_image(model: ModelProto, batch: int | None, size: tuple[int, int]) -> ModelProto:
    """The graph with an input of this batch (None: any) and of this height and width."""
    old = image_input(model)
    height, width = size
    dims = [
        "n" if batch is None else batch,
        *([height, width, 3] if channels_last(model) else [3, height, width]),
    ]
    image = helper.make_tensor_value_info(old.name, old.type.tensor_type.elem_type, dims)
    return with_parts(
        model,
        nodes=model.graph.node,
        initializers=model.graph.initializer,
        inputs=[image],
        outputs=[untyped(value.name) for value in model.graph.output],
    )


def with_parts(
    model: ModelProto,
    *,
    nodes: Sequence[NodeProto],
    initializers: Sequence[TensorProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
) -> ModelProto:
    """A graph of these parts with the versions and the functions of `model`."""
    graph = helper.make_graph(
        list(nodes), model.graph.name or "network", list(inputs), list(outputs), list(initializers)
    )
    return helper.make_model(
        graph,
        opset_imports=list(model.opset_import),
        ir_version=min(max(model.ir_version, _OLDEST_IR), _NEWEST_IR),
        functions=list(model.functions),
        producer_name="fc7",
    )


def resolve_tensor(model: ModelProto, name: str) -> str:
    """The tensor called `name`, or the first output of the node called so.

    Raises
    ------
    UnknownLayerError
        With the last tensors of the graph.
    """
    for node in model.graph.node:
        if name in node.output:
            return name
    for node in model.graph.node:
        if name == node.name:
            return str(node.output[0])
    tail = ", ".join(output for node in model.graph.node[-8:] for output in node.output if output)
    raise UnknownLayerError(f"the graph has no tensor or node {name!r}; its last tensors are {tail}")


def needed_nodes(model: ModelProto, wanted: Iterable[int]) -> set[int]:
    """The nodes at these places in the graph and all that they need, by place."""
    makers = {name: i for i, node in enumerate(model.graph.node) for name in node.output if name}
    needed: set[int] = set()
    waiting = list(wanted)
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += [makers[name] for name in reads(model.graph.node[index]) if name in makers]
    return needed


def cut(model: ModelProto, tensors: Sequence[str]) -> ModelProto:
    """Only what leads to `tensors`; they become the outputs, weights not needed are left out."""
    resolved = [resolve_tensor(model, name) for name in tensors]
    producer = {name: i for i, node in enumerate(model.graph.node) for name in node.output}
    needed = needed_nodes(model, [producer[name] for name in resolved])
    nodes = [node for i, node in enumerate(model.graph.node) if i in needed]
    read = {name for node in nodes for name in reads(node)}
    return with_parts(
        model,
        nodes=nodes,
        initializers=[tensor for tensor in model.graph.initializer if tensor.name in read],
        inputs=[image_input(model)],
        outputs=[untyped(name) for name in resolved],
    )


def skeleton(model: ModelProto) -> ModelProto:
    """The graph without its large arrays, which become inputs of their type and shape.

    Kilobytes instead of the whole network, and everything that shapes depend on.
    """
    small, large = list[TensorProto](), list[ValueInfoProto]()
    for tensor in model.graph.initializer:
        count = 1
        for extent in tensor.dims:
            count *= extent
        if count <= SMALL and not uses_external_data(tensor):
            small.append(tensor)
        else:
            large.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return with_parts(
        model,
        nodes=model.graph.node,
        initializers=small,
        inputs=[image_input(model), *large],
        outputs=[],
    )


def inferred_shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Every tensor whose rank is known -> its sizes, the batch first; 0 where one is not known."""
    return {name: sizes for name, (_, sizes) in _inferred(model).items()}


def inferred_types(model: ModelProto) -> dict[str, int]:
    """Every computed tensor whose type is known -> its ONNX element type."""
    return {name: kind.elem_type for name, kind in _tensor_types(model).items()}


def layer_shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Tensors one can cut at: name -> shape without the batch, in the order of the graph.

    Only floating-point tensors of known size, computed from the image, with a batch in front, are
    listed; sequences and optional values are not.
    """
    return shapes_of_rows(model, _inferred(model))


def shapes_of_rows(model: ModelProto, known: Mapping[str, Sized]) -> dict[str, tuple[int, ...]]:
    """`layer_shapes`, of the tensors whose element type and sizes are in `known`."""
    batch = fixed_batch(model) or 0
    seen = {image_input(model).name}
    shapes: dict[str, tuple[int, ...]] = {}
    for node in model.graph.node:
        if seen.isdisjoint(reads(node)):
            continue
        for name in node.output:
            seen.add(name)
            kind, sizes = known.get(name, (0, ()))
            if kind in _FLOATS and len(sizes) > 1 and sizes[0] == batch and all(n > 0 for n in sizes[1:]):
                shapes[name] = sizes[1:]
    return shapes


def channels_last_maps(model: ModelProto) -> set[str]:
    """The tensors of four dimensions that are (N, H, W, C).

    Convolution and pooling are (N, C, H, W) in ONNX; what lies between them and the Transposes
    of a graph converted from TensorFlow is told by following it from its input.
    """
    image = image_input(model)
    # Where each axis of a tensor stands in "NCHW"; (0, 2, 3, 1) is N, H, W, C.
    order = {image.name: (0, 2, 3, 1) if channels_last(model) else (0, 1, 2, 3)}
    for node in model.graph.node:
        known = next((order[name] for name in node.input if name in order), None)
        perm = settings(node).get("perm") if node.op_type == "Transpose" else None
        if node.op_type in _MAPS:
            known = (0, 1, 2, 3)
        elif perm is not None and known is not None and len(perm) == 4:
            known = (known[perm[0]], known[perm[1]], known[perm[2]], known[perm[3]])
        if known is not None:
            order.update(dict.fromkeys(node.output, known))
    return {name for name, axes in order.items() if axes == (0, 2, 3, 1)}


def reads(node: NodeProto) -> list[str]:
    """Every name a node reads, those that only its sub-graphs (If, Loop) read included."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            names += [value.name for value in graph.output]
            for inner in graph.node:
                names += reads(inner)
    return names


def settings(node: NodeProto) -> dict[str, Any]:
    """A node's attributes that are numbers or lists of numbers: name -> value."""
    plain = (AttributeProto.INT, AttributeProto.FLOAT, AttributeProto.INTS, AttributeProto.FLOATS)
    return {a.name: helper.get_attribute_value(a) for a in node.attribute if a.type in plain}


def untyped(name: str) -> ValueInfoProto:
    """A graph output whose type the engine is left to find; a wrong guess would be refused."""
    value = ValueInfoProto()
    value.name = name
    return value


def _inferred(model: ModelProto) -> dict[str, Sized]:
    return {
        name: (kind.elem_type, tuple(dim.dim_value for dim in kind.shape.dim))
        for name, kind in _tensor_types(model).items()
        if kind.HasField("shape")
    }


def _tensor_types(model: ModelProto) -> dict[str, TypeProto.Tensor]:
    found = shape_inference.infer_shapes(skeleton(model), data_prop=True)
    return {value.name: value.type.tensor_type for value in found.graph.value_info}


def takes_bytes(model: ModelProto) -> bool:
    """Whether the input is uint8, so that the graph does all arithmetic on pixels itself."""
    return bool(image_input(model).type.tensor_type.elem_type == TensorProto.UINT8)
