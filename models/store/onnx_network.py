"""An ONNX graph that is kept as it is: what is fed to it, which layer is meant, where its classes are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fc7.models.common.errors import UsageError
from fc7.models.common.progress import Notify
from fc7.models.graph.batch import free_batch
from fc7.models.graph.files import damage
from fc7.models.graph.intake import take_in
from fc7.models.graph.layers import find_layer, layers_of
from fc7.models.graph.own_normalisation import own_normalisation
from fc7.models.graph.surgery import fed_inputs, fixed_batch, image_input, input_size, takes_bytes, with_image
from fc7.models.network.spec import IMAGENET_CLASSES, LayerSpec, NetworkSpec, PreprocessSpec
from fc7.models.store.preprocess_options import HOW_TO_SAY, PreprocessOptions

if TYPE_CHECKING:
    from onnx import ModelProto

_USUAL = "fc7"


def kept_network(
    model: ModelProto,
    file: str,
    name: str,
    stated: PreprocessOptions,
    layer: str | None,
    say: Notify,
) -> tuple[ModelProto, NetworkSpec]:
    """A graph made elsewhere and its description.

    Parameters
    ----------
    model : onnx.ModelProto
        With its arrays loaded.
    file : str
        Its file's name, for messages.
    name : str
        What the store will call it.
    stated : PreprocessOptions
        What its authors fed it. Nothing will do for MATLAB's exports that normalise their input themselves.
    layer : str or None
        Layer, tensor or node; None will do for a graph that has an fc7.
    say : callable
        Is given one-line notes of what was decided.

    Raises
    ------
    UsageError
        If the preprocessing or the layer is needed and not given.
    WeightsError
        If the graph cannot be used; with the reason.
    """
    inputs = [value.name for value in fed_inputs(model)]
    model = take_in(model, file, layer)
    with damage(file):
        preprocess = _preprocess(model, file, stated, say=say)
        size = (preprocess.crop_height, preprocess.crop_width)
        if len(inputs) > 1:
            image = image_input(model).name
            say(f"{file}: has the inputs {', '.join(inputs)}; what {image} alone feeds is kept")
        model = with_image(model, fixed_batch(model), size)
        if fixed_batch(model) is None:
            # A Reshape to one image inside may belie the batch that its input promises.
            model = free_batch(model) or model
        layers = layers_of(model)
        if layer is None and any(found.name == _USUAL for found in layers):
            layer = _USUAL
        if layer is None:
            ends = ", ".join(found.name for found in layers[-8:])
            raise UsageError(
                f"{file}: say which tensor the features come from with --layer; the last ones are {ends}"
            )
        chosen = find_layer(layers, model, layer, file=file)
        scores = _scores([value.name for value in model.graph.output], layers)
    return model, NetworkSpec(
        name,
        arch="onnx",
        preprocess=preprocess,
        layers=tuple(layers),
        default_layer=chosen.name,
        output=scores,
    )


def _preprocess(model: ModelProto, file: str, stated: PreprocessOptions, say: Notify) -> PreprocessSpec:
    own = own_normalisation(model)
    itself = "it takes uint8 pixels itself" if takes_bytes(model) else ""
    if own is not None:
        itself = f"its node {own.node!r} normalises the image itself"
    matlab = "matlab" in model.producer_name.lower()
    size = input_size(model)
    as_matlab = stated.preset is None and matlab and own is not None and size is not None
    if as_matlab and size is not None:
        # MATLAB's augmentedImageDatastore(inputSize, ...) resizes to the input, whatever the aspect ratio.
        stated = stated.on(PreprocessSpec("warp", *size, *size, "RGB"))
    if stated.empty and itself:
        raise UsageError(f"{file}: {itself}; say how images are resized, with --resize or a --preprocess")
    if stated.preset is None and not stated.arithmetic and not itself:
        raise UsageError(
            f"{file}: how its images were prepared is not known from the catalogue; {HOW_TO_SAY}"
        )
    fitted = stated.spec(size, lambda note: say(f"{file}: {note}"))
    if as_matlab:
        say(f"{file}: a MATLAB export; its images are prepared as MATLAB does: {fitted.describe()}")
    if matlab and fitted.channel_order == "BGR" and stated.order is None:
        # Every pretrained network of MATLAB takes RGB, those converted from Caffe included.
        say(f"{file}: a MATLAB export takes RGB; it is fed RGB in place of {fitted.channel_order}")
        bgr = dataclasses.replace(fitted, channel_order="RGB")
        fitted = dataclasses.replace(bgr, mean=fitted.mean[::-1], std=fitted.std[::-1])
    if not itself:
        return fitted
    scale = own.scale if own is not None else 1.0
    plain = dataclasses.replace(
        fitted, scale=scale, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), image_mean=False
    )
    if plain != fitted:
        shown = "0-255" if scale == 1.0 else "0-1"
        if stated.arithmetic:
            raise UsageError(
                f"{file}: {itself}, and is fed {shown}; leave out --mean, --std and --scale, which would "
                "do it a second time"
            )
        say(f"{file}: {itself}; it is fed {shown}, no mean is subtracted a second time")
    return plain


def _scores(outputs: Sequence[str], layers: Sequence[LayerSpec]) -> str | None:
    """The output with a number for each of ImageNet's classes."""
    of = {layer.tensor: layer for layer in layers}
    found = [of[name] for name in outputs if name in of and of[name].dim() in IMAGENET_CLASSES]
    # A network may give the scores and their softmax; the probabilities come later.
    return max(found, key=layers.index).name if found else None
