"""The graph under construction: operators and constants as plain data, and what one layer sees of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.models.caffe.block import Block
from fc7.models.caffe.net import MAX_SIDE, NetLayer
from fc7.models.common.errors import WeightsError
from fc7.models.network.canonical import listed
from fc7.models.weights.alexnet_walk import Op
from fc7.models.weights.caffe_model import CaffeBlob

Shape = tuple[int, ...]
# 2 GiB of float32 for one image's blob.
_MAX_NUMBERS = 1 << 29


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as one layer leaves it: the tensor's name, and its shape without the batch."""

    name: str
    shape: Shape


@dataclass(slots=True)
class Draft:
    """Operators in running order and the arrays they use.

    Attributes
    ----------
    constants : dict of str to ndarray, float32 or int64
    taken : set of str
        Names in use, those of the blobs to come included.
    """

    ops: list[Op] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def fresh(self, name: str) -> str:
        """`name`, or with underscores where it is taken."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Keep an array; the name it got."""
        name = self.fresh(name)
        self.constants[name] = array
        return name


@dataclass(frozen=True, slots=True)
class Site:
    """One layer with all it needs to become operators.

    Attributes
    ----------
    outputs : tuple of str
        Names for the tensors it makes.
    blobs : tuple of CaffeBlob
        What it learned.
    batch : int
        The batch that the prototxt was written for.
    """

    layer: NetLayer
    inputs: tuple[Blob, ...]
    outputs: tuple[str, ...]
    blobs: tuple[CaffeBlob, ...]
    batch: int
    draft: Draft

    @property
    def source(self) -> Blob:
        """The first input."""
        return self.inputs[0]

    def error(self, what: str) -> WeightsError:
        """An error that names the layer and its line."""
        return self.layer.error(what)

    def param(self, name: str, *known: str) -> Block:
        """The layer's own settings, none of which may be other than `known`."""
        block = self.layer.block.block(name)
        block.only(*known)
        return block

    def map(self) -> tuple[int, int, int]:
        """Channels, height and width of the first input."""
        if len(self.source.shape) != 3:
            raise self.error(
                f"reads {listed([self.source.name])} of shape {self.source.shape}; a map of channels, height "
                "and width was needed"
            )
        channels, height, width = self.source.shape
        return channels, height, width

    def axis(self, value: int, rank: int) -> int:
        """An axis of Caffe (the batch is 0, negative from the end) counted without the batch."""
        axis = value + rank + 1 if value < 0 else value
        if not 1 <= axis <= rank:
            raise self.error(f"works along axis {value} of a blob with {rank + 1} axes; 1 to {rank} can be")
        return axis - 1

    def learned(self, *shapes: Shape) -> list[NDArray[np.float32]]:
        """The layer's blobs as float32 in these shapes; ones in front, as old files have them, may differ.

        Raises
        ------
        WeightsError
            If there are more or fewer, of other shapes, or with values that are not finite.
        """
        found = [blob.shape for blob in self.blobs]
        if [_plain(shape) for shape in found] != [_plain(shape) for shape in shapes]:
            raise self.error(
                f"its blobs in the caffemodel have shapes {listed(found)}, needed {listed(shapes)}; are "
                "prototxt and caffemodel of the same network?"
            )
        arrays = []
        for blob, shape in zip(self.blobs, shapes, strict=True):
            with np.errstate(over="ignore"):
                array = blob.array.astype(np.float32, copy=False).reshape(shape)
            if not np.isfinite(array).all():
                raise self.error("its blobs hold NaN or infinite values; the caffemodel is damaged")
            arrays.append(array)
        return arrays

    def keep(self, kind: str, array: NDArray[Any]) -> str:
        """Keep an array of this layer as a constant ``layer.kind``."""
        return self.draft.constant(f"{self.layer.name}.{kind}", array)

    def op(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        """Add one operator."""
        self.draft.ops.append(Op(kind, list(inputs), [output], attributes=attributes))

    def chain(self, *steps: tuple[str, NDArray[Any] | None, dict[str, Any]]) -> None:
        """Operators one after another from the first input to the first output.

        Each is a kind, a constant second input or None, and attributes. None at all is Identity.
        """
        here = self.source.name
        for i, (kind, array, attributes) in enumerate(steps or (("Identity", None, {}),)):
            last = i + 1 >= len(steps)
            there = self.outputs[0] if last else self.draft.fresh(f"{self.outputs[0]}_{kind.lower()}")
            constants = [] if array is None else [self.keep(kind.lower(), array)]
            self.op(kind, [here, *constants], there, **attributes)
            here = there

    def checked(self, shape: Shape) -> Shape:
        """A shape that a layer makes, if an image can have it."""
        if min(shape, default=1) < 1:
            raise self.error(f"would make a blob of shape {shape}; its kernel is larger than its input")
        if max(shape[1:], default=1) > MAX_SIDE or math.prod(shape) > _MAX_NUMBERS:
            raise self.error(f"would make a blob of shape {shape}, which no network has")
        return shape


def _plain(shape: Shape) -> Shape:
    """Without the ones in front that four-sized blobs of old files have."""
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape
