"""The same network in half precision, for devices that multiply it natively.

`onnxruntime.transformers.float16` needs the arrays in the graph: of AlexNet it makes 122 MB in 10 s of
processor time, where casts beside arrays that stay in their file are 5 KB in 0.02 s.
"""

from __future__ import annotations

from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper

from fc7.models.common.errors import ProviderError
from fc7.models.graph.quantised import is_quantised
from fc7.models.graph.surgery import image_input, inferred_types, with_parts

# What convolutional networks spend their time in, and what lies between. Sums of squares, exponentials,
# powers and quotients overflow or lose their small terms in half precision (LRN of a conv1 response of 300
# squares it past 65504), so every other operator stays in single precision with casts around it.
_HALF = frozenset(
    {
        *("Conv", "Gemm", "MatMul", "Add", "Mul", "Sum", "BatchNormalization"),
        *("Relu", "LeakyRelu", "PRelu", "Clip", "Dropout", "Identity"),
        *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
        *("Concat", "Flatten", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
    }
)
_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def half(model: ModelProto) -> ModelProto:
    """The graph with its convolutions and products in float16; its input stays as it is.

    Weights stay in their file in float32 and are cast: an engine folds a cast of a constant once, when
    it loads the graph. So no second copy of a network lies in the store.

    Parameters
    ----------
    model : onnx.ModelProto
        Of float32; a network that is in half precision already comes back as it is.

    Raises
    ------
    ProviderError
        If the graph has branches or loops, or is in 8-bit integers.
    """
    if is_quantised(model):
        raise ProviderError(
            "8-bit integers were found, and the numbers between them stay in single precision; leave out "
            "--precision, or use --precision fp32"
        )
    kinds = inferred_types(model)
    kinds[image_input(model).name] = image_input(model).type.tensor_type.elem_type
    kinds.update((tensor.name, tensor.data_type) for tensor in model.graph.initializer)
    casts = _Casts(kinds)
    for node in model.graph.node:
        if any(a.type in _GRAPHS for a in node.attribute):
            raise ProviderError(
                f"operator {node.op_type} was found; networks with branches or loops run in single "
                "precision: use --precision fp32"
            )
        casts.append(node, narrow=node.op_type in _HALF and not node.domain)
    return with_parts(
        model,
        nodes=casts.nodes,
        initializers=model.graph.initializer,
        inputs=model.graph.input,
        outputs=model.graph.output,
    )


class _Casts:
    """Nodes, each reading every float tensor at the width it computes in."""

    def __init__(self, kinds: dict[str, int]) -> None:
        self.nodes: list[NodeProto] = []
        self._kinds = kinds
        self._narrow: set[str] = set()
        self._made: set[str] = set()

    def append(self, node: NodeProto, *, narrow: bool) -> None:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.ClearField("input")
        copy.input.extend(self._at(name, narrow) for name in node.input)
        self.nodes.append(copy)
        if narrow:
            self._narrow.update(name for name in node.output if self._kinds.get(name) == TensorProto.FLOAT)

    def _at(self, name: str, narrow: bool) -> str:
        """The tensor `name` in half or in single precision."""
        if self._kinds.get(name) != TensorProto.FLOAT or (name in self._narrow) == narrow:
            return name
        cast = f"{name} ({'half' if narrow else 'single'})"
        if cast not in self._made:
            self._made.add(cast)
            to = TensorProto.FLOAT16 if narrow else TensorProto.FLOAT
            self.nodes.append(helper.make_node("Cast", [name], [cast], to=to))
        return cast
