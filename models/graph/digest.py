"""A name for what a tensor computes: sha256 over the graph and the weights that lead to it."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, NodeProto, helper, numpy_helper


def tensor_digests(model: ModelProto) -> dict[str, str]:
    """Digest of every tensor that the graph computes.

    Parameters
    ----------
    model : onnx.ModelProto
        With its weights loaded.

    Returns
    -------
    dict of str to str
        Tensor name -> 64 hex digits. A Merkle tree: a node's digest covers its operator, its
        attributes and the digests of its inputs, so it names exactly what lies upstream,
        whatever the tensors are called and whatever follows. Identity and the Dropout of an
        inference graph pass their input's digest on.
    """
    opset = {entry.domain: entry.version for entry in model.opset_import}
    known: dict[str, str] = {"": "none"}
    for position, tensor in enumerate(_inputs(model)):
        known[tensor] = f"input {position}"
    for initializer in model.graph.initializer:
        known[initializer.name] = _array_digest(numpy_helper.to_array(initializer))
    computed: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in ("Identity", "Dropout"):
            digests = [known[node.input[0]]]
        else:
            digests = _node_digests(node, opset.get(node.domain, 0), known)
        for name, digest in zip(node.output, digests, strict=False):
            computed[name] = known[name] = digest
    return computed


def _inputs(model: ModelProto) -> list[str]:
    held = {tensor.name for tensor in model.graph.initializer}
    return [value.name for value in model.graph.input if value.name not in held]


def _node_digests(node: NodeProto, opset: int, known: dict[str, str]) -> list[str]:
    if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
        return [_array_digest(numpy_helper.to_array(node.attribute[0].t))]
    lines = [f"{node.domain}:{node.op_type}:{opset}"]
    lines += sorted(_attribute_line(attribute) for attribute in node.attribute)
    # A name that no node before this one computes belongs to an enclosing graph or is damage;
    # ONNX Runtime will refuse it, the digest just has to differ.
    lines += [known.get(name, f"unknown {name}") for name in node.input]
    whole = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return [whole if i == 0 else f"{whole}.{i}" for i in range(len(node.output))]


def _attribute_line(attribute: AttributeProto) -> str:
    if attribute.type == AttributeProto.TENSOR:
        value: object = _array_digest(numpy_helper.to_array(attribute.t))
    elif attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
        value = hashlib.sha256(attribute.SerializeToString(deterministic=True)).hexdigest()
    else:
        value = helper.get_attribute_value(attribute)
    return f"{attribute.name}={value!r}"


def _array_digest(array: NDArray[np.generic]) -> str:
    """Type, shape and bytes (little-endian, as on every machine ONNX Runtime runs on)."""
    head = f"{array.dtype.name} {array.shape}\n".encode()
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return hashlib.sha256(head + hashlib.sha256(content.data).digest()).hexdigest()
