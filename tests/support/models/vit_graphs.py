"""Vision transformers as Hugging Face's exporters write them: sizes worked out by the graph as it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

NODE = helper.make_node


@dataclass(frozen=True)
class Vit:
    """One block of a vision transformer; nothing is learned, everything is computed.

    Attributes
    ----------
    width, heads, patch : int
        Channels of a token, attention heads, pixels on a patch's side.
    grid : int
        Patches on a side of the images it was trained on, which has positions of its own for each.
    resized : bool
        Fit the positions to the image's size (DINOv2), or use them as they are (CLIP, SigLIP).
    class_token : bool
        Whether one comes first (DINOv2, CLIP); SigLIP has none.
    output : str
        ``last_hidden_state``, or what a projection of the first token to `projected` numbers is called.
    projected : int
    opset : int
    """

    width: int = 6
    heads: int = 2
    patch: int = 4
    grid: int = 3
    resized: bool = True
    class_token: bool = True
    output: str = "last_hidden_state"
    projected: int = 5
    opset: int = 11


def export(plan: Vit) -> ModelProto:
    """The graph of `plan`, its weights from a fixed seed, all four sizes of its input free."""
    return _Export(plan).model()


class _Export:
    """Nodes and arrays as they gather."""

    def __init__(self, plan: Vit) -> None:
        self.plan = plan
        self.nodes: list[NodeProto] = []
        self.arrays: dict[str, NDArray[np.generic]] = {}
        self.rng = np.random.default_rng(3)

    def model(self) -> ModelProto:
        plan = self.plan
        tokens = self.add("embedded", "Add", self.tokens(), self.positions())
        hidden = self.block(tokens)
        outputs: dict[str, list[str | int]] = {"last_hidden_state": ["batch_size", "tokens", plan.width]}
        if plan.output != "last_hidden_state":
            first = self.add("first", "Gather", hidden, self.numbers("index", 0), axis=1)
            self.add(plan.output, "MatMul", first, self.weights("projection", plan.width, plan.projected))
            outputs = {plan.output: ["batch_size", plan.projected]}
        shape = ["batch_size", "num_channels", "height", "width"]
        graph = helper.make_graph(
            self.nodes,
            "main_graph",
            [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, shape)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)
                for name, sizes in outputs.items()
            ],
            [numpy_helper.from_array(value, name) for name, value in self.arrays.items()],
        )
        opset = [helper.make_opsetid("", plan.opset)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="pytorch")

    def add(self, name: str, kind: str, *inputs: str, **settings: Any) -> str:
        self.nodes.append(NODE(kind, list(inputs), [name], f"/{name}/{kind}", **settings))
        return name

    def numbers(self, name: str, value: object) -> str:
        self.arrays[name] = np.array(value, np.int64)
        return name

    def weights(self, name: str, *shape: int) -> str:
        """Such that sums over them stay of size one: attention would turn rounding into something visible."""
        terms = shape[0] if len(shape) == 2 else math.prod(shape[1:])
        self.arrays[name] = self.rng.normal(0, terms**-0.5, shape).astype(np.float32)
        return name

    def unsqueezed(self, name: str) -> str:
        """From opset 13 on the axes are an input."""
        if self.plan.opset < 13:
            return self.add(f"{name}_1d", "Unsqueeze", name, axes=[0])
        return self.add(f"{name}_1d", "Unsqueeze", name, self.numbers(f"{name}_axis", [0]))

    def size(self, tensor: str, axis: int, name: str) -> str:
        """One size of a tensor, as a number."""
        shape = self.add(f"{name}_shape", "Shape", tensor)
        return self.add(name, "Gather", shape, self.numbers(f"{name}_index", axis), axis=0)

    def tokens(self) -> str:
        plan = self.plan
        kernel = self.weights("patch_kernel", plan.width, 3, plan.patch, plan.patch)
        conv = self.add("conv", "Conv", "pixel_values", kernel, strides=[plan.patch, plan.patch])
        bounds = [self.numbers("from", [0]), self.numbers("to", [2]), self.numbers("along", [0])]
        kept = self.add("kept", "Slice", self.add("conv_shape", "Shape", conv), *bounds)
        shape = self.add("patches_shape", "Concat", kept, self.numbers("rest", [-1]), axis=0)
        patches = self.add("patches", "Transpose", self.add("flat", "Reshape", conv, shape), perm=[0, 2, 1])
        if not plan.class_token:
            return patches
        # cls_token.expand(batch_size, -1, -1), as torch.onnx.export writes it.
        batch = self.unsqueezed(self.size("pixel_values", 0, "batch"))
        wanted = self.add("wanted", "Concat", batch, *[self.numbers(f"any_{i}", [-1]) for i in "ab"], axis=0)
        ones = self.add(
            "ones",
            "ConstantOfShape",
            self.add("wanted_shape", "Shape", wanted),
            value=numpy_helper.from_array(np.array([1], np.int64)),
        )
        is_any = self.add(
            "is_any", "Equal", wanted, self.add("any", "Mul", ones, self.numbers("minus_one", -1))
        )
        target = self.add("target", "Where", is_any, ones, wanted)
        expanded = self.add("class_rows", "Expand", self.weights("class_token", 1, 1, plan.width), target)
        return self.add("all_tokens", "Concat", expanded, patches, axis=1)

    def positions(self) -> str:
        plan = self.plan
        own = self.weights("class_position", 1, 1, plan.width)
        if not plan.resized:
            patches = self.weights("patch_positions", 1, plan.grid**2, plan.width)
            return self.add("positions", "Concat", own, patches, axis=1) if plan.class_token else patches
        learned = self.weights("position_map", 1, plan.width, plan.grid, plan.grid)
        self.arrays["ones_2"] = np.ones(2, np.float32)
        self.arrays["no_roi"] = np.zeros(0, np.float32)
        scales = ["ones_2"]
        for axis, side in ((2, "height"), (3, "width")):
            count = self.add(
                f"{side}_count",
                "Div",
                self.size("pixel_values", axis, side),
                self.numbers(f"{side}_patch", plan.patch),
            )
            # The tenth that transformers adds against rounding down.
            self.arrays[f"{side}_tenth"] = np.array(0.1, np.float32)
            self.arrays[f"{side}_grid"] = np.array(plan.grid, np.float32)
            real = self.add(f"{side}_real", "Cast", count, to=TensorProto.FLOAT)
            more = self.add(f"{side}_more", "Add", real, f"{side}_tenth")
            scales.append(self.unsqueezed(self.add(f"{side}_scale", "Div", more, f"{side}_grid")))
        factors = self.add("factors", "Concat", *scales, axis=0)
        fitted = self.add("fitted", "Resize", learned, "no_roi", factors, mode="linear")
        moved = self.add("moved", "Transpose", fitted, perm=[0, 2, 3, 1])
        width = self.unsqueezed(self.size("all_tokens", 2, "channels"))
        shape = self.add(
            "row_shape", "Concat", self.numbers("one", [1]), self.numbers("all", [-1]), width, axis=0
        )
        return self.add("positions", "Concat", own, self.add("rows", "Reshape", moved, shape), axis=1)

    def block(self, tokens: str) -> str:
        """Attention and a residual: heads are split by sizes asked of the tensor itself."""
        plan = self.plan
        parts = {}
        for part in ("query", "key", "value"):
            linear = self.add(part, "MatMul", tokens, self.weights(f"{part}_w", plan.width, plan.width))
            sizes = [
                self.unsqueezed(self.size(linear, axis, f"{part}_{side}"))
                for axis, side in ((0, "rows"), (1, "tokens"))
            ]
            heads = self.numbers(f"{part}_heads", [plan.heads, plan.width // plan.heads])
            shape = self.add(f"{part}_split_shape", "Concat", *sizes, heads, axis=0)
            split = self.add(f"{part}_split", "Reshape", linear, shape)
            perm = [0, 2, 3, 1] if part == "key" else [0, 2, 1, 3]
            parts[part] = self.add(f"{part}_by_head", "Transpose", split, perm=perm)
        scores = self.add("scores", "MatMul", parts["query"], parts["key"])
        mixed = self.add("mixed", "MatMul", self.add("weight", "Softmax", scores, axis=3), parts["value"])
        turned = self.add("turned", "Transpose", mixed, perm=[0, 2, 1, 3])
        back = [
            self.unsqueezed(self.size(turned, axis, f"back_{side}"))
            for axis, side in ((0, "rows"), (1, "tokens"))
        ]
        shape = self.add("back_shape", "Concat", *back, self.numbers("back_width", [plan.width]), axis=0)
        return self.add("last_hidden_state", "Add", self.add("joined", "Reshape", turned, shape), tokens)
