"""Caffe's layers that slide a window over a map: convolution and pooling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.models.caffe.block import Block
from fc7.models.caffe.net import MAX_SIDE
from fc7.models.caffe.ops import Shape, Site
from fc7.models.network.canonical import listed

_WINDOW = ("kernel_size", "kernel_h", "kernel_w", "stride", "stride_h", "stride_w", "pad", "pad_h", "pad_w")
# How a layer was initialised and which library ran it does not change what it computes.
_IDLE = ("weight_filler", "bias_filler", "engine")
Pair = tuple[int, int]


def convolution(site: Site) -> list[Shape]:
    """Grouped, strided, dilated convolution.

    Source: BVLC/caffe src/caffe/layers/base_conv_layer.cpp, conv_layer.cpp.
    """
    channels, height, width = site.map()
    param = site.param(
        "convolution_param",
        *_WINDOW,
        *_IDLE,
        "num_output",
        "group",
        "dilation",
        "bias_term",
        "axis",
        "force_nd_im2col",
    )
    if param.integer("axis", 1) != 1:
        raise site.error("convolves along another axis than 1; only images' channels are read")
    kernel, stride, pad = _window(site, param)
    dilation = _pair(site, param, "dilation", default=1, least=1)
    outputs, group = param.integer("num_output", 0), param.integer("group", 1)
    _check_groups(site, outputs, channels, group=group)
    shape = (outputs, channels // group, *kernel)
    if site.blobs and site.blobs[0].shape != shape:
        raise site.error(_misfit(site.blobs[0].shape, shape, channels, group=group))
    biased = param.flag("bias_term", True)
    arrays = site.learned(shape, (outputs,)) if biased else site.learned(shape)
    names = [site.keep(kind, array) for kind, array in zip(("weight", "bias"), arrays, strict=False)]
    # The attributes and their form are those of models.backbones.alexnet: equal networks, equal digests.
    attributes: dict[str, Any] = {
        "kernel_shape": list(kernel),
        "strides": list(stride),
        "pads": [*pad, *pad],
        "group": group,
    }
    if dilation != (1, 1):
        attributes["dilations"] = list(dilation)
    site.op("Conv", [site.source.name, *names], site.outputs[0], **attributes)
    sizes = [
        (size + 2 * p - (d * (k - 1) + 1)) // s + 1
        for size, k, s, p, d in zip((height, width), kernel, stride, pad, dilation, strict=True)
    ]
    return [site.checked((outputs, *sizes))]


def pooling(site: Site) -> list[Shape]:
    """Maximum or average over windows, with Caffe's rule for the last one.

    The number of windows is rounded up, so the last may stand over the edge. With padding, one that
    would begin outside the image and its first padding is left out. An average divides by the part
    of the window that lies on the image and its padding, not beyond.

    Source: BVLC/caffe src/caffe/layers/pooling_layer.cpp, Reshape and Forward_cpu.
    """
    channels, height, width = site.map()
    param = site.param(
        "pooling_param", *_WINDOW, "pool", "engine", "global_pooling", "round_mode", "ceil_mode"
    )
    method = param.choice("pool", ("MAX", "AVE", "STOCHASTIC"))
    if method == "STOCHASTIC":
        raise site.error("pools at random, which is for training; MAX and AVE are read")
    if len(site.outputs) > 1:
        raise site.error("gives the places of its maxima as a second blob, which is not read")
    if param.flag("global_pooling", False):
        if any(param.integers(name) for name in _WINDOW[:3]):
            raise site.error("has a kernel size and global_pooling; Caffe takes one of them")
        kind = "GlobalMaxPool" if method == "MAX" else "GlobalAveragePool"
        site.op(kind, [site.source.name], site.outputs[0])
        return [(channels, 1, 1)]
    kernel, stride, pad = _window(site, param)
    if any(p >= k for p, k in zip(pad, kernel, strict=True)):
        raise site.error(f"pads by {pad}, its window is {kernel}; the padding must be smaller")
    up = param.choice("round_mode", ("CEIL", "FLOOR")) == "CEIL" and param.flag("ceil_mode", True)
    counts = _windows(site, (height, width), kernel, stride=stride, pad=pad, up=up)
    shape = site.checked((channels, *counts))
    over = [  # how far the last window reaches beyond the image; never as much as the window is long
        max(0, (count - 1) * s + k - p - size)
        for count, size, k, s, p in zip(counts, (height, width), kernel, stride, pad, strict=True)
    ]
    attributes: dict[str, Any] = {"kernel_shape": list(kernel), "strides": list(stride)}
    if any(pad) or any(over):
        attributes["pads"] = [*pad, *over]
    if method == "MAX":
        site.op("MaxPool", [site.source.name], site.outputs[0], **attributes)
    else:
        _average(site, counts, kernel, pad=pad, over=over, attributes=attributes)
    return [shape]


def _windows(site: Site, sizes: Pair, kernel: Pair, stride: Pair, pad: Pair, up: bool) -> Pair:
    """How many windows there are, down and across."""
    counts = []
    for size, k, s, p in zip(sizes, kernel, stride, pad, strict=True):
        room = size + 2 * p - k
        count = (-(-room // s) if up else room // s) + 1
        if any(pad) and (count - 1) * s >= size + p:
            count -= 1
        if room < 0 or (count - 1) * s - p >= size:
            raise site.error(
                f"a window of {k} by steps of {s} on {size} pixels padded by {p} would hold no pixel"
            )
        counts.append(count)
    return counts[0], counts[1]


def _average(
    site: Site, counts: Pair, kernel: Pair, pad: Pair, over: list[int], attributes: dict[str, Any]
) -> None:
    if not any(pad):
        # Nothing but the image counts, which is ONNX's default.
        site.op("AveragePool", [site.source.name], site.outputs[0], **attributes)
        return
    steps: list[tuple[str, NDArray[Any] | None, dict[str, Any]]] = [
        ("AveragePool", None, {**attributes, "count_include_pad": 1})
    ]
    # So ONNX divides by the whole window everywhere. Rounding up adds less than one step, so along
    # each axis only the last window can reach beyond the padding; its mean is put right.
    for axis, count in enumerate(counts):
        beyond = over[axis] - pad[axis]
        if beyond > 0:
            factors = np.ones(count, np.float32)
            factors[-1] = kernel[axis] / (kernel[axis] - beyond)
            steps.append(("Mul", factors.reshape((count, 1) if axis == 0 else (1, count)), {}))
    site.chain(*steps)


def _window(site: Site, param: Block) -> tuple[Pair, Pair, Pair]:
    return (
        _pair(site, param, "kernel", default=None, least=1),
        _pair(site, param, "stride", default=1, least=1),
        _pair(site, param, "pad", default=0, least=0),
    )


def _pair(site: Site, param: Block, name: str, default: int | None, least: int) -> Pair:
    """A setting for height and width: once for both, twice, or as ``_h`` and ``_w``."""
    both = param.integers("kernel_size" if name == "kernel" else name)
    apart = [param.integer(f"{name}_{side}", -1) for side in "hw" if f"{name}_{side}" in param.fields]
    if both and apart:
        raise site.error(f"gives its {name} both ways, as one number and as {name}_h, {name}_w")
    if name == "pad" and apart:  # the one that is not given is 0
        apart = [param.integer("pad_h", 0), param.integer("pad_w", 0)]
    values = both or apart
    if not values and default is not None:
        values = [default]
    sound = 1 <= len(values) <= 2 and all(least <= value <= MAX_SIDE for value in values)
    if not sound or (apart and len(apart) != 2):
        raise site.error(
            f"has the {name} {listed(values)}; one number from {least} to {MAX_SIDE}, or two, were needed"
        )
    return values[0], values[-1]


def _check_groups(site: Site, outputs: int, channels: int, group: int) -> None:
    if outputs < 1 or group < 1 or outputs % group or channels % group:
        raise site.error(
            f"{outputs} outputs and {channels} input channels cannot be parted into {group} groups"
        )


def _misfit(found: Shape, needed: Shape, channels: int, group: int) -> str:
    text = f"the caffemodel's weights have shape {found}, needed {needed} for `group: {group}`"
    apart = len(found) == 4 and found[0] == needed[0] and found[2:] == needed[2:]
    if apart and found[1] and channels % found[1] == 0 and needed[0] % (channels // found[1]) == 0:
        return f"{text}; `group: {channels // found[1]}` would fit, set it in the prototxt"
    return f"{text}; are prototxt and caffemodel of the same network?"
