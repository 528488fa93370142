"""What a prototxt means: the image that goes in, and the layers that run in the test phase.

Source: BVLC/caffe src/caffe/proto/caffe.proto (NetParameter, LayerParameter, V1LayerParameter,
NetStateRule) and src/caffe/net.cpp (FilterNet, StateMeetsRule).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fc7.models.caffe.block import Block
from fc7.models.common.errors import WeightsError
from fc7.models.network.canonical import listed
from fc7.models.weights.caffe_types import V1_TYPES

# An image of more pixels along a side, or a deeper network, is damage or an attack.
MAX_SIDE, _MAX_LAYERS = 1 << 14, 10_000
_BY_V1_NAME = dict(V1_TYPES.values())
# Layers that only training has; a deploy.prototxt has none.
_TRAINING = ("Accuracy", "HDF5Output", "SigmoidCrossEntropyLoss", "SoftmaxWithLoss")
_DEPLOY = "this describes training; bring the network's deploy.prototxt"


@dataclass(frozen=True, slots=True, eq=False)
class NetLayer:
    """One layer of the description.

    Attributes
    ----------
    type : str
        LayerParameter's word, ``Convolution``, also where the file has V1's ``CONVOLUTION``.
    bottoms, tops : tuple of str
        Blobs read and written; the same name in both works in place.
    block : Block
        Everything else.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    block: Block

    def error(self, what: str) -> WeightsError:
        """An error that names the layer and its line."""
        return self.block.error(f"layer {listed([self.name])} ({listed([self.type])}): {what}")

    @property
    def in_place(self) -> bool:
        """Whether it overwrites what it reads."""
        return bool(self.tops) and self.tops[0] in self.bottoms


@dataclass(frozen=True, slots=True)
class Net:
    """A network that takes one image.

    Attributes
    ----------
    image : str
        The input blob.
    shape : tuple of (int, int, int)
        Its channels, height and width.
    batch : int
        The first size of the input blob; ours is free.
    layers : tuple of NetLayer
        In running order.
    """

    name: str
    image: str
    shape: tuple[int, int, int]
    batch: int
    layers: tuple[NetLayer, ...]


def net_of(root: Block) -> Net:
    """The network in the test phase.

    Parameters
    ----------
    root : Block
        A whole prototxt.

    Raises
    ------
    WeightsError
        If it describes training, has no image or several inputs, or a layer is malformed.
    """
    layers = _layers(root)
    inputs = [layer for layer in layers if layer.type == "Input"]
    shapes = _plain_inputs(root) | {
        top: (layer.block, dims) for layer in inputs for top, dims in _input_layer(layer)
    }
    if len(shapes) != 1:
        raise root.error(
            f"the network has {len(shapes)} inputs ({listed(shapes)}); one that takes images was needed, as "
            '`input: "data"` with its shape in a deploy.prototxt'
        )
    (image, (where, dims)), *_ = shapes.items()
    if len(dims) != 4 or not all(0 < size <= MAX_SIDE for size in dims):
        raise where.error(
            f"input {listed([image])} has the shape ({listed(dims)}); images have 4 sizes (number, channels, "
            f"height, width), each from 1 to {MAX_SIDE}"
        )
    batch, channels, height, width = dims
    rest = tuple(layer for layer in layers if layer.type != "Input")
    return Net(root.text("name"), image, (channels, height, width), batch=batch, layers=rest)


def _layers(root: Block) -> list[NetLayer]:
    blocks = root.blocks("layer") + root.blocks("layers")
    if root.blocks("layer") and root.blocks("layers"):
        raise root.error("both `layer` and `layers`, of two versions of the format; one of them was needed")
    if not blocks:
        raise root.error("no layers; a Caffe network description (deploy.prototxt) was needed")
    if len(blocks) > _MAX_LAYERS:
        raise root.error(f"{len(blocks)} layers, at most {_MAX_LAYERS} are read")
    layers = [_layer(block) for block in blocks if _runs(block)]
    for layer in layers:
        kind = layer.type
        if kind in _TRAINING or kind.endswith(("Data", "Loss")):
            raise layer.error(_DEPLOY)
    return layers


def _layer(block: Block) -> NetLayer:
    if block.blocks("layer"):
        raise block.error(
            "a layer in Caffe's oldest format; turn the file into today's with Caffe's upgrade_net_proto_text"
        )
    kind = block.text("type")
    if kind.isascii() and kind.isdigit() and len(kind) < 4:
        kind = V1_TYPES.get(int(kind), ("", kind))[1]
    kind = _BY_V1_NAME.get(kind, kind)
    tops, bottoms = block.texts("top"), block.texts("bottom")
    layer = NetLayer(block.text("name"), kind, tuple(bottoms), tops=tuple(tops), block=block)
    if not kind or "" in tops + bottoms:
        raise layer.error("has no type, or a blob without a name")
    return layer


def _runs(block: Block) -> bool:
    """Whether a layer is part of the network when it is used, and not trained."""
    include, exclude = block.blocks("include"), block.blocks("exclude")
    if include and exclude:
        raise block.error("a layer with both include and exclude; Caffe takes one of them")
    if include:
        return any(_meets(rule) for rule in include)
    return not any(_meets(rule) for rule in exclude)


def _meets(rule: Block) -> bool:
    """Whether the state phase TEST, level 0, no stages meets a rule."""
    rule.only("phase", "min_level", "max_level", "stage", "not_stage")
    phase = rule.choice("phase", ("TRAIN", "TEST")) if "phase" in rule.fields else "TEST"
    levels = rule.integer("min_level", 0) <= 0 <= rule.integer("max_level", 0)
    return phase == "TEST" and levels and not rule.texts("stage")


def _plain_inputs(root: Block) -> dict[str, tuple[Block, Sequence[int]]]:
    """Inputs given as fields of the net: names, and four numbers or a shape for each."""
    names, dims = root.texts("input"), root.integers("input_dim")
    shapes: list[list[int]] = [shape.integers("dim") for shape in root.blocks("input_shape")]
    if dims:
        shapes += [dims[i : i + 4] for i in range(0, len(dims), 4)]
    if len(shapes) != len(names):
        raise root.error(
            f"{len(names)} inputs ({listed(names)}) and {len(shapes)} shapes for them; each needs four "
            "input_dim or one input_shape"
        )
    return {name: (root, shape) for name, shape in zip(names, shapes, strict=True)}


def _input_layer(layer: NetLayer) -> list[tuple[str, Sequence[int]]]:
    shapes = [shape.integers("dim") for shape in layer.block.block("input_param").blocks("shape")]
    if len(shapes) == 1:
        shapes *= len(layer.tops)
    if len(shapes) != len(layer.tops) or not shapes:
        raise layer.error(f"has {len(shapes)} shapes for {len(layer.tops)} blobs; each needs one")
    return list(zip(layer.tops, shapes, strict=True))
