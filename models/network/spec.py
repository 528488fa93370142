"""What a network is, as data: its preprocessing, its layers, its fingerprint. No I/O here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fc7.models.common.errors import UnknownLayerError, UsageError
from fc7.models.common.record_repr import one_line_repr

IMAGENET_CLASSES = (1000, 1001)
"""How many ImageNet has, and TensorFlow's count of them with a background in front."""

Resize = Literal["warp", "short", "pad"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
ChannelOrder = Literal["RGB", "BGR"]
# "token" is timm's name for what a vision transformer's class token gives: Transformer blocks keep it first.
Pool = Literal["flatten", "avg", "max", "token"]
# Dimensions, without the batch, of what each of them changes: maps, and sequences of tokens.
_POOLED_RANK: dict[str, int] = {"avg": 3, "max": 3, "token": 2}


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """From a decoded RGB image to the numbers a network was trained on.

    The geometry (`resize` to `crops`) is carried out on uint8 pixels by
    `extract.images.decode`; the arithmetic (`channel_order` to `image_mean`) is part of
    the graph that runs, so that every engine sees the same numbers.

    Attributes
    ----------
    resize : {"warp", "short", "pad"}
        "warp" ignores the aspect ratio; "short" keeps it and scales until both sides are covered;
        "pad" fits the whole image in and fills the rest with the mean colour.
    resize_height, resize_width : int
        Size after resizing, in pixels. For "short" what the image must cover: where both are equal,
        they are the short side's length.
    crop_height, crop_width : int
        The network's input size, cut from the centre (offset rounded down; for "short" as
        torchvision rounds it, to even).
    interpolation : {"nearest", "bilinear", "bicubic"}
    antialias : bool
        Whether shrinking averages over the pixels it skips, as Pillow does. Caffe's does not.
    crops : {1, 10}
        1: the centre. 10: four corners and the centre, each also mirrored; the
        features of the ten are averaged (Krizhevsky et al. 2012, section 4.1).
    channel_order : {"RGB", "BGR"}
        The order the network's first convolution expects.
    scale : float
        Multiplies the 0-255 pixel before the mean is subtracted.
    mean, std : tuple of 3 floats
        In `channel_order`, on the scaled range: ``(pixel * scale - mean) / std``.
    image_mean : bool
        Subtract each image's own scalar mean (over pixels and channels) instead of `mean`.
    """

    resize: Resize
    resize_height: int
    resize_width: int
    crop_height: int
    crop_width: int
    channel_order: ChannelOrder
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    crops: int = 1
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    image_mean: bool = False

    __repr__ = one_line_repr

    def __post_init__(self) -> None:
        if self.crops not in (1, 10):
            raise UsageError(
                f"crops is {self.crops}; it can be 1 (the centre) or 10 (corners, centre, mirrored)"
            )
        if min(self.crop_height, self.crop_width) < 1:
            raise UsageError(
                f"a crop of {self.crop_height}x{self.crop_width} has no pixels; both sides need at least one"
            )
        if self.crop_height > self.resize_height or self.crop_width > self.resize_width:
            raise UsageError(
                f"a crop of {self.crop_height}x{self.crop_width} does not fit into a resize of "
                f"{self.resize_height}x{self.resize_width}; make the resize at least as large"
            )
        if not all(map(math.isfinite, (self.scale, *self.mean, *self.std))) or 0 in (self.scale, *self.std):
            raise UsageError(
                f"a scale of {self.scale:g}, a mean of {_numbers(self.mean)} and a deviation of "
                f"{_numbers(self.std)}: finite numbers are needed, and no zero as scale or deviation"
            )

    def to_json(self) -> str:
        """One line with sorted keys: equal specs give equal text, and the text is hashed."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> PreprocessSpec:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        for key in ("mean", "std"):
            fields[key] = tuple(fields[key])
        return cls(**fields)

    def describe(self) -> str:
        """One line for people, e.g. ``warp 256x256 bilinear, centre crop 227x227, BGR, ...``."""
        size = f"{self.resize_height}x{self.resize_width}"
        resized = f"{self.resize} {size}"
        if self.resize == "short":
            square = self.resize_height == self.resize_width
            resized = f"short side {self.resize_height}" if square else f"short to cover {size}"
        crop = f"{self.crop_height}x{self.crop_width}"
        taken = f"centre crop {crop}" if self.crops == 1 else f"ten crops {crop}"
        numbers = "minus each image's mean" if self.image_mean else f"minus {_numbers(self.mean)}"
        if self.scale != 1.0:
            numbers = f"x {self.scale:.8g}, {numbers}"
        if self.std != (1.0, 1.0, 1.0):
            numbers += f", over {_numbers(self.std)}"
        smooth = "" if self.antialias else " without antialiasing"
        return f"{resized} {self.interpolation}{smooth}, {taken}, {self.channel_order}, {numbers}"


def _numbers(values: tuple[float, ...]) -> str:
    return "/".join(f"{v:.6g}" for v in values)


# BVLC/caffe models/bvlc_alexnet: images warped to 256x256, the 227x227 centre; the means are the
# channel means of ilsvrc12's imagenet_mean.binaryproto, in B, G, R (design section 4).
CAFFE_MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
# torchvision.models presets, transforms ImageClassification: on RGB in 0-1.
TORCH_MEAN_RGB = (0.485, 0.456, 0.406)
TORCH_STD_RGB = (0.229, 0.224, 0.225)


def caffe_preprocess(crop: int = 227, resize: int = 256) -> PreprocessSpec:
    """BVLC's recipe: warp, centre crop, BGR on 0-255 minus the ILSVRC-2012 channel means."""
    return PreprocessSpec(
        "warp",
        resize_height=resize,
        resize_width=resize,
        crop_height=crop,
        crop_width=crop,
        channel_order="BGR",
        mean=CAFFE_MEAN_BGR,
    )


def torch_preprocess(crop: int = 224, resize: int = 256) -> PreprocessSpec:
    """The recipe of torchvision: short side, centre crop, RGB in 0-1, ImageNet mean and deviation."""
    return PreprocessSpec(
        "short",
        resize_height=resize,
        resize_width=resize,
        crop_height=crop,
        crop_width=crop,
        channel_order="RGB",
        scale=1 / 255,
        mean=TORCH_MEAN_RGB,
        std=TORCH_STD_RGB,
    )


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """A tensor that features can be taken from.

    Attributes
    ----------
    name : str
        What the user says: ``fc7``.
    tensor : str
        The graph's own name for it.
    shape : tuple of int
        Without the batch: ``(4096,)``, ``(256, 6, 6)``.
    digest : str
        sha256 (hex) of the canonical graph and float32 weights up to this tensor.
    node : str
        The name of the node that computes it, where that is another one.
    channels_last : bool
        A map of shape (height, width, channels), not (channels, height, width).

    Notes
    -----
    A shape of two is a sequence: (tokens, channels).
    """

    name: str
    tensor: str
    shape: tuple[int, ...]
    digest: str
    node: str = ""
    channels_last: bool = False

    def pooled(self, pool: Pool) -> bool:
        """Whether `pool` makes less of this layer than all its numbers in a row."""
        return len(self.shape) == _POOLED_RANK.get(pool)

    def dim(self, pool: Pool = "flatten") -> int:
        """Length of the feature vector: all numbers, one a channel of a map, or one token."""
        if self.pooled(pool):
            return self.shape[-1 if self.channels_last or pool == "token" else 0]
        size = 1
        for extent in self.shape:
            size *= extent
        return size


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network in the store, ready to be run.

    Attributes
    ----------
    name : str
        What the user calls it.
    arch : str
        A name of `models.backbones.known.BUILT` for graphs we build, ``onnx`` for files kept as they are.
    layers : tuple of LayerSpec
        In the order of the graph.
    output : str or None
        The layer with the network's own class probabilities or scores, if it has one.
    trained : bool
        False for random weights; whatever is made with them says so.
    pool : {"flatten", "avg", "max", "token"}
        How a map becomes a vector, or with "token" a sequence: its first token.
    source, licence : str
        Where the weights came from (address or file name, with its sha256) and their terms.
    """

    name: str
    arch: str
    preprocess: PreprocessSpec
    layers: tuple[LayerSpec, ...]
    default_layer: str
    output: str | None = None
    trained: bool = True
    pool: Pool = "flatten"
    source: str = ""
    licence: str = ""

    __repr__ = one_line_repr

    def layer(self, name: str) -> LayerSpec:
        """The layer called `name`; its tensor's and its node's names will do.

        Raises
        ------
        UnknownLayerError
            With the names there are.
        """
        for layer in self.layers:
            if name in (layer.name, layer.tensor):
                return layer
        for layer in self.layers:
            if name and name == layer.node:
                return layer
        names = ", ".join(layer.name for layer in self.layers[-12:])
        raise UnknownLayerError(
            f"network {self.name!r} has no layer {name!r}; it has {names} (models show {self.name} --layers)"
        )

    def fingerprint(self, layer: str) -> str:
        """Identity of the features that `layer` gives: weights, graph and preprocessing."""
        found = self.layer(layer)
        pool = self.pool if found.pooled(self.pool) else "flatten"
        return fingerprint(found.digest, self.preprocess, pool)

    def to_json(self) -> str:
        """Readable JSON; `from_json` is the inverse."""
        fields = dataclasses.asdict(self)
        return json.dumps(fields, indent=2)

    @classmethod
    def from_json(cls, text: str) -> NetworkSpec:
        """Read `to_json`'s text; unknown keys are an error, so that a newer file is not half understood."""
        fields: dict[str, Any] = json.loads(text)
        fields["preprocess"] = PreprocessSpec.from_json(json.dumps(fields["preprocess"]))
        fields["layers"] = tuple(
            LayerSpec(**{**layer, "shape": tuple(layer["shape"])}) for layer in fields["layers"]
        )
        return cls(**fields)


def fingerprint(digest: str, preprocess: PreprocessSpec, pool: Pool = "flatten") -> str:
    """Hash of what decides a feature: 64 hex digits of sha256.

    Parameters
    ----------
    digest : str
        The layer's `LayerSpec.digest`.
    pool : {"flatten", "avg", "max", "token"}

    Notes
    -----
    Engine, precision and device are provenance, not identity, and are not hashed.
    """
    return hashlib.sha256(f"fc7-1\n{digest}\n{preprocess.to_json()}\n{pool}".encode()).hexdigest()


def combined_fingerprint(fingerprints: Mapping[str, str]) -> str:
    """One hash for a set of layers; for a single layer it is that layer's own."""
    if len(fingerprints) == 1:
        return next(iter(fingerprints.values()))
    lines = "\n".join(f"{name} {fingerprints[name]}" for name in sorted(fingerprints))
    return hashlib.sha256(lines.encode()).hexdigest()
