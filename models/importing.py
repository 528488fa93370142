"""From a weight file to a network in the store: read, place into a graph, name every layer, save."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from models.architectures import ARCHITECTURES, Architecture, architecture
from models.errors import UnknownNetworkError, UnsafeFileError, WeightsError
from models.files import refuse_pipe
from models.layers import layers_of
from models.progress import Notify
from models.spec import NetworkSpec, Pool, PreprocessSpec, caffe_preprocess

if TYPE_CHECKING:
    from onnx import ModelProto

    from models.graph import Weights
    from models.progress import Progress
    from models.store import StoredNetwork

UNTRAINED = "alexnet-untrained"


def import_network(
    path: Path,
    name: str,
    *,
    arch: str | None = None,
    preprocess: PreprocessSpec | None = None,
    layer: str | None = None,
    pool: Pool | None = None,
    prototxt: Path | None = None,
    mean: Path | None = None,
    replace: bool = False,
    source: str = "",
    notify: Notify | None = None,
) -> StoredNetwork:
    """Put the network in a weight file into the store.

    Parameters
    ----------
    path : Path
        Weights of an AlexNet in any format that `models.weights.reading` knows, any ONNX graph, or any
        ``.caffemodel`` together with its `prototxt`.
    name : str
        What the store calls it from now on.
    arch : str or None
        One of `ARCHITECTURES`; None tells it from the catalogue or from the file.
    preprocess : PreprocessSpec or None
        What its authors fed it; None takes the catalogue's or the architecture's. Its crop is set
        to the graph's input size, and arithmetic that the graph does itself is taken out.
    layer : str or None
        The layer, tensor or node that features come from by default; None takes the catalogue's, or fc7.
    pool : {"flatten", "avg", "max"} or None
        How a spatial map becomes a vector; None takes the catalogue's, or "flatten".
    prototxt : Path or None
        The network's ``deploy.prototxt``.
    mean : Path or None
        A mean image (``.binaryproto``); its channel means replace the preprocessing's.
    replace : bool
        Whether a network of that name may be replaced.
    source : str
        Where the file came from; the file's name and sha256 are added.
    notify : callable or None
        Is given one-line notes of what was decided.

    Raises
    ------
    UsageError
        If the preprocessing or the layer of an unknown graph is not given.
    UnsafeFileError
        If the file asks to run code, to leave its folder or to exhaust memory.
    WeightsError
        If the file is damaged, of an unknown format or of another architecture.
    """
    from models.catalog import by_sha256

    say = notify or (lambda note: None)
    for given in (path, prototxt, mean):
        if given is not None:
            refuse_pipe(given)
    digest = file_sha256(path)
    entry = by_sha256(digest)
    if entry is not None:
        arch = arch or (entry.arch if entry.arch in ARCHITECTURES else None)
        preprocess = preprocess or entry.preprocess
        layer = layer or entry.default_layer
    if prototxt is not None:
        model, spec = _from_caffe(path, prototxt, name, arch, preprocess, mean, layer, say)
    else:
        known_as_graph = entry is not None and entry.arch not in ARCHITECTURES and arch is None
        weights = None if known_as_graph else _alexnet_weights(path, arch, say)
        if weights is not None:
            plan = architecture(weights[0])
            chosen = _with_mean(preprocess or plan.preprocess, mean)
            model, spec = built_network(plan, weights[1], name, chosen, layer)
        else:
            model, spec = _kept(path, name, preprocess, mean, layer, say)
    spec = dataclasses.replace(
        spec,
        source=f"{source or path.name}, sha256 {digest}",
        licence=entry.licence if entry is not None else "",
        pool=pool or (entry.pool if entry is not None else "flatten"),
    )
    return _save(model, spec, replace)


def build_untrained(name: str = UNTRAINED) -> StoredNetwork:
    """Put the BVLC AlexNet with random weights into the store; seconds, nothing is downloaded."""
    from models.untrained import untrained_weights

    plan = architecture("alexnet")
    model, spec = built_network(plan, untrained_weights(plan), name, plan.preprocess, None)
    spec = dataclasses.replace(spec, trained=False, source="He-normal weights, seed 0", licence="MIT")
    return _save(model, spec, replace=True)


def ensure_network(name: str, progress: Progress, *, download: bool = True) -> StoredNetwork:
    """The network called `name`: from the store, else built, else downloaded.

    Raises
    ------
    UnknownNetworkError
        If neither the store nor the catalogue knows it, or `download` is False and it is not here; the
        text names what there is.
    DownloadError
        If no source gave it; the text is the user's way out.
    """
    from models import catalog, store
    from models.pulling import pull

    here = store.names()
    if name in here:
        return store.load(name)
    if name not in catalog.names():
        close = difflib.get_close_matches(name, {*here, *catalog.names()}, n=1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        raise UnknownNetworkError(
            f"no network {name!r}: the store {store.store_root()} has {', '.join(here) or 'none'}; the "
            f"catalogue has {', '.join(catalog.names())}.{guess} `models import FILE --as NAME` brings a "
            "file of yours"
        )
    if name == UNTRAINED:
        return build_untrained()
    if not download:
        raise UnknownNetworkError(
            f"network {name!r} is not in the store {store.store_root()}; "
            f"fetch it with `models pull {name}` or bring it with `models import FILE --as {name}`"
        )
    return pull(name, progress)


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise WeightsError(
            f"{path}: cannot be read ({exc.strerror or exc}); give the path of a file"
        ) from exc


def built_network(
    plan: Architecture, weights: Weights, name: str, preprocess: PreprocessSpec, layer: str | None
) -> tuple[ModelProto, NetworkSpec]:
    """A graph we build, from canonical weights, and its description.

    Parameters
    ----------
    plan : Architecture
    weights : mapping of str to ndarray, float32
        Keys and shapes of `Architecture.weight_shapes`, or a prefix of them.
    name : str
    preprocess : PreprocessSpec
    layer : str or None
        The default layer; None is fc7, or the last one of a trunk.

    Raises
    ------
    WeightsError
        If the weights do not fit the plan.
    """
    from models.graph import build_graph

    size = (plan.preprocess.crop_height, plan.preprocess.crop_width)
    if (preprocess.crop_height, preprocess.crop_width) != size:
        preprocess = fit_crop(preprocess, size)
    model = build_graph(plan, weights)
    layers = [found for found in layers_of(model) if not found.name.endswith("_in")]
    names = [found.name for found in layers]
    default = layer or ("fc7" if "fc7" in names else names[-1])
    output = "prob" if "prob" in names else None
    spec = NetworkSpec(name, plan.name, preprocess, tuple(layers), default, output)
    return model, dataclasses.replace(spec, default_layer=spec.layer(default).name)


def fit_crop(preprocess: PreprocessSpec, size: tuple[int, int]) -> PreprocessSpec:
    """The same recipe with the crop the graph takes, enlarging the resize where it is too small."""
    height, width = size
    resize_height = max(preprocess.resize_height, height)
    resize_width = max(preprocess.resize_width, width)
    if preprocess.resize == "short":
        resize_height = resize_width = max(resize_height, resize_width)
    return dataclasses.replace(
        preprocess,
        crop_height=height,
        crop_width=width,
        resize_height=resize_height,
        resize_width=resize_width,
    )


def _alexnet_weights(path: Path, arch: str | None, say: Notify) -> tuple[str, Weights] | None:
    """Architecture and canonical weights, or None for an ONNX graph that is no AlexNet of ours."""
    from models.weights.reading import read_weights

    found = read_weights(path, arch)
    if found is None:
        return None
    if found.note:
        say(f"{path.name}: {found.note}")
    return found.arch, found.arrays


def _from_caffe(
    path: Path,
    prototxt: Path,
    name: str,
    arch: str | None,
    preprocess: PreprocessSpec | None,
    mean: Path | None,
    layer: str | None,
    say: Notify,
) -> tuple[ModelProto, NetworkSpec]:
    """Our own graph where the weights are an AlexNet's and the prototxt says the same; else its graph."""
    from models.caffe.graph import build_caffe_graph
    from models.onnx_network import kept_network
    from models.surgery import input_size

    model = build_caffe_graph(path, prototxt)
    theirs = {found.tensor: found.digest for found in layers_of(model)}
    wanted = {theirs.get(value.name) for value in model.graph.output}
    size = input_size(model)
    # BVLC's AlexNet and CaffeNet have the same shapes; a file may leave open which of them it is.
    for plan in (architecture(plan) for plan in ([arch] if arch else ARCHITECTURES)):
        try:
            weights = _alexnet_weights(path, plan.name, lambda note: None)
        except UnsafeFileError:
            raise
        except WeightsError:
            if arch is not None:
                raise
            continue
        if weights is None:
            continue
        ours, spec = built_network(
            plan, weights[1], name, _with_mean(preprocess or plan.preprocess, mean), layer
        )
        # A digest does not cover the size of the input.
        same_size = size == (spec.preprocess.crop_height, spec.preprocess.crop_width)
        if arch is not None or (same_size and wanted <= {found.digest for found in spec.layers}):
            return ours, spec
    return kept_network(
        model, path.name, name, _with_mean(preprocess or caffe_preprocess(), mean), layer, say
    )


def _kept(
    path: Path,
    name: str,
    preprocess: PreprocessSpec | None,
    mean: Path | None,
    layer: str | None,
    say: Notify,
) -> tuple[ModelProto, NetworkSpec]:
    from models.graph_files import load_whole_graph
    from models.onnx_network import kept_network

    if mean is not None:
        preprocess = _with_mean(preprocess or caffe_preprocess(), mean)
    return kept_network(load_whole_graph(path), path.name, name, preprocess, layer, say)


def _with_mean(preprocess: PreprocessSpec, mean: Path | None) -> PreprocessSpec:
    """The recipe with the channel means of a Caffe mean image, which are B, G, R on 0-255."""
    if mean is None:
        return preprocess
    from models.weights.caffe_model import read_mean

    blue, green, red = (value * preprocess.scale for value in read_mean(mean))
    ordered = (blue, green, red) if preprocess.channel_order == "BGR" else (red, green, blue)
    return dataclasses.replace(preprocess, mean=ordered, image_mean=False)


def _save(model: ModelProto, spec: NetworkSpec, replace: bool) -> StoredNetwork:
    from models.graph_files import save_graph
    from models.store import save

    return save(spec, lambda folder: save_graph(model, folder), replace=replace)
