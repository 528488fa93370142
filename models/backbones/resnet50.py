"""ResNet-50 with the stride in the 3x3 convolutions.

Source: torchvision/models/resnet.py (plan, names of the arrays, preprocessing of IMAGENET1K_V2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fc7.models.backbones.backbone import Backbone
from fc7.models.backbones.layers import Convolution, FeatureMap
from fc7.models.network.spec import torch_preprocess

if TYPE_CHECKING:
    from fc7.models.backbones.writer import GraphWriter

# Of each stage: blocks, and channels inside a block; four times as many come out of it.
_STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
_WIDER = 4


def features(net: GraphWriter, image: FeatureMap) -> FeatureMap:
    """Write the layers ``stem``, ``stage1`` to ``stage4`` and ``pool``.

    A block that is not its stage's last is called ``stage2.1``; inside it are ``stage2.1.conv1`` to
    ``.conv3`` and ``.shortcut``. What goes into a ReLU has the name of what comes out and ``_pre``.
    """
    x = _activated(net, image, "stem", layer=Convolution("conv1", 64, kernel=7, stride=2, norm="bn1"))
    x = net.max_pool(x, "stem_pool", pad=1)
    for number, (blocks, width) in enumerate(_STAGES, 1):
        for block in range(blocks):
            name = f"stage{number}"
            end = name if block == blocks - 1 else f"{name}.{block + 1}"
            stride = 2 if number > 1 and block == 0 else 1
            key = f"layer{number}.{block}"
            here = _bottleneck(net, x, f"{name}.{block + 1}", key=key, size=(width, stride))
            if block == 0:
                shortcut = Convolution(
                    f"{key}.downsample.0", _WIDER * width, stride=stride, norm=f"{key}.downsample.1"
                )
                x = net.conv(x, f"{name}.1.shortcut", shortcut)
            x = net.each("Relu", net.both("Add", here, x, name=f"{end}_pre"), end)
    return net.average(x, "pool")


def _bottleneck(net: GraphWriter, x: FeatureMap, name: str, key: str, size: tuple[int, int]) -> FeatureMap:
    """A block's three convolutions: `size` is its inner width and its stride."""
    width, stride = size
    x = _activated(net, x, f"{name}.conv1", layer=Convolution(f"{key}.conv1", width, norm=f"{key}.bn1"))
    x = _activated(
        net, x, f"{name}.conv2", layer=Convolution(f"{key}.conv2", width, 3, stride=stride, norm=f"{key}.bn2")
    )
    return net.conv(x, f"{name}.conv3", Convolution(f"{key}.conv3", _WIDER * width, norm=f"{key}.bn3"))


def _activated(net: GraphWriter, x: FeatureMap, name: str, layer: Convolution) -> FeatureMap:
    return net.each("Relu", net.conv(x, f"{name}_pre", layer), name)


RESNET50 = Backbone("resnet50-v2", torch_preprocess(224, 232), features, classifier="fc")
