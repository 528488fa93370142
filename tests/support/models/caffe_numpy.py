"""Caffe's forward pass in plain NumPy, loop by loop from its source, for tests where OpenCV is absent.

Source: BVLC/caffe src/caffe/layers (pooling_layer.cpp, lrn_layer.cpp, batch_norm_layer.cpp, ...).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.models.caffe_files import Layer

Array = NDArray[np.float64]


def run(layers: Sequence[Layer], image: NDArray[np.floating[Any]]) -> dict[str, Array]:
    """What each layer makes, by the layer's name."""
    blobs: dict[str, Array] = {"data": image.astype(np.float64)}
    made: dict[str, Array] = {}
    for layer in layers:
        out = forward(layer, [blobs[name] for name in layer.bottoms])
        for top in layer.tops:
            blobs[top] = out
        made[layer.name] = out
    return made


def forward(layer: Layer, inputs: list[Array]) -> Array:
    x, p = inputs[0], layer.params
    w = [array.astype(np.float64) for array in layer.blobs]
    wide = (-1,) + (1,) * (x.ndim - 2)
    match layer.type:
        case "Convolution":
            return convolve(x, w, p)
        case "Pooling":
            return pool(x, p)
        case "InnerProduct":
            matrix = w[0].T if p.get("transpose") else w[0]
            return x.reshape(len(x), -1) @ matrix.T + (w[1] if len(w) > 1 else 0.0)
        case "ReLU":
            return np.where(x > 0, x, x * p.get("negative_slope", 0.0))
        case "PReLU":
            return np.where(x > 0, x, x * w[0].reshape(wide))
        case "ELU":
            return np.where(x > 0, x, p.get("alpha", 1.0) * (np.exp(np.minimum(x, 0)) - 1))
        case "LRN":
            return normalise(x, p)
        case "BatchNorm":
            factor = 1 / w[2][0] if w[2][0] else 0.0
            centred = x - (w[0] * factor).reshape(wide)
            return np.asarray(centred / np.sqrt(w[1] * factor + p.get("eps", 1e-5)).reshape(wide))
        case "Scale":
            if len(inputs) == 2:
                return x * inputs[1].reshape(inputs[1].shape + (1,) * (x.ndim - inputs[1].ndim))
            return x * w[0].reshape(wide) + (w[1].reshape(wide) if len(w) > 1 else 0.0)
        case "Bias":
            return x + w[0].reshape(wide)
        case "Concat":
            return np.concatenate(inputs, p.get("axis", 1))
        case "Eltwise":
            return combine(inputs, p)
        case "Softmax":
            shifted = np.exp(x - x.max(p.get("axis", 1), keepdims=True))
            return np.asarray(shifted / shifted.sum(p.get("axis", 1), keepdims=True))
        case "Sigmoid":
            return np.asarray(1 / (1 + np.exp(-x)))
        case "TanH":
            return np.asarray(np.tanh(x))
        case "AbsVal":
            return np.abs(x)
        case "Power":
            base = p.get("shift", 0.0) + p.get("scale", 1.0) * x
            return np.asarray(base ** p.get("power", 1.0))
        case "Flatten":
            return x.reshape(len(x), -1)
        case "Reshape":
            return x.reshape(len(x), *p["shape"]["dim"][1:])
        case "Dropout" | "Split":
            return x
    raise AssertionError(layer.type)


def pairs(p: Any, name: str, default: int) -> tuple[int, int]:
    if f"{name}_h" in p:
        return p[f"{name}_h"], p[f"{name}_w"]
    value = p.get("kernel_size" if name == "kernel" else name, default)
    return (value[0], value[-1]) if isinstance(value, list) else (value, value)


def convolve(x: Array, w: list[Array], p: Any) -> Array:
    (kh, kw), (sh, sw) = pairs(p, "kernel", 0), pairs(p, "stride", 1)
    (ph, pw), (dh, dw) = pairs(p, "pad", 0), pairs(p, "dilation", 1)
    group, outs = p.get("group", 1), len(w[0])
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    rows = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1
    cols = (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    out = np.zeros((len(x), outs, rows, cols))
    inner, part = x.shape[1] // group, outs // group
    for g in range(group):
        for i in range(kh):
            for j in range(kw):
                window = x[:, g * inner : (g + 1) * inner, i * dh :: sh, j * dw :: sw][:, :, :rows, :cols]
                out[:, g * part : (g + 1) * part] += np.einsum(
                    "nchw,oc->nohw", window, w[0][g * part : (g + 1) * part, :, i, j]
                )
    return out + (w[1][:, None, None] if len(w) > 1 else 0.0)


def pool(x: Array, p: Any) -> Array:
    method = getattr(p.get("pool"), "text", "MAX")
    height, width = x.shape[2:]
    if p.get("global_pooling"):
        kernel, stride, pad = (height, width), (1, 1), (0, 0)
    else:
        kernel, stride, pad = pairs(p, "kernel", 0), pairs(p, "stride", 1), pairs(p, "pad", 0)
    counts = []
    for size, k, s, q in zip((height, width), kernel, stride, pad, strict=True):
        count = math.ceil((size + 2 * q - k) / s) + 1
        counts.append(count - 1 if any(pad) and (count - 1) * s >= size + q else count)
    out = np.empty((*x.shape[:2], *counts))
    for i in range(counts[0]):
        for j in range(counts[1]):
            top, left = i * stride[0] - pad[0], j * stride[1] - pad[1]
            bottom, right = min(top + kernel[0], height + pad[0]), min(left + kernel[1], width + pad[1])
            area = (bottom - top) * (right - left)
            window = x[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
            out[:, :, i, j] = window.max((2, 3)) if method == "MAX" else window.sum((2, 3)) / area
    return out


def normalise(x: Array, p: Any) -> Array:
    size = p["local_size"]
    total = np.zeros_like(x)
    for c in range(x.shape[1]):
        total[:, c] = (x[:, max(0, c - size // 2) : c + size // 2 + 1] ** 2).sum(1)
    return np.asarray(x / (p.get("k", 1.0) + p["alpha"] / size * total) ** p["beta"])


def combine(inputs: list[Array], p: Any) -> Array:
    operation = getattr(p.get("operation"), "text", "SUM")
    if operation in ("SUM", "1"):
        coefficients = p.get("coeff", [1.0] * len(inputs))
        return np.asarray(sum(c * x for c, x in zip(coefficients, inputs, strict=True)))
    return np.asarray((np.prod if operation == "PROD" else np.max)(np.stack(inputs), 0))
