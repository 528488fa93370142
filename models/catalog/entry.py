"""What the catalogue says of a network: the records, and the recipes of preprocessing they share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fc7.models.network.architectures import architecture
from fc7.models.network.presets import clip_preprocess, siglip_preprocess, tf_preprocess
from fc7.models.network.spec import Pool, PreprocessSpec, caffe_preprocess, torch_preprocess


@dataclass(frozen=True, slots=True)
class WeightSource:
    """One file that a network can be made from.

    Attributes
    ----------
    urls : tuple of str
        Addresses of the same bytes, tried in order; empty for a file that a package brings or that only
        turns up on disks.
    size : int or None
        Bytes.
    sha256, sha1 : str or None
        Hex digests as published.
    package : str
        The distribution of the package index that holds the file, if one does.
    sha256_prefix : str
        The first digits of the sha256, where no more was published: torchvision's file names end in eight.
    """

    urls: tuple[str, ...]
    filename: str
    size: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    package: str = ""
    sha256_prefix: str = ""

    @property
    def has_hash(self) -> bool:
        """Whether a download can be told from an exchanged one; the first digits alone tell damage only."""
        return self.sha256 is not None or self.sha1 is not None

    @property
    def origin(self) -> str:
        """Where the file comes from, in one line: its first address, or the package and the file."""
        return self.urls[0] if self.urls else f"{self.package} {self.filename}".strip()


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A known network.

    Attributes
    ----------
    arch : str
        A name of `models.backbones.known.BUILT` for graphs we build, ``onnx`` for files kept as they are.
    sources : tuple of WeightSource
        In the order to try them; none for a network made on the spot.
    preprocess : PreprocessSpec or None
        What its authors fed it; None where they never said.
    default_layer : str
        The tensor features come from unless the user says otherwise.
    layers : tuple of (str, int)
        Tensors worth cutting at and the length of the feature vector each gives under `pool`.
    pool : {"flatten", "avg", "max", "token"}
        How a map or a sequence of tokens becomes a vector.
    params : int or None
        Numbers the network learns: weights, biases, scale and shift; no running statistics.
    macs : int or None
        Multiplications of convolutions and dense layers for one image of its input size.
    top1, top5 : float or None
        Per cent of ILSVRC-2012's validation images, one centre crop, as published.
    accuracy_source : str
        Who published them.
    """

    name: str
    about: str
    arch: str
    sources: tuple[WeightSource, ...]
    licence: str
    preprocess: PreprocessSpec | None
    default_layer: str
    layers: tuple[tuple[str, int], ...]
    pool: Pool = "flatten"
    params: int | None = None
    macs: int | None = None
    top1: float | None = None
    top5: float | None = None
    accuracy_source: str = ""
    trained: bool = True

    @property
    def size(self) -> int | None:
        """Bytes of the source that is tried first."""
        return self.sources[0].size if self.sources else None

    @property
    def dim(self) -> int:
        """Length of the default feature vector."""
        return dict(self.layers)[self.default_layer]


def round_caffe_preprocess(crop: int) -> PreprocessSpec:
    """BVLC's recipe with round means, which GoogLeNet and SqueezeNet were trained with.

    Source: mean_value 104, 117, 123 in BVLC/caffe models/bvlc_googlenet/train_val.prototxt and
    in SqueezeNet_v1.1/train_val.prototxt of SqueezeNet's authors.
    """
    return dataclasses.replace(caffe_preprocess(crop), mean=(104.0, 117.0, 123.0))


UDACITY = architecture("alexnet-tf").preprocess
# onnx/models vision/classification/imagenet_preprocess.py: short side 256 bilinear, centre 224, RGB in
# 0-1, ImageNet mean and deviation. It is torchvision's recipe, and gives the same fingerprint.
ZOO_224 = torch_preprocess(224)
# What AlexNet was quantised and evaluated with, to which the ONNX zoo's alexnet/README.md refers: the whole
# image at 224x224 (Pillow's default, bicubic), BGR, 0-255, minus VGG's means. intel/neural-compressor,
# examples/onnxrt/onnx_model_zoo/alexnet/main.py.
INTEL_224 = PreprocessSpec(
    "warp",
    resize_height=224,
    resize_width=224,
    crop_height=224,
    crop_width=224,
    channel_order="BGR",
    interpolation="bicubic",
    mean=(103.939, 116.779, 123.68),
)

PREPROCESS_PRESETS: Mapping[str, PreprocessSpec] = MappingProxyType(
    {
        "caffe": caffe_preprocess(),
        "torch": torch_preprocess(),
        "tf": tf_preprocess(),
        "clip": clip_preprocess(),
        "siglip": siglip_preprocess(),
        "udacity": UDACITY,
        "zoo-224": ZOO_224,
    }
)
