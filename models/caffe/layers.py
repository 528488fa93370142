"""Caffe's layers other than convolution and pooling, each as ONNX operators.

Sources: BVLC/caffe src/caffe/layers, the file named after each layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fc7.models.caffe.net import NetLayer
from fc7.models.caffe.ops import Blob, Shape, Site
from fc7.models.caffe.windows import convolution, pooling
from fc7.models.network.canonical import listed

Make = Callable[[Site], list[Shape]]


def inner_product(site: Site) -> list[Shape]:
    """Fully connected; a map is flattened in channel, row, column order."""
    param = site.param(
        "inner_product_param", "num_output", "bias_term", "weight_filler", "bias_filler", "axis", "transpose"
    )
    if site.axis(param.integer("axis", 1), len(site.source.shape)) != 0:
        raise site.error("keeps some axes apart (axis); only whole images are multiplied here")
    outputs, inputs = param.integer("num_output", 0), math.prod(site.source.shape)
    turned = param.flag("transpose", False)
    shapes: list[Shape] = [(inputs, outputs) if turned else (outputs, inputs)]
    if param.flag("bias_term", True):
        shapes.append((outputs,))
    arrays = site.learned(*shapes)
    if turned:
        arrays[0] = np.ascontiguousarray(arrays[0].T)
    names = [site.keep(kind, array) for kind, array in zip(("weight", "bias"), arrays, strict=False)]
    flat = site.draft.fresh(f"{site.outputs[0].removesuffix('_pre')}_in")
    # Always flattened, and in this form, as in models.backbones.alexnet: equal networks, equal digests.
    site.op("Flatten", [site.source.name], flat, axis=1)
    site.op("Gemm", [flat, *names], site.outputs[0], transB=1)
    return [site.checked((outputs,))]


def relu(site: Site) -> list[Shape]:
    """The positive part, and with negative_slope a part of the negative."""
    slope = site.param("relu_param", "negative_slope", "engine").number("negative_slope", 0.0)
    site.chain(("LeakyRelu", None, {"alpha": slope}) if slope else ("Relu", None, {}))
    return [site.source.shape]


def prelu(site: Site) -> list[Shape]:
    """A learned slope for each channel, or one for all."""
    shared = site.param("prelu_param", "filler", "channel_shared").flag("channel_shared", False)
    (slope,) = site.learned(() if shared else site.source.shape[:1])
    ones = (1,) * (len(site.source.shape) - 1)
    site.chain(("PRelu", slope.reshape((1,) if shared else (-1, *ones)), {}))
    return [site.source.shape]


def power(site: Site) -> list[Shape]:
    """(shift + scale * x) ** power."""
    param = site.param("power_param", "power", "scale", "shift")
    steps: list[tuple[str, NDArray[Any] | None, dict[str, Any]]] = []
    for kind, value, idle in (
        ("Mul", param.number("scale", 1.0), 1.0),
        ("Add", param.number("shift", 0.0), 0.0),
        ("Pow", param.number("power", 1.0), 1.0),
    ):
        if value != idle:
            steps.append((kind, np.array(value, np.float32), {}))
    site.chain(*steps)
    return [site.source.shape]


def elu(site: Site) -> list[Shape]:
    """Alpha * (exp(x) - 1) below zero."""
    site.chain(("Elu", None, {"alpha": site.param("elu_param", "alpha").number("alpha", 1.0)}))
    return [site.source.shape]


def lrn(site: Site) -> list[Shape]:
    """Local response normalisation across channels; alpha is divided by the window, as in ONNX."""
    site.map()
    param = site.param("lrn_param", "local_size", "alpha", "beta", "norm_region", "k", "engine")
    if param.choice("norm_region", ("ACROSS_CHANNELS", "WITHIN_CHANNEL")) != "ACROSS_CHANNELS":
        raise site.error("normalises within a channel; only ACROSS_CHANNELS is read")
    size = param.integer("local_size", 5)
    if size < 1 or size % 2 == 0:
        raise site.error(f"has the local_size {size}; an odd number was needed")
    constants = {name: param.number(name, default) for name, default in (("alpha", 1.0), ("beta", 0.75))}
    site.chain(("LRN", None, {"size": size, **constants, "bias": param.number("k", 1.0)}))
    return [site.source.shape]


def batch_norm(site: Site) -> list[Shape]:
    """(x - mean) / sqrt(variance + eps) with the stored statistics, which a third blob scales."""
    param = site.param("batch_norm_param", "use_global_stats", "moving_average_fraction", "eps")
    if not param.flag("use_global_stats", True):
        raise site.error(
            "normalises by the batch it sees (use_global_stats: false), and one image has no batch; set it "
            "to true in the prototxt if the network is meant to be used so"
        )
    channels = site.source.shape[0]
    mean, variance, factor = site.learned((channels,), (channels,), (1,))
    scale = np.float32(0) if factor[0] == 0 else np.float32(1) / factor[0]
    if (variance * scale < 0).any():
        raise site.error("has a negative variance; the caffemodel is damaged")
    constants = [
        site.keep("one", np.ones(channels, np.float32)),
        site.keep("zero", np.zeros(channels, np.float32)),
        site.keep("mean", mean * scale),
        site.keep("variance", variance * scale),
    ]
    site.op(
        "BatchNormalization",
        [site.source.name, *constants],
        site.outputs[0],
        epsilon=param.number("eps", 1e-5),
    )
    return [site.source.shape]


def scale(site: Site) -> list[Shape]:
    """A learned factor, and with bias_term a shift, for each channel; or a product of two blobs."""
    param = site.param("scale_param", "axis", "num_axes", "filler", "bias_term", "bias_filler")
    shift = param.flag("bias_term", False)
    if len(site.inputs) == 2:
        if shift:
            raise site.error("multiplies two blobs and adds a bias, which is not read")
        return _times_blob(site, param.integer("axis", 1))
    shape, shown = _learned_shape(site, param.integer("axis", 1), param.integer("num_axes", 1))
    factors, *shifts = site.learned(*([shape] * (2 if shift else 1)))
    steps: list[tuple[str, NDArray[Any] | None, dict[str, Any]]] = [("Mul", factors.reshape(shown), {})]
    steps += [("Add", array.reshape(shown), {}) for array in shifts]
    site.chain(*steps)
    return [site.source.shape]


def bias(site: Site) -> list[Shape]:
    """A learned shift for each channel."""
    param = site.param("bias_param", "axis", "num_axes", "filler")
    shape, shown = _learned_shape(site, param.integer("axis", 1), param.integer("num_axes", 1))
    (shifts,) = site.learned(shape)
    site.chain(("Add", shifts.reshape(shown), {}))
    return [site.source.shape]


def concat(site: Site) -> list[Shape]:
    """Blobs side by side, along the channels unless told otherwise."""
    param = site.param("concat_param", "axis", "concat_dim")
    rank = len(site.source.shape)
    axis = site.axis(param.integer("axis", param.integer("concat_dim", 1)), rank)
    shapes = [list(tensor.shape) for tensor in site.inputs]
    if any(len(shape) != rank for shape in shapes) or any(
        shape[:axis] + shape[axis + 1 :] != shapes[0][:axis] + shapes[0][axis + 1 :] for shape in shapes
    ):
        raise site.error(
            f"joins blobs of shapes {_shapes(site.inputs)} along axis {axis + 1}; they do not fit"
        )
    site.op("Concat", [tensor.name for tensor in site.inputs], site.outputs[0], axis=axis + 1)
    total = sum(shape[axis] for shape in shapes)
    return [site.checked((*shapes[0][:axis], total, *shapes[0][axis + 1 :]))]


def eltwise(site: Site) -> list[Shape]:
    """Sum with coefficients, product or maximum, number by number."""
    param = site.param("eltwise_param", "operation", "coeff", "stable_prod_grad")
    operation, coefficients = param.choice("operation", ("PROD", "SUM", "MAX")), param.numbers("coeff")
    if "operation" not in param.fields:
        operation = "SUM"
    if any(tensor.shape != site.source.shape for tensor in site.inputs):
        raise site.error(f"joins blobs of shapes {_shapes(site.inputs)}; they must be equal")
    if coefficients and (operation != "SUM" or len(coefficients) != len(site.inputs)):
        raise site.error(f"has {len(coefficients)} coeff for {len(site.inputs)} blobs and {operation}")
    names = [tensor.name for tensor in site.inputs]
    for i, coefficient in enumerate(coefficients):
        if coefficient != 1.0:
            factor = site.keep(f"coeff{i}", np.array(coefficient, np.float32))
            scaled = site.draft.fresh(f"{site.outputs[0]}_term{i}")
            site.op("Mul", [names[i], factor], scaled)
            names[i] = scaled
    if operation == "PROD":
        _product(site, names)
    else:
        site.op("Sum" if operation == "SUM" else "Max", names, site.outputs[0])
    return [site.source.shape]


def softmax(site: Site) -> list[Shape]:
    """Probabilities along one axis, the channels unless told otherwise."""
    axis = site.param("softmax_param", "engine", "axis").integer("axis", 1)
    site.chain(("Softmax", None, {"axis": site.axis(axis, len(site.source.shape)) + 1}))
    return [site.source.shape]


def flatten(site: Site) -> list[Shape]:
    """Several axes as one, in their order."""
    param = site.param("flatten_param", "axis", "end_axis")
    shape = site.source.shape
    first = site.axis(param.integer("axis", 1), len(shape))
    last = site.axis(param.integer("end_axis", -1), len(shape))
    if last < first:
        raise site.error(f"flattens from axis {first + 1} to {last + 1}")
    if (first, last) == (0, len(shape) - 1):
        site.chain(("Flatten", None, {"axis": 1}))
        return [(math.prod(shape),)]
    return _reshaped(site, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def reshape(site: Site) -> list[Shape]:
    """Another shape for the same numbers; 0 keeps a size, -1 takes the rest. The batch stays."""
    param = site.param("reshape_param", "shape", "axis", "num_axes")
    dims = param.block("shape").integers("dim")
    old = (site.batch, *site.source.shape)
    axis = param.integer("axis", 0)
    start = axis + len(old) + 1 if axis < 0 else axis
    count = param.integer("num_axes", -1)
    end = len(old) if count == -1 else start + count
    if not 0 <= start <= end <= len(old) or any(size < -1 for size in dims) or dims.count(-1) > 1:
        raise site.error(
            f"reshapes axes {start} to {end} of {len(old)} to ({listed(dims)}), which is not a shape"
        )
    if any(size == 0 and start + i >= len(old) for i, size in enumerate(dims)):
        raise site.error(f"keeps a size that its input of shape {old} does not have")
    sizes = [old[start + i] if size == 0 else size for i, size in enumerate(dims)]
    new = [*old[:start], *sizes, *old[end:]]
    if -1 in new:
        rest = -math.prod(new)
        new[new.index(-1)] = math.prod(old) // rest if rest > 0 else 0
    if math.prod(new) != math.prod(old) or new[0] != old[0]:
        raise site.error(
            f"turns {old} into {tuple(new)}; the numbers of one image must stay together and be as many"
        )
    return _reshaped(site, tuple(new[1:]))


def copy(site: Site) -> list[Shape]:
    """The same numbers under other names: Split, and Dropout, which does nothing but in training."""
    if site.layer.type == "Dropout":
        check_dropout(site.layer)
        if len(site.outputs) != 1:
            raise site.error("makes several blobs; one was needed")
    for output in site.outputs:
        site.op("Identity", [site.source.name], output)
    return [site.source.shape] * len(site.outputs)


def check_dropout(layer: NetLayer) -> None:
    """Refuse the Dropout of some versions of Caffe that scales in use instead of in training."""
    param = layer.block.block("dropout_param")
    param.only("dropout_ratio", "scale_train")
    if not param.flag("scale_train", True):
        raise layer.error("scales when it is used (scale_train: false), which is not read")


def _simple(kind: str, param: str) -> Make:
    def make(site: Site) -> list[Shape]:
        site.param(param, "engine")
        site.chain((kind, None, {}))
        return [site.source.shape]

    return make


def _learned_shape(site: Site, axis: int, n_axes: int) -> tuple[Shape, Shape]:
    """The shape of a learned array that stands along some axes, and the same ready to broadcast."""
    shape = site.source.shape
    if n_axes == 0:
        return (), ()
    first = site.axis(axis, len(shape))
    end = len(shape) if n_axes == -1 else first + n_axes
    if not first < end <= len(shape):
        raise site.error(f"covers {n_axes} axes from axis {axis} of a blob with {len(shape) + 1}")
    return shape[first:end], (*shape[first:end], *(1,) * (len(shape) - end))


def _times_blob(site: Site, axis: int) -> list[Shape]:
    """X times a smaller blob that has one number for each image and channel (squeeze and excitation)."""
    first, second = site.inputs
    ones = (1,) * (len(first.shape) - len(second.shape))
    if axis != 0 or first.shape[: len(second.shape)] != second.shape:
        raise site.error(
            f"multiplies blobs of shapes {_shapes(site.inputs)} along axis {axis}; "
            "their first sizes must be equal, and the axis 0"
        )
    wide = second.name
    if ones:
        wide = site.draft.fresh(f"{site.outputs[0]}_factor")
        sizes = site.keep("sizes", np.array([0, *second.shape, *ones], np.int64))
        site.op("Reshape", [second.name, sizes], wide)
    site.op("Mul", [first.name, wide], site.outputs[0])
    return [first.shape]


def _product(site: Site, names: list[str]) -> None:
    here = names[0]
    for i, name in enumerate(names[1:]):
        there = site.outputs[0] if i + 2 == len(names) else site.draft.fresh(f"{site.outputs[0]}_part{i}")
        site.op("Mul", [here, name], there)
        here = there


def _reshaped(site: Site, shape: Shape) -> list[Shape]:
    sizes = site.keep("sizes", np.array([0, *shape], np.int64))
    site.op("Reshape", [site.source.name, sizes], site.outputs[0])
    return [site.checked(shape)]


def _shapes(tensors: tuple[Blob, ...]) -> str:
    return listed(tensor.shape for tensor in tensors)


# Layer type -> how many blobs it reads at least and at most, and what it becomes.
LAYERS: dict[str, tuple[int, int, Make]] = {
    "AbsVal": (1, 1, _simple("Abs", "absval_param")),
    "BatchNorm": (1, 1, batch_norm),
    "Bias": (1, 1, bias),
    "Concat": (1, 1000, concat),
    "Convolution": (1, 1, convolution),
    "Dropout": (1, 1, copy),
    "ELU": (1, 1, elu),
    "Eltwise": (2, 1000, eltwise),
    "Flatten": (1, 1, flatten),
    "InnerProduct": (1, 1, inner_product),
    "LRN": (1, 1, lrn),
    "PReLU": (1, 1, prelu),
    "Pooling": (1, 1, pooling),
    "Power": (1, 1, power),
    "ReLU": (1, 1, relu),
    "Reshape": (1, 1, reshape),
    "Scale": (1, 2, scale),
    "Sigmoid": (1, 1, _simple("Sigmoid", "sigmoid_param")),
    "Softmax": (1, 1, softmax),
    "Split": (1, 1, copy),
    "TanH": (1, 1, _simple("Tanh", "tanh_param")),
}
