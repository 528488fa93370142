"""ConvNeXt-Tiny: 7x7 depthwise convolutions, LayerNorm and GELU.

Source: Liu et al. 2022, "A ConvNet for the 2020s"; torchvision/models/convnext.py (names of the arrays,
epsilon, preprocessing of IMAGENET1K_V1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fc7.models.backbones.backbone import Backbone
from fc7.models.backbones.layers import Convolution, FeatureMap
from fc7.models.network.spec import torch_preprocess

if TYPE_CHECKING:
    from fc7.models.backbones.writer import GraphWriter

_EPSILON = 1e-6
# Of each stage: blocks and channels; a block is four times as wide inside.
_STAGES = ((3, 96), (3, 192), (9, 384), (3, 768))
_WIDER = 4


def features(net: GraphWriter, image: FeatureMap) -> FeatureMap:
    """Write the layers ``stem``, ``stage1`` to ``stage4``, ``pool`` and ``norm``.

    A block that is not its stage's last is called ``stage2.1``; inside it are ``stage2.1.depthwise``,
    ``.norm``, ``.expand``, ``.gelu`` and ``.project``, the last four with their channels last.
    """
    x = net.conv(image, "stem_pre", Convolution("features.0.0", 96, kernel=4, stride=4, pads=(0, 0)))
    x = _normed(net, x, "stem", key="features.0.1")
    for number, (blocks, width) in enumerate(_STAGES, 1):
        name = f"stage{number}"
        if number > 1:
            before = f"features.{2 * number - 2}"
            x = _normed(net, x, f"{name}.norm", key=f"{before}.0")
            shrink = Convolution(f"{before}.1", width, kernel=2, stride=2, pads=(0, 0))
            x = net.conv(x, f"{name}.shrink", shrink)
        for block in range(blocks):
            own = f"{name}.{block + 1}"
            names = (own, name if block == blocks - 1 else own)
            x = _block(net, x, names, key=f"features.{2 * number - 1}.{block}")
    pooled = net.average(x, "pool")
    return net.layer_norm(pooled, "norm", "classifier.0", epsilon=_EPSILON)


def _block(net: GraphWriter, x: FeatureMap, names: tuple[str, str], key: str) -> FeatureMap:
    """`names` are what its parts' names begin with, and its own."""
    name, end = names
    depthwise = Convolution(f"{key}.block.0", x.channels, kernel=7, group=x.channels)
    here = net.conv(x, f"{name}.depthwise", depthwise)
    here = net.channels_last(here, f"{name}.last_in")
    here = net.layer_norm(here, f"{name}.norm", f"{key}.block.2", epsilon=_EPSILON)
    here = net.linear(here, f"{name}.expand", f"{key}.block.3", units=_WIDER * x.channels)
    here = net.gelu(here, f"{name}.gelu")
    here = net.linear(here, f"{name}.project", f"{key}.block.5", units=x.channels)
    here = net.channels_first(here, f"{name}.first_in")
    return net.both("Add", net.scaled(here, f"{name}.scaled_in", f"{key}.layer_scale"), x, name=end)


def _normed(net: GraphWriter, x: FeatureMap, name: str, key: str) -> FeatureMap:
    """LayerNorm over the channels of a map."""
    last = net.channels_last(x, f"{name}.last_in")
    return net.channels_first(net.layer_norm(last, f"{name}.normed_in", key, epsilon=_EPSILON), name)


CONVNEXT_TINY = Backbone(
    "convnext-tiny",
    torch_preprocess(224, 236),
    features,
    classifier="classifier.2",
    default_layer="norm",
)
