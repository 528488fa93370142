"""One graph from pixels to a classifier's answer: a network, and the small graph that reads its features.

::

    images (n, height, width, 3) uint8
        │  the network as engines run it: arithmetic of the preprocessing, layers, one vector an image
        ▼
    features (n, dim) ──mean over the crops of an image, if there are ten──▶ the head ──▶ its outputs

Two graphs are one only in one operator set. A head is small and its operators are plain, so it is raised
to the network's operator set; a network older than the head is raised to the head's. ONNX's own converter
does both, and whoever calls this checks the numbers that come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, version_converter
from onnx.inliner import inline_local_functions

from fc7.models.common.errors import WeightsError
from fc7.models.graph.files import GRAPH_FILE, damage, load_array, named_array, save_apart
from fc7.models.graph.pixels import PIXELS
from fc7.models.graph.surgery import cut, fixed_batch, image_input, skeleton, with_parts

# No tensor of a head is called so; all of the network's are.
_PREFIX = "network/"
_IMAGES, _CROPS, _NAME = "images", "features of each crop", "name"
# A little less than protobuf's limit of 2 GiB a file: the graph itself wants room beside the arrays.
_LARGEST_FILE = (1 << 31) - (64 << 20)


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_model` wrote.

    Attributes
    ----------
    files : tuple of Path
        The graph, and the file of its arrays where these have 2 GiB or more (protobuf.dev, "Proto Limits").
    opset : int
        The version of ONNX's own operators.
    input_shape : tuple of int or str
        A name stands for any size.
    """

    files: tuple[Path, ...]
    opset: int
    input_shape: tuple[int | str, ...]
    outputs: tuple[str, ...]


def fuse(
    network: ModelProto,
    folder: Path,
    head: bytes,
    outputs: Sequence[str],
    *,
    crops: int = 1,
    names: Sequence[str] = (),
) -> ModelProto:
    """A network and a head as one graph.

    Parameters
    ----------
    network : onnx.ModelProto
        As `models.graph.prepare.prepared` gives it for one layer: uint8 images in, one float32 vector out.
        Its arrays are loaded and renamed in place.
    folder : Path
        Where the network's external arrays lie.
    head : bytes
        A serialised graph: input ``features`` (N, dim) float32; every output has a row for each input row.
    outputs : sequence of str
        Which of its outputs to keep, in this order.
    crops : int
        So many rows in a row belong to one image; their features are averaged.
    names : sequence of str
        If any, a further output ``name`` (N,) string: the one that the head's ``label`` points at.

    Returns
    -------
    onnx.ModelProto
        Input ``images``. It holds all its arrays. Batch axes are called ``n`` where any batch will do
        (with several crops ``n_crops``, and ``n`` for images).

    Raises
    ------
    WeightsError
        If the graphs cannot be brought to one operator set, or the network's batch cuts an image's
        crops apart.
    """
    batch = fixed_batch(network)
    if batch is not None and batch % crops:
        raise WeightsError(
            f"the network is bound to batches of {batch}, and the {crops} crops of an image do not fit into "
            "them; fit on features of one crop (extract --crops 1), or import the network with a free batch"
        )
    for tensor in network.graph.initializer:
        load_array(tensor, folder / GRAPH_FILE)
    end = onnx.load_model_from_string(head)
    with damage("the network"):
        opset = max(_operator_set(network), _operator_set(end))
        body = _raised(_light(network), opset)
        tail = _raised(_extended(end, crops, names), opset)
        _prefix(body.graph)
    vector, entry = body.graph.output[0].name, tail.graph.input[0].name
    nodes = [_reading(node, {_PREFIX + PIXELS: _IMAGES}) for node in body.graph.node]
    nodes += [_reading(node, {entry: vector}) for node in tail.graph.node]
    small = {tensor.name for tensor in body.graph.initializer}
    for tensor in network.graph.initializer:
        tensor.name = _PREFIX + tensor.name
    large = [tensor for tensor in network.graph.initializer if tensor.name not in small]
    images = next(value for value in network.graph.input if value.name == PIXELS)
    kept = [*outputs, _NAME] if names else outputs
    types = {value.name: value for value in tail.graph.output}
    fused = cut(
        with_parts(
            body,
            nodes=nodes,
            initializers=[*body.graph.initializer, *large, *tail.graph.initializer],
            inputs=[_renamed(images, _IMAGES, batch or ("n" if crops == 1 else "n_crops"))],
            outputs=[],
        ),
        kept,
    )
    del fused.graph.output[:]
    fused.graph.output.extend(_renamed(types[name], name, batch // crops if batch else "n") for name in kept)
    fused.ir_version = max(fused.ir_version, end.ir_version)
    return fused


def write_model(model: ModelProto, path: Path, properties: Mapping[str, str]) -> Written:
    """Write a graph with its arrays and its properties, and have ONNX check the file.

    Parameters
    ----------
    model : onnx.ModelProto
        Is changed: it gets the properties, and where it is too large for one file its arrays move out.
    path : Path
        Replaced if it exists. It may be moved later, with what lies beside it, but not renamed.
    properties : mapping of str to str
        Of ``metadata_props``.

    Raises
    ------
    WeightsError
        If ``onnx.checker`` does not accept the file, types and shapes included.
    OSError
        If it cannot be written.
    """
    helper.set_model_props(model, dict(properties))
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    files = [path]
    with damage(path.name):
        if size < _LARGEST_FILE:
            path.write_bytes(model.SerializeToString(deterministic=True))
        else:
            files.append(path.with_name(f"{path.name}.data"))
            save_apart(model, path, files[1].name)
        onnx.checker.check_model(str(path), full_check=True)
    dims = image_input(model).type.tensor_type.shape.dim
    return Written(
        tuple(files),
        _operator_set(model),
        tuple(dim.dim_value or dim.dim_param for dim in dims),
        outputs=tuple(value.name for value in model.graph.output),
    )


def _light(network: ModelProto) -> ModelProto:
    """The network without its large arrays and without functions, which ONNX's converter passes over."""
    light = skeleton(network)
    light.graph.output.extend(network.graph.output)
    return inline_local_functions(light) if light.functions else light


def _extended(head: ModelProto, crops: int, names: Sequence[str]) -> ModelProto:
    """The head behind a mean over each image's crops, with the label as a text; in its own operator set."""
    (entry,), nodes, arrays = head.graph.input, list(head.graph.node), list(head.graph.initializer)
    dim = entry.type.tensor_type.shape.dim[1].dim_value
    outputs = list(head.graph.output)
    if crops > 1:
        arrays.append(named_array(np.array([-1, crops, dim], np.int64), "shape of an image's crops"))
        nodes = [
            helper.make_node("Reshape", [_CROPS, arrays[-1].name], ["crops of an image"]),
            helper.make_node("ReduceMean", ["crops of an image"], [entry.name], axes=[1], keepdims=0),
            *nodes,
        ]
        entry = helper.make_tensor_value_info(_CROPS, TensorProto.FLOAT, ["n_crops", dim])
    if names:
        texts = np.array([name.encode("utf-8", "replace") for name in names], object)
        arrays.append(named_array(texts, "names"))
        nodes.append(helper.make_node("Gather", ["names", "label"], [_NAME]))
        outputs.append(helper.make_tensor_value_info(_NAME, TensorProto.STRING, ["N"]))
    return with_parts(head, nodes=nodes, initializers=arrays, inputs=[entry], outputs=outputs)


def _operator_set(model: ModelProto) -> int:
    """The version of ONNX's own operators that a graph is written in."""
    return int(next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")))


def _raised(model: ModelProto, opset: int) -> ModelProto:
    found = _operator_set(model)
    if found == opset:
        return model
    try:
        return version_converter.convert_version(model, opset)
    except RuntimeError as exc:
        said = str(exc).rpartition("failed: ")[2]
        raise WeightsError(
            f"the graph cannot be raised from operator set {found} to {opset}, which one file needs "
            f"({said}); export the network again with opset {opset} or later, import it, extract and fit"
        ) from exc


def _prefix(graph: GraphProto) -> None:
    """Put the prefix before every name, those inside sub-graphs (If, Loop) included."""
    for value in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
        value.name = _PREFIX + value.name
    for node in graph.node:
        node.input[:] = [name and _PREFIX + name for name in node.input]
        node.output[:] = [name and _PREFIX + name for name in node.output]
        node.name = node.name and _PREFIX + node.name
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _prefix(inner)


def _reading(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    """The node with some of its inputs taken from elsewhere."""
    node.input[:] = [names.get(name, name) for name in node.input]
    return node


def _renamed(value: ValueInfoProto, name: str, batch: int | str) -> ValueInfoProto:
    """An input or output under this name, with this batch."""
    kind = value.type.tensor_type
    shape = [batch, *(dim.dim_value for dim in kind.shape.dim[1:])]
    return helper.make_tensor_value_info(name, kind.elem_type, shape)
