"""Cut a graph at chosen tensors and turn what is left into features.

Every function takes a graph and gives a new one; arrays kept outside the graph stay there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, shape_inference

from models.errors import UnknownLayerError, WeightsError
from models.spec import Pool

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def image_input(model: ModelProto) -> ValueInfoProto:
    """The one input that takes images.

    Raises
    ------
    WeightsError
        If the graph has none, or several inputs, or one that cannot be images.
    """
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in held]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise WeightsError(f"the graph has {len(inputs)} inputs ({names}); one that takes images was needed")
    rank = len(inputs[0].type.tensor_type.shape.dim)
    if rank != 4:
        raise WeightsError(f"input {inputs[0].name!r} has {rank} dimensions; images have 4 (N, C, H, W)")
    found: ValueInfoProto = inputs[0]
    return found


def channels_last(model: ModelProto) -> bool:
    """Whether the input is (N, H, W, 3), as TensorFlow exports, and not (N, 3, H, W)."""
    dims: list[int] = [dim.dim_value for dim in image_input(model).type.tensor_type.shape.dim]
    return dims[3] == 3 and dims[1] != 3


def input_size(model: ModelProto) -> tuple[int, int] | None:
    """Height and width of the input, or None where the graph leaves them free."""
    dims = [dim.dim_value for dim in image_input(model).type.tensor_type.shape.dim]
    height, width = dims[1:3] if channels_last(model) else dims[2:4]
    return (height, width) if height > 0 and width > 0 else None


def fixed_batch(model: ModelProto) -> int | None:
    """The batch a graph is bound to, or None where any will do."""
    return image_input(model).type.tensor_type.shape.dim[0].dim_value or None


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
    # From IR 4 on weights need not be listed as inputs; listed there, engines could not fold them.
    return helper.make_model(
        graph,
        opset_imports=list(model.opset_import),
        ir_version=max(model.ir_version, 4),
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


def cut(model: ModelProto, tensors: Sequence[str]) -> ModelProto:
    """Only what leads to `tensors`; they become the outputs, weights not needed are left out."""
    resolved = [resolve_tensor(model, name) for name in tensors]
    producer = {name: i for i, node in enumerate(model.graph.node) for name in node.output}
    needed: set[int] = set()
    waiting = [producer[name] for name in resolved]
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += [producer[name] for name in _reads(model.graph.node[index]) if name in producer]
    nodes = [node for i, node in enumerate(model.graph.node) if i in needed]
    read = {name for node in nodes for name in _reads(node)}
    return with_parts(
        model,
        nodes=nodes,
        initializers=[tensor for tensor in model.graph.initializer if tensor.name in read],
        inputs=[image_input(model)],
        outputs=[_untyped(name) for name in resolved],
    )


def layer_shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Tensors one can cut at: name -> shape without the batch, in the order of the graph.

    Only floating-point tensors of known size, with a batch in front, are listed.
    """
    bare = with_parts(
        model,
        nodes=model.graph.node,
        initializers=model.graph.initializer,
        inputs=[image_input(model)],
        outputs=[],
    )
    inferred = shape_inference.infer_shapes(bare, data_prop=True)
    types = {value.name: value.type.tensor_type for value in inferred.graph.value_info}
    shapes: dict[str, tuple[int, ...]] = {}
    for node in model.graph.node:
        for name in node.output:
            if name in types and types[name].elem_type in _FLOATS:
                sizes = tuple(dim.dim_value for dim in types[name].shape.dim)[1:]
                if sizes and all(size > 0 for size in sizes):
                    shapes[name] = sizes
    return shapes


def vectors_out(model: ModelProto, names: Mapping[str, str], pool: Pool) -> ModelProto:
    """Make each layer a float32 output (n, dim) called `vector_name(layer)`.

    Parameters
    ----------
    model : onnx.ModelProto
    names : mapping of str to str
        Layer name -> tensor.
    pool : {"flatten", "avg", "max"}
        Maps of shape (channels, height, width) are flattened in that order, or pooled to one
        number a channel; vectors stay as they are.
    """
    shapes = layer_shapes(model)
    nodes, outputs = list(model.graph.node), []
    for layer, tensor in names.items():
        here = tensor
        if pool != "flatten" and len(shapes.get(tensor, ())) == 3:
            op = "GlobalAveragePool" if pool == "avg" else "GlobalMaxPool"
            nodes.append(helper.make_node(op, [here], [f"{layer} (pooled)"]))
            here = f"{layer} (pooled)"
        nodes.append(helper.make_node("Flatten", [here], [f"{layer} (flat)"], axis=1))
        nodes.append(
            helper.make_node("Cast", [f"{layer} (flat)"], [vector_name(layer)], to=TensorProto.FLOAT)
        )
        outputs.append(_untyped(vector_name(layer)))
    return with_parts(
        model, nodes=nodes, initializers=model.graph.initializer, inputs=model.graph.input, outputs=outputs
    )


def vector_name(layer: str) -> str:
    """The output of `vectors_out` for a layer; the plain name may be a tensor's already."""
    return f"{layer} (vector)"


def _reads(node: NodeProto) -> list[str]:
    """Every name a node reads, those that only its sub-graphs (If, Loop) read included."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                names += _reads(inner)
    return names


def _untyped(name: str) -> ValueInfoProto:
    # The engine infers the type; a wrong guess here would be refused.
    value = ValueInfoProto()
    value.name = name
    return value
