"""Take in an ONNX graph made elsewhere: what can be run is put into one form, the rest is refused by name."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    checker,
    helper,
    numpy_helper,
)

from fc7.models.common.errors import UnsafeFileError, WeightsError
from fc7.models.common.program import pip_install
from fc7.models.graph.files import damage
from fc7.models.graph.image_part import image_part
from fc7.models.graph.qdq_form import qdq_form
from fc7.models.graph.surgery import (
    FED_TYPES,
    channels_last,
    image_input,
    inferred_shapes,
    input_size,
    reads,
    settings,
    skeleton,
    untyped,
    with_parts,
)

# ONNX Runtime promises operator sets from 7 on (its docs/Versioning.md).
OLDEST_OPSET = 7
# ONNX Runtime 1.23, the oldest one fc7 runs with, reads operator sets up to this one (its release notes).
_EVERYWHERE = 23
_CONVOLVED = (TensorProto.FLOAT, TensorProto.FLOAT16)
# VGG-16's largest map has 3.2 million numbers; a graph that makes 2^30 a step is an attack on memory.
_MOST_NUMBERS = 1 << 30


def take_in(model: ModelProto, name: str, layer: str | None = None) -> ModelProto:
    """The graph in the form that `models.graph.surgery` relies on, or a message why it cannot be used.

    Constant nodes become arrays of the graph, nodes stand in the order they are computed, arrays
    are no longer listed as inputs, and the IR version is one that every ONNX Runtime here reads. Of a
    graph with several inputs the part that one image feeds is left (`models.graph.image_part`). Operators
    on 8-bit integers stand between conversions (`models.graph.qdq_form`).

    Parameters
    ----------
    model : onnx.ModelProto
        With its arrays loaded (`models.graph.files.load_whole_graph`).
    name : str
        The file, for messages.
    layer : str or None
        The layer that is wanted of it.

    Raises
    ------
    UsageError
        If the layer needs more than one image.
    UnsafeFileError
        If it asks for absurd memory.
    WeightsError
        If it is too new, too old, a training graph, damaged, or takes no RGB images.
    """
    with damage(name):
        _check_versions(model, name)
        _check_text(model, name)
        _check_functions(model.functions, name)
        if model.graph.sparse_initializer:
            raise WeightsError(f"{name}: has sparse arrays, which are not read; export it with dense ones")
        model = image_part(model, layer, name)
        nodes, arrays = _with_lifted_constants(model.graph)
        taken = with_parts(
            model,
            nodes=_in_order(nodes, {a.name for a in arrays} | {v.name for v in model.graph.input}, name),
            initializers=arrays,
            inputs=[image_input(model)],
            outputs=[untyped(value.name) for value in model.graph.output],
        )
        taken = qdq_form(taken, name)
        taken.producer_name = model.producer_name
        _restamp(taken)
        _check_inference_only(taken, name)
        _check_image(taken, name)
        _check_weights(taken, name)
        checker.check_model(skeleton(taken))
        _check_sizes(taken, name)
    return taken


def _check_versions(model: ModelProto, name: str) -> None:
    newer = (
        f"Upgrade ({pip_install('-U', 'onnx', 'onnxruntime')}), or export the network again with a lower "
        "opset_version"
    )
    if model.ir_version > onnx.IR_VERSION:
        raise WeightsError(
            f"{name}: has ONNX IR version {model.ir_version}, and the newest that the installed onnx "
            f"{onnx.__version__} reads is {onnx.IR_VERSION}. {newer}"
        )
    opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not opsets and not any(entry.domain for entry in model.opset_import):
        raise WeightsError(f"{name}: names no operator set; the file is damaged. Fetch or export it again")
    newest = onnx.defs.onnx_opset_version()
    for found in opsets:
        if found > newest:
            raise WeightsError(
                f"{name}: uses ONNX opset {found}, and the newest that the installed onnx "
                f"{onnx.__version__} knows is {newest}. {newer}"
            )
        if found < OLDEST_OPSET:
            raise WeightsError(
                f"{name}: uses ONNX opset {found}; {OLDEST_OPSET} and later are run. Export it again, or "
                "convert it: onnx.version_converter.convert_version(model, 13)"
            )


def _restamp(model: ModelProto) -> None:
    """Lower a very new opset to the one that its operators are from, so that every runtime reads it.

    An operator's definition holds from its `since_version` on: where all of them are as old as the
    lower opset, both stamps mean the same computation.
    """
    stamps = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(stamps) != 1 or stamps[0].version <= _EVERYWHERE or model.functions:
        return
    needed = _EVERYWHERE
    for node in _deep(model.graph.node):
        if node.domain in ("", "ai.onnx"):
            schema = onnx.defs.get_schema(node.op_type, stamps[0].version, "")
            needed = max(needed, schema.since_version)
    stamps[0].version = min(needed, stamps[0].version)


def _check_weights(model: ModelProto, name: str) -> None:
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in model.graph.node:
        kind = kinds.get(node.input[1], TensorProto.FLOAT) if len(node.input) > 1 else TensorProto.FLOAT
        if node.op_type in ("Conv", "ConvTranspose") and kind not in _CONVOLVED:
            raise WeightsError(
                f"{name}: convolves in {TensorProto.DataType.Name(kind)} ({node.output[0]!r}); ONNX Runtime "
                "does so in float32 and float16. Export it again as float32 (model.float() in PyTorch)"
            )


def _check_text(model: ModelProto, name: str) -> None:
    """Protobuf gives a name that is no UTF-8 as bytes, or fails when it is asked for (see `damage`)."""
    graph = model.graph
    names = [graph.name, *(held.name for held in (*graph.initializer, *graph.input, *graph.output))]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    if not all(isinstance(found, str) for found in names):
        raise WeightsError(
            f"{name}: has names that are not text; the file is damaged. Fetch or export it again"
        )


def _check_functions(functions: Iterable[FunctionProto], name: str) -> None:
    """A function that calls itself would be expanded without end."""
    calls = {f.name: {node.op_type for node in _deep(f.node)} for f in functions}
    finished: set[str] = set()
    waiting = dict(calls)
    while ready := [f for f, called in waiting.items() if not (called & calls.keys()) - finished]:
        finished.update(ready)
        for f in ready:
            del waiting[f]
    if waiting:
        raise UnsafeFileError(f"{name}: its function {next(iter(waiting))!r} calls itself; refused")


def _check_inference_only(model: ModelProto, name: str) -> None:
    switches = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "BatchNormalization" and settings(node).get("training_mode", 0):
            raise WeightsError(
                f"{name}: was exported for training (BatchNormalization {node.name!r} learns as it runs), so "
                "an image's features would depend on its batch; export it in inference mode (model.eval())"
            )
        # The third input of a Dropout switches it on. ONNX Runtime 1.31 takes one that is on out of the
        # middle of a graph all the same and lets it draw at the end: a trial would not show it everywhere.
        switch = switches.get(node.input[2]) if node.op_type == "Dropout" and len(node.input) > 2 else None
        if switch is not None and numpy_helper.to_array(switch).any():
            raise WeightsError(
                f"{name}: was exported for training (Dropout {node.name!r} is on), so an image's features "
                "would be drawn at random; export it in inference mode (model.eval())"
            )


def _with_lifted_constants(graph: GraphProto) -> tuple[list[NodeProto], list[TensorProto]]:
    nodes, arrays = list[NodeProto](), list(graph.initializer)
    for node in graph.node:
        array = _constant(node)
        if array is None:
            nodes.append(node)
        else:
            arrays.append(array)
    return nodes, arrays


def _constant(node: NodeProto) -> TensorProto | None:
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx") or len(node.attribute) != 1:
        return None
    attribute = node.attribute[0]
    if attribute.name == "value" and attribute.type == AttributeProto.TENSOR:
        lifted = TensorProto()
        lifted.CopyFrom(attribute.t)
        lifted.name = node.output[0]
        return lifted
    kinds = {"value_float": "f4", "value_floats": "f4", "value_int": "i8", "value_ints": "i8"}
    if attribute.name not in kinds:
        return None
    value = np.array(helper.get_attribute_value(attribute), kinds[attribute.name])
    return numpy_helper.from_array(value, node.output[0])


def _in_order(nodes: list[NodeProto], known: set[str], name: str) -> list[NodeProto]:
    """Sorted so that every node comes after those it reads; the file's order where that holds already."""
    made_by = {output: i for i, node in enumerate(nodes) for output in node.output if output}
    done = [False] * len(nodes)
    ordered: list[NodeProto] = []
    for start in range(len(nodes)):
        path = [start]
        on_path = {start}
        while path:
            here = path[-1]
            before = next(
                (made_by[r] for r in reads(nodes[here]) if r in made_by and not done[made_by[r]]), None
            )
            if done[here] or before is None:
                if not done[here]:
                    done[here] = True
                    ordered.append(nodes[here])
                on_path.discard(path.pop())
            elif before in on_path:
                raise WeightsError(f"{name}: its nodes form a circle at {nodes[here].output[0]!r}; damaged")
            else:
                path.append(before)
                on_path.add(before)
    return ordered


def _check_image(model: ModelProto, name: str) -> None:
    image = image_input(model)
    kind = image.type.tensor_type.elem_type
    if kind not in FED_TYPES:
        shown = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else kind
        raise WeightsError(
            f"{name}: input {image.name!r} is of type {shown}; float32, float16, float64 and uint8 are fed. "
            "Export it again as float32"
        )
    dims = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    channels = dims[3] if channels_last(model) else dims[1]
    if channels not in (0, 3):
        raise WeightsError(
            f"{name}: input {image.name!r} has {channels} channels; images are fed as RGB or BGR, which is 3"
        )
    height, width = input_size(model) or (1, 1)
    if height * width * 3 > _MOST_NUMBERS:
        raise UnsafeFileError(f"{name}: its input has {height}x{width} pixels, which is absurd; refused")


def _check_sizes(model: ModelProto, name: str) -> None:
    for tensor, shape in inferred_shapes(model).items():
        size = 1
        for extent in shape:
            size *= max(extent, 1)
        if size > _MOST_NUMBERS:
            raise UnsafeFileError(
                f"{name}: its tensor {tensor!r} would have {size} numbers for each batch; refused"
            )


def _deep(nodes: Iterable[NodeProto]) -> Iterable[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from _deep(attribute.g.node)
            for graph in attribute.graphs:
                yield from _deep(graph.node)
