"""Graphs in 8-bit integers: told from others, and layers of them put back into single precision."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from onnx import ModelProto, NodeProto, TensorProto

from fc7.models.common.errors import WeightsError
from fc7.models.graph.digest import tensor_digests
from fc7.models.graph.files import damage
from fc7.models.graph.intake import take_in
from fc7.models.graph.qdq_form import raised
from fc7.models.graph.surgery import (
    cut,
    image_input,
    inferred_types,
    needed_nodes,
    resolve_tensor,
    untyped,
    with_parts,
)
from fc7.models.network.spec import LayerSpec

WEIGHTED = ("Conv", "Gemm", "MatMul")
"""What is computed in integers; LRN, softmax and sums never are (tests/benchmarks/NOTES.md)."""
_MARKS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


def is_quantised(model: ModelProto) -> bool:
    """Whether any of a graph is computed in integers, in the QDQ or in the QLinear form."""
    return any(
        node.op_type in _MARKS or node.op_type.startswith(("QLinear", "QGemm")) for node in model.graph.node
    )


def to_quantise(model: ModelProto, name: str) -> ModelProto:
    """The graph as a quantiser needs it: every node named, of an operator set that knows channels.

    Parameters
    ----------
    model : onnx.ModelProto
        Of single precision, with its arrays loaded.
    name : str
        The network's, for messages.

    Raises
    ------
    WeightsError
        If it is quantised already, computes in another precision, or cannot be raised to that operator set.
    """
    if is_quantised(model):
        raise WeightsError(f"network {name!r} computes in integers already; quantise the one it was made of")
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in model.graph.node:
        kind = kinds.get(node.input[1], TensorProto.FLOAT) if len(node.input) > 1 else TensorProto.FLOAT
        if node.op_type in WEIGHTED and kind != TensorProto.FLOAT:
            raise WeightsError(
                f"network {name!r} has weights of {TensorProto.DataType.Name(kind)} ({node.output[0]!r}), "
                "and float32 was needed; export it again in float32"
            )
    read = {tensor for node in model.graph.node for tensor in node.input}
    ends = [out for node in model.graph.node for out in node.output if out and out not in read]
    # An end that others read would be renamed by the quantiser.
    model = cut(model, ends)
    with damage(name):
        if (newer := raised(model)) is not model:
            model = take_in(newer, name)
    taken: set[str] = set()
    for node in model.graph.node:
        if not node.name or node.name in taken:
            node.name = f"{node.op_type} {node.output[0]}"
        taken.add(node.name)
    return model


def weighted_nodes(model: ModelProto, tensor: str) -> list[str]:
    """The names of the nodes that can be quantised and that `tensor` needs, in the order of the graph.

    Each multiplies a floating-point map by weights of its own. What comes after `tensor` is left out: the
    features do not depend on it.
    """
    kinds = inferred_types(model)
    kinds[image_input(model).name] = image_input(model).type.tensor_type.elem_type
    held = {array.name for array in model.graph.initializer}
    wanted = resolve_tensor(model, tensor)
    place = next(i for i, node in enumerate(model.graph.node) if wanted in node.output)
    needed = needed_nodes(model, [place])
    return [
        node.name
        for i, node in enumerate(model.graph.node)
        if i in needed
        and node.op_type in WEIGHTED
        and node.input[1] in held
        and kinds.get(node.input[0]) == TensorProto.FLOAT
    ]


def without_pixels(quantised: ModelProto, fed: ModelProto, original: ModelProto) -> ModelProto:
    """What a quantiser made of `original` with the arithmetic on pixels in front, without that arithmetic.

    Parameters
    ----------
    fed : onnx.ModelProto
        What the quantiser was given (`models.graph.pixels.pixels_in`).
    """
    own = {name for node in original.graph.node for name in node.output}
    in_front = {name for node in fed.graph.node for name in node.output} - own
    bare = with_parts(
        quantised,
        nodes=[node for node in quantised.graph.node if in_front.isdisjoint(node.output)],
        initializers=quantised.graph.initializer,
        inputs=[image_input(original)],
        outputs=[untyped(value.name) for value in original.graph.output],
    )
    return take_in(bare, "the quantised graph")


def with_both(quantised: ModelProto, original: ModelProto) -> ModelProto:
    """The quantised graph with the arrays of the original beside its own, for `in_single`."""
    held = {array.name for array in quantised.graph.initializer}
    return with_parts(
        quantised,
        nodes=quantised.graph.node,
        initializers=[
            *quantised.graph.initializer,
            *(array for array in original.graph.initializer if array.name not in held),
        ],
        inputs=quantised.graph.input,
        outputs=quantised.graph.output,
    )


def in_single(both: ModelProto, originals: Sequence[NodeProto], names: Collection[str]) -> ModelProto:
    """The quantised graph with some nodes as they were, and without the arrays that nobody reads then.

    Parameters
    ----------
    both : onnx.ModelProto
        Of `with_both`.
    originals : sequence of onnx.NodeProto
        Those of the original graph.
    names : collection of str
        Of the nodes to put back.
    """
    as_it_was = {node.name: node for node in originals if node.name in names}
    mixed = with_parts(
        both,
        nodes=[as_it_was.get(node.name, node) for node in both.graph.node],
        initializers=both.graph.initializer,
        inputs=both.graph.input,
        outputs=both.graph.output,
    )
    return cut(mixed, [value.name for value in both.graph.output])


def layers_of_quantised(model: ModelProto, layers: Sequence[LayerSpec]) -> tuple[LayerSpec, ...]:
    """The layers of the original, each with the digest of what the quantised graph computes.

    A layer before the first quantised one has the digest it had, if the operator set is the same: it is the
    same.

    Parameters
    ----------
    model : onnx.ModelProto
        With its arrays loaded.
    layers : sequence of LayerSpec
        Of the network it was made of.
    """
    digests = tensor_digests(model)
    return tuple(
        LayerSpec(
            layer.name,
            tensor=layer.tensor,
            shape=layer.shape,
            digest=digests[layer.tensor],
            node=layer.node,
            channels_last=layer.channels_last,
        )
        for layer in layers
        if layer.tensor in digests
    )
