"""EfficientNet-Lite once more, in NumPy (float64) and in PyTorch layers, sharing nothing with the product.

Written from tensorflow/tpu models/official/efficientnet; BatchNorm stays a layer of its own. The keyword
arguments of `by_numpy` swap one detail each, so that a test can show the comparison would notice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.models import reference

Weights = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Table:
    """Widths of the stages after scaling, and of each: blocks, kernel, stride, expansion."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    kernels: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    expansions: tuple[int, ...] = (1, 6, 6, 6, 6, 6, 6)
    stem: int = 32
    head: int = 1280
    classes: int = 1000

    def each_block(self) -> list[tuple[int, int, int, int, str]]:
        """Kernel, stride, expansion, width, and the stage's name where it ends."""
        rows = []
        stages = zip(self.widths, self.blocks, self.kernels, self.strides, self.expansions, strict=True)
        for number, (width, blocks, kernel, stride, expansion) in enumerate(stages, 1):
            for i in range(blocks):
                end = f"stage{number}" if i == blocks - 1 else ""
                rows.append((kernel, stride if i == 0 else 1, expansion, width, end))
        return rows


def random_weights(table: Table, seed: int = 0) -> Weights:
    """A state dict with statistics that matter; the sums before each ReLU6 go below 0 and above 6."""
    rng = np.random.default_rng(seed)
    arrays: Weights = {}

    def conv(key: str, norm: str, shape: tuple[int, ...]) -> None:
        arrays[f"{key}.weight"] = rng.normal(0, math.sqrt(2 / math.prod(shape[1:])), shape)
        arrays[f"{norm}.weight"] = rng.uniform(0.3, 1.2, shape[0])
        arrays[f"{norm}.bias"] = rng.normal(1, 1, shape[0])
        arrays[f"{norm}.running_mean"] = rng.normal(0, 0.5, shape[0])
        arrays[f"{norm}.running_var"] = rng.uniform(0.01, 1.5, shape[0])
        arrays[f"{norm}.num_batches_tracked"] = np.array(7, np.int64)

    conv("_conv_stem", "_bn0", (table.stem, 3, 3, 3))
    channels = table.stem
    for i, (kernel, _, expansion, width, _) in enumerate(table.each_block()):
        key, wide = f"_blocks.{i}", channels * expansion
        if expansion > 1:
            conv(f"{key}._expand_conv", f"{key}._bn0", (wide, channels, 1, 1))
        conv(f"{key}._depthwise_conv", f"{key}._bn1", (wide, 1, kernel, kernel))
        conv(f"{key}._project_conv", f"{key}._bn2", (width, wide, 1, 1))
        channels = width
    conv("_conv_head", "_bn1", (table.head, channels, 1, 1))
    arrays["_fc.weight"] = rng.normal(0, 0.3, (table.classes, table.head))
    arrays["_fc.bias"] = rng.normal(0, 1, table.classes)
    return {key: a.astype(np.float32) if a.dtype.kind == "f" else a for key, a in arrays.items()}


def by_numpy(
    pixels: NDArray[np.uint8],
    arrays: Weights,
    table: Table,
    *,
    epsilon: float = 1e-3,
    even_padding: bool = False,
    residual: bool = True,
    most: float = 6,
) -> dict[str, reference.Array]:
    """Every named layer of (n, size, size, 3) RGB pixels."""
    w = {key: array.astype(float) for key, array in arrays.items()}

    def conv(x: reference.Array, key: str, norm: str, stride: int = 1, group: int = 1) -> reference.Array:
        kernel = w[f"{key}.weight"].shape[2]
        total = max((math.ceil(x.shape[2] / stride) - 1) * stride + kernel - x.shape[2], 0)
        before = kernel // 2 if even_padding else total // 2
        after = kernel // 2 if even_padding else total - before
        x = np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)))
        x = reference.conv(x, w[f"{key}.weight"], np.zeros(len(w[f"{key}.weight"])), stride, group=group)
        mean, var = w[f"{norm}.running_mean"], w[f"{norm}.running_var"]
        scale, shift = w[f"{norm}.weight"], w[f"{norm}.bias"]
        x = (x - mean[:, None, None]) / np.sqrt(var + epsilon)[:, None, None]
        whole: reference.Array = x * scale[:, None, None] + shift[:, None, None]
        return whole

    def relu6(x: reference.Array) -> reference.Array:
        return np.clip(x, 0, most)

    x = (pixels.astype(float).transpose(0, 3, 1, 2) - 127) / 128
    layers = {"stem": relu6(conv(x, "_conv_stem", "_bn0", 2))}
    x = layers["stem"]
    for i, (_, stride, expansion, width, end) in enumerate(table.each_block()):
        key, before = f"_blocks.{i}", x
        if expansion > 1:
            x = relu6(conv(x, f"{key}._expand_conv", f"{key}._bn0"))
        x = relu6(conv(x, f"{key}._depthwise_conv", f"{key}._bn1", stride, group=x.shape[1]))
        x = conv(x, f"{key}._project_conv", f"{key}._bn2")
        if residual and stride == 1 and before.shape[1] == width:
            x = x + before
        if end:
            layers[end] = x
    layers["head"] = relu6(conv(x, "_conv_head", "_bn1"))
    layers["pool"] = layers["head"].mean((2, 3))
    layers["scores"] = layers["pool"] @ w["_fc.weight"].T + w["_fc.bias"]
    shifted = np.exp(layers["scores"] - layers["scores"].max(1, keepdims=True))
    layers["prob"] = shifted / shifted.sum(1, keepdims=True)
    return layers


def by_torch(pixels: NDArray[np.uint8], arrays: Weights, table: Table) -> dict[str, NDArray[Any]]:
    """The same by PyTorch's own layers in single precision; every array is used, and used once."""
    import torch

    left = {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}

    def same(x: Any, kernel: int, stride: int) -> Any:
        total = max((math.ceil(x.shape[3] / stride) - 1) * stride + kernel - x.shape[3], 0)
        return torch.nn.ZeroPad2d((total // 2, total - total // 2) * 2)(x)

    def conv(x: Any, key: str, norm: str, stride: int = 1, depthwise: bool = False) -> Any:
        weight = left.pop(f"{key}.weight")
        out, _, kernel, _ = weight.shape
        groups = x.shape[1] if depthwise else 1
        layer = torch.nn.Conv2d(x.shape[1], out, kernel, stride, groups=groups, bias=False)
        layer.load_state_dict({"weight": weight})
        batch_norm = torch.nn.BatchNorm2d(out, eps=1e-3)
        kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        batch_norm.load_state_dict({kind: left.pop(f"{norm}.{kind}") for kind in kinds})
        return batch_norm.eval()(layer(same(x, kernel, stride)))

    relu6 = torch.nn.ReLU6()
    layers: dict[str, Any] = {}
    with torch.no_grad():
        x = (torch.from_numpy(pixels.astype(np.float32).transpose(0, 3, 1, 2).copy()) - 127) / 128
        x = layers["stem"] = relu6(conv(x, "_conv_stem", "_bn0", 2))
        for i, (_, stride, expansion, width, end) in enumerate(table.each_block()):
            key, before = f"_blocks.{i}", x
            if expansion > 1:
                x = relu6(conv(x, f"{key}._expand_conv", f"{key}._bn0"))
            x = relu6(conv(x, f"{key}._depthwise_conv", f"{key}._bn1", stride, depthwise=True))
            x = conv(x, f"{key}._project_conv", f"{key}._bn2")
            if stride == 1 and before.shape[1] == width:
                x = x + before
            if end:
                layers[end] = x
        layers["head"] = relu6(conv(x, "_conv_head", "_bn1"))
        layers["pool"] = torch.nn.AdaptiveAvgPool2d(1)(layers["head"]).flatten(1)
        fc = torch.nn.Linear(table.head, table.classes)
        fc.load_state_dict({kind: left.pop(f"_fc.{kind}") for kind in ("weight", "bias")})
        layers["scores"] = fc(layers["pool"])
        layers["prob"] = layers["scores"].softmax(1)
    assert not left
    return {name: layer.numpy() for name, layer in layers.items()}
