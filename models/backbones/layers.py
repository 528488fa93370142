"""What `models.backbones.writer` is told of a layer, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """A tensor (n, channels, size, size), or a row (n, channels), whose `size` is 1."""

    name: str
    channels: int
    size: int


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution of a plan.

    Attributes
    ----------
    key : str
        Where its weights are: ``<key>.weight``, and ``<key>.bias`` where no `norm` follows.
    channels : int
        Of its output.
    pads : (int, int) or None
        Rows above and below, columns left and right. None keeps the size at stride 1.
    norm : str
        The BatchNorm behind it, ``<norm>.weight``, ``.bias``, ``.running_mean`` and ``.running_var``.
    """

    key: str
    channels: int
    kernel: int = 1
    stride: int = 1
    group: int = 1
    pads: tuple[int, int] | None = None
    norm: str = ""


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's 'SAME': as much as gives ``ceil(size / stride)`` numbers, the odd one behind.

    Examples
    --------
    >>> same_padding(224, 3, 2), same_padding(15, 5, 2), same_padding(14, 5, 1)
    ((0, 1), (2, 2), (2, 2))
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
