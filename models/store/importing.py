"""From a weight file to a network in the store: read, place into a graph, name every layer, save."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fc7.models.backbones.alexnet import Weights, build_graph
from fc7.models.backbones.backbone import Backbone
from fc7.models.backbones.build import build_backbone
from fc7.models.backbones.known import BUILT, built_plan
from fc7.models.caffe.graph import build_caffe_graph
from fc7.models.catalog.catalog import UNTRAINED
from fc7.models.catalog.published import check_is_the_catalogues, known_file
from fc7.models.common.errors import UnsafeFileError, UsageError, WeightsError
from fc7.models.common.files import refuse_pipe
from fc7.models.common.progress import Notify
from fc7.models.graph.batch import free_batch
from fc7.models.graph.files import GRAPH_FILE, damage, load_whole_graph, save_graph
from fc7.models.graph.layers import layers_of
from fc7.models.graph.surgery import fixed_batch, input_size
from fc7.models.network.architectures import ARCHITECTURES, Architecture, architecture
from fc7.models.network.spec import NetworkSpec, Pool, PreprocessSpec, caffe_preprocess
from fc7.models.store.onnx_network import kept_network
from fc7.models.store.preprocess_options import PreprocessOptions, fit_crop
from fc7.models.store.store import StoredNetwork, save
from fc7.models.weights.caffe_model import read_mean
from fc7.models.weights.reading import read_weights
from fc7.models.weights.untrained import untrained_weights

if TYPE_CHECKING:
    from onnx import ModelProto


NetworkTrial = Callable[[Path, NetworkSpec, Notify], None]
"""Runs the graph in a file before it enters the store, and raises if it cannot be used.

This room has no engine: `extract.engine.trial.try_network` is the one that there is.
"""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What is said of a network in a weight file; the rest is told from the catalogue or the file.

    Attributes
    ----------
    arch : str or None
        One of `BUILT`; None tells it from the catalogue or from the file.
    preprocess : PreprocessSpec, PreprocessOptions, str or None
        What its authors fed it, as a text the name of a preset ("torch"); None takes the catalogue's or the
        architecture's, and options change parts of it. Its crop is set to the graph's input size, its resize
        grows or shrinks with the crop (`fit_crop`), and arithmetic that the graph does itself is taken out.
    layer : str or None
        The layer, tensor or node that features come from by default; None takes the catalogue's, the
        architecture's, or fc7.
    pool : {"flatten", "avg", "max", "token"} or None
        How a map or a sequence of tokens becomes a vector; None takes the catalogue's, the architecture's, or
        "flatten".
    prototxt : str, Path or None
        The network's ``deploy.prototxt``.
    mean : str, Path or None
        A mean image (``.binaryproto``); its channel means replace the preprocessing's.
    replace : bool
        Whether a network of that name may be replaced.
    source : str
        Where the file came from; the file's name and sha256 are added.
    licence : str
        Its terms, where the catalogue does not know the file by its hash.

    Examples
    --------
    >>> ImportOptions(preprocess="torch", layer="pool5").replace
    False
    """

    arch: str | None = None
    preprocess: PreprocessSpec | PreprocessOptions | str | None = None
    layer: str | None = None
    pool: Pool | None = None
    prototxt: str | Path | None = None
    mean: str | Path | None = None
    replace: bool = False
    source: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What whoever imports a file says of the network in it.

    Attributes
    ----------
    name : str
        What the store will call it.
    stated : PreprocessOptions
        How its images are prepared, as far as that is stated.
    mean : Path or None
        A mean image.
    layer : str or None
        The default layer.
    say : callable
        Is given one-line notes.
    """

    name: str
    stated: PreprocessOptions
    mean: Path | None
    layer: str | None
    say: Notify

    def stated_on(self, base: PreprocessSpec) -> PreprocessOptions:
        """What is stated, the rest as in `base`; with the mean image's means."""
        return _with_mean(self.stated.on(base), self.mean)

    def preprocess(self, plan: Architecture | Backbone) -> PreprocessSpec:
        """The same for a network that we build."""
        return self.stated_on(plan.preprocess).spec(_input_size(plan), self.say)


def import_network(
    path: str | Path,
    name: str,
    options: ImportOptions | None = None,
    *,
    notify: Notify | None = None,
    trial: NetworkTrial | None = None,
) -> StoredNetwork:
    """Put the network in a weight file into the store.

    Parameters
    ----------
    path : str or Path
        Weights of a network that we build in any format that `models.weights.reading` knows, any ONNX
        graph, or any ``.caffemodel`` together with its prototxt.
    name : str
        What the store calls it from now on.
    notify : callable or None
        Is given one-line notes of what was decided.
    trial : callable or None
        Runs the network before it enters the store, which it does only if that raises nothing; a graph
        that is bound to a batch is freed if it passes so. None believes the file and keeps its batch;
        `extract.import_network` tries it.

    Raises
    ------
    UsageError
        If the preprocessing or the layer of an unknown graph is not given, what is stated does not go
        together, or `name` is the catalogue's name of another network.
    UnsafeFileError
        If the file asks to run code, to leave its folder or to exhaust memory.
    WeightsError
        If the file is damaged, of an unknown format or of another architecture.
    """
    say = notify or (lambda note: None)
    path = Path(path)
    given = options or ImportOptions()
    prototxt = None if given.prototxt is None else Path(given.prototxt)
    mean = None if given.mean is None else Path(given.mean)
    arch, layer = given.arch, given.layer
    for file in (path, prototxt, mean):
        if file is not None:
            refuse_pipe(file)
    hashes, entry = known_file(path, name)
    stated = PreprocessOptions.of(given.preprocess).on(entry.preprocess if entry is not None else None)
    if entry is not None:
        arch = arch or (entry.arch if entry.arch in BUILT else None)
        layer = layer or entry.default_layer
    asked = _Asked(name, stated, mean, layer=layer, say=say)
    if prototxt is not None:
        model, spec = _from_caffe(path, prototxt, arch, asked=asked)
    else:
        known_as_graph = entry is not None and entry.arch not in BUILT and arch is None
        weights = None if known_as_graph else _built_weights(path, arch, say)
        if weights is not None:
            plan = built_plan(weights[0])
            model, spec = built_network(
                plan, weights[1], name, preprocess=asked.preprocess(plan), layer=layer
            )
        else:
            model, spec = _kept(path, asked)
    spec = dataclasses.replace(
        spec,
        source=f"{given.source or path.name}, {hashes}",
        licence=entry.licence if entry is not None else given.licence,
        pool=given.pool or (entry.pool if entry is not None else spec.pool),
    )
    check_is_the_catalogues(spec, path.name)
    freed = None
    if trial is not None:
        freed = _save_freed(model, spec, path.name, replace=given.replace, trial=trial, say=say)
    return freed or _save(model, spec, given.replace, trial=trial, say=say)


def build_untrained(name: str = UNTRAINED) -> StoredNetwork:
    """Put the BVLC AlexNet with random weights into the store; seconds, nothing is downloaded."""
    plan = architecture("alexnet")
    model, spec = built_network(plan, untrained_weights(plan), name, preprocess=plan.preprocess, layer=None)
    spec = dataclasses.replace(spec, trained=False, source="He-normal weights, seed 0", licence="MIT")
    return _save(model, spec, replace=True)


def built_network(
    plan: Architecture | Backbone,
    weights: Weights,
    name: str,
    preprocess: PreprocessSpec,
    layer: str | None,
) -> tuple[ModelProto, NetworkSpec]:
    """A graph we build, from the weights of a file, and its description.

    Parameters
    ----------
    weights : mapping of str to ndarray, float32
        As in `models.network.canonical.WeightsFile`.
    name : str
        What the store will call it.
    layer : str or None
        The default layer; None is the plan's, or the last one of a trunk.

    Raises
    ------
    WeightsError
        If the weights do not fit the plan.
    """
    preprocess = fit_crop(preprocess, _input_size(plan))
    model = build_graph(plan, weights) if isinstance(plan, Architecture) else build_backbone(plan, weights)
    layers = [found for found in layers_of(model) if not found.name.endswith("_in")]
    names = [found.name for found in layers]
    default = layer or (plan.default_layer if plan.default_layer in names else names[-1])
    output = "prob" if "prob" in names else None
    spec = NetworkSpec(
        name,
        arch=plan.name,
        preprocess=preprocess,
        layers=tuple(layers),
        default_layer=default,
        output=output,
        pool=plan.pool,
    )
    return model, dataclasses.replace(spec, default_layer=spec.layer(default).name)


def _input_size(plan: Architecture | Backbone) -> tuple[int, int]:
    return plan.preprocess.crop_height, plan.preprocess.crop_width


def _built_weights(path: Path, arch: str | None, say: Notify) -> tuple[str, Weights] | None:
    """Architecture and weights, or None for an ONNX graph that is none of ours."""
    found = read_weights(path, arch)
    if found is None:
        return None
    if found.note:
        say(f"{path.name}: {found.note}")
    return found.arch, found.arrays


def _from_caffe(
    path: Path, prototxt: Path, arch: str | None, asked: _Asked
) -> tuple[ModelProto, NetworkSpec]:
    """Our own graph where the weights are an AlexNet's and the prototxt says the same; else its graph."""
    model = build_caffe_graph(path, prototxt)
    theirs = {found.tensor: found.digest for found in layers_of(model)}
    wanted = {theirs.get(value.name) for value in model.graph.output}
    size = input_size(model)
    # BVLC's AlexNet and CaffeNet have the same shapes; a file may leave open which of them it is.
    for plan in (architecture(plan) for plan in ([arch] if arch else ARCHITECTURES)):
        # A digest does not cover the size of the input.
        if arch is None and size != _input_size(plan):
            continue
        try:
            weights = _built_weights(path, plan.name, lambda note: None)
        except UnsafeFileError:
            raise
        except WeightsError:
            if arch is not None:
                raise
            continue
        if weights is None:
            continue
        ours, spec = built_network(
            plan, weights[1], asked.name, preprocess=plan.preprocess, layer=asked.layer
        )
        if arch is not None or wanted <= {found.digest for found in spec.layers}:
            return ours, dataclasses.replace(spec, preprocess=asked.preprocess(plan))
    stated = asked.stated_on(caffe_preprocess())
    return kept_network(model, path.name, asked.name, stated=stated, layer=asked.layer, say=asked.say)


def _kept(path: Path, asked: _Asked) -> tuple[ModelProto, NetworkSpec]:
    stated = asked.stated if asked.mean is None else asked.stated_on(caffe_preprocess())
    return kept_network(
        load_whole_graph(path), path.name, asked.name, stated=stated, layer=asked.layer, say=asked.say
    )


def _with_mean(stated: PreprocessOptions, mean: Path | None) -> PreprocessOptions:
    """The same with the channel means of a Caffe mean image, which are B, G, R on 0-255."""
    if mean is None:
        return stated
    preset = stated.preset or caffe_preprocess()
    scale, order = stated.scale or preset.scale, stated.order or preset.channel_order
    blue, green, red = (value * scale for value in read_mean(mean))
    return dataclasses.replace(stated, mean=(blue, green, red) if order == "BGR" else (red, green, blue))


def _save_freed(
    model: ModelProto, spec: NetworkSpec, file: str, replace: bool, trial: NetworkTrial, say: Notify
) -> StoredNetwork | None:
    """Save a graph that is bound to a batch as one that takes any, or None where that is not to be had."""
    bound = fixed_batch(model)
    if bound is None:
        return None

    def try_to_its_end(graph_path: Path, spec: NetworkSpec, say: Notify) -> None:
        # What mixes rows behind the default layer must show as well.
        trial(graph_path, dataclasses.replace(spec, output=spec.layers[-1].name), say)

    stored = None
    with contextlib.suppress(WeightsError, UsageError):
        with damage(file):
            graph = free_batch(model)
            layers = () if graph is None else tuple(layers_of(graph))
        if graph is not None:
            freed = dataclasses.replace(spec, layers=layers)
            stored = _save(graph, freed, replace, trial=try_to_its_end, say=say)
    if stored is None:
        say(f"{file}: the network is bound to batches of {bound} and runs with these")
    else:
        say(f"{file}: the network was bound to batches of {bound}; tried with others, it now takes any")
    return stored


def _save(
    model: ModelProto,
    spec: NetworkSpec,
    replace: bool,
    trial: NetworkTrial | None = None,
    say: Notify = lambda note: None,
) -> StoredNetwork:
    def write(folder: Path) -> None:
        save_graph(model, folder)
        if trial is not None:
            trial(folder / GRAPH_FILE, spec, say)

    return save(spec, write, replace=replace)
