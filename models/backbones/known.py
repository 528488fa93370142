"""Every architecture that fc7 builds itself: the AlexNets, and the backbones."""

from __future__ import annotations

from fc7.models.backbones.backbone import Backbone
from fc7.models.backbones.convnext import CONVNEXT_TINY
from fc7.models.backbones.efficientnet_lite import EFFICIENTNET_LITE
from fc7.models.backbones.mobilenet_v3 import MOBILENET_V3_LARGE
from fc7.models.backbones.resnet50 import RESNET50
from fc7.models.common.errors import UsageError
from fc7.models.network.architectures import ARCHITECTURES, Architecture

BACKBONES: dict[str, Backbone] = {
    plan.name: plan for plan in (*EFFICIENTNET_LITE, RESNET50, MOBILENET_V3_LARGE, CONVNEXT_TINY)
}
# What `--arch` takes.
BUILT: tuple[str, ...] = (*ARCHITECTURES, *BACKBONES)


def built_plan(name: str) -> Architecture | Backbone:
    """The plan called `name`.

    Raises
    ------
    UsageError
        With the names there are.

    Examples
    --------
    >>> built_plan("alexnet").name, built_plan("resnet50-v2").name
    ('alexnet', 'resnet50-v2')
    """
    found = ARCHITECTURES.get(name) or BACKBONES.get(name)
    if found is None:
        raise UsageError(f"unknown architecture {name!r}; we build {', '.join(BUILT)}")
    return found
