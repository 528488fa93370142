"""The AlexNets once more, in plain NumPy and layer by layer, sharing nothing with the product.

Written from the published definitions: BVLC/caffe models/bvlc_alexnet and
bvlc_reference_caffenet deploy.prototxt, torchvision/models/alexnet.py. The keyword
arguments swap one detail each, so that a test can show the comparison would notice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = dict[str, NDArray[np.float32]]


def conv(x: Array, weight: Array, bias: Array, stride: int = 1, pad: int = 0, group: int = 1) -> Array:
    """Cross-correlation of (n, c, h, w) with (out, c / group, k, k), summed tap by tap."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    kernel = weight.shape[2]
    size = (x.shape[2] - kernel) // stride + 1
    out = np.empty((len(x), len(weight), size, size))
    ins, outs = x.shape[1] // group, len(weight) // group
    for g in range(group):
        part = np.zeros((len(x), outs, size, size))
        for i in range(kernel):
            for j in range(kernel):
                window = x[
                    :,
                    g * ins : (g + 1) * ins,
                    i : i + stride * (size - 1) + 1 : stride,
                    j : j + stride * (size - 1) + 1 : stride,
                ]
                taps = weight[g * outs : (g + 1) * outs, :, i, j]
                part += np.tensordot(taps, window, (1, 1)).transpose(1, 0, 2, 3)
        out[:, g * outs : (g + 1) * outs] = part
    return out + bias[:, None, None]


def lrn(x: Array, alpha: float = 1e-4, n: int = 5, beta: float = 0.75, k: float = 1.0) -> Array:
    """Across-channel normalisation; of an even size n the one channel more lies behind, as ONNX says."""
    total = np.zeros_like(x)
    for c in range(x.shape[1]):
        total[:, c] = (x[:, max(0, c - (n - 1) // 2) : c + n // 2 + 1] ** 2).sum(1)
    normalised: Array = x / (k + alpha / n * total) ** beta
    return normalised


def maxpool(x: Array) -> Array:
    """3x3, stride 2, floor."""
    size = (x.shape[2] - 3) // 2 + 1
    windows = [
        x[:, :, i : i + 2 * (size - 1) + 1 : 2, j : j + 2 * (size - 1) + 1 : 2]
        for i in range(3)
        for j in range(3)
    ]
    largest: Array = np.max(windows, axis=0)
    return largest


def relu(x: Array) -> Array:
    """The positive part."""
    return np.maximum(x, 0)


def head(pool5: Array, w: Weights, *, flatten: str = "chw") -> dict[str, Array]:
    """fc6 to prob on pool5's map, flattened in channel, row, column order."""
    order = pool5 if flatten == "chw" else pool5.transpose(0, 2, 3, 1)
    fc6_pre = order.reshape(len(pool5), -1) @ w["fc6.weight"].T.astype(float) + w["fc6.bias"]
    fc7_pre = relu(fc6_pre) @ w["fc7.weight"].T.astype(float) + w["fc7.bias"]
    fc8 = relu(fc7_pre) @ w["fc8.weight"].T.astype(float) + w["fc8.bias"]
    shifted = np.exp(fc8 - fc8.max(1, keepdims=True))
    return {
        "pool5": pool5,
        "fc6_pre": fc6_pre,
        "fc6": relu(fc6_pre),
        "fc7_pre": fc7_pre,
        "fc7": relu(fc7_pre),
        "fc8": fc8,
        "prob": shifted / shifted.sum(1, keepdims=True),
    }


def bvlc(
    x: Array,
    w: Weights,
    *,
    pool_first: bool = False,
    alpha: float = 1e-4,
    swap_groups: bool = False,
    flatten: str = "chw",
) -> dict[str, Array]:
    """BVLC AlexNet; CaffeNet with `pool_first`."""
    f = {name: array.astype(float) for name, array in w.items() if name.startswith("conv")}
    if swap_groups:
        f["conv2.weight"] = np.roll(f["conv2.weight"], 128, 0)

    def normalise(x: Array) -> Array:
        return lrn(maxpool(x), alpha) if pool_first else maxpool(lrn(x, alpha))

    x = normalise(relu(conv(x, f["conv1.weight"], f["conv1.bias"], stride=4)))
    x = normalise(relu(conv(x, f["conv2.weight"], f["conv2.bias"], pad=2, group=2)))
    x = relu(conv(x, f["conv3.weight"], f["conv3.bias"], pad=1))
    x = relu(conv(x, f["conv4.weight"], f["conv4.bias"], pad=1, group=2))
    x = relu(conv(x, f["conv5.weight"], f["conv5.bias"], pad=1, group=2))
    return head(maxpool(x), w, flatten=flatten)


def torchvision(x: Array, w: Weights, *, flatten: str = "chw") -> dict[str, Array]:
    """torchvision's AlexNet."""
    f = {name: array.astype(float) for name, array in w.items() if name.startswith("conv")}
    x = maxpool(relu(conv(x, f["conv1.weight"], f["conv1.bias"], stride=4, pad=2)))
    x = maxpool(relu(conv(x, f["conv2.weight"], f["conv2.bias"], pad=2)))
    x = relu(conv(x, f["conv3.weight"], f["conv3.bias"], pad=1))
    x = relu(conv(x, f["conv4.weight"], f["conv4.bias"], pad=1))
    x = relu(conv(x, f["conv5.weight"], f["conv5.bias"], pad=1))
    return head(maxpool(x), w, flatten=flatten)


def caffe_input(images: NDArray[np.uint8]) -> Array:
    """(n, h, w, 3) RGB pixels to Caffe's (n, 3, h, w) BGR minus the channel means."""
    mean_bgr = np.array([104.00698793, 116.66876762, 122.67891434])
    values: Array = images[..., ::-1].astype(float) - mean_bgr
    return values.transpose(0, 3, 1, 2)


def torch_input(images: NDArray[np.uint8]) -> Array:
    """(n, h, w, 3) RGB pixels to torchvision's normalised (n, 3, h, w)."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    values: Array = (images.astype(float) / 255 - mean) / std
    return values.transpose(0, 3, 1, 2)
