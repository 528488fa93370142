"""MobileNetV3-Large: MBConv blocks, half of them with squeeze-and-excitation, ReLU and hard swish.

Source: Howard et al. 2019, "Searching for MobileNetV3", table 1; torchvision/models/mobilenetv3.py (names
of the arrays, epsilon, preprocessing of IMAGENET1K_V2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fc7.models.backbones.backbone import Backbone, in_eights
from fc7.models.backbones.layers import Convolution, FeatureMap
from fc7.models.network.spec import torch_preprocess

if TYPE_CHECKING:
    from fc7.models.backbones.writer import GraphWriter

_EPSILON = 1e-3
_STEM, _HEAD, _DENSE = 16, 960, 1280


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """A row of table 1: kernel, expansion, output channels, whether it squeezes, operator, stride."""

    kernel: int
    wide: int
    channels: int
    squeeze: bool
    activation: Literal["Relu", "HardSwish"]
    stride: int


_BLOCKS = (
    Bottleneck(3, wide=16, channels=16, squeeze=False, activation="Relu", stride=1),
    Bottleneck(3, wide=64, channels=24, squeeze=False, activation="Relu", stride=2),
    Bottleneck(3, wide=72, channels=24, squeeze=False, activation="Relu", stride=1),
    Bottleneck(5, wide=72, channels=40, squeeze=True, activation="Relu", stride=2),
    Bottleneck(5, wide=120, channels=40, squeeze=True, activation="Relu", stride=1),
    Bottleneck(5, wide=120, channels=40, squeeze=True, activation="Relu", stride=1),
    Bottleneck(3, wide=240, channels=80, squeeze=False, activation="HardSwish", stride=2),
    Bottleneck(3, wide=200, channels=80, squeeze=False, activation="HardSwish", stride=1),
    Bottleneck(3, wide=184, channels=80, squeeze=False, activation="HardSwish", stride=1),
    Bottleneck(3, wide=184, channels=80, squeeze=False, activation="HardSwish", stride=1),
    Bottleneck(3, wide=480, channels=112, squeeze=True, activation="HardSwish", stride=1),
    Bottleneck(3, wide=672, channels=112, squeeze=True, activation="HardSwish", stride=1),
    Bottleneck(5, wide=672, channels=160, squeeze=True, activation="HardSwish", stride=2),
    Bottleneck(5, wide=960, channels=160, squeeze=True, activation="HardSwish", stride=1),
    Bottleneck(5, wide=960, channels=160, squeeze=True, activation="HardSwish", stride=1),
)


def features(net: GraphWriter, image: FeatureMap) -> FeatureMap:
    """Write the layers ``stem``, ``block1`` to ``block15``, ``head``, ``pool`` and ``dense``.

    Inside a block are ``block4.expand``, ``.depthwise``, ``.squeeze`` and ``.project``. What goes into an
    activation has the name of what comes out and ``_pre``.
    """
    x = net.conv(image, "stem_pre", Convolution("features.0.0", _STEM, 3, stride=2, norm="features.0.1"))
    x = net.each("HardSwish", x, "stem")
    for number, block in enumerate(_BLOCKS, 1):
        x = _block(net, x, block, number=number)
    end = f"features.{len(_BLOCKS) + 1}"
    x = net.conv(x, "head_pre", Convolution(f"{end}.0", _HEAD, norm=f"{end}.1"))
    x = net.each("HardSwish", x, "head")
    dense = net.dense(net.average(x, "pool"), "dense_pre", "classifier.0", units=_DENSE)
    return net.each("HardSwish", dense, "dense")


def _block(net: GraphWriter, x: FeatureMap, block: Bottleneck, number: int) -> FeatureMap:
    name, key, part = f"block{number}", f"features.{number}.block", 0
    here = x
    if block.wide != x.channels:
        here = net.conv(here, f"{name}.expand_pre", _normed(f"{key}.{part}", block.wide))
        here = net.each(block.activation, here, f"{name}.expand")
        part += 1
    depthwise = Convolution(
        f"{key}.{part}.0",
        block.wide,
        block.kernel,
        stride=block.stride,
        group=block.wide,
        norm=f"{key}.{part}.1",
    )
    here = net.conv(here, f"{name}.depthwise_pre", depthwise)
    here = net.each(block.activation, here, f"{name}.depthwise")
    part += 1
    if block.squeeze:
        here = _squeezed(net, here, f"{name}.squeeze", key=f"{key}.{part}")
        part += 1
    project = _normed(f"{key}.{part}", block.channels)
    if block.stride > 1 or x.channels != block.channels:
        return net.conv(here, name, project)
    return net.both("Add", net.conv(here, f"{name}.project", project), x, name=name)


def _squeezed(net: GraphWriter, x: FeatureMap, name: str, key: str) -> FeatureMap:
    """Squeeze-and-excitation: each channel times a factor that the means of all of them decide."""
    here = net.mean(x, f"{name}.mean_in")
    here = net.conv(here, f"{name}.fc1_in", Convolution(f"{key}.fc1", in_eights(x.channels / 4)))
    here = net.each("Relu", here, f"{name}.relu_in")
    here = net.conv(here, f"{name}.fc2_in", Convolution(f"{key}.fc2", x.channels))
    # PyTorch's hard sigmoid is relu6(x + 3) / 6; ONNX's default slope is 0.2.
    here = net.each("HardSigmoid", here, f"{name}.factor_in", alpha=1 / 6, beta=0.5)
    return net.both("Mul", x, here, name=name)


def _normed(key: str, channels: int) -> Convolution:
    return Convolution(f"{key}.0", channels, norm=f"{key}.1")


MOBILENET_V3_LARGE = Backbone(
    "mobilenet-v3-large",
    torch_preprocess(224, 232),
    features,
    classifier="classifier.3",
    epsilon=_EPSILON,
    default_layer="dense",
)
