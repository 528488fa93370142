"""Every operator that the writer writes, against NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from fc7.models.backbones.layers import Convolution, FeatureMap, same_padding
from fc7.models.backbones.writer import INPUT, GraphWriter
from tests.support.models import reference

RNG = np.random.default_rng(4)
X = RNG.normal(0, 3, (2, 3, 7, 7)).astype(np.float32)
ARRAYS: dict[str, NDArray[Any]] = {
    "c.weight": RNG.normal(0, 1, (6, 3, 3, 3)),
    "c.bias": RNG.normal(0, 1, 6),
    "d.weight": RNG.normal(0, 1, (3, 1, 5, 5)),
    "n.weight": RNG.uniform(-1, 2, 3),
    "n.bias": RNG.normal(0, 1, 3),
    "n.running_mean": RNG.normal(0, 1, 3),
    "n.running_var": RNG.uniform(0, 2, 3),
    "l.weight": RNG.normal(0, 1, (5, 3)),
    "l.bias": RNG.normal(0, 1, 5),
    "s": RNG.normal(0, 1, (3, 1, 1)),
}
WEIGHTS = {key: array.astype(np.float32) for key, array in ARRAYS.items()}
A = {key: array.astype(float) for key, array in WEIGHTS.items()}
EPSILON = 1e-3


def written(write: Callable[[GraphWriter, FeatureMap], FeatureMap]) -> NDArray[Any]:
    """What the graph of one or a few operators makes of `X`, of the shape that the writer expects."""
    net = GraphWriter(WEIGHTS, EPSILON)
    made = write(net, FeatureMap(INPUT, 3, 7))
    model = net.model("small", (7, 7)).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found: NDArray[Any] = session.run([made.name], {INPUT: X})[0]
    assert made.channels in found.shape
    assert found.size == 2 * made.channels * made.size**2
    return found


def last(x: NDArray[Any]) -> NDArray[Any]:
    return x.transpose(0, 2, 3, 1)


def batch_norm(x: NDArray[Any]) -> NDArray[Any]:
    kinds = ("running_mean", "running_var", "weight", "bias")
    mean, var, scale, shift = (A[f"n.{kind}"][:, None, None] for kind in kinds)
    normed: NDArray[Any] = (x - mean) / np.sqrt(var + EPSILON) * scale + shift
    return normed


def layer_norm(x: NDArray[Any]) -> NDArray[Any]:
    centred = x - x.mean(-1, keepdims=True)
    normed: NDArray[Any] = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    scaled: NDArray[Any] = normed * A["n.weight"] + A["n.bias"]
    return scaled


def gelu(x: NDArray[Any]) -> NDArray[Any]:
    values: NDArray[Any] = x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2
    return values


def depthwise(x: NDArray[Any], before: int, after: int) -> NDArray[Any]:
    padded = np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)))
    return reference.conv(padded, A["d.weight"], np.zeros(3), stride=2, group=3)


x = X.astype(float)
PADDED = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
CASES: dict[str, tuple[Callable[[GraphWriter, FeatureMap], FeatureMap], NDArray[Any]]] = {
    "conv": (
        lambda net, m: net.conv(m, "y", Convolution("c", 6, kernel=3, stride=2)),
        reference.conv(x, A["c.weight"], A["c.bias"], stride=2, pad=1),
    ),
    "depthwise with BatchNorm and TensorFlow's padding": (
        lambda net, m: net.conv(m, "y", Convolution("d", 3, 5, 2, 3, same_padding(7, 5, 2), norm="n")),
        batch_norm(depthwise(x, 2, 2)),
    ),
    "more padding behind": (
        lambda net, m: net.conv(m, "y", Convolution("d", 3, 5, 2, 3, (1, 2), norm="n")),
        batch_norm(depthwise(x, 1, 2)),
    ),
    "relu6": (lambda net, m: net.relu6(m, "y"), np.clip(x, 0, 6)),
    "hard swish": (lambda net, m: net.each("HardSwish", m, "y"), x * np.clip(x + 3, 0, 6) / 6),
    "gelu": (lambda net, m: net.gelu(m, "y"), gelu(x)),
    "add": (lambda net, m: net.both("Add", m, net.relu6(m, "r"), "y"), x + np.clip(x, 0, 6)),
    "a factor a channel": (
        lambda net, m: net.both("Mul", m, net.mean(m, "g"), "y"),
        x * x.mean((2, 3), keepdims=True),
    ),
    "scaled": (lambda net, m: net.scaled(m, "y", "s"), x * A["s"]),
    "max pool": (lambda net, m: net.max_pool(m, "y"), reference.maxpool(x)),
    "padded max pool": (lambda net, m: net.max_pool(m, "y", pad=1), reference.maxpool(PADDED)),
    "average": (lambda net, m: net.average(m, "y"), x.mean((2, 3))),
    "dense": (
        lambda net, m: net.dense(net.average(m, "a"), "y", "l", 5),
        x.mean((2, 3)) @ A["l.weight"].T + A["l.bias"],
    ),
    "layer norm": (
        lambda net, m: net.channels_first(net.layer_norm(net.channels_last(m, "t"), "n", "n", 1e-6), "y"),
        layer_norm(last(x)).transpose(0, 3, 1, 2),
    ),
    "layer norm of a row": (
        lambda net, m: net.layer_norm(net.average(m, "a"), "y", "n", 1e-6),
        layer_norm(x.mean((2, 3))),
    ),
    "linear": (
        lambda net, m: net.linear(net.channels_last(m, "t"), "y", "l", 5),
        last(x) @ A["l.weight"].T + A["l.bias"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_operator_computes_what_numpy_does(case: str) -> None:
    write, wanted = CASES[case]
    found = written(write)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def test_what_is_needed_is_told_without_arrays() -> None:
    net = GraphWriter(None)
    image = net.conv(FeatureMap(INPUT, 3, 7), "y", Convolution("d", 3, 5, group=3, norm="n"))
    net.dense(net.average(image, "a"), "z", "l", 5)
    assert net.needed == {key: WEIGHTS[key].shape for key in net.needed}
    assert list(net.needed) == [
        *("d.weight", "n.weight", "n.bias", "n.running_mean", "n.running_var", "l.weight", "l.bias"),
    ]
