"""The AlexNets we build ourselves, as data: layer after layer, with the names features are cut at.

Three published networks and one re-implementation share the plan of Krizhevsky,
Sutskever and Hinton (2012) and differ in the details below; each detail changes features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fc7.models.common.errors import UsageError
from fc7.models.network.spec import Pool, PreprocessSpec, caffe_preprocess, torch_preprocess

# Caffe's LRN and ONNX's agree: alpha is divided by the window (BVLC/caffe lrn_layer.cpp; ONNX LRN).
LRN_SIZE, LRN_ALPHA, LRN_BETA, LRN_K = 5, 1e-4, 0.75, 1.0
# The only layers without a ReLU after them: the scores.
_SCORES = "fc8"


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution and ReLU; ``name`` is after the ReLU (Caffe works in place), ``name_pre`` before."""

    name: str
    channels: int
    kernel: int
    stride: int = 1
    pad: int = 0
    group: int = 1


@dataclass(frozen=True, slots=True)
class Norm:
    """Local response normalisation across 5 channels."""

    name: str


@dataclass(frozen=True, slots=True)
class MaxPool:
    """3x3 maximum with stride 2, no padding, floor."""

    name: str


@dataclass(frozen=True, slots=True)
class Dense:
    """Fully connected; with ReLU except for the scores, whose softmax is ``prob``."""

    name: str
    units: int

    @property
    def relu(self) -> bool:
        """Whether a ReLU follows."""
        return self.name != _SCORES


Step = Conv | Norm | MaxPool | Dense


@dataclass(frozen=True, slots=True)
class Architecture:
    """A plan from pixels to ``prob``.

    Attributes
    ----------
    preprocess : PreprocessSpec
        What its authors fed it; the crop is the input size.
    pool : {"flatten", "avg", "max"}
        How a spatial map becomes a vector.
    """

    name: str
    steps: tuple[Step, ...]
    preprocess: PreprocessSpec
    about: str
    default_layer: str = "fc7"
    pool: Pool = "flatten"

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Canonical weights in network order, key -> shape.

        Convolutions are (out, in / group, height, width), dense layers (out, in); fc6's
        inputs are the map of pool5 flattened in channel, row, column order.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for step, (channels, height, width) in self._walk():
            if isinstance(step, Conv):
                shapes[f"{step.name}.weight"] = (
                    step.channels,
                    channels // step.group,
                    step.kernel,
                    step.kernel,
                )
                shapes[f"{step.name}.bias"] = (step.channels,)
            elif isinstance(step, Dense):
                shapes[f"{step.name}.weight"] = (step.units, channels * height * width)
                shapes[f"{step.name}.bias"] = (step.units,)
        return shapes

    def parameters(self, layer: str) -> int:
        """How many numbers one layer learns."""
        total = 0
        for kind in ("weight", "bias"):
            size = 1
            for extent in self.weight_shapes()[f"{layer}.{kind}"]:
                size *= extent
            total += size
        return total

    def _walk(self) -> Iterator[tuple[Step, tuple[int, int, int]]]:
        """Each step with the (channels, height, width) that enters it."""
        shape = (3, self.preprocess.crop_height, self.preprocess.crop_width)
        for step in self.steps:
            yield step, shape
            channels, height, width = shape
            if isinstance(step, Conv):
                height = (height + 2 * step.pad - step.kernel) // step.stride + 1
                width = (width + 2 * step.pad - step.kernel) // step.stride + 1
                shape = (step.channels, height, width)
            elif isinstance(step, MaxPool):
                shape = (channels, (height - 3) // 2 + 1, (width - 3) // 2 + 1)
            elif isinstance(step, Dense):
                shape = (step.units, 1, 1)


def _bvlc(first: tuple[Step, Step], second: tuple[Step, Step], conv1_pad: int = 0) -> tuple[Step, ...]:
    return (
        Conv("conv1", 96, kernel=11, stride=4, pad=conv1_pad),
        *first,
        Conv("conv2", 256, kernel=5, pad=2, group=2),
        *second,
        Conv("conv3", 384, kernel=3, pad=1),
        Conv("conv4", 384, kernel=3, pad=1, group=2),
        Conv("conv5", 256, kernel=3, pad=1, group=2),
        MaxPool("pool5"),
        Dense("fc6", 4096),
        Dense("fc7", 4096),
        Dense(_SCORES, 1000),
    )


_NORM_POOL = ((Norm("norm1"), MaxPool("pool1")), (Norm("norm2"), MaxPool("pool2")))
_POOL_NORM = ((MaxPool("pool1"), Norm("norm1")), (MaxPool("pool2"), Norm("norm2")))

# Layer settings: BVLC/caffe models/bvlc_alexnet and bvlc_reference_caffenet deploy.prototxt;
# torchvision/models/alexnet.py (Krizhevsky's "one weird trick" network, arXiv:1404.5997);
# Guerzhoy's myalexnet_forward.py, used by the Udacity traffic-sign lab.
ARCHITECTURES: dict[str, Architecture] = {
    "alexnet": Architecture(
        "alexnet", _bvlc(*_NORM_POOL), caffe_preprocess(227), about="BVLC AlexNet: normalises, then pools"
    ),
    "caffenet": Architecture(
        "caffenet", _bvlc(*_POOL_NORM), caffe_preprocess(227), about="BVLC CaffeNet: pools, then normalises"
    ),
    "alexnet-owt": Architecture(
        "alexnet-owt",
        (
            Conv("conv1", 64, kernel=11, stride=4, pad=2),
            MaxPool("pool1"),
            Conv("conv2", 192, kernel=5, pad=2),
            MaxPool("pool2"),
            Conv("conv3", 384, kernel=3, pad=1),
            Conv("conv4", 256, kernel=3, pad=1),
            Conv("conv5", 256, kernel=3, pad=1),
            MaxPool("pool5"),
            Dense("fc6", 4096),
            Dense("fc7", 4096),
            Dense(_SCORES, 1000),
        ),
        torch_preprocess(224),
        about="torchvision AlexNet: one column, no normalisation",
    ),
    # TensorFlow's 'SAME' at 227 with stride 4 pads 8 in all, 4 on each side. Its LRN does not divide
    # alpha by the window, and the lab says 2e-5 there: the same 1e-4 / 5 as Caffe's.
    "alexnet-tf": Architecture(
        "alexnet-tf",
        _bvlc(*_NORM_POOL, conv1_pad=4),
        PreprocessSpec(
            "warp",
            resize_height=227,
            resize_width=227,
            crop_height=227,
            crop_width=227,
            channel_order="RGB",
            image_mean=True,
        ),
        about="BVLC AlexNet's weights in the Udacity lab's graph: padded conv1, RGB, each image's mean",
    ),
}


def architecture(name: str) -> Architecture:
    """The architecture called `name`.

    Raises
    ------
    UsageError
        With the names there are.
    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        known = ", ".join(ARCHITECTURES)
        raise UsageError(f"unknown architecture {name!r}; we build {known}") from None
