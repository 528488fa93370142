"""From a network in the store to the graph an engine is handed: cut, pixels in, vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fc7.models.graph.fast import expand_lrn
from fc7.models.graph.files import load_graph
from fc7.models.graph.half import half
from fc7.models.graph.pixels import PIXELS, pixels_in
from fc7.models.graph.surgery import cut, fixed_batch
from fc7.models.graph.vectors import vector_name, vectors_out
from fc7.models.network.spec import NetworkSpec

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True, slots=True)
class Runnable:
    """A serialised graph and what an engine must know to run it.

    Attributes
    ----------
    graph : bytes
        ONNX; input `input` uint8 (n, crop_height, crop_width, 3), RGB; float32 (n, dim) outputs.
    folder : Path
        Where the graph's external arrays lie.
    outputs : dict of str to str
        Layer name -> output name.
    batch : int or None
        The only batch the graph takes, or None where any will do.
    """

    graph: bytes
    folder: Path
    input: str
    outputs: dict[str, str]
    batch: int | None


def runnable(
    path: Path, spec: NetworkSpec, layers: Sequence[str], *, fast: bool = True, fp16: bool = False
) -> Runnable:
    """The graph of `spec` in `path`, cut at `layers` and ready to take pixels.

    Parameters
    ----------
    path : Path
        ``network.onnx``; its external arrays lie beside it.
    fast : bool
        Apply the rewrites of `models.graph.fast`.
    fp16 : bool
        Compute in half precision (`models.graph.half`); pixels are normalised, and features given, in
        float32.

    Raises
    ------
    UnknownLayerError
        If the network has no such layer.
    WeightsError
        If the file is damaged.
    ProviderError
        If the network cannot be had in half precision.

    Examples
    --------
    >>> from fc7.models.store.store import load
    >>> tiles = load("tiles")
    >>> ready = runnable(tiles.graph_path, tiles.spec, ["tiles"])
    >>> ready.input, ready.outputs, ready.batch
    ('images (pixels)', {'tiles': 'tiles (vector)'}, None)
    """
    model = prepared(path, spec, layers, fast=fast, fp16=fp16)
    outputs = {layer: vector_name(layer) for layer in layers}
    return Runnable(model.SerializeToString(), path.parent, PIXELS, outputs=outputs, batch=fixed_batch(model))


def prepared(
    path: Path, spec: NetworkSpec, layers: Sequence[str], *, fast: bool = True, fp16: bool = False
) -> ModelProto:
    """The same as a graph; its large arrays stay outside, in the folder of `path`."""
    chosen = {name: spec.layer(name) for name in layers}
    model = cut(load_graph(path), [layer.tensor for layer in chosen.values()])
    if fp16:
        model = half(model)
    model = vectors_out(pixels_in(model, spec.preprocess), chosen, spec.pool)
    return expand_lrn(model) if fast else model
