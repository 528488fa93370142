"""EfficientNet-Lite: MBConv blocks with ReLU6 and without squeeze-and-excitation.

Source: tensorflow/tpu models/official/efficientnet, lite/efficientnet_lite_builder.py (plan, coefficients,
epsilon, mean and deviation) and efficientnet_model.py (rounding, residuals, stem and head that are not
scaled). Names of the arrays: github.com/ml-illustrated/EfficientNet-Lite-PyTorch, model.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from fc7.models.backbones.backbone import Backbone, in_eights
from fc7.models.backbones.layers import Convolution, FeatureMap, same_padding
from fc7.models.network.spec import PreprocessSpec

if TYPE_CHECKING:
    from fc7.models.backbones.writer import GraphWriter

_EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class Stage:
    """MBConv blocks of one width; the first of them has the stride.

    Attributes
    ----------
    kernel, stride : int
        Of the depthwise convolution.
    expansion : int
        How many times wider than its input a block computes.
    """

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


@dataclass(frozen=True, slots=True)
class LitePlan:
    """A size of EfficientNet-Lite.

    Attributes
    ----------
    width, depth : float
        Coefficients of the stages' channels and blocks.
    stem, head : int
        Channels of the first and the last convolution, which no coefficient scales.
    stages : tuple of Stage
        Before they are scaled.
    """

    width: float
    depth: float
    stem: int = 32
    head: int = 1280
    stages: tuple[Stage, ...] = (
        Stage(1, 3, 1, expansion=1, channels=16),
        Stage(2, 3, 2, expansion=6, channels=24),
        Stage(2, 5, 2, expansion=6, channels=40),
        Stage(3, 3, 2, expansion=6, channels=80),
        Stage(3, 5, 1, expansion=6, channels=112),
        Stage(4, 5, 2, expansion=6, channels=192),
        Stage(1, 3, 1, expansion=6, channels=320),
    )

    def channels(self, stage: Stage) -> int:
        """A stage's channels, scaled and rounded."""
        return in_eights(stage.channels * self.width)

    def blocks(self, index: int) -> int:
        """How many blocks stage `index` has; the first and the last are not scaled."""
        blocks = self.stages[index].blocks
        return blocks if index in (0, len(self.stages) - 1) else math.ceil(blocks * self.depth)


def features(net: GraphWriter, image: FeatureMap, plan: LitePlan) -> FeatureMap:
    """Write the layers ``stem``, ``stage1`` to ``stage7``, ``head`` and ``pool``.

    A block that is not its stage's last is called ``stage3.1``; inside it are ``stage3.1.expand``,
    ``.depthwise`` and ``.project``. What goes into a ReLU6 has the name of what comes out and ``_pre``.
    """
    pads = same_padding(image.size, 3, 2)
    x = _activated(
        net, image, "stem", layer=Convolution("_conv_stem", plan.stem, 3, stride=2, pads=pads, norm="_bn0")
    )
    count = 0
    for index, stage in enumerate(plan.stages):
        last = plan.blocks(index) - 1
        for block in range(last + 1):
            own = replace(stage, stride=1 if block else stage.stride, channels=plan.channels(stage))
            name = f"stage{index + 1}"
            ends = (f"{name}.{block + 1}", name if block == last else f"{name}.{block + 1}")
            x = _block(net, x, own, names=ends, key=f"_blocks.{count}")
            count += 1
    head = _activated(net, x, "head", layer=Convolution("_conv_head", plan.head, norm="_bn1"))
    return net.average(head, "pool")


def _block(net: GraphWriter, x: FeatureMap, stage: Stage, names: tuple[str, str], key: str) -> FeatureMap:
    """An inverted bottleneck: `names` are what its parts' names begin with, and its own."""
    name, end = names
    wide = x.channels * stage.expansion
    here = x
    if stage.expansion > 1:
        here = _activated(
            net, here, f"{name}.expand", layer=Convolution(f"{key}._expand_conv", wide, norm=f"{key}._bn0")
        )
    pads = same_padding(x.size, stage.kernel, stage.stride)
    depthwise = Convolution(
        f"{key}._depthwise_conv",
        channels=wide,
        kernel=stage.kernel,
        stride=stage.stride,
        group=wide,
        pads=pads,
        norm=f"{key}._bn1",
    )
    here = _activated(net, here, f"{name}.depthwise", layer=depthwise)
    project = Convolution(f"{key}._project_conv", stage.channels, norm=f"{key}._bn2")
    if stage.stride > 1 or x.channels != stage.channels:
        return net.conv(here, end, project)
    return net.both("Add", net.conv(here, f"{name}.project", project), x, name=end)


def _activated(net: GraphWriter, x: FeatureMap, name: str, layer: Convolution) -> FeatureMap:
    return net.relu6(net.conv(x, f"{name}_pre", layer), name)


def lite_preprocess(size: int) -> PreprocessSpec:
    """The publisher's recipe: short side `size` + 32 bicubic, centre crop, RGB, (pixel - 127) / 128.

    Source of the 32: CROP_PADDING in tensorflow/tpu models/official/efficientnet/preprocessing.py; timm
    evaluates the same weights so (crop_pct 0.875, 0.882 and 0.890). TensorFlow's bicubic skips pixels
    where it shrinks; Pillow's, timm's and ours averages over them.
    """
    mean, std = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
    side = size + 32
    return PreprocessSpec(
        "short",
        resize_height=side,
        resize_width=side,
        crop_height=size,
        crop_width=size,
        channel_order="RGB",
        interpolation="bicubic",
        mean=mean,
        std=std,
    )


def efficientnet_lite(name: str, plan: LitePlan, size: int) -> Backbone:
    """A backbone of this plan for images of `size` x `size`."""
    return Backbone(
        name, lite_preprocess(size), partial(features, plan=plan), classifier="_fc", epsilon=_EPSILON
    )


# efficientnet_lite_params in lite/efficientnet_lite_builder.py: width, depth, input.
EFFICIENTNET_LITE = (
    efficientnet_lite("efficientnet-lite0", LitePlan(1.0, 1.0), 224),
    efficientnet_lite("efficientnet-lite1", LitePlan(1.0, 1.1), 240),
    efficientnet_lite("efficientnet-lite2", LitePlan(1.1, 1.2), 260),
)
