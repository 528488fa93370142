"""Every architecture that fc7 builds itself: the AlexNets, and the backbones."""

from __future__ import annotations

from models.architectures import ARCHITECTURES, Architecture
from models.backbones.backbone import Backbone
from models.backbones.efficientnet_lite import EFFICIENTNET_LITE
from models.errors import UsageError

BACKBONES: dict[str, Backbone] = {backbone.name: backbone for backbone in EFFICIENTNET_LITE}
# What `--arch` takes.
BUILT: tuple[str, ...] = (*ARCHITECTURES, *BACKBONES)


def built_plan(name: str) -> Architecture | Backbone:
    """The plan called `name`.

    Raises
    ------
    UsageError
        With the names there are.
    """
    found = ARCHITECTURES.get(name) or BACKBONES.get(name)
    if found is None:
        raise UsageError(f"unknown architecture {name!r}; we build {', '.join(BUILT)}")
    return found
